"""Stable-Baselines3's own PPO and A2C train, save and load an LMPolicy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from agents.policy.lm_policy import LMPolicy
from agents.ppo.vec_env import TextVecEnv
from textenv.env import TextEnv


class Rewards(BaseCallback):
    """Notes the mean reward of each rollout of one-step episodes."""

    def __init__(self) -> None:
        super().__init__()
        self.means: list[float] = []
        self._paid: list[float] = []

    def _on_step(self) -> bool:
        self._paid += self.locals["rewards"].tolist()
        return True

    def _on_rollout_end(self) -> None:
        self.means.append(float(np.mean(self._paid)))
        self._paid.clear()


@pytest.fixture
def one_token_env(make_env, echo_rows) -> Any:
    """SB3's own way to an environment: Monitor and DummyVecEnv around single ones."""
    core = make_env(max_new_tokens=1).core

    def make(n_envs: int = 16) -> Any:
        return make_vec_env(
            lambda: TextEnv(
                task=core.task, dataset=echo_rows, reward=core.reward,
                tokenizer=core.tokenizer, max_prompt_tokens=16, max_new_tokens=1,
            ),
            n_envs=n_envs,
            seed=0,
        )  # fmt: skip

    return make


@pytest.mark.parametrize(
    ("algorithm", "settings", "tokens"),
    [
        pytest.param(
            PPO,
            {"n_steps": 8, "batch_size": 64, "n_epochs": 4, "learning_rate": 5e-3},
            128 * 12,
            id="PPO",
        ),
        pytest.param(
            A2C,
            {"n_steps": 4, "learning_rate": 5e-3, "gae_lambda": 1.0},
            64 * 40,
            id="A2C",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_stock_algorithm_improves_a_one_token_task(
    one_token_env, save_model, algorithm, settings, tokens
):
    model = algorithm(
        LMPolicy, one_token_env(), seed=0, device="cpu",
        policy_kwargs={"model": save_model(spread=0.02)}, **settings,
    )  # fmt: skip
    rewards = Rewards()
    model.learn(tokens, callback=rewards)
    first, last = np.mean(rewards.means[:2]), np.mean(rewards.means[-3:])
    assert first < 0.3
    assert last > 0.8
    mean, _ = evaluate_policy(model, one_token_env(), n_eval_episodes=32)
    assert mean == 1.0


CHOOSING = [
    (PPO, {"n_steps": 4, "batch_size": 64, "n_epochs": 4, "learning_rate": 5e-3}, 64 * 6),
    (A2C, {"n_steps": 2, "learning_rate": 5e-3, "gae_lambda": 1.0}, 32 * 20),
]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("algorithm", "settings", "steps"), CHOOSING, ids=["PPO", "A2C"])
def test_a_stock_algorithm_learns_what_to_choose(
    make_choice_env, save_model, algorithm, settings, steps, seed
):
    def make_choices() -> TextVecEnv:
        return TextVecEnv(make_choice_env(16))

    model = algorithm(
        LMPolicy, make_choices(), seed=seed, device="cpu",
        policy_kwargs={"model": save_model(spread=0.02)}, **settings,
    )  # fmt: skip
    rewards = Rewards()
    model.learn(steps, callback=rewards)
    # Of two or three candidates one is paid.
    assert 0.25 < np.mean(rewards.means[:1]) < 0.65
    mean, _ = evaluate_policy(model, make_choices(), n_eval_episodes=32)
    assert mean == 1.0


def test_an_agent_that_chooses_saves_and_loads(make_choice_env, save_model, tmp_path):
    env = TextVecEnv(make_choice_env(4, max_turns=2))
    model = PPO(
        LMPolicy, env, n_steps=4, batch_size=16, device="cpu", seed=0, learning_rate=1e-2,
        policy_kwargs={"model": save_model(spread=0.3), "length_normalized": False},
    )  # fmt: skip
    model.learn(16)
    model.save(tmp_path / "agent")
    model.policy.save(tmp_path / "policy.pt")
    observation, _ = model.policy.obs_to_tensor(env.reset())
    wanted = model.policy.get_distribution(observation).distribution.logits
    again = PPO.load(tmp_path / "agent", env=env, device="cpu")
    for policy in (again.policy, LMPolicy.load(tmp_path / "policy.pt", device="cpu")):
        assert not policy.options.length_normalized
        assert torch.allclose(policy.get_distribution(observation).distribution.logits, wanted)
    again.learn(16, reset_num_timesteps=False)
    assert again.num_timesteps == 32


def test_stock_ppo_saves_and_loads(one_token_env, save_model, tmp_path):
    env = one_token_env(4)
    settings = {"n_steps": 8, "batch_size": 32, "n_epochs": 2, "learning_rate": 1e-2}
    policy_kwargs = {"model": save_model(spread=0.3), "temperature": 0.8}
    model = PPO(LMPolicy, env, device="cpu", seed=0, policy_kwargs=policy_kwargs, **settings)
    model.learn(64)
    model.save(tmp_path / "agent")
    loaded = PPO.load(tmp_path / "agent", env=env, device="cpu")
    for name, tensor in model.policy.state_dict().items():
        assert torch.equal(tensor, loaded.policy.state_dict()[name]), name
    assert loaded.policy.options.temperature == 0.8
    observation = env.reset()
    assert np.array_equal(
        model.predict(observation, deterministic=True)[0],
        loaded.predict(observation, deterministic=True)[0],
    )
    loaded.learn(32, reset_num_timesteps=False)
    assert loaded.num_timesteps == 96


def test_a_policy_saves_and_loads_alone(one_token_env, save_model, tmp_path):
    env = one_token_env(4)
    model = PPO(
        LMPolicy, env, n_steps=8, batch_size=32, device="cpu", seed=0, learning_rate=1e-2,
        policy_kwargs={"model": save_model(spread=0.3), "temperature": 0.5},
    )  # fmt: skip
    model.learn(32)
    model.policy.save(tmp_path / "policy.pt")
    loaded = LMPolicy.load(tmp_path / "policy.pt", device="cpu")
    observation, _ = model.policy.obs_to_tensor(env.reset())
    with torch.no_grad():
        wanted = model.policy.get_distribution(observation).distribution.logits
        found = loaded.get_distribution(observation).distribution.logits
        assert torch.allclose(found, wanted)
        assert torch.allclose(
            loaded.predict_values(observation), model.policy.predict_values(observation)
        )
