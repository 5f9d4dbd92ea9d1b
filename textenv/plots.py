"""Curves of runs and the gains of a reward bench, as matplotlib figures for notebooks.

    from textenv.plots import plot_metric, plot_reward

    plot_reward("runs/a")                                   # while it trains, too
    plot_metric(["runs/a", "runs/b"], "kl/ref").savefig("kl.png")

Each function returns a figure of its own: nothing is shown, closed or changed in pyplot.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from textenv.benchmark.report.record_files import FILE_NAMES, is_untrained
from textenv.benchmark.results import Bench, load_record
from textenv.benchmark.statistics import Estimate
from textenv.errors import ConfigError, UnknownNameError
from textenv.report.metric_rows import LOOK, REWARD, estimate_metric, is_number, read_rows
from textenv.run_names import describe_no_run
from textenv.strict_yaml import load_yaml

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_bench", "plot_metric", "plot_reward"]

# Told apart by people with any colour vision, in print by their lightness.
_COLORS = ("#0e7c78", "#c2571a", "#5b4b9a", "#b2880c", "#3b7dc4", "#8c3a5e")
_SAMPLED, _LOOKS, _ZERO = _COLORS[0], _COLORS[1], "#8a8a8a"
_ITERATION = "iteration"
_SIZE, _BENCH_HEIGHT = (6.4, 3.6), 0.45  # inches; of a design

# Folders of runs; a mapping gives each a name.
Runs = str | Path | Sequence[str | Path] | Mapping[str, str | Path]


@dataclass(frozen=True)
class _Run:
    name: str
    config: dict[str, Any]
    rows: list[dict[str, Any]]


def plot_reward(runs: Runs) -> Figure:
    """Draws the reward of runs against the iteration, with 95 % intervals as bands.

    Of one run it draws the mean over the sampled episodes of each iteration, and the looks: greedy
    answers to validation examples. Of several runs it draws the looks, or the sampled reward if one
    of them took no looks.

    Args:
        runs: Folder of a run of `textenv train`, a list of folders, or a mapping from names to
            folders.

    Returns:
        A figure with one pair of axes.

    Raises:
        ConfigError: A folder holds no run, or no iteration yet; or matplotlib is missing.
    """
    found = _read_runs(runs)
    figure, axes = _make_figure(_SIZE)
    if len(found) > 1:
        looked = all(_has(run, LOOK) for run in found)
        what = "looks at validation examples" if looked else "sampled episodes"
        for i, run in enumerate(found):
            _draw(axes, run, LOOK if looked else REWARD, run.name, _COLORS[i % len(_COLORS)])
    else:
        (run,), what = found, found[0].name
        _draw(axes, run, REWARD, "sampled episodes", _SAMPLED)
        if _has(run, LOOK):
            _draw(axes, run, LOOK, "looks: greedy, validation", _LOOKS)
    _finish(axes, _plain(what), _ITERATION, "mean reward")
    return figure


def plot_metric(runs: Runs, metric: str) -> Figure:
    """Draws a metric of runs against the iteration, with its interval where one is known.

    Args:
        runs: As for `plot_reward`.
        metric: Key of metrics.jsonl, such as "kl/ref"; docs/metrics.md lists them.

    Returns:
        A figure with one pair of axes.

    Raises:
        UnknownNameError: No run has the metric.
        ConfigError: As for `plot_reward`.
    """
    found = _read_runs(runs)
    known = dict.fromkeys(key for run in found for row in run.rows for key in row)
    if metric not in known:
        raise UnknownNameError("metric", metric, [key for key in known if key != "iteration"])
    figure, axes = _make_figure(_SIZE)
    for i, run in enumerate(found):
        if _has(run, metric):
            _draw(axes, run, metric, run.name, _COLORS[i % len(_COLORS)])
    _finish(axes, "", _ITERATION, metric)
    return figure


def plot_bench(folder: str | Path) -> Figure:
    """Draws what each design of a reward bench gained by its own reward and by the gold metrics.

    Gains are in standard deviations of the untrained policy's samples, with 95 % intervals. A
    design whose own gain is far above its gold gain is hacked.

    Args:
        folder: Folder of `textenv rewards bench`.

    Returns:
        A figure with one pair of axes, the first design on top.

    Raises:
        ConfigError: The folder holds no finished bench; or matplotlib is missing.
    """
    path = Path(folder) / FILE_NAMES[Bench]
    if not path.is_file():
        raise ConfigError(
            f"'{folder}' holds no finished bench: there is no {path.name}. Name the folder of "
            "textenv rewards bench --out."
        )
    bench = load_record(Bench, path)
    designs = [design for design in bench.designs if not is_untrained(design)]
    figure, axes = _make_figure((_SIZE[0], 1.4 + _BENCH_HEIGHT * len(designs)))
    gains = (
        ("own reward", _SAMPLED, 0.13, [design.own_gain for design in designs]),
        ("gold metrics", _LOOKS, -0.13, [design.gold_gain for design in designs]),
    )
    axes.axvline(0, color=_ZERO, linewidth=1)
    for label, color, shift, estimates in gains:
        rows = [(len(designs) - 1 - i + shift, e) for i, e in enumerate(estimates) if e is not None]
        axes.errorbar(
            [e.mean for _, e in rows],
            [y for y, _ in rows],
            xerr=[
                [e.mean - e.ci95[0] for _, e in rows],
                [e.ci95[1] - e.mean for _, e in rows],
            ],
            fmt="o",
            color=color,
            capsize=3,
            label=label,
        )
    names = [_plain(f"{design.name} ({design.judgement})") for design in reversed(designs)]
    axes.set_yticks(range(len(designs)), names)
    _finish(axes, _plain(bench.title), "gain in standard deviations", "")
    return figure


def _read_runs(runs: Runs) -> list[_Run]:
    if isinstance(runs, Mapping):
        named = {str(name): Path(folder) for name, folder in runs.items()}
    else:
        folders = [Path(f) for f in ([runs] if isinstance(runs, str | Path) else runs)]
        names = [folder.resolve().name for folder in folders]
        # Two runs/a of different projects are told apart by their whole paths.
        named = {
            name if names.count(name) == 1 else str(folder): folder
            for name, folder in zip(names, folders, strict=True)
        }
    if not named:
        raise ConfigError("Name at least one folder of a run.")
    return [_read_run(name, folder) for name, folder in named.items()]


def _read_run(name: str, folder: Path) -> _Run:
    path = folder / "config.yaml"
    if not path.is_file():
        raise ConfigError(describe_no_run(folder))
    try:
        config = load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"'{path}' cannot be read: {error}") from error
    rows = read_rows(folder / "metrics.jsonl")
    if not rows:
        raise ConfigError(f"The run in '{folder}' has not finished an iteration yet.")
    return _Run(name, config if isinstance(config, dict) else {}, rows)


def _has(run: _Run, key: str) -> bool:
    return any(is_number(row.get(key)) for row in run.rows)


def _draw(axes: Axes, run: _Run, key: str, label: str, color: str) -> None:
    rows = [row for row in run.rows if is_number(row.get(key))]
    x = [row["iteration"] for row in rows]
    found: list[Estimate] = [estimate_metric(run.config, row, key) for row in rows]
    few = len(rows) <= 40
    axes.plot(
        x, [e.mean for e in found], color=color, label=_plain(label), marker="o" if few else "",
        markersize=3,
    )  # fmt: skip
    low, high = [e.ci95[0] for e in found], [e.ci95[1] for e in found]
    if low != high:
        axes.fill_between(x, low, high, color=color, alpha=0.18, linewidth=0)


def _make_figure(size: tuple[float, float]) -> tuple[Figure, Axes]:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(
            "textenv.plots needs one more package: pip install 'textenv[plots]'."
        ) from error

    class NotebookFigure(Figure):
        """A figure that a notebook shows, although pyplot does not know it."""

        def _repr_png_(self) -> bytes:
            picture = io.BytesIO()
            self.savefig(picture, format="png", dpi=100)
            return picture.getvalue()

    figure = NotebookFigure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _finish(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, loc="left", fontsize="medium")
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel(x)
    if x == _ITERATION:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel(y)
    axes.grid(alpha=0.3, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small")


def _plain(text: str) -> str:
    """Returns a text whose dollar signs matplotlib does not take for formulas."""
    return text.replace("$", r"\$")
