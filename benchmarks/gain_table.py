"""Writes the summaries of `benchmarks.gain` as Markdown, for docs/results.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agents.cli.display import interval

_HEAD = (
    "task (seeds)",
    "before",
    "after",
    "gain",
    "gold before",
    "gold after",
    "gold gain",
    "KL, nats",
    "turns that end",
    "episodes",
)
_CHARS = 220  # of a text that is shown


def table(summaries: Sequence[Mapping[str, Any]]) -> str:
    """Returns the table of gains, the table of baselines, and texts of every task."""
    texts = [line for summary in summaries for line in _texts(summary)]
    return "\n".join(
        [*_rows(_HEAD, map(_gains, summaries)), "", *_baselines(summaries), "", *texts]
    )


def _gains(summary: Mapping[str, Any]) -> list[str]:
    gold = summary["gold"]
    before, after = summary["ended"]
    return [
        f"{summary['task']} ({len(summary['seeds'])}), {summary['metric']}",
        interval(summary["baselines"]["zero-shot"]),
        _list(summary["after"]),
        interval(summary["gain"], signed=True),
        f"{gold['before']['mean']:.3f} ({gold['name']})",
        _list(gold["after"]),
        interval(gold["gain"], signed=True),
        ", ".join(f"{value:.1f}" for value in summary["kl_ref"]),
        f"{before[0]:.0%}, then {', '.join(f'{value:.0%}' for value in after)}",
        ", ".join(map(str, summary["episodes"])),
    ]


def _baselines(summaries: Sequence[Mapping[str, Any]]) -> list[str]:
    names = list(dict.fromkeys(name for s in summaries for name in s["baselines"]))
    rows = [
        [
            summary["task"],
            *(interval(found[name]) if name in found else "" for name in names),
            f"{summary['best_of']['mean']:.3f}",
        ]
        for summary in summaries
        for found in [summary["baselines"]]
    ]
    return _rows(["task", *names, f"best of {summaries[0]['best_of']['n']}"], rows)


def _texts(summary: Mapping[str, Any]) -> list[str]:
    lines = [f"{summary['task']}, seed {summary['seeds'][0]}, the best and the worst:", ""]
    for text in summary["texts"]:
        prompt, before, after = (_short(text[key]) for key in ("prompt", "before", "after"))
        lines.append(f"- {text['reward']:.2f}: {prompt} -> {after} (before: {before})")
    return [*lines, ""]


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _CHARS else f"... {text[-_CHARS:]}"


def _list(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *escaped)]
