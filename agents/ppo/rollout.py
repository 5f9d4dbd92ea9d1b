"""PPO's rollouts: episodes played by the policy in the slots of any SB3 vector environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from agents.policy.observations import check_observations
from agents.ppo.advantages import ROUNDING
from agents.ppo.vec_env import TextVecEnv, find_text_env, wait_for_workers, worker_losses
from textenv.episode import TextCore
from textenv.errors import RewardError
from textenv.late_scores import LateScores
from textenv.rewards.base import waits
from textenv.rollout import Actions, EpisodeSlots, PlayedEpisode, Rollout, Step, StepHook, play

_LARGEST = 1e30  # reward; float32 ends at 3.4e38


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


Collect = Callable[[int], list[PlayedEpisode] | None]


def collect_groups(
    collect: Collect, n_episodes: int, group_size: int, rounds: int
) -> tuple[list[PlayedEpisode], list[PlayedEpisode]] | None:
    """Plays episodes, and replaces groups whose rewards are all equal by groups of other prompts.

    Dynamic sampling of DAPO (Yu et al., 2025, https://arxiv.org/abs/2503.14476). There it goes on
    until none is left; here for a number of rounds, after which the rest stays.

    Args:
        collect: Plays a number of episodes in whole groups; None if a callback stopped it.
        n_episodes: Number of episodes.
        group_size: Episodes of a group.
        rounds: Most rounds in which groups are replaced.

    Returns:
        The episodes to learn from, and those that were replaced; None if a callback stopped it.
    """
    episodes = collect(n_episodes)
    if episodes is None:
        return None
    n_groups = len({episode.group for episode in episodes})
    replaced: list[PlayedEpisode] = []
    for _ in range(rounds):
        equal = sorted(find_equal_groups(episodes))
        if not equal:
            break
        more = collect(len(equal) * group_size)
        if more is None:
            return None
        # Those that leave are numbered after all that stay.
        numbers = {group: n_groups + i for i, group in enumerate(equal)}
        n_groups += len(equal)
        replaced += [replace(e, group=numbers[e.group]) for e in episodes if e.group in numbers]
        episodes = [episode for episode in episodes if episode.group not in numbers]
        episodes += [replace(episode, group=equal[episode.group]) for episode in more]
    return episodes, replaced


def find_equal_groups(episodes: Sequence[PlayedEpisode]) -> set[int]:
    """Returns the groups in which the rewards of all scored episodes are equal, up to rounding."""
    rewards: dict[int, list[float]] = {}
    for episode in episodes:
        found = rewards.setdefault(episode.group, [])
        if episode.invalid_reason is None:
            found.append(episode.reward)
    return {
        group
        for group, found in rewards.items()
        if not found or max(found) - min(found) <= ROUNDING * max(map(abs, found))
    }


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
        with worker_losses(env):
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
        with worker_losses(self._env):
            self._env.step_async(everyones)
            wait_for_workers(self._env)
            after, rewards, dones, infos = self._env.step_wait()
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
    """Returns the episodes that were scored.

    Raises:
        RewardError: Too few were, or a reward is not finite.
    """
    valid = [episode for episode in episodes if episode.invalid_reason is None]
    n_invalid = len(episodes) - len(valid)
    if not valid or n_invalid > max_invalid_share * len(episodes):
        reason = next(e.invalid_reason for e in episodes if e.invalid_reason is not None)
        raise RewardError(
            f"{n_invalid} of the {len(episodes)} episodes of a rollout could not be scored; "
            f"max_invalid_share = {max_invalid_share:g} allows no more than that share, and never "
            f"all. The first was {reason}"
        )
    _check_finite(valid)
    return valid


def _check_finite(episodes: Sequence[PlayedEpisode]) -> None:
    """Checks that what was paid, and its square, can be learned from in float32."""
    for episode in episodes:
        fits = np.abs(episode.rewards) <= _LARGEST
        if not fits.all():
            at = int(np.flatnonzero(~fits)[0])
            which = "" if episode.said is None else f" of example '{episode.said.example.id}'"
            raise RewardError(
                f"The environment paid {episode.rewards[at]} for token {at} of an episode{which}. "
                "Rewards must be finite, and at most 1e30 in size; give a worst score instead."
            )
