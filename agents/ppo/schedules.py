"""Options that are numbers or SB3 schedules: functions of the progress that remains."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, PositiveFloat

_LINEAR = ("start", "end", "end_fraction")


def _read_schedule(value: Any) -> Any:
    """Reads a number, a function of the remaining progress, or the result of `_write_schedule`."""
    if isinstance(value, Mapping) and set(value) == set(_LINEAR):
        from stable_baselines3.common.utils import LinearSchedule

        value = LinearSchedule(**value)
    if callable(value):
        ends = [float(value(progress)) for progress in (1.0, 0.0)]
        if not all(math.isfinite(end) and end >= 0 for end in ends):
            raise ValueError("a schedule should give finite numbers from 0 up")
        # Found out when the agent is saved, it would cost the run.
        _write_schedule(value)
    return value


def _write_schedule(value: Any) -> Any:
    """Returns a schedule as a JSON value."""
    value = getattr(value, "value_schedule", value)  # SB3's FloatSchedule
    value = getattr(value, "val", value)  # SB3's ConstantSchedule
    if value is None or isinstance(value, int | float):
        return value
    if all(hasattr(value, name) for name in _LINEAR):
        return {name: getattr(value, name) for name in _LINEAR}
    raise ValueError(
        "a schedule that is a function cannot be saved with the agent; use a number or "
        "stable_baselines3.common.utils.LinearSchedule(start, end, end_fraction)"
    )


# A number, or an SB3 schedule: a function of the remaining progress, from 1 down to 0.
Scheduled = Annotated[
    PositiveFloat | Callable[[float], float],
    BeforeValidator(_read_schedule),
    PlainSerializer(_write_schedule, when_used="json-unless-none"),
]


def number(value: float | Callable[[float], float]) -> float:
    """Returns an option that `PPOOptions.at` has made a number."""
    assert not callable(value), "a schedule: call PPOOptions.at first"
    return value
