"""Plays episodes to their end, many at a time: the one loop that all who play share.

    episodes = play_examples(core, SpeakerWriter(core, core.task.gold), examples)

PPO's rollouts, evaluation, sampling for rewards, ideal episodes and the adapters differ in who
writes (a `Writer`), in which slots (`EpisodeSlots`), and in when episodes are scored.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from textenv.episode import Speaker, TextCore
from textenv.examples import Episode, Example
from textenv.late_scores import LateScores

Infos: TypeAlias = list[dict[str, Any]]
# Token ids or candidates' numbers (k,), or whole turns as texts.
Actions: TypeAlias = NDArray[Any] | Sequence[str]
# Takes the number of tokens written and every slot's reward, end and info; False stops.
StepHook: TypeAlias = Callable[[int, NDArray[np.float32], NDArray[np.bool_], Infos], bool]
Progress: TypeAlias = Callable[[float, str], None]


def silent(done: float, note: str = "") -> None:
    """Shows no progress."""


@dataclass(frozen=True)
class PlayedEpisode:
    """One episode from its slot to the loss: what was written, by whom, what it paid.

    Attributes:
        input_ids: Every token, int32 (length,).
        action_mask: True where the agent wrote the token, bool (length,).
        rewards: What the environment paid for writing each token, float32 (length,).
        logprobs: Log-probability of each token as the writer drew it, float32 (length,), 0 off the
            agent's tokens; None where the writer told none.
        truncated: Whether it was cut off before it could be scored.
        invalid_reason: Why the reward could not score it, and NaN was paid; None where it did.
        group: Number of its group, whose episodes answer the same prompt.
        components: What the reward is made of; empty where nothing was scored.
        said: The conversation; None where the environment is elsewhere and shows only tokens.
    """

    input_ids: NDArray[np.int32]
    action_mask: NDArray[np.bool_]
    rewards: NDArray[np.float32]
    logprobs: NDArray[np.float32] | None = None
    truncated: bool = False
    invalid_reason: str | None = None
    group: int = 0
    components: Mapping[str, float] = field(default_factory=dict)
    said: Episode | None = None

    @property
    def reward(self) -> float:
        """What the environment paid in all."""
        return float(self.rewards.sum(dtype=np.float64))

    @property
    def n_prompt(self) -> int:
        """Number of tokens before the agent's first."""
        return int(self.action_mask.argmax())

    @classmethod
    def unpaid(cls, said: Episode) -> Self:
        """Returns the record of a conversation that nobody has scored."""
        rewards = np.zeros(len(said.input_ids), np.float32)
        return cls(said.input_ids, said.action_mask, rewards, said=said)

    @property
    def conversation(self) -> Episode:
        """What was said, where it is known."""
        assert self.said is not None, "the environment showed only tokens"
        return self.said


@dataclass(frozen=True)
class Step:
    """What one step of all slots brought."""

    rewards: NDArray[Any]  # what each slot is paid, (n_slots,)
    dones: NDArray[np.bool_]  # whether its episode ended, (n_slots,)
    infos: Infos  # of each slot; empty where there is nothing to say
    # The tokens, and the conversation if it is known, of each episode that ended.
    ended: Mapping[int, tuple[NDArray[np.int32], Episode | None]]


class EpisodeSlots(Protocol):
    """Slots that each play one episode at a time."""

    @property
    def n_slots(self) -> int:
        """How many."""

    @property
    def window(self) -> int:
        """The most tokens of one episode."""

    def start(self, slot: int, number: int) -> None:
        """Begins an episode, the one of this number, in a slot that has none or whose has ended."""

    def texts(self, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """Returns the tokens of some slots so far, (k, window)."""

    def lengths(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns how many tokens some slots have so far, (k,)."""

    def step(self, rows: NDArray[np.int64], actions: Actions) -> Step:
        """Takes an action in some slots; the others rest."""

    def rest(self, slots: NDArray[np.bool_]) -> None:
        """Spares slots the steps to come."""

    def wake(self, slots: NDArray[np.bool_]) -> None:
        """Lets slots go on that rest within an episode."""


class Writer(Protocol):
    """Writes for the agent."""

    def write(
        self, slots: EpisodeSlots, rows: NDArray[np.int64]
    ) -> tuple[Actions, NDArray[np.float32] | None]:
        """Returns the next actions of some slots, and their log-probabilities if it knows them."""


class Rollout:
    """Episodes in play: a fixed number of them is started, and all are finished.

    Which episodes are started does not depend on how long they turn out to be, so short ones are
    not favoured, as they would be by taking the first that end. A slot that ends takes its next
    episode at once; when all have been started it rests.

        while len(rows := rollout.rows()):
            rollout.advance(rows, *writer.write(slots, rows))

    Args:
        slots: Where they are played.
        n_episodes: How many.
        group_size: Episodes of each prompt, played by neighbouring slots; `n_episodes` and the
            number of slots are multiples of it. Above 1, each slot's share of the episodes is
            fixed, so that every group becomes complete.
        reading_share: The share of slots that should have a prompt or a turn to read before it is
            read; 0 where nobody waits.
        late: Scores episodes while other slots go on; None where steps score at once.

    Attributes:
        episodes: Those that ended, in the order in which they did.
    """

    def __init__(
        self,
        slots: EpisodeSlots,
        n_episodes: int,
        *,
        group_size: int = 1,
        reading_share: float = 0.0,
        late: LateScores | None = None,
    ) -> None:
        self._slots = slots
        self._group_size = group_size
        self._n_groups = n_episodes // group_size
        self._reading_share = reading_share
        self._late = late
        # The episodes whose scores are late: number, slot and info of the step that ended each.
        self._owners: deque[tuple[int, int, dict[str, Any]]] = deque()
        self._news: deque[tuple[int, float, dict[str, Any]]] = deque()
        self.episodes: list[PlayedEpisode] = []
        n, window = slots.n_slots, slots.window
        self._started = min(n, n_episodes)
        self._group = np.arange(n) // group_size
        self._active = self._group < self._n_groups
        self._action_mask = np.zeros((n, window), np.bool_)
        self._paid = np.zeros((n, window), np.float32)
        self._logprobs = np.zeros((n, window), np.float32)
        self._has_logprobs = True
        self._reading = np.zeros(n, np.bool_)
        for slot in np.flatnonzero(self._active).tolist():
            slots.start(slot, int(self._group[slot]))
        slots.rest(~self._active)

    def rows(self) -> NDArray[np.int64]:
        """Returns the slots that write now; none when every episode has ended.

        Those that have something to read wait until enough of them do.
        """
        reading = self._reading
        if reading.any() and reading.sum() >= self._reading_share * self._active.sum():
            self._slots.wake(reading)
            reading[:] = False
        return np.flatnonzero(self._active & ~reading)

    def advance(
        self, rows: NDArray[np.int64], actions: Actions, logprobs: NDArray[np.float32] | None = None
    ) -> tuple[int, NDArray[np.float32], NDArray[np.bool_], Infos]:
        """Takes the actions of some slots; returns the arguments of a `StepHook`."""
        active = self._active.copy()
        lengths = self._slots.lengths(rows)
        step = self._slots.step(rows, actions)
        # Idle slots of other vector environments play on: nothing of it counts.
        rewards = np.where(active, step.rewards, 0.0).astype(np.float32)
        dones = step.dones & active
        infos = [info if counts else {} for info, counts in zip(step.infos, active, strict=True)]
        if self._reading_share:
            # What a slot has to read now is more than the token that it wrote.
            now = self._slots.lengths(rows)
            self._reading[rows] = dones[rows] | (now != lengths + 1)
        self._action_mask[rows, lengths] = True
        self._paid[rows, lengths] = rewards[rows]
        self._has_logprobs &= logprobs is not None
        if logprobs is not None:
            self._logprobs[rows, lengths] = logprobs
        for slot in np.flatnonzero(dones).tolist():
            self._end(slot, infos[slot], *step.ended[slot])
            if infos[slot].get("pending"):
                dones[slot], infos[slot] = False, {}
        self._reading &= self._active
        self._slots.rest(~self._active | self._reading)
        self._take_scores(wait=False)
        return len(rows), *self._deliver(rewards, dones, infos)

    def number(self, slot: int) -> int:
        """Returns the number of the episode that a slot plays, or of its group."""
        return int(self._group[slot])

    def give_up(self, slot: int, said: Episode, reason: str) -> None:
        """Ends a slot's episode as it stands, invalid, where its agent has no answer."""
        info = {"example_id": said.example.id, "valid": False, "invalid_reason": reason}
        self._end(slot, info, said.input_ids, said)
        self._slots.rest(~self._active | self._reading)

    def await_scores(self) -> tuple[int, NDArray[np.float32], NDArray[np.bool_], Infos] | None:
        """Waits for a late score; returns the arguments of a `StepHook`, None if none is due."""
        if not self._owners and not self._news:
            return None
        self._take_scores(wait=True)
        n = self._slots.n_slots
        return 0, *self._deliver(np.zeros(n, np.float32), np.zeros(n, np.bool_), [{}] * n)

    def _end(
        self, slot: int, info: dict[str, Any], ids: NDArray[np.int32], said: Episode | None
    ) -> None:
        """Keeps the episode that a slot has ended, and begins its next."""
        n = len(ids)
        mask, rewards = self._action_mask[slot, :n].copy(), self._paid[slot, :n].copy()
        if said is not None and not np.array_equal(mask, said.action_mask):
            # Whole turns were written, not tokens: the last token is paid.
            mask, paid = said.action_mask, rewards.sum()
            rewards[:] = 0.0
            if mask.any():  # an agent may have given up before its first word
                rewards[np.flatnonzero(mask)[-1]] = paid
        if info.get("pending"):
            self._owners.append((len(self.episodes), slot, info))
        self.episodes.append(
            PlayedEpisode(
                ids,
                mask,
                rewards,
                self._logprobs[slot, :n].copy() if self._has_logprobs else None,
                bool(info.get("TimeLimit.truncated", False)),
                _invalid_reason(info),
                int(self._group[slot]),
                info.get("reward_components", {}),
                said,
            )
        )
        self._action_mask[slot] = False
        self._paid[slot] = self._logprobs[slot] = 0.0
        # Neighbours play the same prompts, so each has to play as many as the others.
        if self._group_size > 1:
            self._group[slot] += self._slots.n_slots // self._group_size
        else:
            self._group[slot] = self._started
        self._started += 1
        self._active[slot] = self._group[slot] < self._n_groups
        if self._active[slot]:
            self._slots.start(slot, int(self._group[slot]))

    def _take_scores(self, wait: bool) -> None:
        """Pays the episodes whose scores have arrived."""
        for score in [] if self._late is None else self._late.take(wait):
            number, slot, info = self._owners.popleft()
            episode = self.episodes[number]
            rewards = episode.rewards.copy()
            rewards[np.flatnonzero(episode.action_mask)[-1]] += np.float32(score.total)
            info = {key: value for key, value in info.items() if key != "pending"} | score.info
            summary = info.pop("episode")
            if info.get("valid", True):
                info["episode"] = {**summary, "r": summary["r"] + score.total}
            self.episodes[number] = replace(
                episode,
                rewards=rewards,
                invalid_reason=_invalid_reason(info),
                components=info["reward_components"],
            )
            self._news.append((slot, score.total, info))

    def _deliver(
        self, rewards: NDArray[np.float32], dones: NDArray[np.bool_], infos: Infos
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], Infos]:
        """Tells the hook of late scores as if the episodes had ended now, one a slot at a time."""
        infos = list(infos)
        while self._news and not dones[self._news[0][0]]:
            slot, total, info = self._news.popleft()
            rewards[slot] += total
            dones[slot], infos[slot] = True, infos[slot] | info
        return rewards, dones, infos


def play(
    rollout: Rollout, slots: EpisodeSlots, writer: Writer, on_step: StepHook = lambda *_: True
) -> list[PlayedEpisode] | None:
    """Plays all episodes of a rollout to their end; returns them in the order in which they ended.

    `on_step` is called after each step with the number of actions taken and every slot's reward,
    end and info, which are 0, False and empty where a slot rests; False stops, and None is
    returned. Of an episode whose score is late they come when it has arrived.
    """
    while len(rows := rollout.rows()):
        if not on_step(*rollout.advance(rows, *writer.write(slots, rows))):
            return None
    while (news := rollout.await_scores()) is not None:
        if not on_step(*news):
            return None
    return rollout.episodes


def play_examples(
    core: TextCore,
    writer: Writer,
    examples: Sequence[Example],
    *,
    scored: bool = False,
    progress: Progress = silent,
) -> list[PlayedEpisode]:
    """Plays an episode of each example in the slots of a core; episodes that run there are lost.

    Args:
        core: The slots; one that ends takes the next example.
        writer: Writes for the agent.
        examples: What to play.
        scored: Score each episode as it ends. Otherwise that is left to the caller, who has all of
            them, unless something needs it at once (a dense reward, a recording wrapper).
        progress: Called with the number of finished episodes.

    Returns:
        The episodes, in the order of the examples; `group` is the example's place.
    """
    slots = CoreSlots(core, examples, scored=scored)
    rollout = Rollout(slots, len(examples))

    def on_step(*_: object) -> bool:
        progress(len(rollout.episodes), "")
        return True

    played = play(rollout, slots, writer, on_step)
    assert played is not None
    return sorted(played, key=lambda episode: episode.group)


def play_text(core: TextCore, example: Example, speak: Speaker) -> Episode:
    """Plays one episode with an agent that answers in text, in the first slot, unscored.

    A reply too long for its budget is cut like one that was written token by token.
    """
    return play_examples(core, SpeakerWriter(core, speak), [example])[0].conversation


class CoreSlots:
    """The slots of a core, playing given examples, scored as they end or not at all."""

    def __init__(self, core: TextCore, examples: Sequence[Example], *, scored: bool) -> None:
        self.core = core
        self.n_slots, self.window = core.n_slots, core.window
        self._examples = examples
        self._scored = scored
        core.playing[:] = False

    def start(self, slot: int, number: int) -> None:
        """Begins the episode of an example."""
        self.core.start(slot, self._examples[number])

    def texts(self, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """Returns the tokens of some slots so far, (k, window)."""
        return self.core.input_ids[rows]

    def lengths(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns how many tokens some slots have so far, (k,)."""
        return self.core.lengths[rows]

    def step(self, rows: NDArray[np.int64], actions: Actions) -> Step:
        """Takes an action in some slots; texts are whole turns, whatever the action level."""
        core = self.core
        before = core.defer
        if not self._scored and core.can_defer:
            core.defer = lambda episode: None
        try:
            if isinstance(actions, np.ndarray):
                everyones = np.zeros(core.n_slots, np.int64)
                everyones[rows] = actions
                rewards, terminated, truncated, infos = core.step(everyones)
            else:
                rewards, terminated, truncated, infos = core.say(rows, actions)
        finally:
            core.defer = before
        dones = terminated | truncated
        ended = {}
        for slot in np.flatnonzero(dones).tolist():
            episode = core.episode(slot)
            ended[slot] = (episode.input_ids, episode)
            infos.get(slot, {}).pop("pending", None)
        return Step(rewards, dones, [infos.get(i, {}) for i in range(core.n_slots)], ended)

    def rest(self, slots: NDArray[np.bool_]) -> None:
        """Spares slots the steps to come."""
        self.core.playing &= ~slots

    def wake(self, slots: NDArray[np.bool_]) -> None:
        """Lets slots go on that rest within an episode."""
        self.core.playing |= slots


@dataclass(frozen=True)
class SpeakerWriter:
    """An agent that answers in text, in the slots of a core."""

    core: TextCore
    speak: Speaker

    def write(self, slots: EpisodeSlots, rows: NDArray[np.int64]) -> tuple[list[str], None]:
        """Returns the next turn of some slots."""
        core = self.core
        said = [self.speak(core.example(row), tuple(core.turns[row])) for row in rows.tolist()]
        return said, None


def _invalid_reason(info: Mapping[str, Any]) -> str | None:
    if info.get("valid", True):
        return None
    return f"example '{info['example_id']}': {info['invalid_reason']}"
