"""Tools of Gymnasium, SB3 and sb3-contrib take environments and policies as they are."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import RecordEpisodeStatistics
from gymnasium.wrappers.vector import RecordEpisodeStatistics as RecordVectorStatistics
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from agents.policy.lm_policy import LMPolicy
from agents.ppo.vec_env import TextVecEnv

LEVELS = ["token", "select"]


@pytest.fixture
def make_ppo(make_choice_env, save_model):
    def make(level: str) -> PPO:
        env = TextVecEnv(make_choice_env(4, action_level=level, max_turns=2))
        return PPO(
            LMPolicy, env, n_steps=4, batch_size=16, n_epochs=1, device="cpu", seed=0,
            policy_kwargs={"model": save_model(spread=0.02)},
        )  # fmt: skip

    return make


@pytest.mark.parametrize("level", LEVELS)
def test_sb3s_eval_callback_keeps_the_best_policy(make_ppo, make_choice_env, tmp_path, level):
    watched = TextVecEnv(make_choice_env(2, action_level=level, max_turns=2))
    callback = EvalCallback(
        watched, n_eval_episodes=3, eval_freq=4, verbose=0,
        log_path=str(tmp_path), best_model_save_path=str(tmp_path),
    )  # fmt: skip
    make_ppo(level).learn(32, callback=callback)
    noted = np.load(tmp_path / "evaluations.npz")
    assert noted["results"].shape == (2, 3)
    assert noted["ep_lengths"].min() >= 2
    assert callback.best_mean_reward == noted["results"].mean(axis=1).max()
    best = PPO.load(tmp_path / "best_model.zip", device="cpu")
    assert best.policy.action_level == level


@pytest.mark.parametrize("level", LEVELS)
def test_sb3_evaluates_the_policy_in_every_kind_of_environment(make_ppo, level):
    kwargs = {"action_level": level, "max_prompt_tokens": 96}
    vector = TextVecEnv(gym.make_vec("TextQAChoice-v0", num_envs=2, **kwargs))
    single = make_vec_env("TextQAChoice-v0", n_envs=2, seed=0, env_kwargs=kwargs)
    policy_kwargs = {"model": "embedded"}
    model = PPO(LMPolicy, vector, n_steps=2, batch_size=4, seed=0, policy_kwargs=policy_kwargs)
    paid = []
    for env in (vector, single):
        env.seed(0)
        paid.append(evaluate_policy(model, env, n_eval_episodes=4, return_episode_rewards=True))
    assert paid[0] == paid[1]
    rewards, lengths = paid[0]
    assert set(rewards) <= {0.0, 1.0}
    assert all(length == 1 for length in lengths) == (level == "select")


@pytest.mark.parametrize("level", LEVELS)
def test_gymnasium_records_the_episodes_of_one_environment(level):
    env = RecordEpisodeStatistics(gym.make("TextQAChoice-v0", action_level=level))
    env.action_space.seed(0)
    for _ in range(2):
        env.reset(seed=0)
        total, steps, ended = 0.0, 0, False
        while not ended:
            _, reward, terminated, truncated, info = env.step(env.action_space.sample())
            total, steps, ended = total + reward, steps + 1, terminated or truncated
        assert (info["episode"]["r"], info["episode"]["l"]) == (total, steps)
    assert len(env.return_queue) == 2


@pytest.mark.parametrize("mode", ["next_step", "same_step"])
@pytest.mark.parametrize("level", LEVELS)
def test_gymnasium_records_the_episodes_of_a_vector_environment(level, mode):
    env = RecordVectorStatistics(
        gym.make_vec(
            "TextQAChoice-v0", num_envs=3, action_level=level, max_new_tokens=8, autoreset_mode=mode
        )
    )
    env.action_space.seed(0)
    env.reset(seed=0)
    paid = lengths = 0.0
    for _ in range(20):
        _, rewards, terminated, _, infos = env.step(env.action_space.sample())
        paid += rewards.sum()
        if terminated.any():
            lengths += infos["episode"]["l"][terminated].sum()
    assert env.episode_count > 3
    assert sum(env.return_queue) == paid
    assert sum(env.length_queue) == lengths
    assert set(env.length_queue) <= ({1} if level == "select" else set(range(1, 9)))


@pytest.mark.parametrize("level", LEVELS)
def test_maskable_ppo_keeps_to_the_open_actions(make_choice_env, level):
    contrib = pytest.importorskip("sb3_contrib")
    from sb3_contrib.common.maskable.evaluation import evaluate_policy as evaluate_masked
    from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported

    env = TextVecEnv(make_choice_env(4, action_level=level, max_turns=2))
    assert is_masking_supported(env)
    env.reset()
    masks = get_action_masks(env)
    assert masks.shape == (4, env.action_space.n)
    assert not masks.all()
    model = contrib.MaskablePPO("MultiInputPolicy", env, n_steps=8, batch_size=32, device="cpu")
    model.learn(32)
    taken, open_ = model.rollout_buffer.actions, model.rollout_buffer.action_masks
    taken = taken.reshape(-1).astype(int)
    assert (open_.reshape(-1, env.action_space.n)[np.arange(len(taken)), taken] == 1).all()
    evaluate_masked(model, env, n_eval_episodes=2)
