"""Answers side by side, with the words marked in which each differs from the one before it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.training.report.run_record import Row, RunRecord
from textenv.chat import shorten
from textenv.report.changes import Piece, mark_changes
from textenv.report.numbers import format_number

_HEAD_CHARS, _TAIL_CHARS = 1500, 500  # of one text on a page
_COLUMNS = 5  # iterations side by side
_EXTREMES = 4  # answers of each kind
_ITERATIONS = 6  # of which sampled episodes are shown


@dataclass(frozen=True)
class Said:
    """A turn."""

    role: str  # "assistant" for the agent, "user" for the environment
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Answer:
    """What was answered once."""

    label: str  # when, or by which run
    reward: str
    said: tuple[Said, ...]
    change: str  # how many words differ from the answer before it; empty for none to compare with
    prompt: str = ""  # what was asked, where answers side by side have different questions


@dataclass(frozen=True)
class Asked:
    """A question with answers to it."""

    id: str
    prompt: str
    references: tuple[str, ...]
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Group:
    """Questions under a heading."""

    title: str
    lead: str
    asked: tuple[Asked, ...]


def make_progress(run: RunRecord) -> list[Asked]:
    """Returns the validation examples that each look answered, at a few iterations side by side."""
    by_id: dict[str, dict[int, Row]] = defaultdict(dict)
    for row in run.looks:
        by_id[row["id"]][row["iteration"]] = row
    iterations = sorted({row["iteration"] for row in run.looks})
    chosen = _spread(iterations, _COLUMNS)
    return [
        make_asked(
            next(iter(rows.values())),
            {_label(i): rows[i] for i in chosen if i in rows},
        )
        for rows in by_id.values()
    ]


def make_extremes(run: RunRecord) -> list[Group]:
    """Returns held-out examples with the best answers, the worst, and those that lost the most."""
    if not run.samples:
        return []
    stages = {s: _stage_label(run, s) for s in ("before", "best", "after") if s in run.samples[0]}
    used = "best" if "best" in run.samples[0] else "after"
    # Of equal rewards the one that rose the most comes first.
    ranked = sorted(run.samples, key=lambda r: (-r[used]["reward"], r["before"]["reward"]))
    losses = sorted(run.samples, key=lambda row: row[used]["reward"] - row["before"]["reward"])
    lost = [row for row in losses if row[used]["reward"] < row["before"]["reward"]]
    groups = [
        ("Best answers", "The answers with the highest reward.", ranked[:_EXTREMES]),
        ("Worst answers", "The answers with the lowest reward.", ranked[::-1][:_EXTREMES]),
        (
            "What became worse",
            "The answers that lost the most reward in training.",
            lost[:_EXTREMES],
        ),
    ]
    return [
        Group(
            title,
            lead,
            tuple(make_asked(row, {label: row[s] for s, label in stages.items()}) for row in rows),
        )
        for title, lead, rows in groups
        if rows
    ]


def make_rollouts(run: RunRecord) -> list[tuple[str, tuple[Answer, ...]]]:
    """Returns sampled episodes of a few iterations: the name of each, and the episodes."""
    by_iteration: dict[int, list[Row]] = defaultdict(list)
    for row in run.rollouts:
        by_iteration[row["iteration"]].append(row)
    return [
        (
            f"Iteration {i}",
            tuple(
                Answer(
                    "", format_number(row["reward"], 3), _unmarked(row), "", cut_text(row["prompt"])
                )
                for row in by_iteration[i]
            ),
        )
        for i in _spread(sorted(by_iteration), _ITERATIONS)
    ]


def make_asked(question: Row, answers: Mapping[str, Row], against_first: bool = False) -> Asked:
    """Returns a question with labelled answers, each compared with the one before or the first."""
    shown: list[Answer] = []
    before: Row | None = None
    for label, row in answers.items():
        turns = _turns(row)
        own = [text for role, text in turns if role == "assistant"]
        others = None if before is None else [t for r, t in _turns(before) if r == "assistant"]
        change = mark_changes(own, others)
        marked = iter(change.texts)
        said = tuple(
            Said(role, next(marked) if role == "assistant" else (Piece(text, False),))
            for role, text in turns
        )
        counted = "" if others is None else _count(change.n_new, change.n_gone)
        shown.append(Answer(label, format_number(row["reward"], 3), said, counted))
        before = before if against_first and before is not None else row
    references = tuple(cut_text(text) for text in question["references"])
    return Asked(question["id"], cut_text(question["prompt"]), references, tuple(shown))


def _turns(row: Row) -> list[tuple[str, str]]:
    turns = row.get("turns") or [{"role": "assistant", "text": row["response"]}]
    return [(turn["role"], cut_text(turn["text"])) for turn in turns]


def _unmarked(row: Row) -> tuple[Said, ...]:
    return tuple(Said(role, (Piece(text, False),)) for role, text in _turns(row))


def _count(n_new: int, n_gone: int) -> str:
    if not n_new and not n_gone:
        return "the same words"
    return f"{n_new} new word{'s' * (n_new != 1)}, {n_gone} gone"


def _stage_label(run: RunRecord, stage: str) -> str:
    if stage == "before":
        return "before training"
    if not run.result:
        return stage
    last = run.result["iterations"]
    if stage == "best":
        return f"best, iteration {run.result['best']['iteration']}"
    return f"last, iteration {last}"


def _label(iteration: int) -> str:
    return f"iteration {iteration}" if iteration else "before training"


def _spread(items: Sequence[int], n: int) -> list[int]:
    """Returns up to n items, the first and the last among them."""
    n = min(n, len(items))
    return [items[i * (len(items) - 1) // max(n - 1, 1)] for i in range(n)]


def cut_text(text: str) -> str:
    """Leaves out the middle of a text that is too long for a page."""
    return shorten(text.strip(), _HEAD_CHARS, _TAIL_CHARS)
