"""The networks of a policy: a language model with its adapter, a critic, and a value head."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from agents.models.compilation import compile_decoder
from agents.models.frozen_layers import check_frozen_layers, freeze_trunk, hold_frozen, share_frozen
from agents.models.loading import (
    backbone_and_head,
    check_vocabulary,
    disable_dropout,
    enable_gradient_checkpointing,
    load_model,
    teacher_forced_hidden,
)
from agents.models.lora import add_adapter
from agents.models.options import PolicyOptions
from agents.models.windows import check_window
from agents.probing.examination import Question, Ways
from agents.probing.probe import probe

if TYPE_CHECKING:
    from peft import PeftModel


@dataclass
class Networks:
    """The networks of a policy, and the settings by which all of its passes compute.

    This is no module: the policy registers `lm`, `critic` and `value_head`, so that each weight has
    one name.
    """

    options: PolicyOptions  # Options of the policy, with `bf16` chosen
    vocab_size: int  # Highest token id + 1; the model's output may have more rows, never used
    window: int  # Longest observation, in tokens
    lm: PreTrainedModel  # Language model: the actor
    backbone: nn.Module  # Decoder of the language model, without its output layer
    head: nn.Module  # Output layer of the language model
    critic: PreTrainedModel | None  # Backbone of the critic; None if values share the actor's
    value_head: nn.Linear  # Value of a hidden state
    adapters: tuple[PeftModel, ...]  # Handles of peft, of the actor and of a separate critic
    ways: Ways  # Which passes are right
    has_halved_passes: bool = False  # Whether memory was not enough for those of the options

    @property
    def models(self) -> list[PreTrainedModel]:
        """The language model, and the critic if it is separate."""
        return [self.lm] if self.critic is None else [self.lm, self.critic]

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.value_head.weight.device

    @property
    def shares_openings(self) -> bool:
        """Whether episodes with equal openings share them in a pass.

        Compiled layers are left alone: they are made for causal passes, without a mask.
        """
        return self.ways.side_by_side and not self.options.compile_layers

    def compile(self) -> None:
        """Compiles the layers, if the options say so."""
        if self.options.compile_layers:
            for model in self.models:
                compile_decoder(model.base_model)

    def autocast(self) -> torch.autocast:
        """Returns the context of forward passes: bfloat16 where `bf16` is on."""
        return _autocast(self.options, self.device)

    def logits(self, hidden: Tensor) -> Tensor:
        """Returns the logits (n, vocab_size) of the next token after hidden states (n, hidden)."""
        with self.autocast():
            logits: Tensor = self.head(hidden)
        return self.scale(logits)

    def scale(self, logits: Tensor) -> Tensor:
        """Returns float32 logits of the tokenizer's ids, divided by the temperature."""
        logits = logits[:, : self.vocab_size].float()
        return logits if self.options.temperature == 1.0 else logits / self.options.temperature

    def values(self, hidden: Tensor) -> Tensor:
        """Returns the values (n,) of the critic's hidden states (n, hidden)."""
        values: Tensor = self.value_head(hidden.to(self.value_head.weight.dtype))
        # A sum over one number, not a view: FSDP warns of views among what its modules return.
        return values.sum(dim=-1)

    def last_hidden(self, backbone: nn.Module, ids: Tensor, lengths: Tensor) -> Tensor:
        """Returns the state after the last token of texts, (n, hidden), by a whole pass.

        Args:
            backbone: That of the language model, or of the critic.
            ids: (n, L) token ids.
            lengths: (n,) true lengths.
        """
        ids, lengths = ids.to(self.device).long(), lengths.to(self.device)
        ids = ids[:, : int(lengths.max())]
        with self.autocast():
            hidden = teacher_forced_hidden(backbone, ids)
        return hidden[torch.arange(len(ids), device=ids.device), lengths - 1]


def make_networks(
    options: PolicyOptions, *, vocab_size: int, window: int, level: Literal["token", "select"]
) -> Networks:
    """Loads the networks of a policy, freezes what does not learn, and probes their passes.

    Args:
        options: Options of the policy.
        vocab_size: Highest token id + 1.
        window: Longest observation, in tokens.
        level: Action level.

    Raises:
        ModelError: The model cannot be loaded or does not fit the environment.
    """
    lm = _load(options)
    check_vocabulary(lm, vocab_size)
    check_window(lm, window)
    backbone, head = backbone_and_head(lm)
    critic: Any = _load(options).base_model if options.separate_critic else None
    adapters = _freeze(options, lm, critic)
    question = Question(window, level, options.lora, options.gradient_checkpointing)
    ways = probe(lm, question, options.model, partial(_autocast, options, lm.device))
    outputs: Any = head
    value_head = nn.Linear(outputs.weight.shape[1], 1)
    nn.init.zeros_(value_head.weight)
    nn.init.zeros_(value_head.bias)
    networks = Networks(
        options, vocab_size, window, lm, backbone, head, critic, value_head, adapters, ways
    )
    if options.gradient_checkpointing:
        for model in networks.models:
            enable_gradient_checkpointing(model)
    networks.compile()
    return networks


def _load(options: PolicyOptions) -> PreTrainedModel:
    model = load_model(options.model, quantize=options.quantize)
    disable_dropout(model)
    return model


def _freeze(
    options: PolicyOptions, lm: PreTrainedModel, critic: PreTrainedModel | None
) -> tuple[PeftModel, ...]:
    """Freezes the weights that do not learn, and adds the adapters that learn instead."""
    models = [lm] if critic is None else [lm, critic]
    for model in models:
        backbone = model.base_model
        if options.lora is not None:
            check_frozen_layers(backbone, options.frozen_layers)
            backbone.requires_grad_(False)
        elif options.frozen_layers:
            freeze_trunk(backbone, options.frozen_layers)
    if critic is not None:
        share_frozen(critic, lm.base_model)
    adapters: tuple[PeftModel, ...] = ()
    if options.lora is not None:
        lora, first_layer = options.lora, options.frozen_layers
        adapters = tuple(add_adapter(model, lora, first_layer) for model in models)
    if options.bf16:
        for model in models:
            hold_frozen(model, torch.bfloat16)
    return adapters


def _autocast(options: PolicyOptions, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=bool(options.bf16))
