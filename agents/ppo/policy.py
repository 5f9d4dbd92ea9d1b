"""A causal language model as an SB3 policy: one distribution for acting and learning."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.distributions import CategoricalDistribution, Distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import PreTrainedModel

from agents.decoding.cuda_graphs import can_capture
from agents.decoding.decoder import SlotDecoder
from agents.decoding.sampling import check_tokens, choose_tokens
from agents.models.compilation import compile_decoder
from agents.models.frozen_layers import check_frozen_layers, freeze_trunk, hold_frozen, share_frozen
from agents.models.loading import (
    backbone_and_head,
    check_vocabulary,
    disable_dropout,
    enable_gradient_checkpointing,
    hold_eval,
    load_model,
    teacher_forced_hidden,
)
from agents.models.lora import add_adapter
from agents.models.options import PolicyOptions, choose_bf16, policy_options, signature_with
from agents.models.reply_logprobs import Choices, choice_logits, score_choices
from agents.models.token_logprobs import token_logprobs
from agents.models.windows import check_window
from agents.ppo.buffer import EpisodeBatch
from agents.ppo.vec_env import check_observations, find_action_level
from agents.probing.examination import Question, Ways
from agents.probing.probe import probe
from textenv.errors import ConfigError

if TYPE_CHECKING:
    from peft import PeftModel


# (n, n_actions), True where an action is open.
Masks = NDArray[np.bool_] | Tensor | None

# Networks that algorithms look for in their policies, and why there are none.
_LEARNS_VALUES = (
    "{} learns the value of every action, and a language model is a distribution over them. Train "
    "it with agents.TextPPO, or with SB3's PPO or A2C. At select level {} learns with "
    "'MultiInputPolicy' and agents.integrations.sb3_features.candidate_policy_kwargs(env)."
)
_OTHER_NETWORKS = {
    "q_net": _LEARNS_VALUES.format("DQN", "DQN"),
    "quantile_net": _LEARNS_VALUES.format("QR-DQN", "QR-DQN"),
    "lstm_actor": (
        "RecurrentPPO carries an LSTM's state from step to step, and a language model reads the "
        "whole text at every step, so it needs none. Train it with agents.TextPPO, or with SB3's "
        "PPO. At select level RecurrentPPO learns with 'MultiInputLstmPolicy' and "
        "agents.integrations.sb3_features.candidate_policy_kwargs(env)."
    ),
}


class _WrongAlgorithmError(ConfigError, AttributeError):
    """The algorithm needs a network that a language model has not."""


@dataclass(frozen=True)
class TokenOutputs:
    """Results of a teacher-forced pass for the agent's tokens, flat in (row, time) order."""

    logprobs: Tensor  # (n_tokens,) log-probability of each token that was written
    values: Tensor  # (n_tokens,) value of the state before each token
    states: Tensor  # (n_tokens, hidden) what these values are computed from
    entropy: Tensor | None  # (n_tokens,) entropy of the distribution at each token, if asked for
    final_values: Tensor  # (batch,) value of the state after each row's last token


class LMPolicy(ActorCriticPolicy):
    """An actor-critic policy whose actor is a Hugging Face causal language model.

    SB3's PPO and A2C train it, and sb3-contrib's TRPO and MaskablePPO; `agents.TextPPO` is many
    times faster. Algorithms that need other networks (DQN, QR-DQN, RecurrentPPO) are refused when
    they are made; at select level they learn with `agents.integrations.sb3_features`.

    At token level it writes the next token. While acting it caches keys and values of each
    environment's text, and computes only new tokens. At select level it chooses among candidate
    replies by how likely it is to write each of them, including the end of the turn (see
    `agents.models.reply_logprobs`).

    The value head is one linear layer on the last normalised hidden state, in float32; it starts at
    zero.

    Args:
        observation_space: Observation space of a text environment at token or select level.
        action_space: `Discrete(V)`, or `Discrete(N)` at select level.
        lr_schedule: Learning rate as a function of the remaining progress.
        use_sde: SB3's argument of this name; must be False.
        optimizer_class: Class of the optimizer.
        optimizer_kwargs: Arguments of the optimizer. The default for AdamW is betas (0.9, 0.95),
            eps 1e-8, no weight decay and one fused step.
        options: Options of `PolicyOptions` (docs/options.md), such as model="path/or/id".

    Attributes:
        options: Record of these options, with `bf16` chosen.

    Raises:
        ConfigError: The environment is not a text environment at token or select level, or an
            option does not fit.
        UnknownNameError: An option does not exist.
        ModelError: The model cannot be loaded or does not fit the environment.
    """

    lm: PreTrainedModel
    value_head: nn.Linear

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Schedule | None = None,
        use_sde: bool = False,
        *,
        optimizer_class: type[torch.optim.Optimizer] = torch.optim.AdamW,
        optimizer_kwargs: dict[str, Any] | None = None,
        **options: object,
    ) -> None:
        if lr_schedule is None:
            raise ConfigError(
                "LMPolicy learns by gradients and needs an lr_schedule, a function of the progress "
                "that remains. ARS searches at random instead, which a language model has too many "
                "weights for: use agents.TextPPO, or SB3's PPO or A2C."
            )
        if use_sde:
            raise ConfigError("use_sde is for continuous actions; a language model has none.")
        self.action_level = find_action_level(observation_space)
        _register_for_masks()
        checked = policy_options(options)
        # SB3 makes a policy on the CPU, and moves it to its device, by default the GPU.
        bf16 = choose_bf16(checked.bf16, "cuda" if torch.cuda.is_available() else "cpu")
        self.options = checked.replace(bf16=bf16)
        ids_space = observation_space["input_ids"]  # type: ignore[index] # checked to be a Dict
        self.window = int(ids_space.shape[0])
        # The model's output may have more rows; they are never used.
        self.vocab_size = int(ids_space.high.max()) + 1
        self._decoders: tuple[SlotDecoder, ...] = ()
        self._action_masks: Masks = None
        if optimizer_kwargs is None and optimizer_class is torch.optim.AdamW:
            # With SB3's eps of 1e-5 the first step of the embedded model is 0.64 of the learning
            # rate, since its gradients are that small; with 1e-8 it is 0.96.
            optimizer_kwargs = {
                "betas": (0.9, 0.95),
                "eps": 1e-8,
                "weight_decay": 0.0,
                "fused": True,
            }
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            net_arch=[],
            ortho_init=False,
            optimizer_class=optimizer_class,
            optimizer_kwargs=optimizer_kwargs,
        )

    def _build(self, lr_schedule: Schedule) -> None:
        lm = self._load()
        check_vocabulary(lm, self.vocab_size)
        check_window(lm, self.window)
        self.lm = lm
        # A tuple, so that the parts are not registered a second time.
        self._parts = backbone_and_head(lm)
        self.critic: Any = self._load().base_model if self.options.separate_critic else None
        # peft's handle holds the model; a tuple again keeps it from being registered twice.
        self._adapters = self._freeze()
        self._ways = self._probe()
        if self.options.gradient_checkpointing:
            for model in self._models():
                enable_gradient_checkpointing(model)
        if self.options.compile_layers:
            for model in self._models():
                compile_decoder(model.base_model)
        head: Any = self._parts[1]
        self.value_head = nn.Linear(head.weight.shape[1], 1)
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)
        self.optimizer = self.make_optimizer(lr_schedule(1))

    def make_optimizer(self, lr: float) -> torch.optim.Optimizer:
        """Makes the optimizer: one group of the language model's parameters, one of the critic's.

        A head that starts at zero may learn faster than a pretrained model, hence two groups.
        """
        learning = [p for p in self.lm.parameters() if p.requires_grad]
        return self.optimizer_class(
            [{"params": learning}, {"params": self.critic_parameters()}],
            lr=lr,  # type: ignore[call-arg] # SB3 types the class as the base, which takes no lr
            **self.optimizer_kwargs,
        )

    def _load(self) -> PreTrainedModel:
        model = load_model(self.options.model, quantize=self.options.quantize)
        disable_dropout(model)
        return model

    def _probe(self) -> Ways:
        """Finds out which passes of this model are right, or refuses it."""
        question = Question(
            self.window,
            self.action_level,
            self.options.lora,
            self.options.gradient_checkpointing,
        )
        return probe(self.lm, question, self.options.model, self.autocast)

    def _freeze(self) -> tuple[PeftModel, ...]:
        """Freezes the weights that do not learn, and adds the adapters that learn instead."""
        for model in self._models():
            backbone = model.base_model
            if self.options.lora is not None:
                check_frozen_layers(backbone, self.options.frozen_layers)
                backbone.requires_grad_(False)
            elif self.options.frozen_layers:
                freeze_trunk(backbone, self.options.frozen_layers)
        if self.critic is not None:
            share_frozen(self.critic, self._parts[0])
        adapters: tuple[PeftModel, ...] = ()
        if self.options.lora is not None:
            lora, first_layer = self.options.lora, self.options.frozen_layers
            adapters = tuple(add_adapter(model, lora, first_layer) for model in self._models())
        if self.options.bf16:
            for model in self._models():
                hold_frozen(model, torch.bfloat16)
        return adapters

    def train(self, mode: bool = True) -> Self:
        """Sets train or eval mode; a model whose train mode is noisy stays in eval mode."""
        super().train(mode)
        if not self._ways.train_mode:
            for model in self._models():
                hold_eval(model)
        return self

    def _models(self) -> list[PreTrainedModel]:
        return [self.lm] if self.critic is None else [self.lm, self.critic]

    @property
    def adapter(self) -> PeftModel | None:
        """Handle of peft on the language model's adapter, if it has one."""
        return self._adapters[0] if self._adapters else None

    def critic_parameters(self) -> list[nn.Parameter]:
        """Returns the parameters that learn and that only the value depends on."""
        critic = [] if self.critic is None else self.critic.parameters()
        return [*self.value_head.parameters(), *(p for p in critic if p.requires_grad)]

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "lr_schedule": self._dummy_schedule,
            "optimizer_class": self.optimizer_class,
            "optimizer_kwargs": self.optimizer_kwargs,
            **self.options.model_dump(),
        }

    def __getattr__(self, name: str) -> Any:
        if name in _OTHER_NETWORKS:
            raise _WrongAlgorithmError(_OTHER_NETWORKS[name])
        return super().__getattr__(name)

    def __getstate__(self) -> dict[str, Any]:
        # Cached keys are computed again where they are needed; graphs cannot be copied.
        state: dict[str, Any] = super().__getstate__()  # type: ignore[no-untyped-call] # has no types
        return {**state, "_decoders": ()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call] # has no types
        if self.options.compile_layers:
            # What was compiled is no part of a module's state.
            for model in self._models():
                compile_decoder(model.base_model)

    # Acting: one new token a row, from the cache, without gradient.

    @property
    def reading_share(self) -> float:
        """Share of slots that should have a prompt to read before prompts are read.

        Where steps are captured graphs, a pass over prompts costs as much as several steps, however
        few prompts it has. With n slots, m tokens per episode, and a pass that costs f steps,
        waiting for k slots costs a share of (k - 1) / 2n in steps and saves passes. The best
        k = n sqrt(2 f / m) is about half of the slots for f = 5 and m = 40; a quarter is nearly as
        good there, and better for longer texts. Elsewhere the share is 0: prompts are read in the
        same pass as the other slots' tokens.
        """
        return 0.25 if self._ways.cached and can_capture(self._parts[0]) else 0.0

    def act(
        self,
        input_ids: NDArray[np.int32],
        lengths: NDArray[np.int64],
        rows: NDArray[np.int64],
        deterministic: bool = False,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Chooses the next token of some of the environment's slots.

        Args:
            input_ids: (k, L) texts of these slots so far.
            lengths: (k,) true lengths of these texts.
            rows: (k,) numbers of these slots.
            deterministic: Whether to take the most likely token instead of sampling.

        Returns:
            (k,) token ids, and (k,) their log-probabilities.

        Raises:
            ConfigError: The policy chooses among replies instead.
            ModelError: The model's outputs are not numbers.
        """
        if self.action_level != "token":
            raise ConfigError(
                "act writes tokens, and this policy was made for the select level: call predict, "
                'or make the policy for an environment with action_level="token".'
            )
        with torch.no_grad(), self.autocast():
            (decoder,) = self._slot_decoders(int(rows.max()) + 1)[:1]
            logits = self._scale(decoder.logits(decoder.feed(rows, input_ids, lengths)))
            tokens, logprobs = choose_tokens(logits, deterministic)
            # One transfer for both.
            chosen = torch.stack([tokens.double(), logprobs.double()]).cpu()
        check_tokens(chosen[0])
        return chosen[0].long().numpy(), chosen[1].float().numpy()

    def forward(
        self, obs: PyTorchObs, deterministic: bool = False, action_masks: Masks = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Chooses the next token or the reply of every slot, without gradient.

        Args:
            obs: Observations of slots 0 to n - 1.
            deterministic: Whether to take the most likely action instead of sampling.
            action_masks: (n, n_actions) True where an action is open; None if all are.

        Returns:
            actions (n,), values (n, 1) and log-probabilities (n,).
        """
        with torch.no_grad():
            distribution, values = self._judge(obs, action_masks, cached=True)
            actions = distribution.get_actions(deterministic=deterministic)
            return actions, values, distribution.log_prob(actions)

    def predict(
        self,
        observation: NDArray[Any] | dict[str, NDArray[Any]],
        state: tuple[NDArray[Any], ...] | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
        action_masks: Masks = None,
    ) -> tuple[NDArray[Any], tuple[NDArray[Any], ...] | None]:
        """Chooses the action of one observation or of many, as SB3's policies do.

        Args:
            observation: One observation, or observations of slots 0 to n - 1.
            state: Returned as it is.
            episode_start: Without effect.
            deterministic: Whether to take the most likely action instead of sampling.
            action_masks: As for `forward`.
        """
        self._action_masks = action_masks
        try:
            return super().predict(observation, state, episode_start, deterministic)
        finally:
            self._action_masks = None

    def _predict(self, observation: PyTorchObs, deterministic: bool = False) -> Tensor:
        with torch.no_grad():
            distribution, _ = self._judge(observation, self._action_masks, cached=True)
            return distribution.get_actions(deterministic=deterministic)

    def predict_values(self, obs: PyTorchObs) -> Tensor:
        """Returns the value of each observation, (n, 1)."""
        hidden = self._full_hidden(obs)[1]
        return self._values(hidden).unsqueeze(-1)

    def get_distribution(self, obs: PyTorchObs, action_masks: Masks = None) -> Distribution:
        """Returns the distribution over the actions of each observation.

        It may be differentiated twice, as TRPO does. That takes attention that is slower than the
        one of `evaluate_actions`.
        """
        twice = torch.is_grad_enabled()
        if twice and "sb3_contrib.trpo" in sys.modules:
            self._check_names_for_trpo()
        with sdpa_kernel(SDPBackend.MATH) if twice else nullcontext():
            return self._judge(obs, action_masks, twice_differentiable=twice)[0]

    def evaluate_actions(
        self, obs: PyTorchObs, actions: Tensor, action_masks: Masks = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Evaluates single actions, each after its own whole prefix: SB3's update.

        Returns:
            values (n, 1), log-probabilities (n,) and entropies (n,), with gradient.
        """
        distribution, values = self._judge(obs, action_masks)
        return values, distribution.log_prob(actions), distribution.entropy()

    # Learning: one teacher-forced pass gives every token of whole sequences.

    def evaluate_sequences(self, batch: EpisodeBatch, with_entropy: bool = False) -> TokenOutputs:
        """Evaluates every token that the agent wrote in whole episodes, with gradient.

        Args:
            batch: Episodes to evaluate.
            with_entropy: Whether to compute entropies.
        """
        backbone, head = self._parts
        rows, times = batch.written
        # The state before a token is the hidden state of the token before it.
        before = rows, times - 1
        last = torch.arange(len(batch), device=rows.device), batch.lengths - 1
        with self.autocast():
            hidden = teacher_forced_hidden(backbone, batch.input_ids)
            logprobs, entropy = token_logprobs(
                head,
                hidden[before],
                batch.input_ids[batch.written],
                vocab_size=self.vocab_size,
                temperature=self.options.temperature,
                with_entropy=with_entropy,
            )
            critic_hidden = hidden
            if self.critic is not None:
                critic_hidden = teacher_forced_hidden(self.critic, batch.input_ids)
        states = critic_hidden[before]
        final_values = self._values(critic_hidden[last])
        return TokenOutputs(logprobs, self._values(states), states, entropy, final_values)

    def evaluate_values(self, batch: EpisodeBatch, states: Tensor | None = None) -> Tensor:
        """Evaluates the state before every token that the agent wrote, with gradient.

        The gradient is that of `critic_parameters` alone: a backbone that values share with the
        language model is held.

        Args:
            batch: Episodes to evaluate.
            states: (n_tokens, hidden) states of `evaluate_sequences` under the same weights, which
                a shared backbone would only compute again.

        Returns:
            (n_tokens,) values, in (row, time) order.
        """
        rows, times = batch.written
        if self.critic is not None:
            with self.autocast():
                states = teacher_forced_hidden(self.critic, batch.input_ids)[rows, times - 1]
        elif states is None:
            with self.autocast(), torch.no_grad():
                states = teacher_forced_hidden(self._parts[0], batch.input_ids)[rows, times - 1]
        return self._values(states)

    def _judge(
        self,
        obs: PyTorchObs,
        action_masks: Masks = None,
        *,
        cached: bool = False,
        twice_differentiable: bool = False,
    ) -> tuple[CategoricalDistribution, Tensor]:
        """Returns the distribution over actions and the values (n, 1), with gradient.

        Args:
            obs: Observations of any slots; with `cached`, of slots 0 to n - 1.
            action_masks: As for `forward`.
            cached: Whether to compute only new tokens, without gradient; for the next token alone.
            twice_differentiable: Whether the gradient has a gradient.
        """
        check_observations(obs, self.vocab_size)
        if self.action_level == "select":
            logits, critic_hidden = self._choose(obs, twice_differentiable)
        else:
            hidden, critic_hidden = (self._decode_observation if cached else self._full_hidden)(obs)
            with self.autocast():
                logits = self._parts[1](hidden)
            logits = self._scale(logits)
        if action_masks is not None:
            is_open = torch.as_tensor(action_masks, dtype=torch.bool, device=logits.device)
            # The lowest number, not minus infinity: the entropy stays a number.
            logits = logits.masked_fill(~is_open.view(logits.shape), torch.finfo(logits.dtype).min)
        distribution = CategoricalDistribution(logits.shape[1]).proba_distribution(logits)
        return distribution, self._values(critic_hidden).unsqueeze(-1)

    def _choose(self, obs: PyTorchObs, twice_differentiable: bool) -> tuple[Tensor, Tensor]:
        """Returns the candidates' logits, and the critic's state of the text before."""
        assert isinstance(obs, dict)
        assert isinstance(self.action_space, spaces.Discrete)
        n_candidates = int(self.action_space.n)
        shape = (len(obs["candidate_ids"]), n_candidates, -1)
        text_ids, text_lengths = _read(obs)
        choices = Choices(
            text_ids.to(self.device).long(),
            text_lengths.to(self.device),
            obs["candidate_ids"].to(self.device).long().view(shape),
            obs["candidate_mask"].to(self.device).view(shape).sum(dim=2).long(),
        )
        with self.autocast():
            logprobs, hidden = score_choices(
                *self._parts,
                choices,
                vocab_size=self.vocab_size,
                window=self.window,
                max_tokens_per_batch=self.options.max_tokens_per_batch,
                side_by_side=self._ways.side_by_side,
                twice_differentiable=twice_differentiable,
            )
        logits = choice_logits(
            logprobs,
            choices.reply_lengths,
            temperature=self.options.temperature,
            length_normalized=self.options.length_normalized,
        )
        if self.critic is not None:
            hidden = self._last_hidden(self.critic, obs)
        return logits, hidden

    def _scale(self, logits: Tensor) -> Tensor:
        """Returns float32 logits of the tokenizer's ids, divided by the temperature."""
        logits = logits[:, : self.vocab_size].float()
        return logits if self.options.temperature == 1.0 else logits / self.options.temperature

    def _values(self, hidden: Tensor) -> Tensor:
        values: Tensor = self.value_head(hidden.to(self.value_head.weight.dtype))
        # A sum over one number, not a view: FSDP warns of views among what its modules return.
        return values.sum(dim=-1)

    def autocast(self) -> torch.autocast:
        """Returns the context of forward passes: bfloat16 where `bf16` is on."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=bool(self.options.bf16))

    def _decode_observation(self, obs: PyTorchObs) -> tuple[Tensor, Tensor]:
        ids, lengths = _read(obs)
        rows = np.arange(len(lengths))
        return self._decode(rows, ids.cpu().numpy(), lengths.cpu().numpy())

    def _decode(
        self, rows: NDArray[np.int64], ids: NDArray[np.int32], lengths: NDArray[np.int64]
    ) -> tuple[Tensor, Tensor]:
        """Returns the actor's and the critic's last hidden states, (k, hidden) each."""
        with self.autocast():
            hidden = [
                decoder.feed(rows, ids, lengths, exact=True)
                for decoder in self._slot_decoders(int(rows.max()) + 1)
            ]
        return hidden[0], hidden[-1]

    def _slot_decoders(self, n_slots: int) -> tuple[SlotDecoder, ...]:
        """Returns the decoders of the actor, with its output layer, and of a separate critic."""
        if not self._decoders or self._decoders[0].n_slots < n_slots:
            backbone, head = self._parts
            self._decoders = tuple(
                SlotDecoder(
                    part,
                    n_slots,
                    self.window,
                    # Without gradient the activations of one layer live at a time.
                    max_tokens_per_batch=4 * self.options.max_tokens_per_batch,
                    head=output,
                    cached=self._ways.cached,
                )
                for part, output in ((backbone, head), (self.critic, None))
                if part is not None
            )
        return self._decoders

    def forget(self) -> None:
        """Drops cached keys and values; the next call computes them again."""
        self._decoders = ()

    def _check_names_for_trpo(self) -> None:
        """Warns of weights that TRPO would take for the critic's, by their names."""
        names = [n for n, p in self.lm.named_parameters() if "value" in n and p.requires_grad]
        if names:
            warnings.warn(
                "sb3_contrib's TRPO leaves out every parameter with 'value' in its name, and lets "
                f"the value loss train it, outside of its trust region: {names[0]} and "
                f"{len(names) - 1} more of this model. Use LoRA on other layers, or PPO.",
                stacklevel=3,
            )

    def _full_hidden(self, obs: PyTorchObs) -> tuple[Tensor, Tensor]:
        """Returns the actor's and the critic's last hidden states by whole passes."""
        hidden = self._last_hidden(self._parts[0], obs)
        return hidden, hidden if self.critic is None else self._last_hidden(self.critic, obs)

    def _last_hidden(self, backbone: nn.Module, obs: PyTorchObs) -> Tensor:
        ids, lengths = _read(obs)
        ids, lengths = ids.to(self.device).long(), lengths.to(self.device)
        ids = ids[:, : int(lengths.max())]
        with self.autocast():
            hidden = teacher_forced_hidden(backbone, ids)
        return hidden[torch.arange(len(ids), device=ids.device), lengths - 1]


def _register_for_masks() -> None:
    """Says to sb3-contrib's MaskablePPO, where it is in use, that `LMPolicy` takes its masks."""
    maskable = sys.modules.get("sb3_contrib.common.maskable.policies")
    if maskable is not None:
        maskable.MaskableActorCriticPolicy.register(LMPolicy)


def check_policy_kwargs(policy: type[LMPolicy], kwargs: Mapping[str, Any]) -> None:
    """Checks the options of a policy that is not made yet; a subclass may take further ones."""
    others = ("optimizer_class", "optimizer_kwargs")
    policy_options(
        {
            name: value
            for name, value in kwargs.items()
            if name not in others and (policy is LMPolicy or name in PolicyOptions.model_fields)
        }
    )


LMPolicy.__signature__ = signature_with(LMPolicy.__init__, PolicyOptions)  # type: ignore[attr-defined] # read by inspect


def _read(obs: PyTorchObs) -> tuple[Tensor, Tensor]:
    """Returns token ids (n, L) and true lengths (n,) of observations."""
    assert isinstance(obs, dict)
    return obs["input_ids"], obs["attention_mask"].sum(dim=1).long()
