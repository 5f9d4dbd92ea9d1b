"""A causal language model as an SB3 policy: one distribution for acting and learning."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import PreTrainedModel

from agents.models.loading import hold_eval
from agents.models.options import PolicyOptions, choose_bf16, policy_options, signature_with
from agents.policy.action_distribution import Masks, judge_observations, read_texts
from agents.policy.cached_passes import CachedPasses
from agents.policy.episode_batch import EpisodeBatch
from agents.policy.networks import make_networks
from agents.policy.observations import find_action_level
from agents.policy.sb3_algorithms import (
    refuse_network,
    register_for_masks,
    require_schedule,
    warn_of_trpo,
)
from agents.policy.sequences import TokenOutputs, evaluate_tokens, evaluate_values
from textenv.errors import ConfigError

if TYPE_CHECKING:
    from peft import PeftModel

# With SB3's eps of 1e-5 the first step of the embedded model is 0.64 of the learning rate, since
# its gradients are that small; with 1e-8 it is 0.96.
_ADAMW = {"betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.0, "fused": True}


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
        lr_schedule = require_schedule(lr_schedule)
        if use_sde:
            raise ConfigError("use_sde is for continuous actions; a language model has none.")
        self.action_level = find_action_level(observation_space)
        register_for_masks(LMPolicy)
        checked = policy_options(options)
        # SB3 makes a policy on the CPU, and moves it to its device, by default the GPU.
        bf16 = choose_bf16(checked.bf16, "cuda" if torch.cuda.is_available() else "cpu")
        ids_space = observation_space["input_ids"]  # type: ignore[index] # checked to be a Dict
        self.window = int(ids_space.shape[0])
        self.vocab_size = int(ids_space.high.max()) + 1
        self.networks = make_networks(
            checked.replace(bf16=bf16),
            vocab_size=self.vocab_size,
            window=self.window,
            level=self.action_level,
        )
        self.cached = CachedPasses(self.networks)
        self._action_masks: Masks = None
        if optimizer_kwargs is None and optimizer_class is torch.optim.AdamW:
            optimizer_kwargs = dict(_ADAMW)
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
        # Called by SB3's constructor, from which on this is a module and can have others.
        self.lm = self.networks.lm
        self.critic: Any = self.networks.critic
        self.value_head = self.networks.value_head
        self.optimizer = self.make_optimizer(lr_schedule(1))

    @property
    def options(self) -> PolicyOptions:
        """The policy's options, with `bf16` chosen; those of acting and scoring may be replaced."""
        return self.networks.options

    @options.setter
    def options(self, options: PolicyOptions) -> None:
        self.networks.options = options

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

    def train(self, mode: bool = True) -> Self:
        """Sets train or eval mode; a model whose train mode is noisy stays in eval mode."""
        super().train(mode)
        if not self.networks.ways.train_mode:
            for model in self.networks.models:
                hold_eval(model)
        return self

    @property
    def adapter(self) -> PeftModel | None:
        """Handle of peft on the language model's adapter, if it has one."""
        return self.networks.adapters[0] if self.networks.adapters else None

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
        refuse_network(name)
        return super().__getattr__(name)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call] # has no types
        # What was compiled is no part of a module's state.
        self.networks.compile()

    # Acting: one new token a row, from the cache, without gradient.

    @property
    def reading_share(self) -> float:
        """Share of slots that should have a prompt to read before prompts are read."""
        return self.cached.reading_share

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
        return self.cached.write(input_ids, lengths, rows, deterministic)

    def forget(self) -> None:
        """Drops cached keys and values; the next call computes them again."""
        self.cached.forget()

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
            distribution, values = self._judge(obs, action_masks, cached=self.cached)
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
            distribution, _ = self._judge(observation, self._action_masks, cached=self.cached)
            return distribution.get_actions(deterministic=deterministic)

    def predict_values(self, obs: PyTorchObs) -> Tensor:
        """Returns the value of each observation, (n, 1)."""
        networks = self.networks
        backbone = networks.backbone if networks.critic is None else networks.critic
        return networks.values(networks.last_hidden(backbone, *read_texts(obs))).unsqueeze(-1)

    def get_distribution(self, obs: PyTorchObs, action_masks: Masks = None) -> Distribution:
        """Returns the distribution over the actions of each observation.

        It may be differentiated twice, as TRPO does. That takes attention that is slower than the
        one of `evaluate_actions`.
        """
        twice = torch.is_grad_enabled()
        if twice:
            warn_of_trpo(self.lm)
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

    def _judge(
        self,
        obs: PyTorchObs,
        action_masks: Masks = None,
        cached: CachedPasses | None = None,
        twice_differentiable: bool = False,
    ) -> tuple[Distribution, Tensor]:
        """Returns the distribution over actions and the values (n, 1): `judge_observations`."""
        assert isinstance(self.action_space, spaces.Discrete)
        n_actions = int(self.action_space.n)
        return judge_observations(
            self.networks, obs, n_actions, action_masks, cached, twice_differentiable
        )

    # Learning: one teacher-forced pass gives every token of whole sequences.

    def evaluate_sequences(self, batch: EpisodeBatch, with_entropy: bool = False) -> TokenOutputs:
        """Evaluates every token that the agent wrote in whole episodes, with gradient.

        Args:
            batch: Episodes to evaluate.
            with_entropy: Whether to compute entropies.
        """
        return evaluate_tokens(self.networks, batch, with_entropy)

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
        return evaluate_values(self.networks, batch, states)


LMPolicy.__signature__ = signature_with(LMPolicy.__init__, PolicyOptions)  # type: ignore[attr-defined] # read by inspect
