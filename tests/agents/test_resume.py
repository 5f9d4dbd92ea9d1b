"""Law 11: a run that was stopped and goes on is the run that was not stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import agents.checkpoints
import agents.training
from agents.config import load_config
from agents.folder_swap import replacing_entries, settle
from agents.ppo import TextPPO

_SETTINGS = {"learning_rate": 1e-2, "kl_target": 0.5, "critic_warmup": 1, "scale_rewards": True}
_ROOT = Path(__file__).parents[2]


def learn(agent: TextPPO, total: int, save_at: int = 0, to: Path | None = None) -> list[Any]:
    rows: list[Any] = []

    def after_iteration(metrics: Any) -> bool:
        rows.append({k: v for k, v in metrics.items() if not k.startswith("time/")})
        if agent.n_iterations == save_at:
            assert to is not None
            agent.save(to)
        return True

    agent.learn(total_episodes=total, after_iteration=after_iteration, resume=True)
    return rows


def everything(agent: TextPPO, folder: Path) -> dict[str, torch.Tensor]:
    agent.save(folder)
    return load_file(folder / "agent.safetensors") | load_file(folder / "model/model.safetensors")


@pytest.mark.parametrize(
    ("family", "policy", "env"),
    [
        ("llama", {"separate_critic": True}, {"max_turns": 3}),
        ("qwen3", {"lora": {"r": 2}}, {}),
        ("gpt2", {"bf16": True}, {}),
    ],
)
def test_law_11_resume_equals_uninterrupted_bit_for_bit(
    save_model, make_env, make_agent, tmp_path, family, policy, env
):
    policy = {"model": save_model(family, spread=0.3), **policy}
    straight = make_agent(make_env(**env), policy, **_SETTINGS)
    rows = learn(straight, 60, save_at=2, to=tmp_path / "half")
    assert len(rows) == 5
    torch.manual_seed(99)
    torch.rand(17)
    stopped = TextPPO.load(tmp_path / "half", env=make_env(**env), device="cpu")
    stopped.set_logger(straight.logger)
    assert learn(stopped, 60) == rows[2:]
    found, wanted = (everything(a, tmp_path / n) for a, n in ((stopped, "a"), (straight, "b")))
    assert found.keys() == wanted.keys()
    assert [name for name in wanted if not torch.equal(found[name], wanted[name])] == []
    states = [json.loads((tmp_path / n / "agent.json").read_text())["state"] for n in "ab"]
    assert states[0] == states[1]


def test_a_budget_in_tokens_is_the_one_that_was_given(make_env, make_agent, tmp_path):
    straight = make_agent(**_SETTINGS)
    straight.learn(
        120, after_iteration=lambda _: straight.n_iterations > 1 or not straight.save(tmp_path)
    )
    stopped = TextPPO.load(tmp_path, env=make_env(), device="cpu")
    stopped.set_logger(straight.logger)
    stopped.learn(120, resume=True)
    assert stopped.num_timesteps == straight.num_timesteps >= 120
    assert stopped.n_iterations == straight.n_iterations > 1
    for found, wanted in zip(
        stopped.policy.parameters(), straight.policy.parameters(), strict=True
    ):
        assert torch.equal(found, wanted)


def test_more_slots_than_before_go_on_from_new_streams(make_env, make_agent, tmp_path):
    agent = make_agent()
    learn(agent, 12)
    agent.save(tmp_path)
    wider = TextPPO.load(tmp_path, env=make_env(6), device="cpu")
    states = wider.env.env.random_states
    assert states[:4] == agent.env.env.random_states
    assert states[4:] == [None, None]
    wider.set_logger(agent.logger)
    learn(wider, 24)
    assert wider.n_episodes_done == 24


def test_a_save_that_fails_leaves_the_agent_before_it(make_agent, tmp_path, monkeypatch):
    agent = make_agent()
    learn(agent, 12)
    agent.save(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")

    def fail(*arguments: Any, **more: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(agents.checkpoints, "save_file", fail)
    learn(agent, 24)
    with pytest.raises(OSError, match="No space left"):
        agent.save(tmp_path)
    assert TextPPO.load(tmp_path).n_episodes_done == 12
    monkeypatch.undo()
    agent.save(tmp_path)
    assert TextPPO.load(tmp_path).n_episodes_done == 24
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_a_replacement_that_was_cut_short_is_finished(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").touch()
    (tmp_path / "b").write_text("old")
    true_replace = Path.replace

    def dies_at_b(self: Path, target: Path) -> Path:
        if self.name == "b":
            raise KeyboardInterrupt
        return true_replace(self, target)

    def replace() -> None:
        with replacing_entries(tmp_path) as new:
            (new / "a").mkdir()
            (new / "a" / "new").touch()
            (new / "b").write_text("new")

    monkeypatch.setattr(Path, "replace", dies_at_b)
    with pytest.raises(KeyboardInterrupt):
        replace()
    assert (tmp_path / "b").read_text() == "old"
    monkeypatch.undo()
    settle(tmp_path)
    assert (tmp_path / "b").read_text() == "new"
    assert [entry.name for entry in (tmp_path / "a").iterdir()] == ["new"]


def train(*words: object) -> subprocess.Popen[str]:
    code = "import torch; torch.set_num_threads(1); from textenv.cli.main import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "train", *map(str, words)],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def what_it_wrote(run: Path) -> dict[str, Any]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        for name in [name for name in row if name.startswith("time/") and name.endswith("_s")]:
            del row[name]
    result = json.loads((run / "result.json").read_text())
    return {
        "rows": rows,
        "samples": (run / "samples.jsonl").read_text(),
        "result": {k: v for k, v in result.items() if not k.endswith("wall_s")},
        "weights": (run / "model/model.safetensors").read_bytes(),
    }


def test_a_killed_run_that_is_resumed_writes_what_it_would_have_written(
    save_model, echo_rows, tmp_path
):
    words = [
        "TextTranslate-v0", "n_episodes=8", "n_envs=8", "batch_size=8", "total_episodes=48",
        "save_every=2", "validation_every=2", "validation_examples=4", "eval_examples=8",
        "env.max_new_tokens=12",
    ]  # fmt: skip
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    runs = [train(*words, "--out", out) for out in (straight, killed)]
    metrics = killed / "metrics.jsonl"
    while not metrics.exists() or len(metrics.read_text().splitlines()) < 3:
        assert runs[1].poll() is None, runs[1].communicate()
        time.sleep(0.02)
    runs[1].send_signal(signal.SIGKILL)
    assert runs[1].communicate() is not None
    assert not (killed / "result.json").exists()
    resumed = train("--resume", killed)
    for run in (runs[0], resumed):
        _, errors = run.communicate(timeout=200)
        assert run.returncode == 0, errors
    assert what_it_wrote(killed) == what_it_wrote(straight)
    again = train("--resume", killed)
    assert "is finished" in again.communicate()[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--resume", "nowhere"), "nowhere"),
        (("--resume", ".", "n_epochs=3"), "n_epochs=3 would make another run of it"),
        (("TextQA-v0", "--resume", "."), "goes on with its own settings"),
        ((), "Name an environment"),
    ],
)
def test_what_cannot_be_resumed_is_said(words, message):
    from typer.testing import CliRunner

    from textenv.cli.main import make_app

    done = CliRunner().invoke(make_app(), ["train", *words])
    assert done.exit_code != 0
    assert message in done.output + str(done.exception)


_RUN = [
    "n_episodes=8", "n_envs=8", "batch_size=8", "save_every=1", "validation_every=1",
    "validation_examples=4", "eval_examples=4", "env.max_new_tokens=8", "device=cpu",
]  # fmt: skip


def test_a_run_that_had_converged_is_not_trained_further(tmp_path):
    # So small a rate changes no greedy answer: the second look is no better than the first.
    words = [*_RUN, "total_episodes=64", "patience=1", "learning_rate=0.0000001"]
    first = agents.training.train(load_config(None, words, id="TextTranslate-v0"), tmp_path)
    assert (first["stop_reason"], first["episodes"]) == ("converged", 16)
    (tmp_path / "result.json").unlink()
    config = load_config(tmp_path / "config.yaml", [])
    again = agents.training.train(config, tmp_path, resume=True)
    assert {k: v for k, v in again.items() if not k.endswith("wall_s")} == {
        k: v for k, v in first.items() if not k.endswith("wall_s")
    }


def test_an_interrupted_look_at_validation_loses_no_row(tmp_path, monkeypatch):
    true, looks = agents.training.evaluate_policy_on_split, []

    def interrupted(policy: Any, core: Any, split: str, *more: Any, **named: Any) -> Any:
        looks.append(split)
        if looks.count("validation") == 2 and split == "validation":
            raise KeyboardInterrupt
        return true(policy, core, split, *more, **named)

    config = load_config(None, [*_RUN, "total_episodes=24"], id="TextTranslate-v0")
    with monkeypatch.context() as patch:
        patch.setattr(agents.training, "evaluate_policy_on_split", interrupted)
        with pytest.raises(KeyboardInterrupt):
            agents.training.train(config, tmp_path)
    agents.training.train(load_config(tmp_path / "config.yaml", []), tmp_path, resume=True)
    rows = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["iteration"] for row in rows] == [1, 2, 3]
