"""Plays held-out examples with an agent, and scores them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from agents.policy.episode_batch import make_batch
from agents.policy.lm_policy import LMPolicy
from agents.ppo.distributed import ALONE, Ranks
from agents.ppo.evaluated_rollout import evaluate_rollout
from agents.ppo.reference import Reference
from agents.ppo.rollout import PolicyWriter
from agents.ppo.sharding import gathered
from agents.training.evaluation import Evaluation, in_turn, merge_evaluations
from agents.training.writers import CandidateWriter, UniformWriter
from textenv.benchmark.statistics import FloatArray
from textenv.endpoints.chat_player import ChatPlayer, NoAnswersError
from textenv.endpoints.concurrent_play import play_concurrently
from textenv.episode import Speaker, TextCore
from textenv.errors import ConfigError
from textenv.examples import Episode, Example
from textenv.rewards import compute_rewards, load_reward
from textenv.rollout import PlayedEpisode, Progress, SpeakerWriter, Writer, play_examples, silent

# Reported for every task, in addition to its reward.
REPORTED_METRICS = ("rouge1", "rouge2", "rougeL", "bleu", "chrf", "token_f1", "exact_match")


def load_policy(
    model: str, core: TextCore, device: torch.device | str = "cpu", **arguments: Any
) -> LMPolicy:
    """Loads a language model as a policy that acts in an environment's slots.

    Args:
        model: Name or path of the model, as for `LMPolicy`.
        core: Core of the environment; if the policy acts in several, the one with the longest
            window.
        device: Device of the policy.
        arguments: Further arguments of `LMPolicy`, such as `temperature`.

    Raises:
        ModelError: The model cannot be loaded or does not fit the environment.
    """
    policy = LMPolicy(
        core.single_observation_space,
        core.single_action_space,
        lambda _: 0.0,
        model=model,
        **arguments,
    )
    policy.set_training_mode(False)
    return policy.to(device)


def evaluate_policy_on_split(
    policy: LMPolicy,
    core: TextCore,
    split: str,
    n_examples: int,
    deterministic: bool = True,
    progress: Progress = silent,
    ranks: Ranks = ALONE,
    n_samples: int = 1,
) -> Evaluation:
    """Plays the first examples of a split with a language model, and scores them.

    Several samples of each example need `deterministic=False`, or they are all alike. In a run of
    several processes, `ranks`, each plays a part of the examples, and all get the whole evaluation.
    Other arguments and errors are those of `play_policy_on_split`.
    """
    n = min(n_examples, len(core.dataset(split)))
    if n < ranks.size:
        ranks = ALONE
    own = range(ranks.index, n, ranks.size)

    def report(done: float, note: str) -> None:
        progress(min(n * n_samples, done * ranks.size), note)

    episodes = play_policy_on_split(policy, core, split, own, deterministic, report, n_samples)
    return merge_evaluations(ranks.gather(score_episodes(core, episodes, n_samples)))


def play_policy_on_split(
    policy: LMPolicy,
    core: TextCore,
    split: str,
    n_examples: int | range,
    deterministic: bool = True,
    progress: Progress = silent,
    n_samples: int = 1,
) -> list[Episode]:
    """Plays examples of a split with a language model, many at a time.

    Args:
        policy: Policy that acts.
        core: Core of the environment; episodes that are running in it are lost.
        split: "train", "validation" or "test".
        n_examples: Number of examples, from the first on, or a range of their numbers; fewer if the
            split has fewer.
        deterministic: Whether to take the most likely token or candidate instead of sampling.
        progress: Callback that gets the number of finished episodes.
        n_samples: Number of episodes of each example.

    Returns:
        The finished episodes, in the order of their examples: `n_samples` of the first, and so on.

    Raises:
        ConfigError: The policy was made for shorter texts, or for another tokenizer.
    """
    if not _same_kind(policy.observation_space, core.single_observation_space) or (
        core.action_level == "select" and policy.action_space != core.single_action_space
    ):
        raise ConfigError(
            f"The policy was made for {policy.action_space} and another action level, or other "
            f"candidates, than this environment's {core.single_action_space}. Make it for this "
            "environment."
        )
    if core.window > policy.window or core.tokenizer.vocab_size != policy.vocab_size:
        raise ConfigError(
            f"The environment's texts have up to {core.window} tokens of "
            f"{core.tokenizer.vocab_size}; the policy was made for {policy.window} of "
            f"{policy.vocab_size}. Make it for this environment."
        )

    writer = (
        CandidateWriter(policy, core, deterministic)
        if core.action_level == "select"
        else (PolicyWriter(policy, deterministic))
    )
    policy.set_training_mode(False)
    with gathered(policy):
        return _play(writer, core, split, n_examples, progress, n_samples)


def evaluate_random(
    core: TextCore,
    split: str,
    n_examples: int,
    seed: int = 0,
    progress: Progress = silent,
    n_samples: int = 1,
) -> Evaluation:
    """Plays the first examples of a split with uniformly drawn tokens or candidates."""
    writer = UniformWriter(core, np.random.default_rng(seed))
    episodes = _play(writer, core, split, n_examples, progress, n_samples)
    return score_episodes(core, episodes, n_samples)


def evaluate_speaker(
    speak: Speaker, core: TextCore, split: str, n_examples: int, progress: Progress = silent
) -> Evaluation:
    """Plays the first examples of a split with an agent that answers in text."""
    writer = SpeakerWriter(core, speak)
    return score_episodes(core, _play(writer, core, split, n_examples, progress))


def score_episodes(
    core: TextCore,
    episodes: Sequence[Episode],
    n_samples: int = 1,
    invalid: Mapping[int, str] | None = None,
) -> Evaluation:
    """Scores finished episodes by the environment's reward and the reported metrics.

    Metrics compare with references, so they are left out where examples have none, as behind a
    server.

    Args:
        core: Core of the environment.
        episodes: `n_samples` of the first example, then of the second, and so on.
        n_samples: Number of episodes of each example.
        invalid: Why episodes have no end that could be scored, by their places.
    """
    invalid = invalid or {}
    places = np.array([i for i in range(len(episodes)) if i not in invalid], np.int64)
    whole = [episodes[i] for i in places]
    result = compute_rewards(core.reward, whole)
    metrics = dict(result.components)
    compared = all(episode.example.references for episode in episodes)
    for name in REPORTED_METRICS if compared else ():
        if name not in metrics:
            metrics[name] = compute_rewards(load_reward(name), whole).total
    tokens = [int(episode.action_mask.sum()) for episode in whole]
    metrics["response_tokens"] = np.array(tokens, np.float64)
    ended = [episode.stop_reason == "end_of_turn" for episode in whole]
    metrics["ended_by_agent"] = np.array(ended, np.float64)

    def spread(values: FloatArray) -> FloatArray:
        if not invalid:
            return values
        spread = np.full(len(episodes), np.nan)
        spread[places] = values
        return spread

    spread_metrics = {name: spread(values) for name, values in metrics.items()}
    return Evaluation(tuple(episodes), spread(result.total), spread_metrics, n_samples, invalid)


def evaluate_chat(
    player: ChatPlayer,
    core: TextCore,
    split: str,
    n_examples: int,
    concurrency: int,
    progress: Progress = silent,
    n_samples: int = 1,
) -> Evaluation:
    """Plays the first examples of a split with a chat model, and scores what was answered.

    Raises:
        NoAnswersError: No episode has an answer, or the endpoint ended the run.
    """
    examples = _chosen(core, split, n_examples, n_samples)
    played = play_concurrently(core, examples, player, concurrency=concurrency, progress=progress)
    invalid = {i: e.invalid_reason for i, e in enumerate(played) if e.invalid_reason is not None}
    if len(invalid) == len(played):
        raise NoAnswersError(f"No episode has an answer. The first, {invalid[0]}")
    return score_episodes(core, [e.conversation for e in played], n_samples, invalid)


def kl_per_episode(
    policy: LMPolicy, reference: Reference, episodes: Sequence[Episode], ranks: Ranks = ALONE
) -> FloatArray:
    """Computes log pi - log pi_ref of each episode's text, in nats.

    Over episodes that the policy sampled, the mean is the unbiased estimate of KL(policy,
    reference). Over greedy ones it estimates no divergence: it tells how much likelier the texts
    are that the policy now gives than they were. In a run of several processes each computes a
    part.

    Returns:
        (n,) one sum over tokens an episode.
    """
    if len(episodes) < ranks.size:
        ranks = ALONE
    own = episodes[ranks.index :: ranks.size]
    batch = make_batch([PlayedEpisode.unpaid(episode) for episode in own], policy.device)
    log_ratio = evaluate_rollout(policy, reference, batch).log_ratio
    parts = ranks.gather(log_ratio.double().sum(dim=1).cpu().numpy())
    found: FloatArray = np.concatenate(parts)[in_turn([len(part) for part in parts])]
    return found


def _play(
    writer: Writer,
    core: TextCore,
    split: str,
    n_examples: int | range,
    progress: Progress,
    n_samples: int = 1,
) -> list[Episode]:
    """Plays each example `n_samples` times, without scoring."""
    examples = _chosen(core, split, n_examples, n_samples)
    played = play_examples(core, writer, examples, progress=progress)
    return [episode.conversation for episode in played]


def _chosen(
    core: TextCore, split: str, n_examples: int | range, n_samples: int = 1
) -> list[Example]:
    """Returns examples of a split, each `n_samples` times."""
    dataset = core.dataset(split)
    if isinstance(n_examples, int):
        n_examples = range(min(n_examples, len(dataset)))
    return [dataset[number] for number in n_examples for _ in range(n_samples)]


def _same_kind(one: Any, other: Any) -> bool:
    return set(getattr(one, "spaces", ())) == set(getattr(other, "spaces", ()))
