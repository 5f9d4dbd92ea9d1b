"""Runs of `textenv train` that are stopped, killed or finished, and go on from their folder."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import agents.training.run
from agents.ppo.distributed import Ranks
from agents.ppo.kept_checkpoints import saved_iteration
from agents.ppo.ppo import TextPPO
from agents.training.config import TrainConfig, load_config, write_config
from agents.training.run_folder import load_evaluation
from textenv.cli.main import make_app
from textenv.errors import ConfigError, DamagedError

_ROOT = Path(__file__).parents[3]


def what_it_wrote(run: Path) -> dict[str, Any]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        for name in [name for name in row if name.startswith("time/") and name.endswith("_s")]:
            del row[name]
    result = json.loads((run / "result.json").read_text())
    return {
        "rows": rows,
        "samples": (run / "samples.jsonl").read_text(),
        "rollouts": (run / "rollouts.jsonl").read_text(),
        "looks": (run / "looks.jsonl").read_text(),
        "result": {k: v for k, v in result.items() if not k.endswith("wall_s")},
        "weights": (run / "model/model.safetensors").read_bytes(),
        "best": (run / "best/model/model.safetensors").read_bytes(),
    }


_RUN = [
    "n_episodes=8", "n_envs=8", "batch_size=8", "validation_examples=8", "eval_examples=4",
    "env.max_new_tokens=8", "device=cpu", "bf16=false",
]  # fmt: skip


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> TrainConfig:
    """Four iterations, whose rewards draw from Python's and numpy's generators."""
    reward = tmp_path_factory.mktemp("reward") / "luck.py"
    reward.write_text(
        "import random, numpy as np\n"
        "from textenv import RewardResult\n"
        "def pay(episodes):\n"
        "    return RewardResult(random.gauss(0, 1) + np.random.standard_normal(len(episodes)))\n"
    )
    words = ["total_episodes=32", "validation_every=1", "save_every=0"]
    return load_config(None, [*_RUN, *words], id="TextQA-v0", reward=f"{reward}:pay")


@pytest.fixture(scope="module")
def straight(config, tmp_path_factory) -> dict[str, Any]:
    """What a run that was never stopped wrote."""
    out = tmp_path_factory.mktemp("straight")
    agents.training.run.train(config, out)
    return what_it_wrote(out)


def go_on(out: Path, **changes: Any) -> dict[str, Any]:
    config = load_config(out / "config.yaml", []).model_copy(update=changes)
    return agents.training.run.train(config, out, resume=True)


def interrupt(config: TrainConfig, out: Path, iteration: int, *, n: int = 1, **more: Any) -> None:
    """Trains, and gets n signals between the rollout and the update of an iteration."""
    update = TextPPO.train

    def interrupted(agent: TextPPO) -> None:
        if agent.n_iterations == iteration - 1:
            for _ in range(n):
                signal.raise_signal(signal.SIGINT)
        update(agent)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TextPPO, "train", interrupted)
        patch.setattr("agents.training.interrupts._SAME_REQUEST_S", 0.0)
        with pytest.raises(KeyboardInterrupt):
            agents.training.run.train(config, out, **more)


def n_rows(out: Path) -> int:
    return len((out / "metrics.jsonl").read_text().splitlines())


_DYING = """
import os, signal
from agents.ppo.ppo import TextPPO
update = TextPPO.train
def dies_in_the_fourth(agent):
    if agent.n_iterations == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    update(agent)
TextPPO.train = dies_in_the_fourth
"""


def start(*words: object, first: str = "", **env: str) -> subprocess.Popen[str]:
    """Trains in another process, which executes some code before."""
    code = "import torch; torch.set_num_threads(1); from textenv.cli.main import main"
    return subprocess.Popen(
        [sys.executable, "-c", f"{code}\n{first}\nmain()", "train", *map(str, words)],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1", **env},
    )  # fmt: skip


def run(*words: object) -> Any:
    return CliRunner().invoke(make_app(), ["train", *map(str, words)])


@pytest.mark.slow
def test_a_killed_run_that_is_resumed_writes_what_it_would_have_written(config, straight, tmp_path):
    write_config(config.model_copy(update={"save_every": 2}), tmp_path / "given.yaml")
    out = tmp_path / "run"
    killed = start("--config", tmp_path / "given.yaml", "--out", out, first=_DYING)
    _, errors = killed.communicate(timeout=200)
    assert killed.returncode == -signal.SIGKILL, errors
    assert (saved_iteration(out), n_rows(out)) == (2, 3)
    assert run("--resume", out).exit_code == 0
    assert what_it_wrote(out) == straight
    assert "is finished" in run("--resume", out).stderr
    assert run("--resume", out, "total_episodes=40").exit_code == 0
    assert n_rows(out) == 5


def test_a_run_that_was_asked_to_stop_ends_its_iteration_and_goes_on_as_if_it_had_not(
    config, straight, tmp_path, capfd
):
    handler = signal.getsignal(signal.SIGINT)
    interrupt(config, tmp_path, iteration=1)
    assert signal.getsignal(signal.SIGINT) is handler
    assert capfd.readouterr().err.count("Stopping after this iteration; press Ctrl-C again") == 1
    assert saved_iteration(tmp_path) == n_rows(tmp_path) == 1
    # Asked in the last one it stops as well, and is evaluated when it goes on.
    interrupt(config, tmp_path, iteration=4, resume=True)
    assert saved_iteration(tmp_path) == n_rows(tmp_path) == 4
    assert not (tmp_path / "result.json").exists()
    go_on(tmp_path)
    assert what_it_wrote(tmp_path) == straight
    # What was found at the start is kept.
    assert "Evaluating the start" not in capfd.readouterr().err


@pytest.mark.slow
def test_asked_twice_a_run_stops_at_once_and_its_last_checkpoint_stays(config, straight, tmp_path):
    interrupt(config.model_copy(update={"save_every": 2}), tmp_path, iteration=3, n=2)
    assert saved_iteration(tmp_path) == n_rows(tmp_path) == 2
    go_on(tmp_path)
    assert what_it_wrote(tmp_path) == straight


@pytest.mark.slow
def test_a_run_that_was_stopped_before_it_saved_an_agent_begins_anew(config, straight, tmp_path):
    interrupt(config, tmp_path, iteration=2, n=2)
    assert saved_iteration(tmp_path) is None
    with pytest.raises(
        ConfigError, match=r"holds a run\. textenv train --resume .* begins it anew"
    ):
        agents.training.run.train(config, tmp_path)
    go_on(tmp_path)
    assert what_it_wrote(tmp_path) == straight


def test_a_run_stops_after_the_iteration_in_which_another_process_of_it_was_asked(
    config, tmp_path, monkeypatch
):
    class WithAnother(Ranks):
        another_is_asked = False

        def any(self, flag: bool) -> bool:
            return flag or self.another_is_asked

    ranks, update = WithAnother(), TextPPO.train

    def asked_elsewhere(agent: TextPPO) -> None:
        ranks.another_is_asked = agent.n_iterations == 1
        update(agent)

    monkeypatch.setattr("agents.ppo.ppo.join_ranks", lambda: ranks)
    monkeypatch.setattr(TextPPO, "train", asked_elsewhere)
    with pytest.raises(KeyboardInterrupt):
        agents.training.run.train(config, tmp_path)
    assert saved_iteration(tmp_path) == n_rows(tmp_path) == 2


@pytest.mark.slow
def test_a_signal_to_one_of_two_processes_stops_both_after_the_same_iteration(tmp_path):
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    out = tmp_path / "run"
    words = [w for w in _RUN if "device" not in w] + ["total_episodes=8000", "validation_every=0"]
    env = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
           "GLOO_SOCKET_IFNAME": "lo"}  # fmt: skip
    first, second = (
        start("TextTranslate-v0", *words, "device=cpu", "--out", out, **env, RANK=rank)
        for rank in "01"
    )
    while not (out / "metrics.jsonl").exists() or n_rows(out) < 1:
        assert first.poll() is None, first.communicate()
        time.sleep(0.02)
    second.send_signal(signal.SIGTERM)
    errors = [process.communicate(timeout=100)[1] for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [130, 130], errors
    saved = saved_iteration(out)
    assert saved == n_rows(out)
    assert f"Stopped. The agent after iteration {saved} is in" in " ".join(errors[0].split())
    assert "Stopped" not in errors[1]


@pytest.mark.slow
def test_a_finished_run_whose_page_was_not_written_names_the_command_that_makes_it(
    config, straight, tmp_path
):
    # As after a kill between the result and the page.
    agents.training.run.train(config, tmp_path)
    assert "textenv report" not in run("--resume", tmp_path).stderr
    (tmp_path / "report.html").unlink()
    assert f"'textenv report {tmp_path}'" in run("--resume", tmp_path).stderr.replace("\n", " ")


@pytest.mark.slow
def test_a_finished_run_that_is_extended_is_the_longer_run(config, tmp_path, capfd):
    # At a constant rate the total of episodes decides nothing but the end.
    config = config.replace(learning_rate_end=1.0, critic_warmup=0)
    longer, out = tmp_path / "longer", tmp_path / "extended"
    agents.training.run.train(config, longer)
    agents.training.run.train(config.model_copy(update={"total_episodes": 16}), out)
    for same in ({}, {"total_episodes": 16}):
        with pytest.raises(ConfigError, match=r"is finished.*total_episodes=N, with N above 16"):
            go_on(out, **same)
    capfd.readouterr()
    first_end = (out / "result.json").read_text()
    interrupt(config, out, iteration=3, n=2, resume=True)
    assert saved_iteration(out) == 2
    assert (out / "result.json").read_text() == first_end
    # What it was extended to is known from there on.
    go_on(out)
    assert what_it_wrote(out) == what_it_wrote(longer)
    assert "Evaluating the start" not in capfd.readouterr().err


def without_times(result: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in result.items() if not k.endswith("wall_s")}


@pytest.mark.slow
def test_a_run_that_had_converged_is_trained_further_only_when_it_is_extended(tmp_path):
    # So small a rate changes no greedy answer: no look is better than the first.
    words = [*_RUN, "save_every=1", "validation_every=1", "total_episodes=64", "patience=2"]
    config = load_config(None, [*words, "learning_rate=0.0000001"], id="TextTranslate-v0")
    first = agents.training.run.train(config, tmp_path)
    assert (first["stop_reason"], first["episodes"]) == ("converged", 24)
    result = tmp_path / "result.json"
    first_end = result.read_text()
    result.unlink()
    (tmp_path / "before.json").unlink()
    assert without_times(go_on(tmp_path)) == without_times(first)
    with pytest.raises(ConfigError, match="N above 64"):
        go_on(tmp_path)
    # It has as many looks more as its patience.
    second = go_on(tmp_path, total_episodes=72)
    assert (second["stop_reason"], second["episodes"], n_rows(tmp_path)) == ("converged", 40, 5)
    # As if it had been killed before it could write its second end.
    result.write_text(first_end)
    (tmp_path / "checksums.json").unlink()
    assert without_times(go_on(tmp_path)) == without_times(second)


def test_a_run_whose_time_is_up_says_so_and_goes_on_when_it_is_resumed(tmp_path):
    config = load_config(None, [*_RUN, "total_episodes=32", "max_seconds=1e-9"], id="TextQA-v0")
    first = agents.training.run.train(config, tmp_path)
    assert (first["stop_reason"], first["episodes"], n_rows(tmp_path)) == ("max_seconds", 8, 1)
    second = go_on(tmp_path)
    assert (second["stop_reason"], second["episodes"], n_rows(tmp_path)) == ("max_seconds", 16, 2)


def test_an_evaluation_of_the_start_that_does_not_fit_is_not_taken(config, tmp_path):
    config = config.model_copy(update={"total_episodes": 8})
    agents.training.run.train(config, tmp_path)
    arguments = agents.training.run.environment_arguments(
        config.model, None, config.reward, config.env
    )
    core = agents.training.run.make_core(config.id, 1, arguments)
    path = tmp_path / "before.json"
    kept = load_evaluation(path, core, config)
    assert kept is not None
    summary = json.loads((tmp_path / "result.json").read_text())["before"]
    assert json.loads(json.dumps(kept.summary())) == summary
    for changes in ({"seed": 1}, {"eval_examples": 3}):
        assert load_evaluation(path, core, config.model_copy(update=changes)) is None
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "examples": ["another", *data["examples"][1:]]}))
    assert load_evaluation(path, core, config) is None
    path.write_text(json.dumps(data)[:-9])
    with pytest.raises(DamagedError, match=r"before\.json' is damaged.*or delete it"):
        load_evaluation(path, core, config)
    path.unlink()
    assert load_evaluation(path, core, config) is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--resume", "nowhere"), "nowhere"),
        (("--resume", ".", "n_epochs=3"), "n_epochs=3 would change the run"),
        (("TextQA-v0", "--resume", "."), "keeps its own settings"),
        ((), "Name an environment"),
    ],
)
def test_what_cannot_be_resumed_is_said(words, message):
    done = run(*words)
    assert done.exit_code != 0
    assert message in done.output + str(done.exception)
