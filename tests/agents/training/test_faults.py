"""What goes wrong in a run's folder, memory or GPU: one line, an exit status, nothing lost."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import agents.ppo.update
import agents.training.run
from agents.ppo.kept_checkpoints import kept_iterations, saved_iteration
from agents.ppo.ppo import TextPPO
from agents.ppo.steps import DivergedError
from agents.ppo.vec_env import wait_for_workers, worker_losses
from agents.training.config import TrainConfig, load_config
from agents.training.held_out import load_policy
from agents.training.interrupts import stop_requests
from agents.training.model_lookup import find_model
from agents.training.push import find_upload
from agents.training.run_check import check_run
from textenv.cli.main import make_app
from textenv.errors import (
    ConfigError,
    DamagedError,
    ExitCode,
    FolderInUseError,
    ResourceError,
    RewardError,
)
from textenv.examples import Episode
from textenv.rewards.base import call_reward
from textenv.storage.folder_lock import locked
from textenv.vector import environment_arguments, make_core

_ROOT = Path(__file__).parents[3]
_WORDS = [
    "n_episodes=8", "n_envs=8", "batch_size=8", "validation_examples=4", "eval_examples=4",
    "env.max_new_tokens=8", "device=cpu", "bf16=false", "total_episodes=32", "validation_every=1",
    "save_every=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def config() -> TrainConfig:
    return load_config(None, _WORDS, id="TextQA-v0")


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory) -> Path:
    """The folder of a finished run, which no test changes."""
    out = tmp_path_factory.mktemp("finished") / "run"
    agents.training.run.train(config, out)
    return out


@pytest.fixture
def run(finished, tmp_path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def in_iteration(number: int, act: Any) -> Any:
    """Returns an update that does something first in one iteration."""
    update = TextPPO.train

    def acting(agent: TextPPO) -> None:
        if agent.n_iterations == number - 1:
            act()
        update(agent)

    return acting


def command(*words: object) -> Any:
    return CliRunner().invoke(make_app(), list(map(str, words)))


def flip(path: Path, seed: int = 0) -> None:
    content = bytearray(path.read_bytes())
    place = int(np.random.default_rng([seed, len(content)]).integers(8 * len(content)))
    content[place // 8] ^= 1 << place % 8
    path.write_bytes(bytes(content))


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_each_damaged_file_of_a_run_is_named(run):
    assert check_run(run).damaged == ()
    names = [path.relative_to(run).as_posix() for path in files_of(run)]
    assert {"config.yaml", "agent.safetensors", "checkpoints/3/model/tokenizer.json",
            "best/model/model.safetensors", "rollouts.jsonl"} <= set(names)  # fmt: skip
    for path in files_of(run):
        whole = path.read_bytes()
        for spoil in (flip, lambda p: p.write_bytes(p.read_bytes()[:-1]), Path.unlink):
            spoil(path)
            found = check_run(run)
            if path.name == "report.html":
                assert "makes it anew" in found.derived[0] if path.exists() else not found.derived
            elif spoil is Path.unlink and path.name == "checksums.json":
                assert len(found.unknown) > 5
            else:
                assert any(str(path) in text for text in found.damaged), path
            path.write_bytes(whole)


@pytest.mark.parametrize(
    "name",
    ["agent.json", "agent.safetensors", "model/model.safetensors", "model/tokenizer.json",
     "model/README.md", "config.yaml", "metrics.jsonl", "rollouts.jsonl", "looks.jsonl",
     "before.json", "result.json", "about.json", "best/best.json", "best/model/model.safetensors",
     "textenv-manifest.json", "checksums.json", "best/textenv-manifest.json"],
)  # fmt: skip
def test_a_run_is_not_resumed_from_a_damaged_file(config, run, name, monkeypatch):
    monkeypatch.setattr(TextPPO, "learn", lambda *_, **__: pytest.fail("it trained"))
    longer = config.model_copy(update={"total_episodes": 40})
    flip(run / name)
    before = {path: path.read_bytes() for path in files_of(run)}
    with pytest.raises(DamagedError, match=name.rpartition("/")[2]):
        agents.training.run.train(longer, run, resume=True)
    kept = {p: c for p, c in before.items() if p.name not in ("about.json", "checksums.json",
                                                              "report.html")}  # fmt: skip
    assert {path: path.read_bytes() for path in kept} == kept


def test_what_resuming_refuses_all_that_reads_the_agent_refuses(run):
    flip(run / "model/model.safetensors")
    core = make_core("TextQA-v0", 1, environment_arguments("embedded"))
    for read in (
        lambda: find_model(str(run)),
        lambda: find_model(str(run / "model")),
        lambda: find_upload(run),
        lambda: TextPPO.load(run, device="cpu"),
        lambda: load_policy(str(run / "model"), core),
    ):
        with pytest.raises(DamagedError, match=r"model\.safetensors' is not what was saved"):
            read()
    told = command("evaluate", "--model", run)
    assert told.exit_code == ExitCode.DAMAGED
    assert "--from 3" in " ".join(told.stderr.split())
    found = command("check", run)
    assert found.exit_code == ExitCode.DAMAGED
    assert "model.safetensors" in found.stderr
    # The best one, and an earlier one, are whole.
    assert find_model(str(run / "best"))[0] == str(run / "best/model")
    assert TextPPO.load(run / "checkpoints/3", device="cpu").n_iterations == 3


@pytest.mark.parametrize("name", ["samples.jsonl", "metrics.jsonl", "result.json", "config.yaml"])
def test_a_report_is_not_made_of_a_damaged_file(run, finished, name):
    flip(run / name)
    for words in (("report", run), ("compare", finished, run)):
        told = command(*words)
        assert told.exit_code == ExitCode.DAMAGED
        assert name in told.stderr
    # Who has edited it on purpose is told how to say so.
    assert "delete checksums.json" in " ".join(told.stderr.split())


def test_from_an_earlier_checkpoint_a_run_goes_on_to_the_same_end_when_asked(config, run):
    end = json.loads((run / "result.json").read_text())["after"]
    weights = (run / "model/model.safetensors").read_bytes()
    (run / "agent.safetensors").write_bytes(b"")
    with pytest.raises(DamagedError, match=r"is empty.*--from 3"):
        agents.training.run.train(config, run, resume=True)
    with pytest.raises(ConfigError, match="no checkpoint of iteration 1"):
        agents.training.run.train(config, run, resume=True, from_iteration=1)
    told = command("train", "--resume", run, "--from", "3")
    assert told.exit_code == 0, told.output
    assert json.loads((run / "result.json").read_text())["after"] == end
    assert (run / "model/model.safetensors").read_bytes() == weights
    assert (saved_iteration(run), kept_iterations(run)) == (4, [3])
    assert check_run(run).damaged == ()
    assert command("train", "TextQA-v0", "--from", "3").exit_code == ExitCode.REFUSED


def test_a_folder_belongs_to_one_run_at_a_time(config, run, tmp_path):
    before = {path: path.read_bytes() for path in files_of(run)}
    with locked(run), pytest.raises(FolderInUseError, match=rf"at work in '{run}'.*{os.getpid()}"):
        agents.training.run.train(config, run, resume=True)
    assert {path: path.read_bytes() for path in files_of(run)} == before
    with locked(tmp_path / "new"):
        told = command("train", "TextQA-v0", *_WORDS, "--out", tmp_path / "new")
    assert told.exit_code == ExitCode.IN_USE
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("name", ["train", "sft"])
def test_of_a_folder_in_use_its_holder_is_told_before_what_it_holds(tmp_path, name):
    with locked(tmp_path):
        (tmp_path / "config.yaml").write_text("id: TextQA-v0\n")
        told = command(name, "TextQA-v0", "--out", tmp_path)
    assert told.exit_code == ExitCode.IN_USE
    assert str(os.getpid()) in told.output
    assert (tmp_path / "config.yaml").exists()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_folder_that_is_deleted_or_replaced_meanwhile_ends_the_run(
    tmp_path, monkeypatch, replaced
):
    out = tmp_path / "run"

    def away() -> None:
        out.rename(tmp_path / "elsewhere")
        if replaced:
            out.mkdir()

    monkeypatch.setattr(TextPPO, "train", in_iteration(2, away))
    told = command("train", "TextQA-v0", *_WORDS, "--out", out)
    assert told.exit_code == ExitCode.STORAGE
    assert "was deleted, moved or replaced" in " ".join(told.stderr.split())
    assert "Traceback" not in told.stderr
    assert not out.exists() or not list(out.iterdir())
    assert saved_iteration(tmp_path / "elsewhere") == 1


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (RuntimeError("CUDA error: unspecified launch failure\nmore"), 6, "The GPU failed"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), 6, "max_tokens_per_batch"),
        (MemoryError(), 6, "not enough memory"),
        (OSError(28, "No space left on device", "/x"), 3, "'/x' cannot be written"),
        (OSError(5, "Input/output error", "/x"), 3, "disk or the network drive fails"),
    ],
)
def test_what_a_run_cannot_mend_is_one_line_that_names_the_checkpoint(
    tmp_path, monkeypatch, error, code, told
):
    def fail() -> None:
        raise error

    monkeypatch.setattr(TextPPO, "train", in_iteration(2, fail))
    found = command("train", "TextQA-v0", *_WORDS, "--out", tmp_path / "run")
    line = " ".join(found.stderr.split())
    assert found.exit_code == code
    assert told in line
    assert f"The checkpoint of iteration 1 is kept: textenv train --resume {tmp_path}" in line
    assert "Traceback" not in line


def test_an_update_that_runs_out_of_memory_once_is_computed_in_halves(
    make_agent, monkeypatch, caplog
):
    passes = agents.ppo.update._accumulate

    def gradients(n_failures: int) -> list[torch.Tensor]:
        agent = make_agent(n_epochs=1)
        left = [RuntimeError("DefaultCPUAllocator: can't allocate memory")] * n_failures
        seen: list[int] = []

        def scarce(policy: Any, *given: Any, **more: Any) -> Any:
            done = passes(policy, *given, **more)
            if left:
                raise left.pop()  # after a part of the gradient is there
            seen.append(policy.options.max_tokens_per_batch)
            return done

        monkeypatch.setattr(agents.ppo.update, "_accumulate", scarce)
        before = agent.policy.options.max_tokens_per_batch
        agent.learn(total_episodes=1)
        assert set(seen) == {before // 2 if n_failures else before}
        return [p.detach().clone() for p in agent.policy.parameters()]

    plain = gradients(0)
    torch.testing.assert_close(gradients(1), plain)
    assert "Memory was not enough for an update in passes of" in caplog.text
    with pytest.raises(RuntimeError, match="can't allocate"):
        gradients(2)


class _Forked:
    """As SB3's environments in forked processes, of which the second has ended.

    Its pipe stays open, as the first one holds it.
    """

    def __init__(self) -> None:
        context = multiprocessing.get_context("fork")
        pipes = [context.Pipe() for _ in range(2)]
        self.remotes, self.others = zip(*pipes, strict=True)
        self.processes = [context.Process(target=f, args=a) for f, a in (
            (time.sleep, (60,)), (os._exit, (7,)),
        )]  # fmt: skip
        self.unwrapped = self
        for process in self.processes:
            process.start()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_of_the_environment_that_has_died_is_named():
    env: Any = _Forked()
    env.others[0].send("an answer")
    with pytest.raises(ResourceError, match=r"slot 1 .exit status 7"), worker_losses(env):
        wait_for_workers(env)
    env.processes[0].kill()
    # Those that live answer.
    env.remotes, env.processes = env.remotes[:1], env.processes[:1]
    wait_for_workers(env)
    env.processes[0].join()


def test_a_lost_terminal_stops_a_run_as_sigterm_does():
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
    with stop_requests() as request:
        signal.raise_signal(signal.SIGHUP)
        assert request.is_made
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    signal.signal(signal.SIGHUP, before)


def test_divergence_keeps_the_last_checkpoint(config, tmp_path, monkeypatch):
    def diverge() -> None:
        raise DivergedError("It diverged.")

    monkeypatch.setattr(TextPPO, "train", in_iteration(3, diverge))
    with pytest.raises(DivergedError, match="checkpoint of iteration 2 is kept"):
        agents.training.run.train(config, tmp_path / "run")
    assert saved_iteration(tmp_path / "run") == 2


def test_a_reward_that_ends_the_program_is_an_error(tmp_path):
    (tmp_path / "bad.py").write_text("import sys\ndef pay(episodes):\n    sys.exit()\n")
    (tmp_path / "worse.py").write_text("import sys\nsys.exit(0)\n")
    for name in ("bad", "worse"):
        words = ("--reward", f"{tmp_path / name}.py:pay", "--out", tmp_path / "run")
        told = command("train", "TextQA-v0", *_WORDS, *words)
        assert told.exit_code == ExitCode.REFUSED, told.output
        assert told.stderr


@pytest.mark.parametrize("score", [1e308, -1e308, 1e151])
def test_a_score_whose_sums_would_overflow_is_refused(score):
    core = make_core("TextQA-v0", 1, environment_arguments("embedded"))
    episode = Episode(core.dataset("train")[0], (), "end")
    with pytest.raises(RewardError, match=r"stay within 1e\+150"):
        call_reward(lambda episodes: [score] * len(episodes), [episode])
    assert call_reward(lambda episodes: [-1e30], [episode]).total == -1e30


def test_the_page_lists_every_exit_status():
    page = (_ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    for code in ExitCode:
        assert f"| {int(code)} |" in page, code
