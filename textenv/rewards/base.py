"""The contract of a reward: a batch of finished episodes in, one checked score each out."""

from __future__ import annotations

import sysconfig
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, fields, is_dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from textenv.deadlines import INTERRUPTIONS, REWARD_VARIABLE, call_within, reward_limit_s
from textenv.errors import DeadlineError, RewardError, TextEnvError, describe_error, shown
from textenv.examples import Episode

FloatArray = NDArray[np.float64]

# Scores and their squares are averaged in float64, whose largest number is 1.8e308.
_LARGEST = 1e150
_SEARCH_S = 5.0  # time to find the episode that a reward fails on


@dataclass(frozen=True)
class RewardResult:
    """Scores of n episodes.

    Attributes:
        total: Rewards of the episodes, float64 (n,).
        components: Named parts or by-products of the total, float64 (n,) each.
        valid: False where no score could be given, bool (n,). None means all valid. What stands in
            `total` and `components` there does not count: `call_reward` writes NaN over it, so
            that nothing can take it for a score.
        reasons: Why there is not a score, in words, by the episode's place in the batch.
    """

    total: FloatArray
    components: Mapping[str, FloatArray] = field(default_factory=dict)
    valid: NDArray[np.bool_] | None = None
    reasons: Mapping[int, str] = field(default_factory=dict)


@runtime_checkable
class Reward(Protocol):
    """A plain callable on a batch of finished episodes."""

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult | Any:
        """Scores the episodes, in order.

        Returns:
            A result, or a list, an array or a tensor with one number an episode.

        Raises:
            RewardError: An example lacks what the reward reads, or cannot be scored.
        """
        ...


def name_of(reward: Reward) -> str:
    """Returns what messages and components call a reward."""
    return str(getattr(reward, "name", None) or getattr(reward, "__name__", type(reward).__name__))


def waits(reward: object) -> bool:
    """Tells whether a reward, or one that it is made of, waits for an answer from elsewhere.

    Such a reward has an attribute `waits` that is True. It can be called in a thread while the
    agent goes on, and what it gives for an episode does not depend on the batch.
    """
    if isinstance(reward, tuple):
        return any(waits(part) for part in reward)
    if getattr(reward, "waits", False) is True:
        return True
    if not is_dataclass(reward) or isinstance(reward, type):
        return False
    return any(waits(getattr(reward, part.name)) for part in fields(reward))


def call_reward(
    reward: Reward, episodes: Sequence[Episode], name: str | None = None
) -> RewardResult:
    """Calls a reward and checks what it returned, but for missing scores: `valid` tells of them.

    The totals and components of an episode without a score are NaN. Messages call the reward by the
    name, if one is given, or else by its own.

    Raises:
        RewardError: The reward raised, the result has the wrong type or length, or a score is not
            finite or so large that sums of such numbers overflow.
        DeadlineError: The reward took longer than `textenv.deadlines.reward_limit_s`.
    """
    name = name or name_of(reward)
    ids = list(dict.fromkeys(episode.example.id for episode in episodes))
    scored = ", ".join(f"'{id}'" for id in ids[:3]) + (", ..." if len(ids) > 3 else "")
    try:
        # A copy: a reward that empties or sorts its list changes no other one's.
        call = partial(reward, list(episodes))
        result = call_within(call, f"reward '{name}'", reward_limit_s())
    except DeadlineError as error:
        raise DeadlineError(
            f"{error} It was scoring {scored}. Mend it, or give it more time with "
            f"reward_timeout_s=..., or the environment variable {REWARD_VARIABLE}."
        ) from error
    except TextEnvError:
        raise
    except INTERRUPTIONS:
        raise
    except BaseException as error:  # a reward that ends the process would end a run
        raise RewardError(
            f"Reward '{name}' raised {describe_error(error)} ({_place(error)}). It was "
            f"scoring {_failing(reward, episodes) or scored}."
        ) from error
    if not isinstance(result, RewardResult):
        total = _to_floats(result)
        if total is None:
            raise RewardError(
                f"Reward '{name}' returned {'nothing' if result is None else shown(result)}; "
                "return a list, an array or a tensor with one number an episode, or a "
                "textenv.RewardResult."
            )
        result = RewardResult(total, {} if name == "total" else {name: total})
    for key in ("components", "reasons"):
        if not isinstance(getattr(result, key), Mapping):
            raise RewardError(
                f"Reward '{name}' returned {type(getattr(result, key)).__name__} as '{key}'; "
                "they must be a mapping."
            )
    n = len(episodes)
    valid = np.ones(n, np.bool_) if result.valid is None else np.asarray(result.valid, np.bool_)
    if valid.shape != (n,):
        raise RewardError(f"Reward '{name}' returned 'valid' of shape {valid.shape}, not ({n},).")
    if "total" in result.components:
        raise RewardError(f"Reward '{name}' has a component called 'total'; call it otherwise.")
    arrays = {"total": result.total, **result.components}
    checked = {key: _part_floats(value, name, key) for key, value in arrays.items()}
    for key, value in checked.items():
        if value.shape != (n,):
            raise RewardError(
                f"Reward '{name}' returned '{key}' of shape {value.shape} for {n} episodes; "
                f"it must be ({n},): one number an episode, in order. It was scoring {scored}."
            )
        if not np.isfinite(value[valid]).all():
            bad = int(np.flatnonzero(valid & ~np.isfinite(value))[0])
            raise RewardError(
                f"Reward '{name}' returned '{key}' = {value[bad]} for example "
                f"'{episodes[bad].example.id}'. Scores must be finite; give a worst score instead."
            )
        if (np.abs(value[valid]) > _LARGEST).any():
            bad = int(np.flatnonzero(valid & (np.abs(value) > _LARGEST))[0])
            raise RewardError(
                f"Reward '{name}' returned '{key}' = {value[bad]:g} for example "
                f"'{episodes[bad].example.id}'. Sums and squares of such numbers overflow: stay "
                f"within {_LARGEST:g} in size."
            )
    if not valid.all():
        # An array that stands under two names, such as a total that is its own part, stays one.
        masked = {id(value): np.where(valid, value, np.nan) for value in checked.values()}
        checked = {key: masked[id(value)] for key, value in checked.items()}
    return RewardResult(checked.pop("total"), checked, valid, result.reasons)


def _place(error: BaseException) -> str:
    """Says where an exception was raised: in the last line of the user's own code, if any."""
    # The first are `call_reward` and `call_within`.
    frames = traceback.extract_tb(error.__traceback__)[2:]
    libraries = tuple(set(sysconfig.get_paths().values()))
    own = [frame for frame in frames if not frame.filename.startswith(libraries)]
    if not frames:
        return "when it was called: it has to take a list of episodes"
    frame = (own or frames)[-1]
    return f"{frame.filename}, line {frame.lineno}, in {frame.name}"


def _failing(reward: Reward, episodes: Sequence[Episode]) -> str:
    """Finds the example that a reward fails on, by itself; "" if it does not, or is slow."""

    def search() -> str:
        for episode in () if waits(reward) else episodes:
            try:
                reward([episode])
            except INTERRUPTIONS:
                raise
            except BaseException:
                return f"'{episode.example.id}'"
            if time.monotonic() > until:
                break
        return ""

    until = time.monotonic() + _SEARCH_S
    try:
        return call_within(search, "the example that failed", 2 * _SEARCH_S, kind="search")
    except DeadlineError:
        return ""


def _part_floats(values: object, name: str, key: object) -> FloatArray:
    """Returns a total or a component of a result as an array."""
    if not isinstance(key, str):
        raise RewardError(f"Reward '{name}' has a component called {key!r}, which is not a text.")
    array = _to_floats(values)
    if array is None:
        raise RewardError(
            f"Reward '{name}' returned a '{key}' that is not an array of numbers: {shown(values)}."
        )
    return array


def _to_floats(values: Any) -> FloatArray | None:
    """Returns a list, an array or a tensor of numbers as an array; None if it is no such thing."""
    if values is None:
        return None
    try:
        if isinstance(values, Iterable) and not hasattr(values, "__array__"):
            if isinstance(values, str | bytes | Mapping | Set):
                return None
            values = [value.item() if hasattr(value, "detach") else value for value in values]
        if isinstance(values, np.ma.MaskedArray):
            values = values.filled(np.nan)
        if hasattr(values, "detach"):  # a tensor, perhaps on a GPU, of a graph, or in bfloat16
            values = values.detach().cpu().double()
        array = np.asarray(values)
        if array.dtype.kind in "biufO":  # no text, and of a complex number no part
            return array.astype(np.float64, copy=False)
    except (TypeError, ValueError, RuntimeError, OverflowError):  # uneven rows, other objects
        pass
    return None


def compute_rewards(reward: Reward, episodes: Sequence[Episode]) -> RewardResult:
    """Calls a reward and checks what it returned.

    Raises:
        RewardError: The reward raised, the result has the wrong type or length, or a score is
            missing or not finite.
    """
    result = call_reward(reward, episodes)
    assert result.valid is not None
    if not result.valid.all():
        bad = np.flatnonzero(~result.valid).tolist()
        several = f" and {len(bad) - 1} more of {len(episodes)}" if len(bad) > 1 else ""
        reason = result.reasons.get(bad[0], "it gave no reason.")
        raise RewardError(
            f"Reward '{name_of(reward)}' could not score example '{episodes[bad[0]].example.id}'"
            f"{several}: {reason} An episode without a score ends the run rather than counting as "
            "0."
        )
    return result
