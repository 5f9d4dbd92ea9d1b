"""Filters and searches the texts that runs have kept."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from agents.serve.text_index import Place
from agents.serve.watched_run import Stage, WatchedRun
from textenv.errors import ConfigError

Order = Literal["newest", "highest", "lowest"]
STAGES: Mapping[str, str] = {
    "rollout": "sampled while it trained",
    "look": "validation, greedy",
    "sample": "held-out, before and after",
}
ORDERS: Mapping[str, str] = {
    "newest": "latest iteration first",
    "highest": "highest reward first",
    "lowest": "lowest reward first",
}
_AT_A_TIME = 500  # texts in memory
_WORD = re.compile(r'"([^"]*)"|(\S+)')


@dataclass(frozen=True)
class TextQuery:
    """Which texts are wanted."""

    runs: tuple[str, ...] = ()  # ids; empty for all
    stage: str = ""  # "rollout", "look" or "sample"; empty for all
    first: int | None = None  # least iteration
    last: int | None = None  # greatest iteration
    low: float | None = None  # least reward
    high: float | None = None  # greatest reward
    search: str = ""  # words, and phrases in double quotes, that a text must all have
    order: Order = "newest"

    @property
    def words(self) -> tuple[str, ...]:
        """The words and phrases of the search."""
        found = (match[1] or match[2] or "" for match in _WORD.finditer(self.search))
        return tuple(word for word in found if word.strip())

    def to_parameters(self) -> list[tuple[str, str]]:
        """Returns the parameters of a request that asks for the same."""
        named = {key: getattr(self, key) for key in ("stage", "first", "last", "low", "high")}
        named |= {"search": self.search, "order": "" if self.order == "newest" else self.order}
        given = [(key, str(value)) for key, value in named.items() if value not in ("", None)]
        return [*(("run", id) for id in self.runs), *given]


@dataclass(frozen=True, slots=True)
class FoundText:
    """An answer that was asked for."""

    run: WatchedRun
    stage: Stage
    place: Place
    iteration: int  # -1 where it is not known


def read_query(given: Sequence[tuple[str, str]]) -> TextQuery:
    """Reads the parameters of a request; those that are left empty do not count.

    Raises:
        ConfigError: A value is not one of the choices, or no number.
    """
    values = {key: value.strip() for key, value in given if value.strip()}
    stage, order = values.get("stage", ""), values.get("order", "newest")
    if stage not in ("", *STAGES):
        raise ConfigError(f"There are no texts called '{stage}'. Choose {' or '.join(STAGES)}.")
    if order not in get_args(Order):
        raise ConfigError(f"There is no order '{order}'. Choose {' or '.join(ORDERS)}.")
    return TextQuery(
        runs=tuple(dict.fromkeys(value for key, value in given if key == "run" and value)),
        stage=stage,
        first=_read_int("first iteration", values.get("first")),
        last=_read_int("last iteration", values.get("last")),
        low=_read_float("lowest reward", values.get("low")),
        high=_read_float("highest reward", values.get("high")),
        search=values.get("search", ""),
        order=order,  # type: ignore[arg-type] # one of the choices
    )


def find_texts(runs: Sequence[WatchedRun], query: TextQuery) -> list[FoundText]:
    """Returns the texts of some runs that a query asks for, in its order."""
    found = [
        text
        for run in runs
        if not query.runs or run.id in query.runs
        for stage in run.texts
        if query.stage in ("", stage)
        for text in _places(run, stage)
        if _is_within(text, query)
    ]
    if query.words:
        wanted = [word.lower() for word in query.words]
        rows = read_texts(found, wanted)
        found = [text for text, row in rows if _has_all(row, wanted)]
    if query.order == "newest":
        return sorted(found, key=lambda text: -text.iteration)
    sign = -1 if query.order == "highest" else 1
    # What has no reward comes last in either order.
    return sorted(found, key=lambda t: _last_if_nan(sign * t.place.reward))


def read_texts(
    found: Sequence[FoundText], words: Sequence[str] = ()
) -> Iterator[tuple[FoundText, dict[str, Any]]]:
    """Yields each text with its row: what was asked, and the answer's own keys.

    Args:
        found: Texts. They are strings in the rows, whatever the file has in their place.
        words: Lower-case words. A row may be empty whose line lacks one of them.
    """
    # JSON has letters and digits as they are, so a line can be passed over without being parsed.
    plain = [word.encode() for word in words if word.isascii() and word.isalnum()]
    for start in range(0, len(found), _AT_A_TIME):
        texts = found[start : start + _AT_A_TIME]
        wanted: dict[tuple[WatchedRun, Stage], set[int]] = defaultdict(set)
        for text in texts:
            wanted[text.run, text.stage].add(text.place.line)
        rows = {
            (run, stage, line): row
            for (run, stage), lines in wanted.items()
            for line, row in zip(
                sorted(lines), run.texts[stage].read(sorted(lines), plain), strict=True
            )
        }
        for text in texts:
            row = rows[text.run, text.stage, text.place.line]
            yield text, _tidy(row | (row.get(text.place.part) or {}))


def _places(run: WatchedRun, stage: Stage) -> Iterator[FoundText]:
    index = run.texts[stage]
    index.refresh()
    best = run.result.get("best")
    known = {
        "before": 0,
        "best": best.get("iteration", -1) if isinstance(best, dict) else -1,
        "after": run.result.get("iterations", -1),
    }
    for place in index.places():
        iteration = known[place.part] if place.part else place.iteration
        yield FoundText(run, stage, place, iteration if isinstance(iteration, int) else -1)


def _is_within(text: FoundText, query: TextQuery) -> bool:
    reward = text.place.reward
    return (
        (query.first is None or text.iteration >= query.first)
        and (query.last is None or text.iteration <= query.last)
        # No comparison holds for NaN: a text without a reward is in no range of rewards.
        and (query.low is None or reward >= query.low)
        and (query.high is None or reward <= query.high)
    )


def _has_all(row: Mapping[str, Any], wanted: Sequence[str]) -> bool:
    parts = [row["id"], row["prompt"], row["response"], *row["references"]]
    text = "\n".join([*parts, *(turn["text"] for turn in row["turns"])]).lower()
    return all(word in text for word in wanted)


def _tidy(row: Mapping[str, Any]) -> dict[str, Any]:
    references, turns = row.get("references"), row.get("turns")
    return {key: _text(row.get(key)) for key in ("id", "prompt", "response", "stop_reason")} | {
        "references": [_text(one) for one in references] if isinstance(references, list) else [],
        "turns": [
            {key: _text(turn.get(key)) for key in ("role", "text")}
            for turn in (turns if isinstance(turns, list) else [])
            if isinstance(turn, dict)
        ],
    }


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _last_if_nan(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _read_int(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,15}", text, re.ASCII):
        raise ConfigError(f"The {name} is '{text}', which is no whole number.")
    return int(text)


def _read_float(name: str, text: str | None) -> float | None:
    try:
        number = None if text is None else float(text)
    except ValueError:
        number = math.nan
    if number is not None and not math.isfinite(number):
        raise ConfigError(f"The {name} is '{text}', which is no number.")
    return number
