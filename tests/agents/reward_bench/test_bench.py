"""The benchmark of rewards: it trains, resumes, shows failures, and names a hacked design."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from agents.reward_bench import bench as bench_module
from agents.reward_bench import runs as bench_runs
from agents.reward_bench.bench import run_bench
from agents.reward_bench.config import BenchConfig, load_bench_config, parse_bench_config
from agents.reward_bench.plan import make_plan
from agents.reward_bench.records import load_run, read_digest, save_run
from agents.reward_bench.runs import make_runs, wanted_runs
from agents.reward_bench.worker import Job, run_job
from textenv.benchmark.report import write_report
from textenv.benchmark.results import Bench, load_record
from textenv.cli.main import make_app
from textenv.errors import ConfigError, FolderInUseError, TextEnvError, UnknownNameError
from textenv.vector import make_core


# Scores of a random model's babble, graded finely enough to have a spread.
def brevity(episodes):
    return [1 / (1 + len(e.response)) for e in episodes]


def letters(episodes):
    return [float(len(e.response)) for e in episodes]


BREVITY, LETTERS = f"{__file__}:brevity", f"{__file__}:letters"


def broken(episodes: Any) -> Any:
    if any(episode.n_opening == 0 or len(episode.input_ids) for episode in episodes):
        raise ValueError("the metric's server is gone")
    return letters(episodes)


BROKEN = f"{__file__}:broken"


@contextmanager
def silent(what: str, total: float) -> Any:
    yield lambda done, note="": None


def killed(episodes: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


KILLED = f"{__file__}:killed"


@pytest.fixture
def make_config(save_model: Callable[..., str]) -> Callable[..., BenchConfig]:
    """A benchmark so small that a run takes a second, once its process is there."""

    def make(**changes: Any) -> BenchConfig:
        values = {
            "id": "TextSummarize-v0",
            "model": save_model(tokenizer="embedded", spread=0.3),
            "designs": {"brevity": BREVITY},
            "gold": {"letters": LETTERS},
            "controls": [],
            "seeds": 1,
            "budget": 16,
            "looks": 2,
            "prompts": 6,
            "audit": 0,
            "env": {"max_new_tokens": 6},
            "train": {"n_episodes": 8, "n_envs": 8, "batch_size": 4, "critic_warmup": 0},
            "device": "cpu",
            "samples": 2,
            "pool": 4,
            "jobs": 1,  # runs in one process share its random numbers
        }
        return parse_bench_config({**values, **changes})

    return make


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Makes runs without processes of their own, which take seconds to start; lists them."""
    made: list[tuple[str, int]] = []

    def make_run(run: Any, config: BenchConfig, device: str, running: Any) -> str:
        made.append((run.name, run.seed))
        values = config.model_dump(mode="json")
        run_job(Job(values, run.reward, run.seed, run.digest, str(run.folder), os.getppid()))
        return "done"

    monkeypatch.setattr(bench_runs, "_make_run", make_run)
    return made


def without_times(found: Bench) -> Bench:
    runs = tuple(dataclasses.replace(run, wall_s=0.0) for run in found.runs)
    return dataclasses.replace(found, runs=runs, run_s=0.0)


# The configuration.


def test_a_file_and_overrides_make_a_configuration(tmp_path):
    path = tmp_path / "bench.yaml"
    values = {"id": "TextSummarize-v0", "designs": ["rougeL", "chrf"], "gold": ["bleu"], "seeds": 3}
    path.write_text(yaml.safe_dump(values))
    config = load_bench_config(path, ["budget=256", "train.kl_coef=0.1", "controls=[]"])
    assert config.designs == {"rougeL": "rougeL", "chrf": "chrf"}
    assert config.seeds == (0, 1, 2)
    assert config.runs() == [(name, s) for s in (0, 1, 2) for name in ("rougeL", "chrf")]
    trained = config.train_config("rougeL", 2)
    assert (trained.total_episodes, trained.kl_coef, trained.seed) == (256, 0.1, 2)
    assert trained.max_tokens_per_batch == 2048  # the embedded model's own setting
    # How many go on at a time does not change a run; what it is paid does.
    more_jobs = load_bench_config(path, ["budget=256", "train.kl_coef=0.1", "jobs=7"])
    assert more_jobs.digest("rougeL", 2) == config.digest("rougeL", 2)
    assert config.digest("chrf", 2) != config.digest("rougeL", 2) != config.digest("rougeL", 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gold": {"brevity": LETTERS}}, "'brevity' is also a design"),
        ({"gold": {"other": BREVITY}}, "the same reward as the design 'brevity'"),
        ({"designs": {}}, "designs: at least one"),
        ({"designs": {"random": BREVITY}}, "'random' cannot name"),
        ({"designs": {"a/b": BREVITY}}, "'a/b' cannot name"),
        ({"train": {"seed": 3}}, "'seed' is set by the benchmark itself"),
        ({"train": {"n_epochs": 0}}, "n_epochs"),
        ({"seeds": [1, 1]}, "each only once"),
        ({"budget": 0}, "budget"),
        ({"seeds": "two"}, "give how many seeds, such as 5, or a list"),
        ({"audit": 1}, "one example shows nothing"),
        ({"pool": 1}, "2 samples of a prompt or more"),
        ({"designs": None}, "designs: missing"),
        ({"controls": ["chance"]}, "controls"),
        ({"controls": ["random", "random"]}, "controls: each only once"),
        ({"gold": {"other": {BREVITY: 2.0}}}, "the same reward as the design 'brevity'"),
        ({"designs": {"": BREVITY}}, "'' cannot name"),
        ({"designs": {"a\nb": BREVITY}}, "cannot name"),
        ({"designs": {"x" * 300: BREVITY}}, "cannot name"),
        ({"designs": {"a": BREVITY, "A": "chrf"}}, "differ only in case"),
        ({"designs": {True: BREVITY}}, "designs: .* in quotes"),
        ({"designs": [{"chrf": 1}]}, "designs: give a list of names"),
        ({"gold": 7}, "gold: give a list of names"),
        ({"train": {"patience": 3}}, "'patience' has no effect here"),
        ({"env": {"reward": "chrf"}}, "'reward' is set by the benchmark itself"),
        ({"split": "train"}, "the runs train on 'train'"),
        ({"env": {"split": "test"}}, "the runs train on 'test'"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(make_config, changes, message):
    with pytest.raises(ConfigError, match=message):
        make_config(**changes)


def test_gold_is_of_several_kinds_unless_it_is_given(make_config):
    # MiniLM comes with an optional package, which the tests need not have.
    gold = make_config(gold=None, designs=["bleu"]).gold
    assert next(iter(gold)) == "rougeL"  # the environment's own
    assert set(gold) <= {"rougeL", "embedding_cosine"}
    keywords = make_config(id="TextKeywords-v0", gold=None, designs=["coverage"], env={}).gold
    assert set(keywords) - {"embedding_cosine"} == {"keyword_sentence", "chrf"}
    # Where the environment's own reward is a design, another metric of overlap is gold.
    assert "chrf" in make_config(gold=None, designs=["rougeL"]).gold
    # A design is no gold.
    assert "chrf" not in make_config(id="TextKeywords-v0", gold=None, designs=["chrf"], env={}).gold


def test_a_plan_says_what_can_be_found_and_costs(make_config, tmp_path, in_this_process):
    config = make_config(seeds=2, controls=["random"], budget=16)
    before = make_plan(config, tmp_path / "out")
    assert [row.n_seeds for row in before.rows] == [1, 2, 3, 5, 8]
    assert before.rows[0].smallest_gain is None
    gains = [row.smallest_gain for row in before.rows[1:]]
    assert gains == sorted(gains, reverse=True)
    assert (before.rows[1].n_runs, before.rows[1].n_episodes) == (4, 64)
    assert before.rows[1].run_s is None
    assert not before.measured
    found = run_bench(config, tmp_path / "out", silent)
    write_report(found, tmp_path / "out")
    after = make_plan(config, tmp_path / "out")
    assert after.measured
    assert after.noise == found.noise
    seconds = sorted(run.wall_s for run in found.runs)
    assert after.rows[1].run_s == pytest.approx(4 * (seconds[1] + seconds[2]) / 2)


def test_unknown_keys_are_named(make_config):
    with pytest.raises(UnknownNameError, match="Did you mean 'budget'"):
        make_config(budgets=3)
    with pytest.raises(UnknownNameError, match="Did you mean 'n_epochs'"):
        make_config(train={"n_epoch": 3})


def test_an_inverted_metric_is_another_one(make_config):
    make_config(gold={"other": {BREVITY: -1}})


def test_a_run_of_code_or_data_that_was_edited_since_is_another_run(make_config, tmp_path):
    code, data = tmp_path / "mine.py", tmp_path / "rows.jsonl"
    config = make_config(dataset={"path": str(data)})
    spec = {"normalise": {"of": f"{code}:reward", "std": 2.0}}
    digests = set()
    for path, text in ((code, "1"), (code, "2"), (data, "{}"), (data, "[]")):
        path.write_text(text)
        assert config.digest(spec, 0) == config.digest(spec, 0)
        digests.add(config.digest(spec, 0))
    assert len(digests) == 4


def test_a_wrong_reward_is_found_before_anything_runs(make_config, tmp_path):
    with pytest.raises(ConfigError, match=r"The gold metric 'bleu': .*rogueL"):
        run_bench(make_config(gold={"bleu": {"rogueL": 1}}), tmp_path / "out", silent)
    assert not (tmp_path / "out").exists()


def test_a_wrong_environment_or_split_is_found_before_a_folder_is_made(make_config, tmp_path):
    for changes, error in (({"split": "tset"}, "tset"), ({"id": "TextSummarise-v0"}, "TextSumm")):
        with pytest.raises(TextEnvError, match=error):
            run_bench(make_config(**changes), tmp_path / "out", silent)
        assert not (tmp_path / "out").exists()


def test_one_folder_takes_one_benchmark_at_a_time(make_config, tmp_path, monkeypatch):
    def meanwhile(*arguments: Any) -> None:
        run_bench(make_config(), tmp_path / "out", silent)

    monkeypatch.setattr(bench_module, "_run", meanwhile)
    with pytest.raises(FolderInUseError, match="Another benchmark is at work"):
        run_bench(make_config(), tmp_path / "out", silent)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"looks": []}'])
def test_a_file_that_is_no_run_counts_as_missing(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    assert read_digest(tmp_path) is None


def test_a_folder_of_something_else_is_left_alone(make_config, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="holds something else"):
        run_bench(make_config(), tmp_path, silent)


# Runs.


def test_a_run_looks_at_equal_shares_of_its_budget_and_repeats(make_config, tmp_path):
    config = make_config()
    made = []
    for name in ("once", "again"):
        folder = tmp_path / name
        run_job(Job(config.model_dump(mode="json"), BREVITY, 0, "d", str(folder), os.getppid()))
        core = make_core(config.id, 1, {"tokenizer": config.model, **config.env})
        made.append(load_run(folder, core, config.split))
    assert [look.episodes_trained for look in made[0].looks] == [8, 16]
    assert all(len(look.episodes) == len(look.kl) == 6 for look in made[0].looks)
    for one, other in zip(made[0].looks, made[1].looks, strict=True):
        assert [e.response for e in one.episodes] == [e.response for e in other.episodes]
        np.testing.assert_array_equal(one.kl, other.kl)
    assert made[0].looks[0].kl.any()


def test_a_run_is_read_as_it_was_played(make_config, tmp_path):
    config = make_config()
    run_job(Job(config.model_dump(mode="json"), None, 3, "d", str(tmp_path / "a"), os.getppid()))
    core = make_core(config.id, 1, {"tokenizer": config.model, **config.env})
    run = load_run(tmp_path / "a", core, config.split)
    assert [look.episodes_trained for look in run.looks] == [0]
    assert run.looks[0].kl == pytest.approx(0.0, abs=1e-4)
    episode = run.looks[0].episodes[2 * 4]
    assert episode.example == core.dataset("test")[2]
    assert episode.turns[: episode.n_opening] == core.task.opening(episode.example)
    save_run(run, tmp_path / "b")
    texts = [(tmp_path / name / "run.json").read_text() for name in "ab"]
    assert texts[0] == texts[1]


def test_a_run_ends_with_the_benchmark_that_wanted_it(make_config, tmp_path):
    values = make_config().model_dump(mode="json")
    with pytest.raises(TextEnvError, match="has ended"):
        run_job(Job(values, BREVITY, 0, "d", str(tmp_path / "a"), parent=1 << 30))
    assert not (tmp_path / "a" / "run.json").exists()


@pytest.mark.slow
def test_processes_make_runs_and_one_that_fails_leaves_its_error(make_config, tmp_path):
    designs = {"brevity": BREVITY, "broken": BROKEN, "killed": KILLED}
    config = make_config(designs=designs, jobs=2)
    names = list(designs)
    wanted = wanted_runs(config, names, config.designs, tmp_path)
    seen = []
    make_runs(wanted, config, lambda *what: seen.append(what))
    assert sorted(seen) == [
        *(("brevity", 0, "done"), ("broken", 0, "failed"), ("killed", 0, "failed"))
    ]
    assert [run.is_done for run in wanted] == [True, False, False]
    assert "the metric's server is gone" in wanted[1].error
    assert "exit status 1" in wanted[1].error
    assert not wanted[0].error
    assert "killed by signal 9, as when memory runs out" in wanted[2].error


def test_an_interrupted_benchmark_starts_no_further_run(make_config, tmp_path, in_this_process):
    config = make_config(seeds=3)
    wanted = wanted_runs(config, ["brevity"], config.designs, tmp_path)

    def interrupt(name: str, seed: int, status: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_runs(wanted, config, interrupt)
    assert wanted[0].is_done
    assert len(in_this_process) < 3


# The whole.


def test_what_is_done_is_not_repeated_and_ends_with_the_same_numbers(
    make_config, tmp_path, in_this_process
):
    config = make_config(seeds=2, controls=["random"])
    whole = run_bench(config, tmp_path / "whole", silent)
    assert len(in_this_process) == 2 + 4
    # Killed half-way: the starts and one run are there.
    in_this_process.clear()
    half = tmp_path / "half"
    half.mkdir()
    (half / "bench.yaml").write_text("")
    for name in ("untrained/0", "untrained/1", "brevity/0"):
        (half / "runs" / name).mkdir(parents=True)
        file = Path("runs") / name / "run.json"
        (half / file).write_text((tmp_path / "whole" / file).read_text())
    (half / "runs" / "brevity" / "1").mkdir()
    (half / "runs" / "brevity" / "1" / "run.json.part").write_text('{"digest": ')
    resumed = run_bench(config, half, silent)
    assert in_this_process == [("random", 0), ("brevity", 1), ("random", 1)]
    assert without_times(resumed) == without_times(whole)
    # A run of another configuration is another run.
    in_this_process.clear()
    run_bench(config.model_copy(update={"budget": 8}), half, silent)
    assert len(in_this_process) == 4
    assert "untrained" not in dict(in_this_process)


def test_everything_that_was_measured_is_in_the_record(make_config, tmp_path, in_this_process):
    config = make_config(seeds=2, controls=["random"], designs={"brevity": BREVITY, "f1": "chrf"})
    found = run_bench(config, tmp_path / "out", silent)
    assert [design.name for design in found.designs] == ["brevity", "f1", "random", "untrained"]
    assert [metric.name for metric in found.metrics] == ["brevity", "f1", "letters"]
    assert set(found.matrix) == {"brevity", "f1", "random"}
    assert set(found.matrix["f1"]) == {"brevity", "f1", "letters"}
    assert [(c.design, c.metric) for c in found.curves] == [
        *(("brevity", "brevity"), ("brevity", "gold"), ("f1", "f1"), ("f1", "gold")),
        ("random", "gold"),
    ]
    assert all(len(curve.points) == 3 for curve in found.curves)
    assert len(found.comparisons) == 3
    assert {run.status for run in found.runs} == {"done"}
    assert [len(sample.responses) for sample in found.samples] == [4, 4]
    shown = found.samples[0].responses[0]
    assert shown.scores["letters"] == len(shown.text)
    assert found.n_prompts == 6
    assert found.verdict
    assert json.loads(json.dumps(found.config)) == found.config


def test_a_design_that_fails_is_shown_and_the_others_go_on(make_config, tmp_path, monkeypatch):
    def make_run(run: Any, config: BenchConfig, device: str, running: Any) -> str:
        if run.name == "letters2":
            run.folder.mkdir(parents=True)
            (run.folder / "error.txt").write_text("out of memory")
            return "failed"
        values = config.model_dump(mode="json")
        run_job(Job(values, run.reward, run.seed, run.digest, str(run.folder), os.getppid()))
        return "done"

    monkeypatch.setattr(bench_runs, "_make_run", make_run)
    designs = {"brevity": BREVITY, "letters2": "chrf"}
    found = run_bench(make_config(designs=designs), tmp_path / "out", silent)
    assert [(r.design, r.status, r.error) for r in found.runs] == [
        ("brevity", "done", ""),
        ("letters2", "failed", "out of memory"),
    ]
    assert set(found.matrix) == {"brevity"}
    assert "1 of 2 runs failed or are missing (letters2)" in found.verdict


def test_a_metric_that_cannot_tell_the_start_apart_is_refused(
    make_config, tmp_path, in_this_process
):
    with pytest.raises(ConfigError, match="'exact_match' gives every sample"):
        run_bench(make_config(gold=["exact_match"]), tmp_path / "out", silent)


def test_an_untrained_policy_that_fails_ends_it(make_config, tmp_path, monkeypatch):
    def make_run(run: Any, config: BenchConfig, device: str, running: Any) -> str:
        run.folder.mkdir(parents=True)
        (run.folder / "error.txt").write_text("out of memory")
        return "failed"

    monkeypatch.setattr(bench_runs, "_make_run", make_run)
    with pytest.raises(TextEnvError, match="cannot be looked at: out of memory"):
        run_bench(make_config(), tmp_path / "out", silent)


def test_the_command_plans(make_config, tmp_path):
    path, out = tmp_path / "bench.yaml", tmp_path / "out"
    path.write_text(yaml.safe_dump(make_config(seeds=3).model_dump(mode="json")))
    words = ["rewards", "bench", str(path), "--out", str(out), "--plan"]
    shown = CliRunner().invoke(make_app(), words)
    assert shown.exit_code == 0, shown.output
    assert "smallest gold gain, sd" in " ".join(shown.output.split())
    assert not out.exists()
    rows = json.loads(CliRunner().invoke(make_app(), [*words, "--json"]).output)["rows"]
    assert rows[0]["smallest_gain"] is None


def test_a_plan_needs_no_folder_and_runs_do(make_config, tmp_path):
    path = tmp_path / "bench.yaml"
    path.write_text(yaml.safe_dump(make_config(seeds=3).model_dump(mode="json")))
    words = ["rewards", "bench", str(path)]
    shown = CliRunner().invoke(make_app(), [*words, "--plan"])
    assert shown.exit_code == 0, shown.output
    refused = CliRunner().invoke(make_app(), words)
    assert refused.exit_code == 2
    assert "Name a folder for the runs: --out runs/bench." in refused.output


def test_too_few_prompts_runs_that_stood_still_and_audits_are_told(
    make_config, tmp_path, in_this_process
):
    rows = [{"document": f"Ann has {i} red hats.", "summary": f"{i} hats"} for i in range(60)]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    config = make_config(dataset=str(data), prompts=32, audit=4)
    n = len(make_core("TextSummarize-v0", 1, {"dataset": str(data)}).dataset("test"))
    assert 1 < n < 32
    values = config.model_dump(mode="json")
    values["train"]["learning_rate"] = 1e-12
    path = tmp_path / "bench.yaml"
    path.write_text(yaml.safe_dump(values))
    words = ["rewards", "bench", str(path), "--out", str(tmp_path / "out")]
    few = f"{n} of test (there are no more; prompts=32 asks for more: give more rows)"
    planned = " ".join(CliRunner().invoke(make_app(), [*words, "--plan"]).output.split())
    assert f"with {n} prompts (there are no more; prompts=32" in planned
    shown = CliRunner().invoke(make_app(), words)
    assert shown.exit_code == 0, shown.output
    text = " ".join(shown.output.split())
    assert few in text
    assert "No run moved the policy (KL 0.00 nats): 16 episodes are 2 iterations;" in text
    assert f"The test split has {n} prompts, not the 32 asked for" in text
    record = load_record(Bench, tmp_path / "out" / "bench.json")
    assert record.verdict.startswith("No run moved the policy")
    (row,) = [line for line in shown.output.splitlines() if line.startswith("brevity  ")][:1]
    assert row.split()[-1] == ("passes" if record.audits[0].passes else "fails")


def test_the_command_writes_a_report(make_config, tmp_path, in_this_process):
    path, out = tmp_path / "bench.yaml", tmp_path / "out"
    path.write_text(yaml.safe_dump(make_config().model_dump(mode="json")))
    shown = CliRunner().invoke(make_app(), ["rewards", "bench", str(path), "--out", str(out)])
    assert shown.exit_code == 0, shown.output
    assert "brevity" in shown.output
    assert (out / "report.html").is_file()
    found = load_record(Bench, out / "bench.json")
    assert found.verdict.split()[0] in shown.output
