"""The rows of the list of runs."""

from __future__ import annotations

import json
from dataclasses import dataclass

from agents.serve.watched_run import State, WatchedRun
from agents.training.report.run_record import describe_episodes
from agents.training.report.verdict import find_headline
from textenv.benchmark.statistics import Estimate
from textenv.chat import shorten
from textenv.errors import TextEnvError
from textenv.registry import environment_row
from textenv.report.metric_rows import LOOK, REWARD
from textenv.report.numbers import format_interval, format_number
from textenv.report.tables import Value, show_text

_DECIMALS = 3
_NAME_CHARS = 60, 30
_ERROR_CHARS = 80, 20
COLUMNS = (
    ("Run", "words"),
    ("State", "words"),
    ("Iteration", "number"),
    ("Rollout reward", "number"),
    ("Validation reward", "number"),
    ("Gain", "number"),
    ("Environment", "words"),
    ("Model", "words"),
    ("Reward", "words"),
)


@dataclass(frozen=True)
class Row:
    """A run in the list."""

    id: str
    name: str
    cells: tuple[Value, ...]  # of every column but the first


def make_row(run: WatchedRun, state: State) -> Row:
    """Returns what the list tells of a run."""
    config, metrics = run.config, run.metrics
    names = (str(config.get("id")), str(config.get("model")), _reward_of(run))
    return Row(
        run.id,
        run.name,
        (
            Value(state, shorten(run.error, *_ERROR_CHARS), sort=state, mark=state),
            Value(str(run.iterations), _describe_episodes(run), float(run.iterations)),
            _show(metrics.last(REWARD)),
            _show(metrics.last(LOOK), metrics.last(f"{LOOK}_low"), metrics.last(f"{LOOK}_high")),
            _show_gain(run) if state == "finished" else Value(""),
            *(show_text(shorten(name, *_NAME_CHARS)) for name in names),
        ),
    )


def _describe_episodes(run: WatchedRun) -> str:
    done = run.metrics.last("time/episodes")
    return "" if done is None else describe_episodes(run.config, done)


def _show(mean: float | None, low: float | None = None, high: float | None = None) -> Value:
    if mean is None:
        return Value("")
    has_interval = low is not None and high is not None
    interval = format_interval(Estimate(mean, (low or 0.0, high or 0.0)), _DECIMALS)
    return Value(format_number(mean, _DECIMALS), interval if has_interval else "", mean)


def _show_gain(run: WatchedRun) -> Value:
    try:
        gain = find_headline(run.result)[1]
        text = format_number(gain.mean, _DECIMALS, signed=True)
        return Value(text, format_interval(gain, _DECIMALS), gain.mean)
    except (LookupError, TypeError, ValueError):  # a result that is not of textenv train
        return Value("")


def _reward_of(run: WatchedRun) -> str:
    """Returns the name of a run's reward, or its description; that of the environment if unset."""
    spec = run.config.get("reward")
    if spec is None:
        try:
            spec = environment_row(run.config["id"]).make_kwargs().get("reward")
        except TextEnvError:  # the environment is of a registry file that is not at hand
            spec = "of the environment"
    return spec if isinstance(spec, str) else json.dumps(spec, ensure_ascii=False, default=str)
