"""Plays held-out examples with an agent, and scores them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from agents.ppo.buffer import make_batch
from agents.ppo.distributed import ALONE, Ranks
from agents.ppo.policy import LMPolicy
from agents.ppo.reference import Reference
from agents.ppo.rollout import PolicyWriter
from agents.ppo.sharding import gathered
from agents.ppo.targets import evaluate_rollout
from textenv.benchmark.best_of_n import expected_best
from textenv.benchmark.statistics import Estimate, FloatArray, estimate_mean
from textenv.episode import Speaker, TextCore
from textenv.errors import ConfigError
from textenv.examples import Episode, Example, Turn
from textenv.rewards import compute_rewards, load_reward
from textenv.rollout import (
    EpisodeSlots,
    PlayedEpisode,
    Progress,
    SpeakerWriter,
    Writer,
    play_examples,
    silent,
)

# Reported for every task, in addition to its reward.
REPORTED_METRICS = ("rouge1", "rouge2", "rougeL", "bleu", "chrf", "token_f1", "exact_match")


@dataclass(frozen=True)
class Evaluation:
    """An agent's episodes on some examples, with their scores.

    Attributes:
        episodes: `n_samples` episodes of the first example, then of the second, and so on.
        rewards: (n,) rewards of the environment.
        metrics: Reward components, text metrics and counts, (n,) each.
        n_samples: Number of episodes of each example.
    """

    episodes: tuple[Episode, ...]
    rewards: FloatArray
    metrics: dict[str, FloatArray] = field(default_factory=dict)
    n_samples: int = 1

    @property
    def n_examples(self) -> int:
        """Number of examples."""
        return len(self.episodes) // self.n_samples

    def estimate(self, values: FloatArray) -> Estimate:
        """Estimates the mean of one number an episode, (n,).

        An example with all of its samples is drawn as a whole, so the 95 % interval covers both
        which examples were taken and what was sampled for them: see `textenv.benchmark.statistics`.
        """
        return estimate_mean(values.reshape(-1, self.n_samples).mean(axis=1))

    def summary(self) -> dict[str, Any]:
        """Returns means with 95 % intervals, as plain values."""
        return {
            "examples": self.n_examples,
            "samples": self.n_samples,
            "reward": self.estimate(self.rewards).to_json(),
            "metrics": {n: self.estimate(values).to_json() for n, values in self.metrics.items()},
        }

    def pass_at(self, sizes: Sequence[int], least_reward: float = 1.0) -> dict[int, Estimate]:
        """Estimates pass@k: the chance that one of k samples passes, the mean over examples.

        1 - C(n - c, k) / C(n, k) of an example with c of n samples that pass, which is unbiased
        (Chen et al. 2021, arXiv 2107.03374). The interval is as for `estimate`.

        Args:
            sizes: Each k, from 1 to `n_samples`.
            least_reward: Reward from which on a sample passes.

        Raises:
            ConfigError: There are fewer than k samples.
        """
        for k in sizes:
            if not 1 <= k <= self.n_samples:
                raise ConfigError(
                    f"pass@{k} needs at least {max(k, 1)} samples of each example, and k from 1 "
                    f"up; there are {self.n_samples}."
                )
        # Sums of weights may miss a reward by a last digit.
        passed = (self.rewards > least_reward - 1e-9).reshape(-1, self.n_samples)
        found = expected_best(passed, passed, sizes)
        return {k: estimate_mean(chances) for k, chances in zip(sizes, found.T, strict=True)}

    def answer(self, i: int) -> dict[str, Any]:
        """Returns the i-th answer with its scores, as plain values."""
        episode = self.episodes[i]
        said = [{"role": t.role, "text": t.text} for t in episode.turns[episode.n_opening :]]
        return {
            "response": episode.response,
            # Of a dialogue, what the other side said, too.
            **({"turns": said} if len(said) > 1 else {}),
            "stop_reason": episode.stop_reason,
            "reward": float(self.rewards[i]),
            "metrics": {name: float(values[i]) for name, values in self.metrics.items()},
        }


def question(core: TextCore, example: Example) -> dict[str, Any]:
    """Returns what an example asks, and its references, as plain values."""
    return {
        "id": example.id,
        "prompt": "\n".join(turn.text for turn in core.task.opening(example)),
        "references": list(example.references),
    }


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
    return _merge(ranks.gather(score_episodes(core, episodes, n_samples)))


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


@dataclass(frozen=True)
class CandidateWriter:
    """Chooses among candidate replies with a policy."""

    policy: LMPolicy  # Policy at select level
    core: TextCore  # Core of the slots
    deterministic: bool  # Whether to take the most likely candidate instead of sampling

    def write(self, slots: EpisodeSlots, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], None]:
        """Returns the number of a candidate for some slots."""
        seen = {key: value[rows] for key, value in self.core.observe().items()}
        chosen, _ = self.policy.predict(seen, deterministic=self.deterministic)
        return np.asarray(chosen), None


def _same_kind(one: Any, other: Any) -> bool:
    return set(getattr(one, "spaces", ())) == set(getattr(other, "spaces", ()))


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


@dataclass(frozen=True)
class UniformWriter:
    """Draws tokens, or candidates, uniformly."""

    core: TextCore  # Core of the slots
    rng: np.random.Generator  # Generator to draw from

    def write(self, slots: EpisodeSlots, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], None]:
        """Returns a token or the number of a candidate for some slots."""
        if self.core.action_level == "select":
            most = self.core.level.action_masks()[rows].sum(axis=1)
            return np.asarray(self.rng.integers(most)), None
        return self.rng.integers(self.core.tokenizer.vocab_size, size=len(rows)), None


def evaluate_speaker(
    speak: Speaker, core: TextCore, split: str, n_examples: int, progress: Progress = silent
) -> Evaluation:
    """Plays the first examples of a split with an agent that answers in text."""
    writer = SpeakerWriter(core, speak)
    return score_episodes(core, _play(writer, core, split, n_examples, progress))


def _merge(parts: Sequence[Evaluation]) -> Evaluation:
    """Merges k evaluations, where number i has the examples i, i + k, i + 2 k and so on."""
    n_samples = parts[0].n_samples
    order = in_turn([part.n_examples for part in parts])
    # The samples of an example stay together.
    order = (order[:, None] * n_samples + np.arange(n_samples)).ravel()
    episodes = [episode for part in parts for episode in part.episodes]

    def merged(values: Sequence[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
        return np.concatenate(values)[order]

    # A component that a part lacks is 0 there, as for an episode that lacks it.
    names = {name: None for part in parts for name in part.metrics}
    metrics = {
        name: merged([part.metrics.get(name, np.zeros(len(part.episodes))) for part in parts])
        for name in names
    }
    rewards = merged([part.rewards for part in parts])
    return Evaluation(tuple(episodes[i] for i in order), rewards, metrics, n_samples)


def in_turn(counts: Sequence[int]) -> NDArray[np.int64]:
    """Returns the order in which k concatenated parts of these lengths take turns."""
    k, n = len(counts), sum(counts)
    return np.argsort(np.concatenate([np.arange(i, n, k) for i in range(k)]))


def score_episodes(core: TextCore, episodes: Sequence[Episode], n_samples: int = 1) -> Evaluation:
    """Scores finished episodes by the environment's reward and the reported metrics.

    They are `n_samples` of the first example, then of the second, and so on.
    """
    result = compute_rewards(core.reward, episodes)
    metrics = dict(result.components)
    for name in REPORTED_METRICS:
        if name not in metrics:
            metrics[name] = compute_rewards(load_reward(name), episodes).total
    tokens = [int(episode.action_mask.sum()) for episode in episodes]
    metrics["response_tokens"] = np.array(tokens, np.float64)
    ended = [episode.stop_reason == "end_of_turn" for episode in episodes]
    metrics["ended_by_agent"] = np.array(ended, np.float64)
    return Evaluation(tuple(episodes), result.total, metrics, n_samples)


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
    dataset = core.dataset(split)
    if isinstance(n_examples, int):
        n_examples = range(min(n_examples, len(dataset)))
    examples = [dataset[number] for number in n_examples for _ in range(n_samples)]
    played = play_examples(core, writer, examples, progress=progress)
    return [episode.conversation for episode in played]


# A sentence end is followed by white space, after any closing quotes; a stop as in "3.5" is not.
_FIRST_SENTENCE = re.compile(
    r".*?(?:[.!?][\"'”’)\]]*(?=\s)|[。！？][”’」』）]*|(?=\n)|\Z)", re.DOTALL
)


def first_sentence(text: str) -> str:
    """Returns a text up to its first sentence end, or line end."""
    found = _FIRST_SENTENCE.match(text.strip())
    assert found is not None, "the end of the text always matches"
    return found.group().strip()


def speak_lead_sentence(example: Example, transcript: tuple[Turn, ...]) -> str:
    """Repeats the first sentence of the task's source text."""
    return first_sentence(str(example.metadata.get("context") or example.prompt))


def cut_to_first_sentence(core: TextCore, evaluation: Evaluation) -> Evaluation:
    """Scores an agent's turns again, each cut to its first sentence.

    This shows how much of a gain comes from learning to stop.
    """
    # Samples of one example may share its object.
    examples = [replace(episode.example) for episode in evaluation.episodes]
    pairs = zip(examples, evaluation.episodes, strict=True)
    said = {id(example): episode.responses for example, episode in pairs}

    def speak(example: Example, transcript: tuple[Turn, ...]) -> str:
        after_opening = transcript[len(tuple(core.task.opening(example))) :]
        turn = sum(t.role == "assistant" for t in after_opening)
        responses = said[id(example)]
        return first_sentence(responses[turn]) if turn < len(responses) else ""

    played = play_examples(core, SpeakerWriter(core, speak), examples)
    conversations = [episode.conversation for episode in played]
    return score_episodes(core, conversations, evaluation.n_samples)
