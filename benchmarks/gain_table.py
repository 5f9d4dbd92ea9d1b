"""Puts the runs of `benchmarks.gain` together, and writes them as Markdown, for docs/results.md."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.cli.display import interval
from benchmarks.gain_data import TASKS
from textenv.benchmark.effects import Effects
from textenv.benchmark.statistics import FloatArray, estimate_mean
from textenv.errors import ConfigError

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
    "tokens",
    "seconds",
)
_CHARS = 220  # of a text that is shown
_N_SHOWN = 3  # texts that are shown, of the best and of the worst


def summarize(folder: Path) -> list[dict[str, Any]]:
    """Puts the seeds of each task together, of the runs in a folder.

    The interval of a gain is over seeds and examples, both taken as samples.

    Raises:
        ConfigError: There is no finished run, or the seeds of a task had different examples.
    """
    found = [_summarize_task(folder, name) for name in TASKS]
    if not any(found):
        raise ConfigError(f"'{folder}' holds no finished run of benchmarks.gain.")
    return [summary for summary in found if summary]


def _summarize_task(folder: Path, name: str) -> dict[str, Any] | None:
    runs = sorted(path.parent for path in folder.glob(f"{name}-*/gold.json"))
    if not runs:
        return None
    results, golds = ([_read(run / file) for run in runs] for file in ("result.json", "gold.json"))
    samples = [_read_lines(run / "samples.jsonl") for run in runs]
    if len({tuple(row["id"] for row in rows) for rows in samples}) > 1:
        raise ConfigError(f"The runs of '{name}' were measured on different examples.")
    gains = np.array([[r["after"]["reward"] - r["before"]["reward"] for r in s] for s in samples])
    return {
        "task": name,
        "metric": TASKS[name].metric,
        "seeds": [result["seed"] for result in results],
        "before": results[0]["before"]["reward"],
        "cut": results[0]["before_cut_to_first_sentence"]["reward"],
        **_read(folder / f"{name}-start.json"),
        "after": [result["after"]["reward"]["mean"] for result in results],
        "gain": _over_seeds(gains),
        "gold": {
            "name": golds[0]["gold"],
            "before": golds[0]["before"]["mean"],
            "after": [gold["after"]["mean"] for gold in golds],
            "gain": _over_seeds(np.array([gold["gains"] for gold in golds])),
        },
        "ended": [_means(results, stage, "ended_by_agent") for stage in ("before", "after")],
        "tokens": [_means(results, stage, "response_tokens") for stage in ("before", "after")],
        "kl_ref": [result["kl_ref"] for result in results],
        "train_s": [result["train_wall_s"] for result in results],
        "texts": _texts(samples[0]),
    }


def _over_seeds(gains: FloatArray) -> dict[str, object]:
    """Estimates a mean of gains (seeds, examples); from one seed over the examples alone."""
    if len(gains) == 1:
        return estimate_mean(gains[0]).to_json()
    return Effects({"": gains}).since_start("").estimate().to_json()


def _means(results: Sequence[Mapping[str, Any]], stage: str, metric: str) -> list[float]:
    return [result[stage]["metrics"][metric]["mean"] for result in results]


def _texts(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns what is said of the examples with the best rewards after training, and the worst."""
    order = np.argsort([-row["after"]["reward"] for row in rows], kind="stable")
    return [
        {
            "prompt": rows[i]["prompt"],
            "before": rows[i]["before"]["response"],
            "after": rows[i]["after"]["response"],
            "reward": rows[i]["after"]["reward"],
        }
        for i in dict.fromkeys([*order[:_N_SHOWN], *order[-_N_SHOWN:]])
    ]


def table(summaries: Sequence[Mapping[str, Any]]) -> str:
    """Returns the table of gains, the table of baselines, and texts of every task."""
    texts = [line for summary in summaries for line in _text_lines(summary)]
    return "\n".join(
        [*_rows(_HEAD, map(_gains, summaries)), "", *_baselines(summaries), "", *texts]
    )


def _gains(summary: Mapping[str, Any]) -> list[str]:
    gold = summary["gold"]
    (ended, then_ended), (tokens, then_tokens) = summary["ended"], summary["tokens"]
    return [
        f"{summary['task']} ({len(summary['seeds'])}), {summary['metric']}",
        interval(summary["before"]),
        _list(summary["after"], ".3f"),
        interval(summary["gain"], signed=True),
        f"{gold['before']:.3f} ({gold['name']})",
        _list(gold["after"], ".3f"),
        interval(gold["gain"], signed=True),
        _list(summary["kl_ref"], ".1f"),
        f"{ended[0]:.0%}, then {_list(then_ended, '.0%')}",
        f"{tokens[0]:.0f}, then {_list(then_tokens, '.0f')}",
        _list(summary["train_s"], ".0f"),
    ]


def _baselines(summaries: Sequence[Mapping[str, Any]]) -> list[str]:
    names = list(dict.fromkeys(name for s in summaries for name in s["baselines"]))
    best = f"best of {summaries[0]['best_of']['n']} samples"
    rows = [
        [
            summary["task"],
            interval(summary["before"]),
            interval(summary["cut"]),
            *(interval(found[name]) if name in found else "" for name in names),
            f"{summary['best_of']['mean']:.3f}",
            _list(summary["after"], ".3f"),
        ]
        for summary in summaries
        for found in [summary["baselines"]]
    ]
    return _rows(["task", "before", "before, its first sentence", *names, best, "after"], rows)


def _text_lines(summary: Mapping[str, Any]) -> list[str]:
    lines = [f"{summary['task']}, seed {summary['seeds'][0]}, the best and the worst:", ""]
    for text in summary["texts"]:
        prompt, before, after = (_short(text[key]) for key in ("prompt", "before", "after"))
        lines.append(f"- {text['reward']:.2f}: {prompt} -> {after} (before: {before})")
    return [*lines, ""]


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _CHARS else f"... {text[-_CHARS:]}"


def _list(values: Sequence[float], form: str) -> str:
    return ", ".join(f"{value:{form}}" for value in values)


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *escaped)]


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
