"""A causal language model as an SB3 policy: one distribution for acting and learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.distributions import CategoricalDistribution, Distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import Tensor, nn

from agents.buffer import EpisodeBatch
from agents.decoding import SlotDecoder
from agents.losses import token_logprobs
from agents.models import (
    backbone_and_head,
    check_vocabulary,
    check_window,
    disable_dropout,
    load_model,
    teacher_forced_hidden,
)
from textenv.errors import ConfigError

OBSERVATION_KEYS = {"attention_mask", "input_ids", "remaining"}


@dataclass(frozen=True)
class TokenOutputs:
    """What a teacher-forced pass says of the agent's tokens, flat in (row, time) order.

    Attributes:
        logprobs: (n_tokens,) of each token that was written.
        values: (n_tokens,) of the state before each token.
        entropy: (n_tokens,) of the distribution at each token, if asked for.
        final_values: (batch,) of the state after each row's last token.
    """

    logprobs: Tensor
    values: Tensor
    entropy: Tensor | None
    final_values: Tensor


class LMPolicy(ActorCriticPolicy):
    """An actor-critic policy whose actor is a Hugging Face causal language model.

    The value head is one linear layer on the last normalised hidden state, in float32; it starts at
    zero. Acting keeps keys and values of each environment's text and feeds only what is new.

    Args:
        observation_space: That of a token-level text environment.
        action_space: `Discrete(V)`.
        lr_schedule: Learning rate as a function of the remaining progress.
        use_sde: SB3's; must be False.
        model: "embedded", a folder, a Hugging Face id or a `.gguf` file.
        temperature: Divides the logits wherever they are used: sampling, ratio and KL.
        separate_critic: Give the value head a copy of the backbone of its own.
        bf16: Compute in bfloat16 by autocast; weights stay in float32.
        max_batch_tokens: The most tokens, padding included, of one teacher-forced pass.
        optimizer_class: AdamW by default.
        optimizer_kwargs: By default betas (0.9, 0.95), eps 1e-5 and no weight decay for AdamW.

    Raises:
        ConfigError: The environment is not a token-level text environment.
        ModelError: The model cannot be loaded or does not fit the environment.
    """

    lm: nn.Module
    value_head: nn.Linear

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Schedule,
        use_sde: bool = False,
        *,
        model: str = "embedded",
        temperature: float = 1.0,
        separate_critic: bool = False,
        bf16: bool = False,
        max_batch_tokens: int = 8192,
        optimizer_class: type[torch.optim.Optimizer] = torch.optim.AdamW,
        optimizer_kwargs: dict[str, Any] | None = None,
    ) -> None:
        if use_sde:
            raise ConfigError("use_sde is for continuous actions; a language model has none.")
        check_observation_space(observation_space)
        if not temperature > 0:
            raise ConfigError(f"temperature must be above 0, not {temperature}.")
        self.model_name = str(model)
        self.temperature = temperature
        self.separate_critic = separate_critic
        self.bf16 = bf16
        self.max_batch_tokens = max_batch_tokens
        self.window = int(observation_space["input_ids"].shape[0])  # type: ignore[index] # checked to be a Dict
        self._decoders: tuple[SlotDecoder, ...] = ()
        if optimizer_kwargs is None and optimizer_class is torch.optim.AdamW:
            optimizer_kwargs = {"betas": (0.9, 0.95), "eps": 1e-5, "weight_decay": 0.0}
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
        assert isinstance(self.action_space, spaces.Discrete)
        lm = load_model(self.model_name)
        check_vocabulary(lm, int(self.action_space.n))
        check_window(lm, self.window)
        disable_dropout(lm)
        self.lm = lm
        # A tuple, so that the parts are not registered a second time.
        self._parts = backbone_and_head(lm)
        hidden_size = int(self._parts[1].weight.shape[1])  # type: ignore[index] # a linear layer
        self.critic = load_model(self.model_name).base_model if self.separate_critic else None
        if self.critic is not None:
            disable_dropout(self.critic)
        self.value_head = nn.Linear(hidden_size, 1)
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)
        # Two groups, since a head that starts at zero may learn faster than a pretrained model.
        self.optimizer = self.optimizer_class(
            [{"params": list(self.lm.parameters())}, {"params": self.critic_parameters()}],
            lr=lr_schedule(1),  # type: ignore[call-arg] # SB3 types the class as the base, which takes no lr
            **self.optimizer_kwargs,
        )

    def critic_parameters(self) -> list[nn.Parameter]:
        """Returns the parameters that only the value depends on."""
        critic = [] if self.critic is None else list(self.critic.parameters())
        return [*self.value_head.parameters(), *critic]

    @property
    def vocab_size(self) -> int:
        """The number of actions; further rows of the model's output are never used."""
        return int(self.action_space.n)  # type: ignore[attr-defined] # `_build` checks that it is Discrete

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "lr_schedule": self._dummy_schedule,
            "model": self.model_name,
            "temperature": self.temperature,
            "separate_critic": self.separate_critic,
            "bf16": self.bf16,
            "max_batch_tokens": self.max_batch_tokens,
            "optimizer_class": self.optimizer_class,
            "optimizer_kwargs": self.optimizer_kwargs,
        }

    # Acting: one new token a row, from the cache, without gradient.

    def act(
        self,
        input_ids: NDArray[np.int32],
        lengths: NDArray[np.int64],
        rows: NDArray[np.int64],
        deterministic: bool = False,
    ) -> NDArray[np.int64]:
        """Chooses the next token of some of the environment's slots.

        Args:
            input_ids: (k, L) their texts so far.
            lengths: (k,) their true lengths.
            rows: (k,) which slots they are.
            deterministic: Take the most likely token instead of sampling.

        Returns:
            (k,) token ids.
        """
        with torch.no_grad():
            hidden = self._decode(rows, input_ids, lengths)[0]
            actions: Tensor = self._distribution(hidden).get_actions(deterministic=deterministic)
        return actions.cpu().numpy()

    def forward(
        self, obs: PyTorchObs, deterministic: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Chooses the next token of every slot, without gradient.

        Returns:
            actions (n,), values (n, 1) and log-probabilities (n,).
        """
        with torch.no_grad():
            hidden, critic_hidden = self._decode_observation(obs)
            distribution = self._distribution(hidden)
            actions = distribution.get_actions(deterministic=deterministic)
            values = self._values(critic_hidden).unsqueeze(-1)
            return actions, values, distribution.log_prob(actions)

    def _predict(self, observation: PyTorchObs, deterministic: bool = False) -> Tensor:
        with torch.no_grad():
            hidden, _ = self._decode_observation(observation)
            return self._distribution(hidden).get_actions(deterministic=deterministic)

    def predict_values(self, obs: PyTorchObs) -> Tensor:
        """Returns the value of each observation, (n, 1)."""
        hidden = self._full_hidden(obs)[1]
        return self._values(hidden).unsqueeze(-1)

    def get_distribution(self, obs: PyTorchObs) -> Distribution:
        """Returns the distribution over the next token of each observation, with gradient."""
        return self._distribution(self._full_hidden(obs)[0])

    def evaluate_actions(
        self, obs: PyTorchObs, actions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Evaluates single tokens, each after its own whole prefix: SB3's per-token update.

        Returns:
            values (n, 1), log-probabilities (n,) and entropies (n,), with gradient.
        """
        hidden, critic_hidden = self._full_hidden(obs)
        distribution = self._distribution(hidden)
        values = self._values(critic_hidden).unsqueeze(-1)
        return values, distribution.log_prob(actions), distribution.entropy()

    # Learning: one teacher-forced pass gives every token of whole sequences.

    def evaluate_sequences(
        self, batch: EpisodeBatch, with_entropy: bool = False, critic_only: bool = False
    ) -> TokenOutputs:
        """Evaluates every token that the agent wrote in whole episodes, with gradient.

        Args:
            batch: The episodes.
            with_entropy: Compute entropies, too.
            critic_only: Let only the values carry gradient, and only into `critic_parameters`.
        """
        backbone, head = self._parts
        with self.autocast():
            # The state before a token is the hidden state of the token before it.
            written = batch.action_mask[:, 1:]
            with torch.set_grad_enabled(torch.is_grad_enabled() and not critic_only):
                hidden = teacher_forced_hidden(backbone, batch.input_ids, batch.lengths)
                logprobs, entropy = token_logprobs(
                    head,
                    hidden[:, :-1][written],
                    batch.input_ids[:, 1:][written],
                    vocab_size=self.vocab_size,
                    temperature=self.temperature,
                    with_entropy=with_entropy,
                )
            critic_hidden = hidden
            if self.critic is not None:
                critic_hidden = teacher_forced_hidden(self.critic, batch.input_ids, batch.lengths)
        last = torch.arange(len(batch), device=hidden.device), batch.lengths - 1
        return TokenOutputs(
            logprobs,
            self._values(critic_hidden[:, :-1][written]),
            entropy,
            self._values(critic_hidden[last]),
        )

    def _distribution(self, hidden: Tensor) -> CategoricalDistribution:
        with self.autocast():
            logits = self._parts[1](hidden)
        logits = logits[:, : self.vocab_size].float() / self.temperature
        return CategoricalDistribution(self.vocab_size).proba_distribution(logits)

    def _values(self, hidden: Tensor) -> Tensor:
        values: Tensor = self.value_head(hidden.float())
        return values.squeeze(-1)

    def autocast(self) -> torch.autocast:
        """Returns the context that forward passes run in: bfloat16 if asked for."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def _decode_observation(self, obs: PyTorchObs) -> tuple[Tensor, Tensor]:
        ids, lengths = _read(obs)
        rows = np.arange(len(lengths))
        return self._decode(rows, ids.cpu().numpy(), lengths.cpu().numpy())

    def _decode(
        self, rows: NDArray[np.int64], ids: NDArray[np.int32], lengths: NDArray[np.int64]
    ) -> tuple[Tensor, Tensor]:
        """Returns the actor's and the critic's last hidden states, (k, hidden) each."""
        n_slots = int(rows.max()) + 1
        if not self._decoders or self._decoders[0].n_slots < n_slots:
            backbones = [self._parts[0], *([] if self.critic is None else [self.critic])]
            self._decoders = tuple(SlotDecoder(b, n_slots, self.window) for b in backbones)
        with self.autocast():
            hidden = [decoder.feed(rows, ids, lengths) for decoder in self._decoders]
        return hidden[0], hidden[-1]

    def _full_hidden(self, obs: PyTorchObs) -> tuple[Tensor, Tensor]:
        """Returns the actor's and the critic's last hidden states by whole passes."""
        ids, lengths = _read(obs)
        ids, lengths = ids.to(self.device).long(), lengths.to(self.device)
        ids = ids[:, : int(lengths.max())]
        last = torch.arange(len(ids), device=ids.device), lengths - 1
        with self.autocast():
            hidden = teacher_forced_hidden(self._parts[0], ids, lengths)[last]
            if self.critic is None:
                return hidden, hidden
            return hidden, teacher_forced_hidden(self.critic, ids, lengths)[last]


def check_observation_space(space: spaces.Space[Any]) -> None:
    """Checks that an environment shows its text as tokens.

    Raises:
        ConfigError: It does not.
    """
    if not isinstance(space, spaces.Dict) or set(space.spaces) != OBSERVATION_KEYS:
        raise ConfigError(
            "LMPolicy needs a token-level text environment, for instance "
            f"gymnasium.make('TextSummarize-v0'); this one observes {space}."
        )


def _read(obs: PyTorchObs) -> tuple[Tensor, Tensor]:
    """Returns token ids (n, L) and true lengths (n,) of observations."""
    assert isinstance(obs, dict)
    return obs["input_ids"], obs["attention_mask"].sum(dim=1).long()
