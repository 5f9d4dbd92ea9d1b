"""A step that is not finite is skipped and counted, and no NaN is ever saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.vec_env import DummyVecEnv

import agents.ppo.update
import agents.training.run
from agents.policy.episode_batch import make_batch
from agents.ppo.distributed import Ranks
from agents.ppo.ppo import TextPPO
from agents.ppo.rollout import collect_episodes
from agents.ppo.steps import DivergedError
from agents.training.config import train_config
from textenv import ModelError, RewardError, RewardResult
from textenv.env import TextEnv


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the losses of some calls NaN or infinite, by number from 0."""

    def poison(is_bad: Any, value: float = np.nan, name: str = "policy_loss") -> None:
        true_loss, calls = getattr(agents.ppo.update, name), []

        def loss(*args: Any, **kwargs: Any) -> Any:
            calls.append(None)
            found = true_loss(*args, **kwargs)
            if not is_bad(len(calls) - 1):
                return found
            return found * value if name == "value_loss" else (found[0] * value, found[1])

        monkeypatch.setattr(agents.ppo.update, name, loss)

    return poison


def weights(agent: TextPPO) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in agent.policy.parameters()])


def learn(agent: TextPPO, episodes: int) -> list[dict[str, float]]:
    rows: list[dict[str, float]] = []
    agent.learn(total_episodes=episodes, after_iteration=lambda m: not rows.append(dict(m)))
    return rows


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("policy_loss", {"critic_warmup": 0}),
        ("policy_loss", {"critic_warmup": 0, "max_grad_norm_critic": 1.0}),
        ("value_loss", {"critic_warmup": 1}),
    ],
)
def test_one_is_skipped_and_counted(make_agent, poison, name, settings, value):
    poison(lambda call: call == 1, value, name)
    agent = make_agent(learning_rate=1e-2, **settings)
    steps: list[torch.Tensor] = []
    agent.policy.optimizer.register_step_post_hook(lambda *_: steps.append(weights(agent)))
    rows = learn(agent, 48)
    assert [row["train/skipped_steps"] for row in rows] == [1, 1, 1, 1]
    assert [row["train/optimizer_steps"] for row in rows] == [1, 3, 5, 7]
    assert len(steps) == 7
    assert all(step.isfinite().all() for step in steps)
    assert all(not steps[i].equal(steps[i + 1]) for i in range(6))


def test_five_in_a_row_end_learning_with_sound_weights(make_agent, poison, tmp_path):
    poison(lambda call: call >= 2)
    agent = make_agent(critic_warmup=0, learning_rate=1e-2)
    seen: list[torch.Tensor] = []
    agent.policy.optimizer.register_step_post_hook(lambda *_: seen.append(weights(agent)))
    with pytest.raises(DivergedError, match=r"5 optimizer steps in a row .*grad_norm nan"):
        agent.learn(total_episodes=120)
    assert len(seen) == 2
    assert weights(agent).equal(seen[-1])
    assert (agent.steps.taken, agent.steps.skipped) == (2, 5)
    agent.save(tmp_path)
    loaded = TextPPO.load(tmp_path, device="cpu")
    assert weights(loaded).equal(seen[-1])
    assert (loaded.steps.taken, loaded.steps.skipped) == (2, 5)


def test_four_in_a_row_do_not(make_agent, poison):
    poison(lambda call: call % 5 < 4)
    agent = make_agent(critic_warmup=0, n_epochs=5)
    assert learn(agent, 24)[-1]["train/skipped_steps"] == 8


@pytest.mark.parametrize("which", ["lm", "value_head", "optimizer"])
def test_what_is_not_finite_is_never_saved(make_agent, tmp_path, which):
    agent = make_agent(critic_warmup=0)
    agent.learn(total_episodes=12)
    agent.save(tmp_path)
    kept = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with torch.no_grad():
        if which == "optimizer":
            next(iter(agent.policy.optimizer.state.values()))["exp_avg"].view(-1)[0] = torch.inf
        else:
            next(getattr(agent.policy, which).parameters()).view(-1)[0] = torch.nan
    with pytest.raises(ModelError, match="not finite, so the agent was not saved"):
        agent.save(tmp_path)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == kept


def test_a_step_that_another_process_skips_is_skipped(make_agent):
    class Two(Ranks):
        def any(self, flag: bool) -> bool:
            assert not flag
            return True

    agent = make_agent(critic_warmup=0)
    batch = make_batch(collect_episodes(agent.env, agent.policy, 12))
    targets = agent.compute_targets(batch)
    stats = agent.accumulate_gradients(batch, targets, torch.arange(12))
    before = weights(agent)
    agent.steps.step(agent.policy, stats, agent.options, Two())
    assert weights(agent).equal(before)
    assert agent.steps.skipped == 1


def test_what_was_not_finite_is_named(save_model, make_agent, caplog):
    agent = make_agent(critic_warmup=0, kl_target=1.0)
    batch = make_batch(collect_episodes(agent.env, agent.policy, 12))
    with torch.no_grad():
        next(agent.reference.model.parameters())[6] = torch.nan  # the word "red"
    coef = agent.kl_controller.coef
    targets = agent.compute_targets(batch)
    assert not targets.advantages.isfinite().all()
    assert agent.kl_controller.coef == coef
    with pytest.raises(DivergedError, match=r"the reference's log-probabilities of .* tokens"):
        agent.learn(total_episodes=120)
    assert "not finite: the reference's log-probabilities of" in caplog.text


@pytest.mark.parametrize("paid", [np.nan, 1e39, 1e31])
def test_a_reward_that_is_not_finite_in_float32_is_refused(make_agent, make_env, echo_rows, paid):
    core = make_env().core

    class Paying(TextEnv):
        def step(self, action: Any) -> Any:
            observation, reward, *rest = super().step(action)
            return observation, paid if rest[0] else reward, *rest

    def single() -> TextEnv:
        return Paying(
            task=core.task, dataset=echo_rows, reward=core.reward, tokenizer=core.tokenizer,
            max_prompt_tokens=16, max_new_tokens=6,
        )  # fmt: skip

    with (
        np.errstate(over="ignore"),
        pytest.raises(RewardError, match=r"paid (nan|inf|1e\+31|9\.9\S+) for token"),
    ):
        make_agent(DummyVecEnv([single] * 4)).learn(total_episodes=12)
    env = make_env(reward=lambda episodes: RewardResult(np.full(len(episodes), 1e39)))
    with np.errstate(over="ignore"), pytest.raises(RewardError, match=r"paid inf for token .*'"):
        make_agent(env).learn(total_episodes=12)


def test_a_run_keeps_its_last_good_agent_and_goes_on(poison, monkeypatch, tmp_path):
    words: dict[str, Any] = {
        "id": "TextQA-v0", "n_episodes": 4, "n_envs": 4, "batch_size": 4, "eval_examples": 2,
        "validation_every": 0, "save_every": 0, "total_episodes": 24, "n_epochs": 2,
        "critic_warmup": 0,
    }  # fmt: skip
    with monkeypatch.context():
        poison(lambda call: call >= 4)
        with pytest.raises(DivergedError, match=r"kept in .*go on with --resume"):
            agents.training.run.train(train_config(words), tmp_path / "run")
    kept = TextPPO.load(tmp_path / "run", device="cpu")
    assert weights(kept).isfinite().all()
    assert (kept.n_iterations, kept.steps.taken) == (4, 4)
    monkeypatch.undo()
    result = agents.training.run.train(train_config(words), tmp_path / "run", resume=True)
    assert result["episodes"] == 24
    lines = (Path(tmp_path) / "run" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 5
