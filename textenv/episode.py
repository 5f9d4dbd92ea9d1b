"""The transition of every text environment, batched over slots.

A slot is one running episode. The single environment is one slot of this, the vector environment
many; there is no second implementation, whatever the action level. Inside a turn a step is a few
array writes; only when a turn ends is text decoded, the task asked for its reply, and, when the
episode ends, the reward called: once for all the slots that end in the same step.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textenv.datasets import SPLITS, DatasetSpec, TextDataset, load_dataset
from textenv.errors import (
    ConfigError,
    PromptTooLongError,
    UnknownArgumentError,
    UnknownNameError,
    did_you_mean,
)
from textenv.examples import Episode, Example, StopReason, Turn
from textenv.levels import Info, Observation, make_level
from textenv.rewards import Reward, RewardResult, compute_rewards, load_reward
from textenv.rewards.base import call_reward
from textenv.rewards.dense import DensePay, potential_terms
from textenv.rewards.loading import RewardSpec
from textenv.slots import Rows, Slots
from textenv.tasks.base import Task
from textenv.tasks.loading import resolve_target
from textenv.tokenization import EMBEDDED, TokenizerSpec, load_tokenizer

Speaker = Callable[[Example, tuple[Turn, ...]], str]
RENDER_MODES = ("ansi", "human", "rgb_array")
AUTORESET_MODES = ("next_step", "same_step", "disabled")
RESET_OPTIONS = ("index", "split", "prompt", "references", "metadata")


class TextCore(Slots):
    """Slots that each play one episode of a task.

    Attributes:
        task: Task that is played.
        tokenizer: Tokenizer of prompts and responses.
        reward: Reward of an episode. At token level a dense one is paid within the episode.
        worth: Reward of each episode that ended in the latest step, 0 elsewhere, float64
            (n_slots,).
        level: Action level, which defines what the agent sees and does.
        end_listeners: Called with this core, the slot, what the episode is worth, whether it
            terminated, and info of every episode that `step` ends.
        mask_invalid: Whether `step` pays an episode that could not be scored NaN, with "valid"
            False and "invalid_reason" in its info, instead of raising. Only for an agent that
            leaves such episodes out of everything that it computes.
        defer: Takes each episode that `step` ends instead of the reward, for an agent that has it
            scored while other slots go on: the step pays 0, and the info has "pending" True. Not
            where `can_defer` is False.
        dataset_seed: Seed of a generated data set's stream.
        reward_s: Seconds that the reward has taken so far.
    """

    def __init__(
        self,
        n_slots: int,
        *,
        task: str | Task,
        task_kwargs: Mapping[str, Any] | None = None,
        tokenizer: TokenizerSpec = EMBEDDED,
        dataset: DatasetSpec,
        split: str = "train",
        reward: RewardSpec,
        action_level: str = "token",
        text_observation: str = "messages",
        max_prompt_tokens: int = 256,
        max_new_tokens: int = 64,
        max_turns: int = 1,
        dataset_seed: int = 0,
        max_episode_steps: int | None = None,
    ) -> None:
        counts = {
            "num_envs": n_slots,
            "max_prompt_tokens": max_prompt_tokens,
            "max_new_tokens": max_new_tokens,
            "max_turns": max_turns,
            "max_episode_steps": 1 if max_episode_steps is None else max_episode_steps,
        }
        for name, value in counts.items():
            if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
                raise ConfigError(f"{name} must be a whole number from 1 up, not {value!r}.")
        self.task = _load_task(task, task_kwargs or {})
        self.tokenizer = load_tokenizer(tokenizer)
        self.tokenizer.check_turns(max_turns)
        # The agent and the environment take turns, each within its own budget.
        window = int(max_turns * (max_prompt_tokens + max_new_tokens))
        super().__init__(n_slots, window, self.tokenizer.pad_id)
        self.level = make_level(
            action_level, self, self.task, self.tokenizer, int(max_new_tokens), text_observation
        )
        self.action_level = action_level
        self.single_observation_space = self.level.observation_space
        self.single_action_space = self.level.action_space
        self.split = split
        self.max_prompt_tokens = int(max_prompt_tokens)
        self.max_new_tokens = int(max_new_tokens)
        self.max_turns = int(max_turns)
        self.max_episode_steps = max_episode_steps
        self.reward = load_reward(reward)
        self.worth = np.zeros(n_slots, np.float64)
        self._dataset_spec = dataset
        self.dataset_seed = dataset_seed
        self._datasets: dict[str, TextDataset] = {}
        self.dataset(split)
        self.end_listeners: list[Callable[[TextCore, int, float, bool, Info], None]] = []
        self.mask_invalid = False
        self.defer: Callable[[Episode], None] | None = None
        self.reward_s = 0.0

    @property
    def reward(self) -> Reward:
        """What an episode is worth."""
        return self._reward

    @reward.setter
    def reward(self, reward: Reward) -> None:
        self._reward = reward
        terms = potential_terms(reward) if self.action_level == "token" else ()
        self._dense = DensePay(terms, self.n_slots) if terms else None

    def observe(self) -> Observation:
        """Returns every slot's observation, batched; it shares no memory with the slots."""
        return self.level.observe()

    def dataset(self, split: str | None = None) -> TextDataset:
        """Returns a split of the environment's dataset; by default its own."""
        name = split or self.split
        if name not in self._datasets:
            self._datasets[name] = load_dataset(
                self._dataset_spec,
                self.task,
                name,  # type: ignore[arg-type] # checked inside
                self.dataset_seed,
            )
        return self._datasets[name]

    def choose_example(self, rng: np.random.Generator, options: Mapping[str, Any]) -> Example:
        """Draws the example of the next episode, or takes the one that the options pin.

        Args:
            rng: The slot's own random numbers. One is drawn unless an example is pinned.
            options: "index" and "split" pin an example of the dataset; "prompt" with
                "references", and "metadata" where the task reads some, gives one by hand.
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
            return _example_by_hand(
                options["prompt"], options.get("references"), options.get("metadata")
            )
        for key in ("references", "metadata"):
            if options.get(key) is not None:
                raise ConfigError(f'The reset option "{key}" goes with "prompt".')
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
        # Until all is ready: no slot goes on with half of what failed to start.
        self.playing[slot] = False
        example = self.task.begin(example, slot)
        try:
            turns = self.task.opening(example)
        except KeyError as error:
            raise ConfigError(
                f"{type(self.task).__name__} needs the metadata {error} of example '{example.id}'. "
                'An example by hand takes it by the reset option "metadata".'
            ) from error
        try:
            ids, shown = self.tokenizer.encode_opening(turns, self.max_prompt_tokens)
        except PromptTooLongError as error:
            raise PromptTooLongError(f"Example '{example.id}': {error}") from None
        self.open(slot, example, shown, ids)
        if self._dense is not None:
            self._dense.start(slot)
        self.prompt_cut[slot] = shown != tuple(map(self.tokenizer.trim, turns))
        info = {"example_id": example.id, "prompt_cut": self.prompt_cut[slot]}
        info |= self._begin_turn(slot)
        self.playing[slot] = True
        return info

    def step(
        self, actions: Any
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[int, Info]]:
        """Takes an action in every slot that is playing; the others ignore theirs.

        Args:
            actions: One a slot: token ids or candidates' numbers (n_slots,), or a list of texts.

        Returns:
            What each slot is paid, terminated, truncated, each (n_slots,), and the info of each
            slot that has some: where an episode terminated, or, at select level, a new turn began.
            As with Gymnasium's TimeLimit, an episode that terminates at the last of
            `max_episode_steps` is both.

        Raises:
            ConfigError: The actions are not one valid action a slot; nothing was written.
            RewardError: An episode that was due for pay could not be scored. Each slot has taken
                its action all the same: those whose episodes ended in this step rest, unpaid, until
                they are started again, and the others go on as if nothing had happened.
        """
        rows = self.rows_playing()
        return self._finish_step(rows, self.level.write(rows, actions))

    def say(
        self, slots: NDArray[np.int64], texts: Sequence[str]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[int, Info]]:
        """Takes a whole turn of the agent in k slots, as text, whatever the action level.

        A text is cut to the budget like what is written token by token. Returns as `step`.
        """
        for slot, text in zip(slots.tolist(), texts, strict=True):
            ids = self.tokenizer.encode_turn(text, self.max_new_tokens)
            self.append(slot, ids, by_agent=True)
        return self._finish_step(slots, slots)

    def _finish_step(
        self, rows: Rows, ended_turn: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[int, Info]]:
        """Lets the environment answer where a turn has ended, and scores what ended with it."""
        rewards = np.zeros(self.n_slots, np.float64)
        terminated = np.zeros(self.n_slots, np.bool_)
        truncated = np.zeros(self.n_slots, np.bool_)
        infos: dict[int, Info] = {}
        finished: list[int] = []
        if len(ended_turn):
            # Set before anything below may raise: no slot goes on with a turn that has ended.
            self.playing[ended_turn] = False
            for slot in ended_turn.tolist():
                info = self._continue(slot)
                if info is None:
                    finished.append(slot)
                    continue
                self.playing[slot] = True
                if info:
                    infos[slot] = info
        if self.max_episode_steps is not None:
            self.n_actions[rows] += 1
            truncated[rows] = self.n_actions[rows] >= self.max_episode_steps
            self.playing[truncated] = False
        if finished and self.defer is not None:
            for slot in finished:
                self.defer(self.episode(slot))
                terminated[slot] = True
                infos[slot] = {"pending": True}
        elif finished:
            episodes = [self.episode(slot) for slot in finished]
            result = self.score(self.reward, episodes)
            for i, slot in enumerate(finished):
                rewards[slot] = result.total[i]
                terminated[slot] = True
                infos[slot] = final_info(episodes[i], result, i)
        self.worth = rewards
        paid = rewards if self._dense is None else self._pay_dense(rows, rewards, terminated)
        for listen in self.end_listeners:
            for slot in np.flatnonzero(terminated | truncated).tolist():
                ended = bool(terminated[slot])
                listen(self, slot, float(rewards[slot]), ended, infos.get(slot, {}))
        return paid, terminated, truncated, infos

    def score(self, reward: Reward, episodes: Sequence[Episode]) -> RewardResult:
        """Calls a reward, and raises for a missing score unless `mask_invalid` is set."""
        started_at = time.perf_counter()
        result = (call_reward if self.mask_invalid else compute_rewards)(reward, episodes)
        self.reward_s += time.perf_counter() - started_at
        return result

    @property
    def can_defer(self) -> bool:
        """Whether nothing needs to know at once what an episode is worth."""
        return self._dense is None and not self.end_listeners

    def episode(self, slot: int) -> Episode:
        """Returns a slot's episode as it stands."""
        length = int(self.lengths[slot])
        return Episode(
            example=self.example(slot),
            turns=tuple(self.turns[slot]),
            stop_reason=self._stop_reason(slot),
            input_ids=self.input_ids[slot, :length].copy(),
            action_mask=self.action_mask[slot, :length].copy(),
            prompt_cut=self.prompt_cut[slot],
            n_opening=self.n_opening[slot],
        )

    def so_far(self, slot: int) -> Episode:
        """Returns a slot's episode as it stands, an unfinished turn included."""
        return replace(self.episode(slot), turns=self.transcript(slot))

    def transcript(self, slot: int) -> tuple[Turn, ...]:
        """Returns the conversation so far, an unfinished agent turn included."""
        written = self.written(slot)
        turns = tuple(self.turns[slot])
        if not written or turns[-1].role == "assistant":
            return turns
        return (*turns, Turn("assistant", self.tokenizer.decode(written)))

    def _pay_dense(
        self, rows: Rows, rewards: NDArray[np.float64], terminated: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Returns what a step pays, given what the episodes that it ended are worth."""
        assert self._dense is not None
        n_tokens = np.zeros(self.n_slots, np.int64)
        n_tokens[rows] = np.count_nonzero(self.action_mask[rows], axis=1)
        return self._dense.pay(rewards, terminated, n_tokens, self.so_far, self.score)

    def _begin_turn(self, slot: int) -> Info:
        self.turn_starts[slot] = self.lengths[slot]
        self.remaining[slot] = self.max_new_tokens
        return self.level.begin_turn(slot)

    def _continue(self, slot: int) -> Info | None:
        """Ends the agent's turn; returns info if the environment replied, None at the end."""
        turns = self.turns[slot]
        turns.append(Turn("assistant", self.tokenizer.decode(self.written(slot)).strip()))
        if sum(t.role == "assistant" for t in turns[self.n_opening[slot] :]) >= self.max_turns:
            self.task.finish(self.example(slot), tuple(turns))
            return None
        reply = self.task.reply(self.example(slot), tuple(turns))
        if reply is None:
            return None
        closed = self._stop_reason(slot) == "end_of_turn"
        ids, said = self.tokenizer.encode_reply(reply, self.max_prompt_tokens, closed)
        self.prompt_cut[slot] |= said != self.tokenizer.trim(reply)
        turns.append(said)
        self.append(slot, ids)
        return self._begin_turn(slot)

    def _stop_reason(self, slot: int) -> StopReason:
        ended = self.last_token(slot) == self.tokenizer.end_id
        return "end_of_turn" if ended else "max_new_tokens"


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
            near = did_you_mean(name, known | {"render_mode", "autoreset_mode"})
            raise UnknownArgumentError(
                f"The environment got an unexpected keyword argument '{name}'.{near}"
            )
    if render_mode is not None and render_mode not in RENDER_MODES:
        raise UnknownNameError("render_mode", render_mode, RENDER_MODES)
    if autoreset_mode not in AUTORESET_MODES:
        raise UnknownNameError("autoreset_mode", autoreset_mode, AUTORESET_MODES)


def _load_task(task: str | Task, task_kwargs: Mapping[str, Any]) -> Task:
    if isinstance(task, Task):
        return task
    try:
        built = resolve_target(task)(**task_kwargs)
    except TypeError as error:
        raise ConfigError(
            f"Task '{task}' cannot be built from {dict(task_kwargs)}: {error}."
        ) from error
    assert isinstance(built, Task)
    return built


def _example_by_hand(prompt: object, references: object, metadata: object) -> Example:
    if isinstance(references, str):
        references = (references,)
    texts = isinstance(references, list | tuple) and all(isinstance(r, str) for r in references)
    if not isinstance(prompt, str) or not references or not texts:
        raise ConfigError(
            'The reset option "prompt" is a text, and needs "references" (one text or several) '
            "to be scored against."
        )
    if not isinstance(metadata, Mapping | None):
        raise ConfigError(f'The reset option "metadata" is a mapping, not {metadata!r}.')
    return Example("prompt", prompt, tuple(references), dict(metadata or {}))  # type: ignore[arg-type] # checked above to be texts


def final_info(episode: Episode, result: RewardResult, i: int) -> Info:
    """Returns what the info of an episode's last step says of it, given its result i of a batch."""
    info: Info = {
        "example_id": episode.example.id,
        "prompt_cut": episode.prompt_cut,
        "response": episode.response,
        "stop_reason": episode.stop_reason,
        "reward_components": {key: float(values[i]) for key, values in result.components.items()},
    }
    if result.valid is not None and not result.valid[i]:
        reason = result.reasons.get(i, "The reward gave no reason.")
        info |= {"valid": False, "invalid_reason": reason, "reward_components": {}}
    return info
