"""The options of PPO, each declared once; `TextPPO`, configurations, help and docs read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import (
    JsonValue,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from agents.models.options import (
    POLICY_DEFAULTS,
    Options,
    PolicyOptions,
    Trained,
    option,
    place_in_environment,
    what_is_trained,
)
from agents.ppo.engine_args import check_engine_args
from agents.ppo.schedules import Scheduled
from textenv.deadlines import DEFAULT_REWARD_S
from textenv.errors import ConfigError

# Estimators that compare the episodes of a prompt with each other.
GROUP_ADVANTAGES = ("rloo", "grpo", "dr_grpo")

_ROLLOUT, _OPTIMIZER, _ADVANTAGE = "Rollout", "Optimizer and critic", "Rewards and advantages"
_LOSS, _KL, _RUN = "Loss", "KL penalty", "Process and log"


class PPOOptions(Options):
    """The options of `TextPPO`."""

    @classmethod
    def place_of(cls, name: str) -> str | None:
        """Says that an option is the policy's, or an argument the environment's."""
        if name in PolicyOptions.model_fields:
            return f'{name} belongs to the policy: policy_kwargs={{"{name}": ...}}.'
        if name == "total_episodes":
            return f"{name} belongs to learn: agent.learn({name}=...)."
        return place_in_environment(name)

    n_episodes: PositiveInt = option(64, _ROLLOUT, "episodes of one iteration, of all processes")
    n_envs: PositiveInt = option(
        64, _ROLLOUT, "slots that play at a time where the environment is given by its id"
    )
    n_steps: PositiveInt | None = option(
        None,
        _ROLLOUT,
        "SB3's size of a rollout, in tokens per slot; n_episodes becomes the number of episodes "
        "that have so many tokens at full length",
    )
    group_size: PositiveInt = option(
        1, _ROLLOUT, "episodes of each prompt; n_episodes and n_envs are multiples of it"
    )
    prompts: Literal["shuffled", "independent", "curriculum"] = option(
        "shuffled",
        _ROLLOUT,
        "shuffled: every prompt of the data set is played before any is played again, in a new "
        "order each time; independent: each slot draws its own, with replacement, as the "
        "environment does. Environments that gymnasium.make_vec has not made always do; "
        "curriculum: prompts, or levels, are drawn by the variance of their rewards, which is how "
        "much they teach",
        "SFL, arXiv 2408.15099; LILO, arXiv 2502.12272; docs/training.md",
    )
    levels: list[str] = option(
        [],
        _ROLLOUT,
        "ids of difficulty levels of the environment's task whose prompts are played in place of "
        "its own, such as levels=[TextQAEasy-v0,TextQA-v0,TextQAHard-v0]: equally often with "
        "prompts=shuffled, by how much each teaches with prompts=curriculum. Rewards and budgets "
        "stay those of the environment",
    )
    uniform_share: float = option(
        0.25,
        _ROLLOUT,
        "share of a curriculum's prompts that are drawn as prompts=shuffled does",
        gt=0,
        le=1,
    )
    resample_rounds: NonNegativeInt = option(
        0,
        _ROLLOUT,
        "most rounds in which groups whose rewards are all equal are replaced by groups of other "
        "prompts; their episodes count as played",
        "dynamic sampling of DAPO, arXiv 2503.14476",
    )
    max_invalid_share: float = option(
        0.5,
        _ROLLOUT,
        "largest share of a rollout that the reward may fail to score. Such episodes are left out "
        "of the update and counted; with more of them the run ends",
        ge=0,
        le=1,
    )
    reward_timeout_s: PositiveFloat = option(
        DEFAULT_REWARD_S,
        _ROLLOUT,
        "most seconds of one call of the reward. A run says each minute that it waits, and ends "
        "with an error when it is over (docs/reliability.md)",
    )
    rollout_timeout_s: PositiveFloat = option(
        21_600.0,
        _ROLLOUT,
        "most seconds of one rollout, rewards included. A run says at half of it that it waits, "
        "and ends with an error when it is over",
    )
    sampler: Literal["vllm"] | None = option(
        None, _ROLLOUT, "writer of rollouts: vLLM on the same GPU; by default the policy"
    )
    sampler_kwargs: dict[str, JsonValue] = option(
        {},
        _ROLLOUT,
        "arguments of the sampler, such as sampler_kwargs.gpu_memory_utilization=0.4. Those that "
        "could name code are refused",
    )

    batch_size: PositiveInt = option(
        32, _OPTIMIZER, "episodes (not tokens) of one optimizer step, of all processes"
    )
    n_epochs: PositiveInt = option(2, _OPTIMIZER, "passes over each rollout")
    learning_rate: Scheduled = option(3e-5, _OPTIMIZER, "learning rate, or an SB3 schedule of it")
    learning_rate_end: NonNegativeFloat = option(
        0.1,
        _OPTIMIZER,
        "share of the learning rate at the end of the budget, to which it falls linearly; without "
        "effect if learning_rate is a schedule",
    )
    learning_rate_warmup: NonNegativeInt = option(
        3,
        _OPTIMIZER,
        "iterations over which the policy's learning rate rises linearly; they begin after "
        "critic_warmup",
    )
    value_lr_factor: NonNegativeFloat = option(
        3.0, _OPTIMIZER, "learning-rate multiplier for the value head and a separate critic"
    )
    critic_warmup: NonNegativeInt = option(
        2,
        _OPTIMIZER,
        "iterations at the start in which only the critic learns, at most a quarter of the budget. "
        "Until the critic has learned, gae_lambda < 1 would pay late tokens for early ones",
    )
    max_grad_norm: PositiveFloat = option(1.0, _OPTIMIZER, "gradient norm limit")
    max_grad_norm_critic: PositiveFloat | None = option(
        None,
        _OPTIMIZER,
        "gradient norm limit for the parameters that only the value depends on, clipped "
        "separately; by default they are clipped together with the others, as in SB3",
        "verl and OpenRLHF clip a separate critic by itself",
    )

    advantage: Literal["gae", "rloo", "grpo", "dr_grpo", "reinforce++"] = option(
        "gae",
        _ADVANTAGE,
        "advantage estimator; all but gae work without a critic, so that vf_coef, critic_warmup "
        "and gae_lambda have no effect",
        "docs/algorithms.md",
    )
    gamma: float = option(
        1.0,
        _ADVANTAGE,
        "discount per token; 1, since the length of a text is not time",
        gt=0,
        le=1,
    )
    gae_lambda: float = option(
        0.95,
        _ADVANTAGE,
        "lambda of generalised advantage estimation",
        "Schulman et al. 2015, arXiv 1506.02438",
        ge=0,
        le=1,
    )
    normalize_advantage: bool = option(
        True,
        _ADVANTAGE,
        "whiten advantages over the tokens of the rollout; those of groups never are",
    )
    scale_rewards: bool = option(
        False,
        _ADVANTAGE,
        "divide the environment's rewards by the running standard deviation of returns",
    )

    component_weights: dict[str, float] = option(
        {},
        _ADVANTAGE,
        "weights of components of the reward that are standardised each for itself before they are "
        "summed, within the group with grpo and over the rollout with gae and reinforce++; by "
        "default the reward is taken as it is",
        "GDPO, arXiv 2601.05242",
    )

    loss_aggregation: Literal["token", "sequence", "constant"] = option(
        "token",
        _LOSS,
        "mean of the policy loss over the tokens of a minibatch; or over the tokens of each "
        "episode, then over episodes; or each episode's sum over the most tokens that it may have, "
        "then the mean over episodes",
        "DAPO, arXiv 2503.14476; GRPO, arXiv 2402.03300; Dr. GRPO, arXiv 2503.20783",
    )
    mask_cut_off: bool = option(
        False,
        _LOSS,
        "leave episodes whose last turn was cut off by its budget out of the policy loss; they "
        "still count in baselines and for the critic",
        "overlong filtering of DAPO, arXiv 2503.14476",
    )
    clip_range: Scheduled = option(
        0.2,
        _LOSS,
        "PPO clipping range for the probability ratio, or an SB3 schedule of it",
        "Schulman et al. 2017, arXiv 1707.06347",
    )
    clip_range_high: PositiveFloat | None = option(
        None,
        _LOSS,
        "upper clipping range for the probability ratio; by default clip_range",
        "DAPO, arXiv 2503.14476",
    )
    clip_range_vf: Scheduled | None = option(
        None,
        _LOSS,
        "PPO clipping range for the values, with the larger of both losses; none by default",
    )
    dual_clip: float | None = option(
        None,
        _LOSS,
        "bound on the loss of a token with negative advantage, in multiples of the advantage; none "
        "by default",
        "Ye et al. 2020, arXiv 1912.09729",
        gt=1,
    )
    importance_cap: PositiveFloat | None = option(
        None,
        _LOSS,
        "upper bound on the weight of each token's policy loss, its probability in the update over "
        "that in sampling; no weights by default",
        "truncated importance sampling, Yao et al. 2025",
    )
    ent_coef: float = option(0.0, _LOSS, "coefficient of the entropy bonus")
    vf_coef: NonNegativeFloat = option(
        0.1, _LOSS, "coefficient of the mean squared error of the values"
    )
    target_kl: PositiveFloat | None = option(
        None,
        _LOSS,
        "stop an update when the mean KL to the old policy exceeds 1.5 times this, as in SB3",
    )

    kl_coef: NonNegativeFloat = option(
        0.02,
        _KL,
        "coefficient of the penalty on log pi - log pi_ref at each of the agent's tokens",
        "Ziegler et al. 2019, arXiv 1909.08593",
    )
    kl_target: PositiveFloat | None = option(
        None, _KL, "target of the KL in nats per episode, which adapts kl_coef; fixed by default"
    )
    kl_horizon: PositiveInt = option(
        2000,
        _KL,
        "episodes over which an adaptive kl_coef changes by at most a fifth; about 30 iterations",
    )
    reference: str | None = option(
        None, _KL, "model of the KL penalty; by default the one that the policy starts from"
    )

    seed: NonNegativeInt | None = option(
        0, _RUN, "seed of torch, numpy, Python's random and the environments; null draws one"
    )
    device: str = option("auto", _RUN, "device: auto, cpu, cuda, cuda:1 and the like")
    parallel: Literal["ddp", "fsdp"] | None = option(
        None,
        _RUN,
        "how several processes hold the weights: all in each (ddp), or a part in each (fsdp); by "
        "default what accelerate's launcher was asked for",
    )
    stats_window_size: PositiveInt = option(
        100, _RUN, "episodes over which SB3's rollout/ep_rew_mean is averaged"
    )
    log: list[Literal["tensorboard", "trackio", "wandb"]] = option(
        [],
        _RUN,
        "trackers that get every number, the configuration and a few texts, such as "
        "log=[tensorboard,wandb]. Each needs the extra of its name, as in textenv[wandb]",
    )
    verbose: NonNegativeInt = option(0, _RUN, "1: print a table each iteration; 2: more", le=2)

    @field_validator("log", mode="before")
    @classmethod
    def _take_one(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        check_engine_args(self.sampler_kwargs)
        if self.advantage in GROUP_ADVANTAGES and self.group_size < 2:
            raise ConfigError(
                f"advantage='{self.advantage}' compares episodes of the same prompt: set "
                "group_size to 2 or more."
            )
        if self.resample_rounds and self.group_size < 2:
            raise ConfigError("resample_rounds replaces groups: set group_size to 2 or more.")
        if self.levels and self.prompts == "independent":
            raise ConfigError(
                "With prompts='independent' each slot draws from the environment's own data set: "
                "for levels, set prompts to 'shuffled' or 'curriculum'."
            )
        if len(self.levels) == 1 or len(set(self.levels)) < len(self.levels):
            raise ConfigError(f"levels names two or more different ids, not {self.levels}.")
        if self.component_weights and self.advantage in ("rloo", "dr_grpo"):
            raise ConfigError(
                f"component_weights are of components that are standardised, and "
                f"advantage='{self.advantage}' does not standardise: choose grpo, or weigh the "
                "parts of the reward itself."
            )
        if self.kl_target is not None and self.kl_coef == 0:
            raise ConfigError("With kl_target, kl_coef is where it starts from: set it above 0.")
        return self

    @property
    def learns_prompts(self) -> bool:
        """Whether it is measured how much prompts, or levels, teach."""
        return self.prompts == "curriculum" or bool(self.levels)

    def at(self, progress_remaining: float) -> Self:
        """Returns the options with every clipping schedule replaced by its current number.

        Args:
            progress_remaining: Share of the budget that is left, from 1 down to 0.
        """
        values = {name: getattr(self, name) for name in ("clip_range", "clip_range_vf")}
        now = {k: v(progress_remaining) if callable(v) else v for k, v in values.items()}
        return self.model_copy(update=now)

    def rates(
        self, progress_remaining: float, iteration: int, critic_warmup: int
    ) -> tuple[float, float]:
        """Returns the learning rates of the policy and of the critic.

        Args:
            progress_remaining: Share of the budget that is left, from 1 down to 0.
            iteration: Number of finished iterations.
            critic_warmup: Number of iterations at the start in which only the critic learns.
        """
        if callable(self.learning_rate):
            rate = float(self.learning_rate(progress_remaining))
        else:
            left = self.learning_rate_end
            rate = self.learning_rate * (left + (1.0 - left) * progress_remaining)
        risen = (iteration - critic_warmup + 1) / (self.learning_rate_warmup + 1)
        return rate * min(max(risen, 0.0), 1.0), rate * self.value_lr_factor


# Defaults that differ from those above, by what is trained. docs/results.md says how they were
# chosen. LoRA's best rate is about ten times that of full weights (Schulman et al. 2025,
# "LoRA Without Regret"). The embedded model is tiny, so it takes larger steps, and a single epoch
# of short texts needs no credit by lambda.
PPO_DEFAULTS: Mapping[Trained, Mapping[str, Any]] = {
    "embedded": {"learning_rate": 5e-4, "n_epochs": 1, "gae_lambda": 1.0, "kl_coef": 0.005},
    "full": {},
    "lora": {"learning_rate": 3e-4},
}


# Arguments of SB3's PPO that TextPPO does not have, and why.
_SDE = "it is for continuous actions, and a language model has none."
_BUFFER = "TextPPO has a buffer of its own, of whole episodes."
_SB3_ONLY = {
    "use_sde": _SDE,
    "sde_sample_freq": _SDE,
    "rollout_buffer_class": _BUFFER,
    "rollout_buffer_kwargs": _BUFFER,
}


def ppo_options(values: Mapping[str, Any], policy: Mapping[str, Any]) -> PPOOptions:
    """Makes PPO's options from the given values, and the defaults for what is trained.

    Args:
        values: Given values of `PPOOptions`.
        policy: Given values of `PolicyOptions`.

    Raises:
        UnknownNameError: An option does not exist.
        ConfigError: A value does not fit.
    """
    for name, reason in _SB3_ONLY.items():
        if values.get(name) not in (None, False, -1):
            raise ConfigError(f"{name}: {reason}")
    own = {name: value for name, value in values.items() if name not in _SB3_ONLY}
    return PPOOptions(**{**PPO_DEFAULTS[what_is_trained(policy)], **own})


def trained_defaults() -> dict[Trained, dict[str, Any]]:
    """Returns the defaults of both records that depend on what is trained."""
    return {
        trained: {**POLICY_DEFAULTS[trained], **values}
        for trained, values in PPO_DEFAULTS.items()
        if values
    }
