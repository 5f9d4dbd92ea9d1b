"""The frozen reference model of the KL penalty."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from agents.models.compilation import compile_decoder
from agents.models.frozen_layers import SharedTrunk, hold_frozen, share_frozen
from agents.models.loading import (
    backbone_and_head,
    check_vocabulary,
    disable_dropout,
    load_model,
)
from agents.models.lora import adapter_off
from agents.models.windows import check_window
from agents.policy.episode_batch import EpisodeBatch
from agents.policy.lm_policy import LMPolicy
from agents.policy.sequences import compute_states, tokens_of_pass, written_logprobs
from agents.ppo.distributed import Ranks
from agents.ppo.sharding import is_sharded, shard_frozen
from agents.probing.examination import Question
from agents.probing.probe import probe
from textenv.named_paths import named_path


class Reference:
    """The policy's model before training, without gradient.

    It is not part of the policy, so no optimizer, `parameters()` or saved file contains it. If the
    policy is an adapter on this same model, the policy with its adapter off is the reference, and
    there is no second model in memory. Otherwise the model is loaded, and shares the policy's
    frozen parameters where they are equal: with `frozen_layers` only the weights that learn exist
    twice, and the pass through the frozen layers is computed once for both.

    Args:
        policy: Policy, which gives temperature, vocabulary and precision.
        model: Name of the model.

    Raises:
        ModelError: The model cannot be loaded, or does not fit the environment.
    """

    def __init__(self, policy: LMPolicy, model: str) -> None:
        self._policy = policy
        # Only a model of the same name is certainly the one below the policy's adapter.
        is_base = policy.adapter is not None and _is_same_model(model, policy.options.model)
        self._adapter = policy.adapter if is_base else None
        if self._adapter is not None:
            self.model = policy.lm
            self._parts = policy.networks.backbone, policy.networks.head
        else:
            self.model = load_model(model).requires_grad_(False)
            disable_dropout(self.model)
            self._parts = backbone_and_head(self.model)
            if not _is_same_model(model, policy.options.model):
                probe(self.model, Question(policy.window, level=None), model)
            if policy.options.bf16:
                hold_frozen(self.model, torch.bfloat16)
            if policy.options.compile_layers:
                # If only one were compiled, the difference in rounding would count as divergence.
                compile_decoder(self._parts[0])
            share_frozen(self.model, policy.lm)
            self.model.to(policy.device)  # type: ignore[arg-type] # has no types
            check_vocabulary(self.model, policy.vocab_size)
            check_window(self.model, policy.window)
        self._trunk = self._find_trunk()

    def logprobs(self, batch: EpisodeBatch) -> Tensor:
        """Returns the log-probabilities of the agent's tokens, flat in (row, time) order."""
        backbone, head = self._parts
        networks = self._policy.networks
        with torch.no_grad(), networks.autocast(), self._base(), self._replaying(batch):
            states = compute_states(networks, backbone, batch)
            return written_logprobs(networks, head, states.before, batch)[0]

    def is_policy(self) -> bool:
        """Tells whether the policy computes what the reference does: it has not learned yet."""
        policy = self._policy
        if is_sharded(policy):
            return False
        if self._adapter is not None:
            # B A = 0, as at the start.
            return not any(
                parameter.any() for name, parameter in policy.lm.named_parameters()
                if ".lora_B." in name
            )  # fmt: skip
        theirs = dict(self.model.named_parameters())
        ours = dict(policy.lm.named_parameters())
        if theirs.keys() != ours.keys():
            return False
        # One of another type is a weight that autocast rounds to this type in each pass.
        return all(
            p is theirs[name] or torch.equal(p.detach().to(theirs[name].dtype), theirs[name])
            for name, p in ours.items()
        )

    def shard(self, ranks: Ranks) -> None:
        """Divides the layers over the processes of a run, as the policy's are."""
        shard_frozen(self._parts[0], ranks)

    def recording(self) -> AbstractContextManager[None]:
        """Records the policy's pass through the frozen layers, for the next `logprobs` to reuse.

        Frozen layers that the policy and the reference share then need no second pass over the same
        tokens.
        """
        return nullcontext() if self._trunk is None else self._trunk.recording()

    def _replaying(self, batch: EpisodeBatch) -> AbstractContextManager[None]:
        if self._trunk is None:
            return nullcontext()
        return self._trunk.replaying(tokens_of_pass(self._policy.networks, batch))

    def _base(self) -> AbstractContextManager[None]:
        return nullcontext() if self._adapter is None else adapter_off(self._adapter)

    def _find_trunk(self) -> SharedTrunk | None:
        """Returns the lowest layers, if policy and reference share them."""
        policy = self._policy
        # A compiled pass can neither be recorded nor replayed.
        if policy.options.frozen_layers == 0 or policy.options.compile_layers:
            return None
        own = dict(self.model.named_parameters())
        frozen = {n: p for n, p in policy.lm.named_parameters() if not p.requires_grad}
        if any(own.get(name) is not parameter for name, parameter in frozen.items()):
            return None
        return SharedTrunk(policy.networks.backbone, self._parts[0], policy.options.frozen_layers)


def _is_same_model(one: str, other: str) -> bool:
    """Returns whether two names are of one model: equal names, or paths of one folder."""
    return one == other or (
        named_path(one).exists()
        and named_path(other).exists()
        and named_path(one).samefile(named_path(other))
    )
