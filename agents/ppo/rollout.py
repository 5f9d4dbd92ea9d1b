"""Plays a fixed number of episodes to their end, with slots that go on by themselves."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from agents.ppo.buffer import CollectedEpisode
from agents.ppo.distributed import Ranks
from agents.ppo.policy import LMPolicy
from agents.ppo.vec_env import TextVecEnv
from agents.ppo.vllm_sampler import VLLMSampler
from textenv.episode import TextCore, final_info
from textenv.errors import RewardError
from textenv.examples import Episode
from textenv.rewards.base import RewardResult, call_reward, compute_rewards, waits

Infos = list[dict[str, Any]]
StepHook = Callable[[int, NDArray[np.float32], NDArray[np.bool_], Infos], bool]


def collect_episodes(
    env: VecEnv,
    policy: LMPolicy | VLLMSampler,
    n_episodes: int,
    on_step: StepHook,
    group_size: int = 1,
) -> list[CollectedEpisode] | None:
    """Starts exactly `n_episodes` episodes and finishes all of them.

    Which episodes are started does not depend on how long they turn out to be, so short ones are
    not favoured, as they would be by taking the first that end. A slot that ends takes its next
    episode at once; when all have been started it rests. Where the policy says so
    (`LMPolicy.reading_share`), slots of a text environment that have a prompt or a turn to read
    wait for one another.

    Args:
        env: Slots of a token-level text environment; it is reset first.
        policy: Writes the tokens. One that has no `act_with_logprobs` writes them by `act`, and
            its episodes have no log-probabilities.
        n_episodes: How many.
        on_step: Called after each step with the number of tokens written and every slot's reward,
            end and info, which are 0, False and empty where a slot rests; False stops. Of an
            episode whose score is late (`agents.ppo.rollout`), they come when it has arrived.
        group_size: Episodes of each prompt, played by neighbouring slots; `n_episodes` and the
            number of slots are multiples of it. Above 1, each slot's share of the episodes is
            fixed, so that every group becomes complete.

    Returns:
        The episodes in the order in which they ended, or None if stopped. Within
        `TextVecEnv.masking_invalid` those that could not be scored are among them.
    """
    if group_size > 1:
        env.set_options({"group_size": group_size})
    with late_scores(env) as late:
        return _Collection(env, policy, n_episodes, group_size, late).play(on_step)


class _Collection:
    """The slots of one call of `collect_episodes`, and what they have played so far."""

    def __init__(
        self,
        env: VecEnv,
        policy: LMPolicy | VLLMSampler,
        n_episodes: int,
        group_size: int,
        late: LateScores | None,
    ) -> None:
        self._env = env
        self._policy = policy
        self._group_size = group_size
        self._n_groups = n_episodes // group_size
        self._late = late
        # The episodes whose scores are late: number, slot and info of the step that ended each.
        self._owners: deque[tuple[int, int, dict[str, Any]]] = deque()
        self._news: deque[tuple[int, float, dict[str, Any]]] = deque()
        self._episodes: list[CollectedEpisode] = []
        observation = env.reset()
        assert isinstance(observation, dict)
        self._observation = observation
        n_slots, window = observation["input_ids"].shape
        self._n_slots = n_slots
        self._started = min(n_slots, n_episodes)
        self._group = np.arange(n_slots) // group_size
        self._active = self._group < self._n_groups
        self._action_mask = np.zeros((n_slots, window), np.bool_)
        self._paid = np.zeros((n_slots, window), np.float32)
        self._logprobs = np.zeros((n_slots, window), np.float32)
        self._has_logprobs = hasattr(policy, "act_with_logprobs")
        can_wait = isinstance(env, TextVecEnv) and hasattr(policy, "reading_share")
        self._reading_share = policy.reading_share if can_wait else 0.0
        self._reading = np.zeros(n_slots, np.bool_)

    def play(self, on_step: StepHook) -> list[CollectedEpisode] | None:
        """Plays until all episodes have ended and have their scores; None if stopped."""
        _rest(self._env, ~self._active)
        while self._active.any():
            if not on_step(*self._step()):
                return None
            self._reading &= self._active
            _rest(self._env, ~self._active | self._reading)
        while self._owners or self._news:
            self._take_scores(wait=True)
            nothing = self._deliver(
                np.zeros(self._n_slots, np.float32),
                np.zeros(self._n_slots, np.bool_),
                [{} for _ in range(self._n_slots)],
            )
            if not on_step(0, *nothing):
                return None
        return self._episodes

    def _step(self) -> tuple[int, NDArray[np.float32], NDArray[np.bool_], Infos]:
        """Writes a token in each slot in play; returns the arguments of the hook."""
        rows = self._choose_rows()
        observation, active = self._observation, self._active.copy()
        lengths = observation["attention_mask"][rows].sum(axis=1, dtype=np.int64)
        ids = observation["input_ids"][rows]
        actions = np.zeros(self._n_slots, np.int64)
        if self._has_logprobs:
            chosen = self._policy.act_with_logprobs(ids, lengths, rows)
            actions[rows], self._logprobs[rows, lengths] = chosen
        else:
            actions[rows] = self._policy.act(ids, lengths, rows)
        after, rewards, dones, infos = self._env.step(actions)
        assert isinstance(after, dict)
        self._observation = after
        # Idle slots of other vector environments play on: nothing of it counts.
        rewards, dones = np.where(active, rewards, np.float32(0.0)), dones & active
        infos = [info if counts else {} for info, counts in zip(infos, active, strict=True)]
        if self._reading_share:
            # What a slot has to read now is more than the token that it wrote.
            now = after["attention_mask"][rows].sum(axis=1, dtype=np.int64)
            self._reading[rows] = dones[rows] | (now != lengths + 1)
        self._action_mask[rows, lengths] = True
        self._paid[rows, lengths] = rewards[rows]
        for slot in np.flatnonzero(dones).tolist():
            self._end(slot, infos[slot])
            if infos[slot].get("pending"):
                dones[slot], infos[slot] = False, {}
        self._take_scores(wait=False)
        return len(rows), *self._deliver(rewards, dones, infos)

    def _choose_rows(self) -> NDArray[np.int64]:
        """Returns the slots that write now; those that read wait until enough of them do."""
        reading = self._reading
        if reading.any() and reading.sum() >= self._reading_share * self._active.sum():
            assert isinstance(self._env, TextVecEnv)
            self._env.wake(reading)
            reading[:] = False
        return np.flatnonzero(self._active & ~reading)

    def _end(self, slot: int, info: dict[str, Any]) -> None:
        """Keeps the episode that a slot has ended, and begins its next."""
        final = info["terminal_observation"]
        length = int(final["attention_mask"].sum())
        if info.get("pending"):
            self._owners.append((len(self._episodes), slot, info))
        self._episodes.append(
            CollectedEpisode(
                final["input_ids"][:length].copy(),
                self._action_mask[slot, :length].copy(),
                self._paid[slot, :length].copy(),
                bool(info.get("TimeLimit.truncated", False)),
                _invalid_reason(info),
                int(self._group[slot]),
                self._logprobs[slot, :length].copy() if self._has_logprobs else None,
            )
        )
        self._action_mask[slot] = False
        self._paid[slot] = self._logprobs[slot] = 0.0
        # Neighbours play the same prompts, so each has to play as many as the others.
        if self._group_size > 1:
            self._group[slot] += self._n_slots // self._group_size
        else:
            self._group[slot] = self._started
        self._started += 1
        self._active[slot] = self._group[slot] < self._n_groups

    def _take_scores(self, wait: bool) -> None:
        """Pays the episodes whose scores have arrived."""
        for score in [] if self._late is None else self._late.take(wait):
            number, slot, info = self._owners.popleft()
            episode = self._episodes[number]
            rewards = episode.rewards.copy()
            rewards[np.flatnonzero(episode.action_mask)[-1]] += np.float32(score.total)
            info = {key: value for key, value in info.items() if key != "pending"} | score.info
            summary = info.pop("episode")
            if info.get("valid", True):
                info["episode"] = {**summary, "r": summary["r"] + score.total}
            reason = _invalid_reason(info)
            self._episodes[number] = replace(episode, rewards=rewards, invalid_reason=reason)
            self._news.append((slot, score.total, info))

    def _deliver(
        self, rewards: NDArray[np.float32], dones: NDArray[np.bool_], infos: Infos
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], Infos]:
        """Tells the hook of late scores as if the episodes had ended now, one a slot at a time."""
        while self._news and not dones[self._news[0][0]]:
            slot, total, info = self._news.popleft()
            rewards[slot] += total
            dones[slot], infos[slot] = True, infos[slot] | info
        return rewards, dones, infos


def is_scored(info: Mapping[str, Any]) -> bool:
    """Tells whether an info is that of an episode that ended with a score."""
    return "reward_components" in info and info.get("valid", True)


def take_valid(
    episodes: list[CollectedEpisode], max_invalid_share: float
) -> list[CollectedEpisode]:
    """Returns the episodes that were scored.

    Raises:
        RewardError: Too many were not.
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
    return valid


def _invalid_reason(info: dict[str, Any]) -> str | None:
    if info.get("valid", True):
        return None
    return f"example '{info['example_id']}': {info['invalid_reason']}"


def _rest(env: VecEnv, slots: Any) -> None:
    """Spares a text environment the steps of slots that have none to take; others cannot rest."""
    if isinstance(env, TextVecEnv) and slots.any():
        env.rest(slots)


@dataclass(frozen=True)
class LateScore:
    """What an episode turned out to be worth.

    Attributes:
        total: What the agent is paid; NaN where it could not be scored.
        info: As a step gives it that scores at once.
    """

    total: float
    info: dict[str, Any]


class LateScores:
    """Has one thread score what `TextCore.step` hands over, all that is there at a time.

    Args:
        core: Whose reward it is.

    Attributes:
        n_pending: Episodes whose scores have not been taken yet.
    """

    def __init__(self, core: TextCore) -> None:
        self._core = core
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="reward")
        self._waiting: list[Episode] = []
        self._running: tuple[list[Episode], Future[RewardResult]] | None = None
        self.n_pending = 0

    def submit(self, episode: Episode) -> None:
        """Has an episode scored."""
        self._waiting.append(episode)
        self.n_pending += 1
        self._begin()

    def take(self, wait: bool = False) -> list[LateScore]:
        """Returns scores that have arrived since the last call, in the order of submission.

        Args:
            wait: Until there are some, if any are pending.

        Raises:
            RewardError: As the step would have that scores at once.
        """
        if self._running is None or not (wait or self._running[1].done()):
            return []
        episodes, future = self._running
        result = future.result()
        self._running = None
        self._begin()
        self.n_pending -= len(episodes)
        return [
            LateScore(float(result.total[i]), final_info(episode, result, i))
            for i, episode in enumerate(episodes)
        ]

    def close(self) -> None:
        """Forgets what is pending."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> None:
        if self._running is not None or not self._waiting:
            return
        episodes, self._waiting = self._waiting, []
        score = call_reward if self._core.mask_invalid else compute_rewards
        self._running = episodes, self._pool.submit(score, self._core.reward, episodes)


@contextmanager
def late_scores(env: VecEnv) -> Iterator[LateScores | None]:
    """Within it, rewards that wait for an answer from elsewhere do not hold up the slots.

    Gives None, and changes nothing, where the reward does not wait, is paid within the episode, or
    is asked for at the end of each by another listener.
    """
    core = env.unwrapped_core if isinstance(env, TextVecEnv) else None
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


@dataclass(frozen=True)
class RolloutStats:
    """A rollout in numbers.

    Attributes:
        n_tokens: That the agent wrote.
        n_played: Episodes, scored or not.
        returns: (n,) undiscounted, of the scored ones.
        lengths: (n,) tokens that the agent wrote in each.
        components: Of the rewards, an episode each.
    """

    n_tokens: int
    n_played: int
    returns: NDArray[np.float64]
    lengths: NDArray[np.float64]
    components: Sequence[Mapping[str, float]]

    def metrics(self) -> dict[str, float]:
        """Returns the numbers to log; a component that an episode lacks is 0 there."""
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
    ranks: Ranks,
    episodes: Sequence[CollectedEpisode],
    n_played: int,
    n_tokens: int,
    components: Sequence[Mapping[str, float]],
) -> RolloutStats:
    """Puts together what each process has played.

    Args:
        ranks: The processes of the run.
        episodes: That could be scored, of this process, like all that follows.
        n_played: Episodes in all.
        n_tokens: Tokens that the agent wrote in them.
        components: Of the rewards of `episodes`.
    """
    returns = [episode.rewards.sum(dtype=np.float64) for episode in episodes]
    lengths = [episode.action_mask.sum() for episode in episodes]
    summaries = np.array([returns, lengths], np.float64)
    everyones = ranks.gather((n_tokens, n_played, summaries, list(components)))
    all_returns, all_lengths = np.concatenate([found for _, _, found, _ in everyones], axis=1)
    return RolloutStats(
        sum(tokens for tokens, *_ in everyones),
        sum(played for _, played, *_ in everyones),
        all_returns,
        all_lengths,
        [found for *_, part in everyones for found in part],
    )
