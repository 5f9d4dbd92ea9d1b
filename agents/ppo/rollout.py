"""PPO's rollouts: episodes played by the policy in the slots of any SB3 vector environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from agents.ppo.distributed import Ranks
from agents.ppo.vec_env import TextVecEnv, check_observations, find_text_env
from textenv.episode import TextCore
from textenv.errors import RewardError
from textenv.late_scores import LateScores
from textenv.rewards.base import waits
from textenv.rollout import Actions, EpisodeSlots, PlayedEpisode, Rollout, Step, StepHook, play


class TokenPolicy(Protocol):
    """Writes tokens: `LMPolicy`, or `VLLMSampler` in its place."""

    @property
    def reading_share(self) -> float:
        """Share of slots that should have a prompt to read before prompts are read."""

    def act(
        self,
        input_ids: NDArray[np.int32],
        lengths: NDArray[np.int64],
        rows: NDArray[np.int64],
        deterministic: bool = False,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Returns the next token of some slots, and its log-probability."""


@dataclass(frozen=True)
class PolicyWriter:
    """Writes tokens with a policy."""

    policy: TokenPolicy  # Policy that chooses the tokens
    deterministic: bool = False  # Whether to take the most likely token instead of sampling

    def write(
        self, slots: EpisodeSlots, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Returns the next token of some slots, and its log-probability."""
        return self.policy.act(slots.texts(rows), slots.lengths(rows), rows, self.deterministic)


def collect_episodes(
    env: VecEnv,
    policy: TokenPolicy,
    n_episodes: int,
    on_step: StepHook = lambda *_: True,
    group_size: int = 1,
) -> list[PlayedEpisode] | None:
    """Starts exactly `n_episodes` episodes and finishes all of them: see `Rollout`.

    Args:
        env: Token-level text environment; it is reset first.
        policy: Policy that writes the tokens.
        n_episodes: Number of episodes.
        on_step: Callback of each step, as in `textenv.rollout.play`.
        group_size: Episodes of each prompt, played by neighbouring slots.

    Returns:
        The episodes in the order in which they ended, or None if stopped. Within
        `TextVecEnv.masking_invalid` they include those that could not be scored.
    """
    if group_size > 1:
        env.set_options({"group_size": group_size})
    with late_scores(env) as late:
        slots = VecEnvSlots(env)
        # Slots of other environments cannot rest, so they do not wait for one another.
        share = policy.reading_share if isinstance(env, TextVecEnv) else 0.0
        rollout = Rollout(slots, n_episodes, group_size=group_size, reading_share=share, late=late)
        return play(rollout, slots, PolicyWriter(policy), on_step)


class VecEnvSlots:
    """The slots of an SB3 vector environment, which start their next episodes by themselves.

    Args:
        env: Token-level text environment; it is reset.
    """

    def __init__(self, env: VecEnv) -> None:
        self._env = env
        # Slots below a wrapper do not rest, since wrappers count their steps.
        self._own = env if isinstance(env, TextVecEnv) else None
        self._text_env = find_text_env(env)
        self._vocab_size = int(env.observation_space["input_ids"].high.max()) + 1  # type: ignore[index] # `check_token_level` saw a Dict
        observation = env.reset()
        assert isinstance(observation, dict)
        self._see(observation)
        self.n_slots, self.window = observation["input_ids"].shape

    def _see(self, observation: Mapping[str, NDArray[Any]]) -> None:
        if self._own is None:
            # A wrapper may have altered them.
            check_observations(observation, self._vocab_size)
        self._observation = observation
        # Counted once a step; writer and loop ask several times.
        self._lengths: NDArray[np.int64] = observation["attention_mask"].sum(axis=1, dtype=np.int64)

    def start(self, slot: int, number: int) -> None:
        """Does nothing: the environment has already started an episode."""

    def texts(self, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """Returns the tokens of some slots so far, (k, window)."""
        return self._observation["input_ids"][rows]

    def lengths(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns how many tokens some slots have so far, (k,)."""
        return self._lengths[rows]

    def step(self, rows: NDArray[np.int64], actions: Actions) -> Step:
        """Writes a token in some slots; the others rest, or write token 0 if they cannot rest."""
        everyones = np.zeros(self.n_slots, np.int64)
        everyones[rows] = actions
        after, rewards, dones, infos = self._env.step(everyones)
        assert isinstance(after, dict)
        self._see(after)
        ended = {}
        for slot in np.flatnonzero(dones).tolist():
            final = infos[slot]["terminal_observation"]
            n = int(final["attention_mask"].sum())
            said = None if self._text_env is None else self._text_env.finished[slot]
            ended[slot] = (final["input_ids"][:n].copy(), said)
        return Step(rewards, dones, infos, ended)

    def rest(self, slots: NDArray[np.bool_]) -> None:
        """Lets slots rest, if the environment can."""
        if self._own is not None and slots.any():
            self._own.rest(slots)

    def wake(self, slots: NDArray[np.bool_]) -> None:
        """Ends the rest of slots within an episode."""
        if self._own is not None:
            self._own.wake(slots)


@contextmanager
def late_scores(env: VecEnv) -> Iterator[LateScores | None]:
    """Scores episodes while slots play on, if the reward waits for an answer from elsewhere.

    Yields None, and changes nothing, if the reward does not wait, is paid within the episode, or is
    needed at the end of each episode by another listener.
    """
    core: TextCore | None = env.core if isinstance(env, TextVecEnv) else None
    if core is None or not core.can_defer or not waits(core.reward):
        yield None
        return
    late = LateScores(core)
    core.defer = late.submit
    try:
        yield late
    finally:
        core.defer = None
        late.close()


def take_valid(episodes: list[PlayedEpisode], max_invalid_share: float) -> list[PlayedEpisode]:
    """Returns the episodes that were scored."""
    valid = [episode for episode in episodes if episode.invalid_reason is None]
    n_invalid = len(episodes) - len(valid)
    if not valid or n_invalid > max_invalid_share * len(episodes):
        reason = next(e.invalid_reason for e in episodes if e.invalid_reason is not None)
        raise RewardError(
            f"{n_invalid} of the {len(episodes)} episodes of a rollout could not be scored; "
            f"max_invalid_share = {max_invalid_share:g} allows no more than that share, and never "
            f"all. The first was {reason}"
        )
    return valid


@dataclass(frozen=True)
class RolloutStats:
    """Statistics of a rollout."""

    n_tokens: int  # Number of tokens that the agent wrote
    n_played: int  # Number of episodes, scored or not
    returns: NDArray[np.float64]  # (n,) undiscounted returns of the scored episodes
    lengths: NDArray[np.float64]  # (n,) number of tokens that the agent wrote in each of them
    components: Sequence[Mapping[str, float]]  # Components of the reward of each of them

    def metrics(self) -> dict[str, float]:
        """Returns the numbers to log; a component that an episode lacks counts as 0."""
        names = {name: None for found in self.components for name in found}
        return {
            **{
                f"rollout/{name}": float(np.mean([c.get(name, 0.0) for c in self.components]))
                for name in names
            },
            "rollout/invalid_episodes": self.n_played - len(self.returns),
            "rollout/reward_mean": float(self.returns.mean()),
            "rollout/reward_std": float(self.returns.std()),
            "rollout/response_tokens": float(self.lengths.mean()),
        }


def gather_stats(
    ranks: Ranks, episodes: Sequence[PlayedEpisode], n_played: int, n_tokens: int
) -> RolloutStats:
    """Gathers the statistics of all processes."""
    returns = [episode.reward for episode in episodes]
    lengths = [episode.action_mask.sum() for episode in episodes]
    summaries = np.array([returns, lengths], np.float64)
    components = [episode.components for episode in episodes if episode.components]
    everyones = ranks.gather((n_tokens, n_played, summaries, components))
    all_returns, all_lengths = np.concatenate([found for _, _, found, _ in everyones], axis=1)
    return RolloutStats(
        sum(tokens for tokens, *_ in everyones),
        sum(played for _, played, *_ in everyones),
        all_returns,
        all_lengths,
        [found for *_, part in everyones for found in part],
    )
