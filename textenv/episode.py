"""The transition of every text environment, batched over slots.

A slot is one running episode. The single environment is one slot of this, the vector environment
many; there is no second implementation. Inside a turn a step is a few array writes; only when a
turn ends is text decoded, the task asked for its reply, and, when the episode ends, the reward
called: once for all the slots that end in the same step.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from textenv.datasets import SPLITS, TextDataset, load_dataset
from textenv.errors import ConfigError, PromptTooLongError, UnknownNameError
from textenv.examples import Episode, Example, StopReason, Turn
from textenv.rewards import Reward, RewardResult, compute_rewards, load_reward
from textenv.tasks.base import Task
from textenv.tokenization import load_tokenizer

Info = dict[str, Any]
Speaker = Callable[[Example, tuple[Turn, ...]], str]
ACTION_LEVELS = ("token",)
RENDER_MODES = ("ansi", "human", "rgb_array")
AUTORESET_MODES = ("next_step", "same_step", "disabled")
RESET_OPTIONS = ("index", "split", "prompt", "references")


class TextCore:
    """Slots that each play one episode of a task, token by token.

    Attributes:
        input_ids: Every token of each slot's episode so far, int32 (n_slots, window).
        attention_mask: 1 where there is a token, int8 (n_slots, window).
        action_mask: True where the agent wrote the token, bool (n_slots, window).
        lengths: Tokens so far, int64 (n_slots,).
        remaining: Tokens left to the agent in this turn, int32 (n_slots,).
        playing: False for a slot that ended and was not reset, bool (n_slots,).
    """

    def __init__(
        self,
        n_slots: int,
        *,
        task: str | Task,
        task_kwargs: Mapping[str, Any] | None = None,
        tokenizer: Any = "embedded",
        dataset: Any,
        split: str = "train",
        reward: Any,
        action_level: str = "token",
        max_prompt_tokens: int = 256,
        max_new_tokens: int = 64,
        max_turns: int = 1,
        dataset_seed: int = 0,
        max_episode_steps: int | None = None,
    ) -> None:
        if action_level not in ACTION_LEVELS:
            raise UnknownNameError("action_level", action_level, ACTION_LEVELS)
        counts = {
            "num_envs": n_slots,
            "max_prompt_tokens": max_prompt_tokens,
            "max_new_tokens": max_new_tokens,
            "max_turns": max_turns,
            "max_episode_steps": 1 if max_episode_steps is None else max_episode_steps,
        }
        for name, value in counts.items():
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(f"{name} must be a whole number from 1 up, not {value!r}.")
        self.n_slots = n_slots
        self.task = _load_task(task, task_kwargs or {})
        self.tokenizer = load_tokenizer(tokenizer)
        self.split = split
        self.max_prompt_tokens = max_prompt_tokens
        self.max_new_tokens = max_new_tokens
        self.max_turns = max_turns
        self.max_episode_steps = max_episode_steps
        self.reward: Reward = load_reward(reward)
        self._load_split: Callable[[str], TextDataset] = lambda name: load_dataset(
            dataset,
            self.task,
            name,  # type: ignore[arg-type] # checked inside
            dataset_seed,
        )
        self._datasets: dict[str, TextDataset] = {split: self._load_split(split)}

        # The agent and the environment take turns, each within its own budget.
        self.window = max_turns * (max_prompt_tokens + max_new_tokens)
        self.single_observation_space, self.single_action_space = make_spaces(
            self.window, self.tokenizer.vocab_size, max_new_tokens
        )
        self.input_ids = np.full((n_slots, self.window), self.tokenizer.pad_id, np.int32)
        self.attention_mask = np.zeros((n_slots, self.window), np.int8)
        self.action_mask = np.zeros((n_slots, self.window), np.bool_)
        self.lengths = np.zeros(n_slots, np.int64)
        self.remaining = np.zeros(n_slots, np.int32)
        self.playing = np.zeros(n_slots, np.bool_)
        self._steps = np.zeros(n_slots, np.int64)
        self._turn_starts = np.zeros(n_slots, np.int64)
        self._examples: list[Example | None] = [None] * n_slots
        self._turns: list[list[Turn]] = [[] for _ in range(n_slots)]
        self._cut = [False] * n_slots
        self._all_slots = np.arange(n_slots)

    def observe(self) -> dict[str, NDArray[Any]]:
        """Returns copies of every slot's observation, (n_slots, ...) each."""
        return {
            "attention_mask": self.attention_mask.copy(),
            "input_ids": self.input_ids.copy(),
            "remaining": self.remaining[:, None].copy(),
        }

    def dataset(self, split: str | None = None) -> TextDataset:
        """Returns a split of the environment's dataset; by default its own."""
        name = split or self.split
        if name not in self._datasets:
            self._datasets[name] = self._load_split(name)
        return self._datasets[name]

    def choose_example(self, rng: np.random.Generator, options: Mapping[str, Any]) -> Example:
        """Draws the example of the next episode, or takes the one that the options pin.

        Args:
            rng: The slot's own random numbers. One is drawn unless an example is pinned.
            options: "index" and "split" pin an example of the dataset; "prompt" with
                "references" gives one by hand.
        """
        for key in options:
            if key not in RESET_OPTIONS:
                raise UnknownNameError("reset option", key, RESET_OPTIONS)
        split, index = options.get("split"), options.get("index")
        if options.get("prompt") is not None:
            if split is not None or index is not None:
                raise ConfigError(
                    'The reset option "prompt" gives an example by hand; "index" and "split" pin '
                    "one of the dataset. Use either."
                )
            return _example_by_hand(options["prompt"], options.get("references"))
        if options.get("references") is not None:
            raise ConfigError('The reset option "references" goes with "prompt".')
        if split is not None and split not in SPLITS:
            raise UnknownNameError("split", split, SPLITS)
        dataset = self.dataset(split)
        if index is None:
            index = rng.integers(len(dataset))
        elif isinstance(index, bool | np.bool_) or not isinstance(index, int | np.integer):
            raise ConfigError(f'The reset option "index" is a whole number, not {index!r}.')
        elif not 0 <= index < len(dataset):
            raise ConfigError(
                f"There is no example {index}: the '{split or self.split}' split has "
                f"{len(dataset)}, numbered from 0."
            )
        return dataset[int(index)]

    def start(self, slot: int, example: Example) -> Info:
        """Begins an episode of an example in a slot, and returns its info."""
        turns = self.task.opening(example)
        try:
            ids, self._cut[slot] = self.tokenizer.encode_opening(turns, self.max_prompt_tokens)
        except PromptTooLongError as error:
            raise PromptTooLongError(f"Example '{example.id}': {error}") from None
        self.input_ids[slot] = self.tokenizer.pad_id
        self.attention_mask[slot] = 0
        self.action_mask[slot] = False
        self.lengths[slot] = 0
        self._append(slot, ids)
        self._examples[slot] = example
        self._turns[slot] = [*turns]
        self._turn_starts[slot] = len(ids)
        self.remaining[slot] = self.max_new_tokens
        self._steps[slot] = 0
        self.playing[slot] = True
        return {"example_id": example.id, "prompt_cut": self._cut[slot]}

    def step(
        self, actions: NDArray[np.integer[Any]]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[int, Info]]:
        """Writes one token in every slot that is playing; the others ignore their action.

        Args:
            actions: A token id per slot, (n_slots,).

        Returns:
            rewards, terminated, truncated, each (n_slots,), and the info of each slot whose
            episode terminated. As with Gymnasium's TimeLimit, an episode that terminates at the
            last of `max_episode_steps` is both.

        Raises:
            ConfigError: The actions are not one token id a slot; nothing was written.
            RewardError: A finished episode could not be scored; its slot has ended.
        """
        rewards = np.zeros(self.n_slots, np.float64)
        terminated = np.zeros(self.n_slots, np.bool_)
        truncated = np.zeros(self.n_slots, np.bool_)
        if actions.shape != (self.n_slots,):
            raise ConfigError(
                f"step takes one token id a slot, shape ({self.n_slots},), not {actions.shape}."
            )
        playing = self.playing
        if playing.all():
            rows, tokens = self._all_slots, actions
        else:
            rows = np.flatnonzero(playing)
            tokens = actions[rows]
        self._check_tokens(rows, tokens)
        columns = self.lengths[rows]
        self.input_ids[rows, columns] = tokens
        self.attention_mask[rows, columns] = 1
        self.action_mask[rows, columns] = True
        self.lengths[rows] += 1
        self.remaining[rows] -= 1
        self._steps[rows] += 1

        infos: dict[int, Info] = {}
        ended_turn = rows[(tokens == self.tokenizer.end_id) | (self.remaining[rows] == 0)]
        # Set before anything below may raise: no slot goes on with a turn that has ended.
        self.playing[ended_turn] = False
        finished = []
        for slot in map(int, ended_turn):
            if self._continue(slot):
                self.playing[slot] = True
            else:
                finished.append(slot)
        if self.max_episode_steps is not None:
            truncated[rows] = self._steps[rows] >= self.max_episode_steps
            self.playing[truncated] = False
        if finished:
            episodes = [self.episode(slot) for slot in finished]
            result = compute_rewards(self.reward, episodes)
            for i, slot in enumerate(finished):
                rewards[slot] = result.total[i]
                terminated[slot] = True
                infos[slot] = _final_info(episodes[i], result, i)
        return rewards, terminated, truncated, infos

    def play(self, example: Example, speak: Speaker, slot: int = 0) -> Episode:
        """Plays a whole episode in a slot with an agent that answers in text.

        A reply too long for its budget is cut like one that was written token by token.

        Args:
            example: The task instance.
            speak: Given the example and the conversation so far, returns the agent's next turn.
            slot: Where to play it.
        """
        self.start(slot, example)
        while True:
            ids = self.tokenizer.encode(speak(example, tuple(self._turns[slot])))
            ids = [*ids, self.tokenizer.end_id][: self.max_new_tokens]
            start = self.lengths[slot]
            self._append(slot, ids)
            self.action_mask[slot, start : self.lengths[slot]] = True
            if not self._continue(slot):
                break
        self.playing[slot] = False
        return self.episode(slot)

    def episode(self, slot: int) -> Episode:
        """Returns a slot's episode as it stands."""
        example = self._examples[slot]
        assert example is not None, "the slot was never started"
        length = int(self.lengths[slot])
        return Episode(
            example=example,
            turns=tuple(self._turns[slot]),
            stop_reason=self._stop_reason(slot),
            input_ids=self.input_ids[slot, :length].copy(),
            action_mask=self.action_mask[slot, :length].copy(),
            prompt_cut=self._cut[slot],
        )

    def transcript(self, slot: int) -> tuple[Turn, ...]:
        """Returns the conversation so far, an unfinished agent turn included."""
        written = self.input_ids[slot, self._turn_starts[slot] : self.lengths[slot]]
        turns = tuple(self._turns[slot])
        if not len(written) or turns[-1].role == "assistant":
            return turns
        return (*turns, Turn("assistant", self.tokenizer.decode(written.tolist())))

    def _continue(self, slot: int) -> bool:
        """Ends the agent's turn; returns True if the environment replied and the agent goes on."""
        example = self._examples[slot]
        assert example is not None
        written = self.input_ids[slot, self._turn_starts[slot] : self.lengths[slot]]
        turns = self._turns[slot]
        turns.append(Turn("assistant", self.tokenizer.decode(written.tolist()).strip()))
        if sum(turn.role == "assistant" for turn in turns) >= self.max_turns:
            return False
        reply = self.task.reply(example, tuple(turns))
        if reply is None:
            return False
        closed = self._stop_reason(slot) == "end_of_turn"
        ids, was_cut = self.tokenizer.encode_reply(reply, self.max_prompt_tokens, closed)
        self._cut[slot] |= was_cut
        turns.append(reply)
        self._append(slot, ids)
        self._turn_starts[slot] = self.lengths[slot]
        self.remaining[slot] = self.max_new_tokens
        return True

    def _check_tokens(self, rows: NDArray[np.intp], tokens: NDArray[Any]) -> None:
        """Refuses actions that are no token ids: they would be stored, and fail far from here."""
        if tokens.dtype.kind not in "iu":
            raise ConfigError(f"An action is a token id, a whole number, not {tokens.dtype}.")
        # Seen as unsigned, a negative number is a huge one: one comparison finds both.
        largest = np.maximum.reduce(tokens.astype(np.uint64), initial=0)
        if largest >= self.tokenizer.vocab_size:
            valid = (tokens >= 0) & (tokens < self.tokenizer.vocab_size)
            bad = int(np.flatnonzero(~valid)[0])
            raise ConfigError(
                f"Action {tokens[bad]} in slot {rows[bad]} is not a token id: they go from 0 to "
                f"{self.tokenizer.vocab_size - 1}."
            )

    def _append(self, slot: int, ids: Sequence[int]) -> None:
        start = int(self.lengths[slot])
        stop = start + len(ids)
        self.input_ids[slot, start:stop] = ids
        self.attention_mask[slot, start:stop] = 1
        self.lengths[slot] = stop

    def _stop_reason(self, slot: int) -> StopReason:
        last = self.input_ids[slot, self.lengths[slot] - 1]
        return "end_of_turn" if last == self.tokenizer.end_id else "max_new_tokens"


def make_spaces(
    window: int, vocab_size: int, max_new_tokens: int
) -> tuple[gym.spaces.Dict, gym.spaces.Discrete[np.int64]]:
    """Returns the observation and the action space of one slot at token level."""
    observation_space = gym.spaces.Dict(
        {
            "attention_mask": gym.spaces.Box(0, 1, (window,), np.int8),
            "input_ids": gym.spaces.Box(0, vocab_size - 1, (window,), np.int32),
            "remaining": gym.spaces.Box(0, max_new_tokens, (1,), np.int32),
        }
    )
    return observation_space, gym.spaces.Discrete(vocab_size)


def check_arguments(
    arguments: Mapping[str, Any], render_mode: str | None, autoreset_mode: str
) -> None:
    """Refuses an argument or a mode that no environment has, naming the nearest one."""
    known = set(inspect.signature(TextCore.__init__).parameters) - {"self", "n_slots"}
    for name in ("task", "dataset", "reward"):
        if name not in arguments:
            raise ConfigError(
                f"The environment has no {name}: give {name}=... to make it, or set it in the "
                "registry's row."
            )
    for name in arguments:
        if name not in known:
            raise UnknownNameError(
                "environment argument", name, known | {"render_mode", "autoreset_mode"}
            )
    if render_mode is not None and render_mode not in RENDER_MODES:
        raise UnknownNameError("render_mode", render_mode, RENDER_MODES)
    if autoreset_mode not in AUTORESET_MODES:
        raise UnknownNameError("autoreset_mode", autoreset_mode, AUTORESET_MODES)


def _load_task(task: str | Task, task_kwargs: Mapping[str, Any]) -> Task:
    if isinstance(task, Task):
        return task
    from textenv.registry import resolve_target

    try:
        built = resolve_target(task)(**task_kwargs)
    except TypeError as error:
        raise ConfigError(
            f"Task '{task}' cannot be built from {dict(task_kwargs)}: {error}."
        ) from error
    assert isinstance(built, Task)
    return built


def _example_by_hand(prompt: object, references: object) -> Example:
    if isinstance(references, str):
        references = (references,)
    texts = isinstance(references, list | tuple) and all(isinstance(r, str) for r in references)
    if not isinstance(prompt, str) or not references or not texts:
        raise ConfigError(
            'The reset option "prompt" is a text, and needs "references" (one text or several) '
            "to be scored against."
        )
    return Example("prompt", prompt, tuple(references))  # type: ignore[arg-type] # checked above to be texts


def _final_info(episode: Episode, result: RewardResult, i: int) -> Info:
    return {
        "example_id": episode.example.id,
        "prompt_cut": episode.prompt_cut,
        "response": episode.response,
        "stop_reason": episode.stop_reason,
        "reward_components": {key: float(values[i]) for key, values in result.components.items()},
    }
