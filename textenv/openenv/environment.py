"""Our environments as OpenEnv's: many sessions in the slots of one core."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from gymnasium.utils import seeding
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import EnvironmentMetadata

import textenv
from textenv.datasets import SPLITS
from textenv.errors import ConfigError, DatasetError
from textenv.examples import Example, Turn
from textenv.levels import Info
from textenv.openenv.arguments import text_level
from textenv.openenv.models import TextAction, TextMessage, TextObservation, TextState
from textenv.registry import environment_row
from textenv.rewards.base import waits
from textenv.rollout import SpeakerWriter, play_examples
from textenv.vector import make_core

_SPARE_SLOTS = 32  # for requests over HTTP, each of which is a session of its own, for a moment
_MOST_LISTED = 1_000  # tasks in one answer


class ServedEnvironment:
    """One environment of ours that many sessions play, each in a slot.

    Args:
        id: Id of the environment.
        n_sessions: Number of episodes at once.
        arguments: Further arguments of the environment, as `gymnasium.make` takes them.
        with_references: Whether tasks tell their prompts and ideal texts, for audits. An agent that
            can ask for them has nothing to learn.
    """

    def __init__(
        self,
        id: str,
        n_sessions: int,
        arguments: Mapping[str, Any] | None = None,
        *,
        with_references: bool = False,
    ) -> None:
        self.id = id
        self.description = environment_row(id).description
        self.with_references = with_references
        own = text_level(arguments)
        self.core = make_core(id, n_sessions + _SPARE_SLOTS, own)
        self._ideal = make_core(id, 1, own) if with_references else None
        self._free = list(range(self.core.n_slots))
        # Slots are apart, but a reward of one's own may not bear two threads at once. One that
        # waits for an answer from elsewhere does, by the contract of rewards.
        self._scoring: AbstractContextManager[Any] = (
            nullcontext() if waits(self.core.reward) else threading.Lock()
        )
        self._slots_lock = threading.Lock()

    def take_slot(self) -> int:
        """Returns a slot that no session has."""
        with self._slots_lock:
            if not self._free:
                raise ConfigError("All sessions of this server are taken. Try again later.")
            return self._free.pop()

    def give_slot(self, slot: int) -> None:
        """Takes a slot back."""
        with self._slots_lock:
            self.core.playing[slot] = False
            self._free.append(slot)

    def start(self, slot: int, example: Example) -> Info:
        """Begins an episode."""
        with self._scoring:
            return self.core.start(slot, example)

    def say(self, slot: int, text: str) -> tuple[float, bool, Info]:
        """Takes a turn of the agent; returns what it pays, whether that was the end, and info."""
        with self._scoring:
            rewards, terminated, _, infos = self.core.say(np.array([slot]), [text])
        return float(rewards[slot]), bool(terminated[slot]), infos.get(slot, {})

    def task(self, split: str, index: int) -> dict[str, Any]:
        """Returns what there is to say of one task.

        Raises:
            IndexError: There is no such task.
        """
        dataset = self.core.dataset(split)
        if not 0 <= index < len(dataset):
            raise IndexError(f"There is no task {index}: split '{split}' has {len(dataset)}.")
        example = dataset[index]
        told: dict[str, Any] = {"id": example.id, "split": split, "index": index}
        if self._ideal is None:
            return told
        with self._slots_lock:
            core = self._ideal
            played = play_examples(core, SpeakerWriter(core, core.task.gold), [example])
        ideal = played[0].conversation.responses
        # Of one turn, all references; of a conversation, its ideal turns.
        references = example.references if core.max_turns == 1 else ideal
        return {**told, "prompt": example.prompt, "references": list(references or ideal)}

    def n_tasks(self, split: str) -> int:
        """Returns the number of tasks of a split."""
        return len(self.core.dataset(split))

    def splits(self) -> list[str]:
        """Returns the splits that have tasks."""
        return [split for split in SPLITS if self._has(split)]

    def _has(self, split: str) -> bool:
        try:
            return self.n_tasks(split) > 0
        except DatasetError:
            return False


class TextEnvironment(Environment[TextAction, TextObservation, TextState]):
    """One session: an episode at a time, in a slot of a served environment.

    Args:
        served: What it plays.
    """

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self, served: ServedEnvironment) -> None:
        super().__init__()
        self._served = served
        self._rng: np.random.Generator | None = None
        self._slot: int | None = None  # taken when an episode begins
        self._episode_id: str | None = None
        self._n_steps = 0

    def reset(
        self, seed: int | None = None, episode_id: str | None = None, **options: Any
    ) -> TextObservation:
        """Begins an episode: the one that the environment itself begins with this seed.

        Args:
            seed: Restarts the session's random numbers.
            episode_id: Name of the episode in `state`.
            options: "split" and "index" pin an example, as in `TextEnv.reset`.
        """
        for name in options:
            if name not in ("split", "index"):
                raise ConfigError(f"reset takes seed, split and index, not '{name}'.")
        if seed is not None or self._rng is None:
            self._rng, _ = seeding.np_random(seed)
        served = self._served
        example = served.core.choose_example(self._rng, options)
        if self._slot is None:
            self._slot = served.take_slot()
        info = served.start(self._slot, example)
        self._episode_id, self._n_steps = episode_id, 0
        return self._observe(None, False, info)

    def step(self, action: TextAction, timeout_s: float | None = None, **_: Any) -> TextObservation:
        """Takes a turn of the agent.

        Raises:
            ConfigError: No episode is running.
            RewardError: The episode ended and could not be scored.
        """
        if self._slot is None or not self._served.core.playing[self._slot]:
            raise ConfigError("This episode has ended, or none was begun: reset first.")
        reward, done, info = self._served.say(self._slot, action.text)
        self._n_steps += 1
        return self._observe(reward, done, info)

    @property
    def state(self) -> TextState:
        """The episode, and the limits of every one."""
        core = self._served.core
        return TextState(
            episode_id=self._episode_id,
            step_count=self._n_steps,
            env_id=self._served.id,
            max_turns=core.max_turns,
            max_new_tokens=core.max_new_tokens,
            max_prompt_tokens=core.max_prompt_tokens,
        )

    def get_metadata(self) -> EnvironmentMetadata:
        """Returns what the environment is."""
        served = self._served
        return EnvironmentMetadata(
            name=served.id, description=served.description, version=textenv.__version__
        )

    def close(self) -> None:
        """Gives the slot back."""
        if self._slot is not None:
            self._served.give_slot(self._slot)
            self._slot = None

    # OpenEnv's TaskProvider
    def list_splits(self) -> list[str]:
        """Returns the splits that have tasks."""
        return self._served.splits()

    def num_tasks(self, split: str) -> int:
        """Returns the number of tasks of a split."""
        return self._served.n_tasks(split)

    def list_tasks(self, split: str) -> list[dict[str, Any]]:
        """Returns the first thousand tasks of a split."""
        return self.get_task_range(split)

    def get_task(self, split: str, index: int) -> dict[str, Any]:
        """Returns one task."""
        return self._served.task(split, index)

    def get_task_range(
        self, split: str, start: int | None = None, stop: int | None = None
    ) -> list[dict[str, Any]]:
        """Returns tasks as a slice does, a thousand at most."""
        numbers = range(self._served.n_tasks(split))[start:stop][:_MOST_LISTED]
        return [self._served.task(split, index) for index in numbers]

    def _observe(self, reward: float | None, done: bool, info: Info) -> TextObservation:
        assert self._slot is not None
        core = self._served.core
        turns = core.turns[self._slot]
        n_opening = core.n_opening[self._slot]
        n_said = sum(turn.role == "assistant" for turn in turns[n_opening:])
        return TextObservation(
            done=done,
            reward=reward,
            metadata=info,
            messages=[TextMessage(role=turn.role, content=turn.text) for turn in turns],
            text="" if done else _latest(turns),
            turn="over" if done else "agent",
            remaining_turns=0 if done else core.max_turns - n_said,
            remaining_tokens=0 if done else core.max_new_tokens,
        )


def _latest(turns: list[Turn]) -> str:
    """Returns what was said since the agent's latest turn."""
    said: list[str] = []
    for turn in reversed(turns):
        if turn.role == "assistant":
            break
        said.append(turn.text)
    return "\n".join(reversed(said))
