"""A text task as a vector environment: the batched transition with Gymnasium's vector API."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from textenv.episode import AUTORESET_MODES, RENDER_MODES, TextCore, check_arguments
from textenv.errors import ConfigError
from textenv.examples import Example
from textenv.levels import Info, Observation
from textenv.rendering import RENDER_FPS, render_transcript, reward_text
from textenv.tokenization import EMBEDDED

_AUTORESET = dict(
    zip(
        AUTORESET_MODES,
        (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED),
        strict=True,
    )
)


# Reset options that may be given as a sequence with an entry a slot.
_PER_SLOT = ("index", "split")
# Those that name an example, so that none is drawn.
_PINNING = ("index", "prompt")


class TextVectorEnv(VectorEnv[Observation, Any, NDArray[Any]]):
    """Many conversations that step together; see `TextEnv` for spaces, rewards and arguments.

    Slot i is seeded with seed + i and plays the same stream as a single environment with that seed.
    Where Gymnasium has no array for a space (texts), actions and observations are tuples.

    Attributes:
        all_started: True once every slot has begun an episode, which `step` needs.
        choose_example: Chooses the example that a slot plays next, and the neighbours in its group
            with it, in place of the slot's random numbers; None leaves it to these.

    Args:
        num_envs: The number of slots.
        render_mode: As in `TextEnv`; `render` returns one frame a slot.
        autoreset_mode: Gymnasium's `AutoresetMode`, or its name. "next_step" (the default: the step
            after an end resets, ignores its action and pays 0), "same_step" (with `final_obs` and
            `final_info`) or "disabled": a slot that ended rests, whatever its action, until
            `reset(options={"reset_mask": mask})`.
        arguments: Those of `TextEnv`, and `max_episode_steps`, after which an unfinished episode is
            truncated (with `gym.make` Gymnasium's own wrapper does this).
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        render_mode: str | None = None,
        autoreset_mode: str | AutoresetMode = "next_step",
        **arguments: Any,
    ) -> None:
        if isinstance(autoreset_mode, AutoresetMode):
            autoreset_mode = autoreset_mode.name.lower()
        check_arguments(arguments, render_mode, autoreset_mode)
        self.core = TextCore(num_envs, **arguments)
        self.num_envs = num_envs
        self.render_mode = render_mode
        self._mode = _AUTORESET[autoreset_mode]
        self.metadata = {
            "render_modes": list(RENDER_MODES),
            "render_fps": RENDER_FPS,
            "autoreset_mode": self._mode,
        }
        self.single_observation_space = self.core.single_observation_space
        self.single_action_space = self.core.single_action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.all_started = False
        self.choose_example: Callable[[int], Example] | None = None
        self._rngs: list[np.random.Generator | None] = [None] * num_envs
        self._groups = _GroupDraws(num_envs)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Observation, Info]:
        """Begins an episode in every slot, or in those of `options["reset_mask"]`.

        Args:
            seed: Slot i is seeded with seed + i, or with its own entry of a sequence.
            options: As in `TextEnv`; "index" and "split" may also be sequences, one entry a slot.
                "group_size": k has slots 0 .. k - 1, k .. 2k - 1, ... play the same examples in the
                same order, now and at every restart, until all slots are reset again: k samples of
                each prompt, for best-of-n and group-relative methods. They are drawn with the
                random numbers of a group's first slot.
        """
        options = dict(options or {})
        mask = options.pop("reset_mask", None)
        group_size = options.pop("group_size", None)
        masked = np.ones(self.num_envs, np.bool_) if mask is None else self._check_mask(mask)
        if mask is None:
            self._groups = _GroupDraws(self.num_envs, self._check_group_size(group_size))
        elif group_size not in (None, self._groups.group_size):
            raise ConfigError('The reset option "group_size" is for all slots, not for some.')
        slots = np.flatnonzero(masked).tolist()
        seeds = self._seeds(seed)
        for slot in slots:
            if (slot_seed := seeds[slot]) is not None:
                self._rngs[slot], _ = seeding.np_random(slot_seed)
        infos = self._start(slots, options)
        return self.core.observe(), infos

    @property
    def random_states(self) -> list[dict[str, Any] | None]:
        """Each slot's random state, as JSON can hold it; None where nothing was drawn yet.

        Set to what it was, slots draw the same examples again, from their next episodes on.
        """
        return [None if rng is None else dict(rng.bit_generator.state) for rng in self._rngs]

    @random_states.setter
    def random_states(self, states: Sequence[dict[str, Any] | None]) -> None:
        if len(states) != self.num_envs:
            raise ConfigError(f"{len(states)} states were given for {self.num_envs} slots.")
        for slot, state in enumerate(states):
            if state is not None:
                rng, _ = seeding.np_random(0)
                rng.bit_generator.state = state
                self._rngs[slot] = rng

    def step(
        self, actions: Any
    ) -> tuple[Observation, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], Info]:
        """Takes an action in every slot: writes a token or a turn.

        Args:
            actions: Token ids or candidates' numbers (num_envs,), or as many texts.

        Raises:
            ConfigError: The actions are not one valid action a slot.
            RewardError: An episode ended and could not be scored. Slots whose episodes ended in
                this step were not paid, and begin anew as their autoreset mode says, but in
                "same_step", where they need a reset; the others go on.
            gymnasium.error.ResetNeeded: A slot has never begun an episode, or ended in a step that
                failed.
        """
        if not self.all_started:
            raise ResetNeeded("Not every slot has begun an episode yet: call reset().")
        resting = np.flatnonzero(~self.core.playing)
        if self._mode is AutoresetMode.SAME_STEP and len(resting):
            raise ResetNeeded(
                f"The episodes of slots {resting.tolist()} ended in a step that failed: call "
                'reset(), or reset(options={"reset_mask": ...}) for these slots.'
            )
        rewards, terminated, truncated, slot_infos = self.core.step(actions)
        if self.render_mode == "human":
            for slot in np.flatnonzero(terminated | truncated).tolist():
                result = reward_text(float(self.core.worth[slot]), slot_infos.get(slot, {}))
                render_transcript(self.core.transcript(slot), "human", result)
        infos: Info = {}
        if self._mode is AutoresetMode.SAME_STEP:
            ended = np.flatnonzero(terminated | truncated).tolist()
            for slot in ended:
                final = {
                    "final_obs": self.core.level.observe_slot(slot),
                    "final_info": slot_infos.pop(slot, {}),
                }
                infos = self._add_info(infos, final, slot)
            infos = self._add_infos(infos, slot_infos)
            infos = self._start(ended, {}, infos)
        else:
            infos = self._add_infos(infos, slot_infos)
            if self._mode is AutoresetMode.NEXT_STEP:
                infos = self._start(resting, {}, infos)
        return self.core.observe(), rewards, terminated, truncated, infos

    def render(self) -> tuple[Any, ...] | None:
        """Draws the conversations so far, one frame a slot; None as in `TextEnv`."""
        if self.render_mode is None or self.render_mode == "human":
            return None
        return tuple(
            render_transcript(self.core.transcript(slot), self.render_mode)
            for slot in range(self.num_envs)
        )

    def action_masks(self) -> NDArray[np.bool_]:
        """Returns which actions are open, bool (num_envs, n_actions); see `TextEnv`."""
        return self.core.level.action_masks()

    def _add_infos(self, infos: Info, slot_infos: dict[int, Info]) -> Info:
        for slot, info in slot_infos.items():
            infos = self._add_info(infos, info, slot)
        return infos

    def _start(
        self, slots: Iterable[int], options: dict[str, Any], infos: Info | None = None
    ) -> Info:
        infos = {} if infos is None else infos
        for slot in map(int, slots):
            own = {
                key: _entry(key, value, slot, self.num_envs) if key in _PER_SLOT else value
                for key, value in options.items()
            }
            if any(own.get(key) is not None for key in _PINNING):
                example = self.core.choose_example(self._rng(slot), own)
            else:
                example = self._groups.next(slot, partial(self._draw, own))
            infos = self._add_info(infos, self.core.start(slot, example), slot)
        self.all_started = self.all_started or None not in self.core.examples
        return infos

    def _draw(self, options: dict[str, Any], slot: int) -> Example:
        if self.choose_example is not None and options.get("split") is None:
            return self.choose_example(slot)
        return self.core.choose_example(self._rng(slot), options)

    def _rng(self, slot: int) -> np.random.Generator:
        rng = self._rngs[slot]
        if rng is None:
            rng, _ = seeding.np_random()
            self._rngs[slot] = rng
        return rng

    def _seeds(self, seed: int | Sequence[int | None] | None) -> Sequence[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int | np.integer):
            return [int(seed) + slot for slot in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise ConfigError(f"{len(seed)} seeds were given for {self.num_envs} slots.")
        return seed

    def _check_group_size(self, size: object) -> int:
        if size is None:
            return 1
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
            raise ConfigError(f'The reset option "group_size" is a whole number, not {size!r}.')
        if self.num_envs % size:
            raise ConfigError(
                f"{self.num_envs} slots do not divide into groups of {size}. Choose a num_envs "
                "that is a multiple of group_size."
            )
        return int(size)

    def _check_mask(self, mask: object) -> NDArray[np.bool_]:
        array = np.asarray(mask)
        if array.shape != (self.num_envs,) or array.dtype != np.bool_ or not array.any():
            raise ConfigError(
                f"reset_mask must be a bool array of shape ({self.num_envs},) with at least one "
                f"True, not {array.dtype} {array.shape}."
            )
        return array


class _GroupDraws:
    """Has the slots of a group play the same examples in the same order, each at its own pace.

    Args:
        n_slots: The number of slots.
        group_size: Number of neighbouring slots in a group.
    """

    def __init__(self, n_slots: int, group_size: int = 1) -> None:
        self.group_size = group_size
        self._n_played = [0] * n_slots
        self._n_dropped = [0] * n_slots
        self._drawn: list[list[Example]] = [[] for _ in range(n_slots)]

    def next(self, slot: int, draw: Callable[[int], Example]) -> Example:
        """Returns a slot's next example; `draw` draws one with the group's first slot's numbers."""
        first = slot - slot % self.group_size
        drawn, members = self._drawn[first], slice(first, first + self.group_size)
        place = self._n_played[slot] - self._n_dropped[first]
        if place == len(drawn):
            drawn.append(draw(first))
        example = drawn[place]
        self._n_played[slot] += 1
        if min(self._n_played[members]) > self._n_dropped[first]:
            del drawn[0]
            self._n_dropped[first] += 1
        return example


def _entry(key: str, value: Any, slot: int, n: int) -> Any:
    """One slot's entry of a reset option that may be given per slot."""
    if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray):
        return value
    if len(value) != n:
        raise ConfigError(f'The reset option "{key}" has {len(value)} entries for {n} slots.')
    entry = value[slot]
    return entry.item() if isinstance(entry, np.generic) else entry


def make_core(id: str, n_slots: int = 1, arguments: Mapping[str, Any] | None = None) -> TextCore:
    """Makes the slots of a registered environment; `arguments` override the registered ones."""
    env = gym.make_vec(id, num_envs=n_slots, **(arguments or {}))
    core: TextCore = env.unwrapped.core  # type: ignore[attr-defined] # ours is a TextVectorEnv
    return core


def environment_arguments(
    model: str, dataset: Any = None, reward: Any = None, env: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Returns an environment's arguments for a language model.

    The tokenizer is the model's, unless `env` names another.
    """
    arguments = dict(env or {})
    if model != EMBEDDED:
        arguments.setdefault("tokenizer", model)
    if dataset is not None:
        arguments["dataset"] = dataset
    if reward is not None:
        arguments["reward"] = reward
    return arguments
