"""Figures show the numbers of runs and of a bench, and leave pyplot alone."""

from __future__ import annotations

import builtins
import json
import sys

import pytest

from textenv.benchmark.results import save_record
from textenv.errors import ConfigError, UnknownNameError
from textenv.plots import plot_bench, plot_metric, plot_reward
from textenv.safe_text import without_lone_surrogates


@pytest.fixture
def make_run(tmp_path):
    """Writes what a run of three iterations leaves that figures read."""

    def make(name="a", *, rise=0.1, looks=True, metric="kl/ref"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text("id: TextQA-v0\nn_episodes: 16\ngroup_size: 4\n")
        rows = []
        for i in (1, 2, 3):
            row = {
                "iteration": i,
                "rollout/reward_mean": rise * i,
                "rollout/reward_std": 0.2,
                metric: None if i == 2 else 2.0 * i,
            }
            if looks and i > 1:
                row |= {
                    "validation/reward": rise * i + 0.05,
                    "validation/reward_low": rise * i,
                    "validation/reward_high": rise * i + 0.1,
                }
            rows.append(row)
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return folder

    return make


def lines_of(figure):
    (axes,) = figure.axes
    return {
        line.get_label(): (line.get_xdata().tolist(), line.get_ydata().tolist())
        for line in axes.get_lines()
    }


def bands_of(figure):
    """Returns the lowest and highest y of each band."""
    (axes,) = figure.axes
    boxes = [band.get_paths()[0].get_extents() for band in axes.collections]
    return [(box.y0, box.y1) for box in boxes]


def test_the_reward_of_a_run_has_its_looks_and_intervals(make_run):
    figure = plot_reward(make_run())
    lines = lines_of(figure)
    assert lines["sampled episodes"] == ([1, 2, 3], pytest.approx([0.1, 0.2, 0.3]))
    assert lines["looks: greedy, validation"] == ([2, 3], pytest.approx([0.25, 0.35]))
    # 16 episodes of 4 prompts: 1.96 * 0.2 / sqrt(4).
    assert bands_of(figure) == [
        pytest.approx((0.1 - 0.196, 0.3 + 0.196)),
        pytest.approx((0.2, 0.4)),
    ]


def test_runs_over_each_other_show_their_looks(make_run):
    figure = plot_reward([make_run("a"), make_run("b", rise=0.2)])
    assert lines_of(figure) == {
        "a": ([2, 3], pytest.approx([0.25, 0.35])),
        "b": ([2, 3], pytest.approx([0.45, 0.65])),
    }
    assert figure.axes[0].get_title(loc="left") == "looks at validation examples"


def test_runs_of_which_one_took_no_looks_show_sampled_reward(make_run):
    figure = plot_reward({"first": make_run("a"), "second": make_run("b", looks=False)})
    assert {label: x for label, (x, _) in lines_of(figure).items()} == {
        "first": [1, 2, 3],
        "second": [1, 2, 3],
    }


def test_any_metric_by_its_name_where_it_has_a_value(make_run):
    figure = plot_metric(make_run(), "kl/ref")
    assert lines_of(figure) == {"a": ([1, 3], [2.0, 6.0])}
    assert bands_of(figure) == []
    assert figure.axes[0].get_ylabel() == "kl/ref"


def test_runs_of_one_name_are_told_apart_by_their_paths(make_run, tmp_path):
    figure = plot_metric([make_run("x/a"), make_run("y/a")], "kl/ref")
    assert set(lines_of(figure)) == {str(tmp_path / "x/a"), str(tmp_path / "y/a")}


def test_a_dollar_in_a_name_is_no_formula(make_run):
    figure = plot_metric(make_run(r"a$\frac$"), "kl/ref")
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_a_notebook_shows_it_and_pyplot_is_not_loaded(make_run):
    before = "matplotlib.pyplot" in sys.modules
    assert plot_reward(make_run())._repr_png_().startswith(b"\x89PNG")
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_errors_say_what_to_do(make_run, tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'kl/ref'"):
        plot_metric(make_run(), "kl/reff")
    with pytest.raises(ConfigError, match="holds no run"):
        plot_reward(tmp_path / "nothing")
    with pytest.raises(ConfigError, match="at least one folder"):
        plot_reward([])
    empty = make_run("empty")
    (empty / "metrics.jsonl").write_text("")
    with pytest.raises(ConfigError, match="not finished an iteration"):
        plot_reward(empty)
    with pytest.raises(ConfigError, match="no finished bench"):
        plot_bench(tmp_path)


def test_without_matplotlib_the_extra_is_named(make_run, monkeypatch):
    real = builtins.__import__

    def missing(name, *arguments, **more):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ConfigError, match=r"pip install 'textenv\[plots\]'"):
        plot_reward(make_run())


def test_a_bench_shows_both_gains_of_each_design_that_was_trained(bench, tmp_path):
    save_record(without_lone_surrogates(bench), tmp_path / "bench.json")
    (axes,) = plot_bench(tmp_path).axes
    own, gold = axes.containers
    trained = [d for d in bench.designs if not (d.kind == "control" and d.spec is None)]
    assert own[0].get_xdata().tolist() == pytest.approx(
        [d.own_gain.mean for d in trained if d.own_gain is not None]
    )
    assert gold[0].get_xdata().tolist() == pytest.approx([d.gold_gain.mean for d in trained])
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        f"{d.name} ({d.judgement})" for d in reversed(trained)
    ]
    # The first design stands on top.
    assert gold[0].get_ydata()[0] > gold[0].get_ydata()[-1]
