"""The keys of a run's metrics.jsonl, each declared once; docs/metrics.md is made of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A key of metrics.jsonl."""

    name: str
    meaning: str
    when: str = ""  # in which rows it stands; empty for all


_CRITIC = "`advantage=gae`"
_GROUPS = "`group_size` above 1"
_TOLD = "the writer told its log-probabilities"
_TEXTS = "the environment tells what was said"
_LOOKS = "every `validation_every` iterations"
_CURRICULUM = "`prompts=curriculum`, or `levels`"
_OF_PROMPTS = "`prompts=curriculum` without `levels`"
_OF_LEVELS = "`levels`"
_GOLD = "looks of a run with `gold`"

METRICS: dict[str, tuple[Metric, ...]] = {
    "Iteration": (
        Metric("iteration", "number of the iteration, from 1"),
        Metric("time/episodes", "episodes played so far, in all iterations"),
        Metric("time/iteration_s", "seconds of the iteration, without the look"),
        Metric("time/rollout_s", "seconds of playing the episodes and scoring them"),
        Metric(
            "time/reward_s",
            "seconds in the reward; it may run beside the rollout, so it is no part of its time",
        ),
        Metric("time/tokens_per_s", "tokens that the agent wrote, per second of the iteration"),
        Metric("time/validation_s", "seconds of the look", _LOOKS),
    ),
    "Rollout: sampled episodes, before the update": (
        Metric("rollout/reward_mean", "mean reward of an episode, as the environment paid it"),
        Metric("rollout/reward_std", "standard deviation of rewards over episodes"),
        Metric("rollout/response_tokens", "mean number of tokens that the agent wrote"),
        Metric("rollout/response_tokens_std", "standard deviation of that number over episodes"),
        Metric("rollout/response_tokens_max", "largest number of tokens in one episode"),
        Metric(
            "rollout/ended_share",
            "share of the agent's turns that it ended itself; the others were cut off",
            "the end token is known",
        ),
        Metric(
            "rollout/empty_share",
            "share of the agent's turns that it ended at once, without a word",
            "the end token is known",
        ),
        Metric(
            "rollout/looping_share",
            "share of episodes in which a turn says the same three words again and again",
            _TEXTS,
        ),
        Metric(
            "rollout/same_text_share",
            "largest share of prompts that got one and the same text, of eight words or more",
            _TEXTS,
        ),
        Metric(
            "rollout/equal_groups",
            "share of groups whose episodes all earned the same: no estimator that compares them "
            "learns from such a group",
            _GROUPS,
        ),
        Metric(
            "rollout/invalid_episodes",
            "number of episodes that the reward could not score; they are left out of the update",
        ),
        Metric(
            "rollout/kl_per_token",
            "mean log pi - log pi_ref of a token, in nats: `kl/ref` without the effect of length",
        ),
        Metric(
            "rollout/logprob_mismatch",
            "mean absolute difference of a token's log-probability in the update from that at "
            "sampling, in nats",
            _TOLD,
        ),
        Metric("rollout/logprob_mismatch_max", "largest of these differences", _TOLD),
        Metric(
            "rollout/COMPONENT",
            "mean of one component of the reward, under the reward's name for it, such as "
            "`rollout/rougeL`",
            "the reward has components",
        ),
    ),
    "Curriculum: which prompts were drawn, and how much they teach": (
        Metric(
            "curriculum/by_variance_share",
            "share of the prompts that were drawn by how much they, or their levels, teach; the "
            "others were drawn uniformly",
            _CURRICULUM,
        ),
        Metric(
            "curriculum/variance",
            "mean estimated variance of the reward, of the prompts that were played or of their "
            "levels: how much they teach",
            _CURRICULUM,
        ),
        Metric(
            "curriculum/equal_prompts",
            "share of the prompts with two answers or more whose answers all earned the same",
            _OF_PROMPTS,
        ),
        Metric(
            "curriculum/known_prompts", "number of prompts whose rewards are known", _OF_PROMPTS
        ),
        Metric("curriculum/LEVEL/share", "share of the prompts that were a level's", _OF_LEVELS),
        Metric(
            "curriculum/LEVEL/variance",
            "estimated variance of a level's reward: within groups with `group_size` above 1, "
            "otherwise over all its episodes",
            _OF_LEVELS,
        ),
        Metric("curriculum/LEVEL/reward_mean", "mean reward in a level, lately", _OF_LEVELS),
    ),
    "Divergence from the reference": (
        Metric(
            "kl/ref",
            "mean over episodes of log pi - log pi_ref, summed over the agent's tokens, in nats: "
            "an unbiased estimate of the KL divergence of whole responses, which may be below 0 "
            "by chance",
        ),
        Metric("kl/coef", "coefficient of the KL penalty in this iteration"),
    ),
    "Advantages and values, over the agent's tokens": (
        Metric("train/advantage_mean", "mean advantage, before whitening"),
        Metric("train/advantage_std", "standard deviation of advantages, before whitening"),
        Metric("train/return_mean", "mean of the critic's targets", _CRITIC),
        Metric("train/return_std", "standard deviation of the critic's targets", _CRITIC),
        Metric("train/value_mean", "mean of the critic's values", _CRITIC),
        Metric("train/value_std", "standard deviation of the critic's values", _CRITIC),
        Metric(
            "train/explained_variance",
            "share of the returns' variance that the values explained before the update: 1 is "
            "perfect, 0 as good as their mean, below 0 worse; null where returns do not vary",
            _CRITIC,
        ),
    ),
    "Update: means over minibatches unless said otherwise": (
        Metric("train/loss", "loss that was minimised"),
        Metric("train/policy_gradient_loss", "its part for the policy, a mean over tokens"),
        Metric("train/value_loss", "mean squared error of the values, without `vf_coef`", _CRITIC),
        Metric("train/entropy", "mean entropy of the next token in nats, before the update"),
        Metric(
            "train/approx_kl",
            "KL of the policy to the one that the update started from, in nats per token: the mean "
            "of (r - 1) - log r",
        ),
        Metric("train/clip_fraction", "share of tokens whose ratio lies outside the clip range"),
        Metric("train/clip_fraction_high", "share of tokens whose ratio lies above it"),
        Metric("train/clip_fraction_low", "share of tokens whose ratio lies below it"),
        Metric(
            "train/first_ratio",
            "mean ratio in the first minibatch, before any step: 1, or sampling and learning use "
            "different distributions",
        ),
        Metric(
            "train/first_kl",
            "mean of (r - 1) - log r in the first minibatch, before any step: 0 up to rounding; "
            "unlike the mean ratio it also sees errors that cancel out",
        ),
        Metric("train/ratio_max", "largest ratio of any token in the update"),
        Metric("train/grad_norm", "norm of the gradient before it is clipped"),
        Metric(
            "train/grad_norm_critic",
            "the same for what only the value depends on",
            "`max_grad_norm_critic` is set",
        ),
        Metric("train/learning_rate", "learning rate of the policy in this iteration"),
        Metric("train/n_updates", "finished passes over a rollout so far, as SB3 counts them"),
        Metric("train/optimizer_steps", "steps of the optimizer so far"),
        Metric(
            "train/skipped_steps",
            "steps so far that were skipped for a gradient that is not finite",
        ),
    ),
    "Looks: greedy answers to validation examples": (
        Metric(
            "validation/reward", "mean reward; the best look's agent is kept in `best/`", _LOOKS
        ),
        Metric("validation/reward_low", "lower end of its 95 % interval over examples", _LOOKS),
        Metric("validation/reward_high", "upper end of that interval", _LOOKS),
        Metric("validation/gold", "mean of the metric `gold`, which nobody is paid", _GOLD),
        Metric("validation/gold_low", "lower end of its 95 % interval over examples", _GOLD),
        Metric("validation/gold_high", "upper end of that interval", _GOLD),
        Metric("validation/response_tokens", "mean number of tokens that the agent wrote", _LOOKS),
        Metric("validation/ended_share", "share of episodes that the agent ended itself", _LOOKS),
        Metric(
            "validation/kl",
            "mean log pi - log pi_ref of the answers, in nats: how much likelier they became. They "
            "are the likeliest answers, not samples, so it estimates no divergence; `kl/ref` does",
            _LOOKS,
        ),
    ),
}
COMPONENT = "rollout/COMPONENT"  # stands for one key a component
LEVEL = "curriculum/LEVEL/"  # begins what stands for one key a level


def metric_names() -> frozenset[str]:
    """Returns every key but those of components and levels."""
    names = (metric.name for metrics in METRICS.values() for metric in metrics)
    return frozenset(n for n in names if n != COMPONENT and not n.startswith(LEVEL))
