"""Law 11: a run that was stopped and goes on is the run that was not stopped."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import agents.ppo.checkpoints
from agents.ppo.atomic_replacement import replacing_entries, settle
from agents.ppo.ppo import TextPPO

_SETTINGS = {"learning_rate": 1e-2, "kl_target": 0.5, "critic_warmup": 1, "scale_rewards": True}


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


def test_pythons_and_numpys_generators_go_on_for_rewards_that_draw_from_them(
    make_agent, make_env, tmp_path
):
    agent = make_agent()
    agent.save(tmp_path / "even")
    # Of the pairs that both draw, one number is still to come.
    random.gauss(0, 1), np.random.standard_normal()
    agent.save(tmp_path / "odd")

    def drawn() -> list[float]:
        normal = [random.gauss(0, 1), np.random.standard_normal()]
        return [*normal, random.random(), np.random.random()]

    wanted = drawn()
    for folder in ("even", "odd"):
        random.seed(99), np.random.seed(99)
        TextPPO.load(tmp_path / folder, env=make_env(), device="cpu")
        if folder == "even":
            random.gauss(0, 1), np.random.standard_normal()
        assert drawn() == wanted


def test_another_generator_of_numpy_is_left_alone(make_agent, make_env, tmp_path):
    twister = np.random.get_bit_generator()
    agent = make_agent()
    try:
        np.random.set_bit_generator(np.random.PCG64(3))
        agent.save(tmp_path)
        assert "random/numpy/0" not in load_file(tmp_path / "agent.safetensors")
    finally:
        np.random.set_bit_generator(twister)
    TextPPO.load(tmp_path, env=make_env(), device="cpu")


def test_a_save_that_fails_leaves_the_agent_before_it(make_agent, tmp_path, monkeypatch):
    agent = make_agent()
    learn(agent, 12)
    agent.save(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")

    def fail(*arguments: Any, **more: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(agents.ppo.checkpoints, "save_file", fail)
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
    true_rename = Path.rename

    def dies_at_b(self: Path, target: Path) -> Path:
        if self.name == "b":
            raise KeyboardInterrupt
        return true_rename(self, target)

    def replace() -> None:
        with replacing_entries(tmp_path) as new:
            (new / "a").mkdir()
            (new / "a" / "new").touch()
            (new / "b").write_text("new")

    monkeypatch.setattr(Path, "rename", dies_at_b)
    with pytest.raises(KeyboardInterrupt):
        replace()
    assert (tmp_path / "b").read_text() == "old"
    monkeypatch.undo()
    settle(tmp_path)
    assert (tmp_path / "b").read_text() == "new"
    assert [entry.name for entry in (tmp_path / "a").iterdir()] == ["new"]
