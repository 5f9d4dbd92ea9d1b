"""Renders a leaderboard as one HTML page, and as Markdown."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agents.suite.leaderboard import Entry, Leaderboard
from textenv.report import make_environment, render_page
from textenv.report.intervals import make_axis
from textenv.report.numbers import format_duration, format_interval, format_number, format_p
from textenv.report.tables import (
    Column,
    Table,
    Value,
    make_table,
    place_bars,
    show_estimate,
    show_text,
    words_column,
)
from textenv.safe_text import for_terminal

_DECIMALS = 3
_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]<>|#!~&$@:"} | {"\n": " ", "\r": " "})
# Parts of an id, between which it may break.
_CAPITALS = re.compile(r"[A-Z]?[^A-Z]+|[A-Z]")
HOW = (
    "The score is the mean over tasks of the mean reward, on the scale on which a rule that "
    "understands nothing has 0 and ideal answers have 1; below the rule it is negative. Brackets "
    "are 95 % intervals over examples: what other examples of the same kind would bring. Ranks are "
    "all that the paired differences leave open, with all pairs tested at 5 % together (Holm)."
)


@dataclass(frozen=True)
class HeatCell:
    """A normalised mean of the table by task."""

    text: str
    title: str
    tint: int  # per cent
    falls: bool  # whether it is below the lazy rule


def render_leaderboard(board: Leaderboard, files: Sequence[str] = ()) -> str:
    """Returns the page, with links to files beside it."""
    suite = board.suite
    return render_page(
        make_environment("agents.suite"),
        "leaderboard.html.j2",
        title=f"{suite['name']}: leaderboard",
        data=board.to_json(),
        files=files,
        board=board,
        suite=suite,
        sentence=describe_ranking(board),
        how=HOW,
        main_table=make_main_table(board),
        heads=[(id, _CAPITALS.findall(id)) for id in board.ids],
        heat_rows=[(one.name, str(one.place), make_heat_row(one)) for one in board.entries],
        rewards_table=make_rewards_table(board),
        pairs_table=make_pairs_table(board),
        tasks_table=make_tasks_table(suite),
        facts_table=make_facts_table(board),
    )


def describe_ranking(board: Leaderboard) -> str:
    """Returns what may be said of the ranks, in a sentence or two."""
    entries = board.entries
    best = [one.name for one in entries if one.place.first == 1]
    n = board.suite["examples"]
    on = f"On {n} examples of each of {len(board.ids)} tasks"
    if len(entries) == 1:
        score = entries[0].score
        return (
            f"{on}, {best[0]} has a score of {format_number(score.mean, _DECIMALS)}, 95 % interval "
            f"{format_interval(score, _DECIMALS)}."
        )
    if len(best) == 1:
        said = f"{on}, {best[0]} is shown to be the best of {len(entries)} agents."
    else:
        said = (
            f"{on}, nothing shows which of {', '.join(best[:-1])} and {best[-1]} is the best of "
            f"{len(entries)} agents."
        )
    certain = sum(one.place.first == one.place.last for one in entries)
    return f"{said} {certain} of {len(entries)} ranks are certain."


def make_main_table(board: Leaderboard) -> Table:
    """Returns the table of ranks and scores."""
    axis = make_axis([one.score for one in board.entries])
    return make_table(
        "Leaderboard",
        board.entries,
        (words_column("Agent"), lambda one: show_text(one.name)),
        (Column("Rank"), lambda one: Value(str(one.place), sort=one.place.first)),
        (Column("Score"), _score),
        (
            Column("Score", "plot", axis),
            lambda one: replace(_score(one), small="", bars=place_bars(axis, own=one.score)),
        ),
        (words_column("Kind"), lambda one: show_text(one.kind)),
        (Column("Time"), _time),
    )


def make_heat_row(one: Entry) -> list[HeatCell]:
    """Returns the normalised mean of each task."""
    cells = []
    for id, mean in one.normalised.items():
        raw = one.rewards[id]
        title = (
            f"{one.name}, {id}: mean reward {format_number(raw.mean, _DECIMALS)} "
            f"{format_interval(raw, _DECIMALS)}"
        )
        tint = round(100 * min(1.0, abs(mean)))
        cells.append(HeatCell(format_number(mean), title, tint, mean < 0))
    return cells


def make_rewards_table(board: Leaderboard) -> Table:
    """Returns the raw mean rewards, a row a task."""

    def column(one: Entry) -> tuple[Column, Any]:
        return Column(one.name), lambda task: show_estimate(one.rewards[task["id"]])

    return make_table(
        "Mean rewards as the environments pay them",
        board.suite["tasks"],
        (words_column("Task"), lambda task: show_text(task["id"])),
        *(column(one) for one in board.entries),
    )


def make_pairs_table(board: Leaderboard) -> Table:
    """Returns the difference of each pair of agents, with its corrected p-value."""
    n, ranking = len(board.entries), board.ranking
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]

    def says(pair: tuple[int, int]) -> Value:
        if ranking.is_better(*pair):
            return replace(show_text("better"), mark="sound")
        return replace(show_text("cannot tell"), mark="unclear")

    def difference(pair: tuple[int, int]) -> Value:
        value = float(ranking.differences[pair])
        return Value(format_number(value, _DECIMALS, signed=True), sort=value)

    def p_value(pair: tuple[int, int]) -> Value:
        return Value(format_p(float(ranking.p_values[pair])), sort=float(ranking.p_values[pair]))

    return make_table(
        "Pairs of agents",
        pairs,
        (words_column("Agent"), lambda pair: show_text(board.entries[pair[0]].name)),
        (words_column("beside"), lambda pair: show_text(board.entries[pair[1]].name)),
        (Column("Difference"), difference),
        (Column("p, Holm"), p_value),
        (words_column("Says"), says),
    )


def describe_agent(agent: Mapping[str, Any]) -> str:
    """Returns what decides an agent's answers, in words."""
    known = {key: value for key, value in agent.items() if value not in (None, "", {})}
    return ", ".join(f"{key} {_plain(value)}" for key, value in known.items() if key != "kind")


def make_tasks_table(suite: Mapping[str, Any]) -> Table:
    """Returns what the suite fixes of each task."""

    def setting(key: str) -> Any:
        return lambda task: show_text(_plain(task["settings"].get(key, "")))

    def number(key: str) -> Any:
        return lambda task: Value(format_number(task[key], _DECIMALS), sort=float(task[key]))

    return make_table(
        "Tasks of the suite",
        suite["tasks"],
        (words_column("Task"), lambda task: show_text(task["id"])),
        (words_column("Data"), setting("dataset")),
        (words_column("Hash of examples"), lambda task: show_text(_plain(task.get("data", "")))),
        (words_column("Reward"), setting("reward")),
        (Column("Tokens an answer"), setting("max_new_tokens")),
        (Column("Turns"), setting("max_turns")),
        (Column("Lazy rule earns"), number("lazy")),
        (Column("Ideal answers earn"), number("gold")),
        (words_column("Lazy rule"), lambda task: Value("", detail=_plain(task.get("lazy_rule")))),
    )


def make_facts_table(board: Leaderboard) -> Table:
    """Returns how agents answered: whether they end their turns, and how long answers are."""

    def mean(one: Entry, key: str) -> float:
        return sum(facts[key] for facts in one.result.facts.values()) / len(board.ids)

    def count(one: Entry) -> Value:
        cut = sum(facts["prompts_cut"] for facts in one.result.facts.values())
        return Value(f"{cut:.0f}", sort=cut)

    return make_table(
        "Agents",
        board.entries,
        (words_column("Agent"), lambda one: show_text(one.name)),
        (words_column("What it is"), lambda one: show_text(describe_agent(one.result.agent))),
        (words_column("Computed on"), lambda one: show_text(one.result.device)),
        (Column("Answers that end by themselves"), lambda one: _share(mean(one, "ended_by_agent"))),
        (Column("Tokens an answer"), lambda one: _tokens(mean(one, "response_tokens"))),
        (Column("Prompts cut"), count),
    )


def render_markdown(board: Leaderboard) -> str:
    """Returns the leaderboard as Markdown: ranks and scores, and each task's normalised mean."""
    suite = board.suite
    heads = ("rank", "agent", "score [95 %]", *board.ids)
    rows = [
        (
            str(one.place),
            _escaped(one.name),
            f"{format_number(one.score.mean, _DECIMALS)} {format_interval(one.score, _DECIMALS)}",
            *(
                f"{format_number(mean)} ({format_number(one.rewards[id].mean)})"
                for id, mean in one.normalised.items()
            ),
        )
        for one in board.entries
    ]
    # Numbers first: a name in the first column would hide them on a narrow screen.
    lines = [
        "| " + " | ".join(map(_escaped_head, heads)) + " |",
        "|" + "---|" * len(heads),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
    return "\n".join(
        [
            f"# Leaderboard of {_escaped(suite['name'])}",
            "",
            f"{_escaped(suite['description'])} {suite['examples']} examples of each task; hash of "
            f"the suite `{board.suite_hash}`.",
            "",
            *lines,
            "",
            f"{HOW} In parentheses: mean rewards as the environments pay them.",
            "",
        ]
    )


def _score(one: Entry) -> Value:
    text = format_number(one.score.mean, _DECIMALS)
    return Value(text, format_interval(one.score, _DECIMALS), one.score.mean)


def _time(one: Entry) -> Value:
    seconds = one.result.seconds
    return Value("" if seconds is None else format_duration(seconds), sort=seconds)


def _share(share: float) -> Value:
    return Value(f"{share:.0%}", sort=share)


def _tokens(tokens: float) -> Value:
    return Value(format_number(tokens, 1), sort=tokens)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _escaped(text: str) -> str:
    """Returns a text that Markdown shows as it is, on one line, with no markup of any kind."""
    return " ".join(for_terminal(text).translate(_MARKDOWN).split())


def _escaped_head(text: str) -> str:
    return text if text in ("rank", "agent", "score [95 %]") else _escaped(text)
