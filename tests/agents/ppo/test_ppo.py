"""TextPPO with SB3's callbacks, evaluation and logger."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import (
    BaseCallback,
    CheckpointCallback,
    EvalCallback,
    StopTrainingOnMaxEpisodes,
    StopTrainingOnRewardThreshold,
)
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from agents.ppo.ppo import TextPPO
from agents.ppo.vec_env import TextVecEnv
from textenv import RewardResult


def test_equal_seeds_give_equal_weights(make_env, make_agent):
    first, second, other = (
        make_agent(make_env(), seed=seed, critic_warmup=0, learning_rate=1e-2) for seed in (7, 7, 8)
    )
    # One after the other: SB3 seeds torch globally when an agent is made.
    results = []
    for agent in (first, second, other):
        agent.set_random_seed(agent.seed)
        agent.learn(total_episodes=36)
        results.append(copy.deepcopy(agent.policy.state_dict()))
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])
    assert not all(torch.equal(results[0][name], results[2][name]) for name in results[0])


def test_sb3s_callbacks_work(make_env, make_agent, tmp_path):
    agent = make_agent()
    evaluating = EvalCallback(
        TextVecEnv(make_env(2)), n_eval_episodes=4, eval_freq=10, verbose=0,
        best_model_save_path=str(tmp_path / "best"), log_path=str(tmp_path),
    )  # fmt: skip
    saving = CheckpointCallback(save_freq=10, save_path=str(tmp_path / "saved"))
    agent.learn(total_episodes=36, callback=[evaluating, saving])
    assert len(evaluating.evaluations_results) > 1
    assert np.shape(evaluating.evaluations_results)[1] == 4
    assert TextPPO.load(tmp_path / "best" / "best_model", device="cpu").num_timesteps > 0
    saved = sorted((tmp_path / "saved").iterdir())
    assert saved
    assert TextPPO.load(saved[0], device="cpu").policy.vocab_size == 20


def test_training_stops_after_a_number_of_episodes(make_env, make_agent):
    """Slots that have nothing left to do end no episode."""
    callback = StopTrainingOnMaxEpisodes(max_episodes=5)  # of each of eight slots: 40 in all
    agent = make_agent(make_env(8), n_episodes=12)
    agent.learn(total_episodes=1000, callback=callback)
    # Several may end in the step that stops; slots at rest would have ended many more.
    assert 40 <= callback.n_episodes < 48
    assert agent.n_episodes_done == 36


class Seen(BaseCallback):
    """Notes what SB3 promises to a callback."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = 0
        self.events: list[str] = []

    def _on_training_start(self) -> None:
        self.events.append("training_start")

    def _on_rollout_start(self) -> None:
        self.events.append("rollout_start")

    def _on_step(self) -> bool:
        self.ended += sum("episode" in info for info in self.locals["infos"])
        assert self.locals["dones"].sum() == sum("episode" in i for i in self.locals["infos"])
        assert self.locals["rewards"].shape == self.locals["dones"].shape
        return True

    def _on_rollout_end(self) -> None:
        self.events.append("rollout_end")

    def _on_training_end(self) -> None:
        self.events.append("training_end")


@pytest.mark.parametrize("n_envs", [1, 5])
def test_callbacks_see_only_slots_in_play(save_model, n_envs):
    env = make_vec_env("TextQA-v0", n_envs=n_envs)
    agent = TextPPO(
        "LMPolicy", env, n_episodes=6, batch_size=6, device="cpu", seed=0,
        policy_kwargs={"model": save_model(tokenizer="embedded")},
    )  # fmt: skip
    seen = Seen()
    agent.learn(total_episodes=12, callback=seen)
    assert seen.ended == agent.n_episodes_done == 12
    assert len(agent.ep_info_buffer) == 12
    assert seen.events == [
        "training_start", *["rollout_start", "rollout_end"] * 2, "training_end",
    ]  # fmt: skip


def test_a_callback_that_stops_leaves_the_agent_usable(make_env, make_agent):
    agent = make_agent()
    stop = EvalCallback(
        TextVecEnv(make_env(2)), n_eval_episodes=2, eval_freq=3, verbose=0,
        callback_on_new_best=StopTrainingOnRewardThreshold(-1.0),
    )  # fmt: skip
    agent.learn(total_episodes=120, callback=stop)
    assert agent.n_episodes_done == 0
    agent.learn(total_episodes=12)
    assert agent.n_episodes_done == 12


def test_sb3s_evaluate_policy_takes_the_agent(make_env, make_agent):
    agent = make_agent(make_env(reward=lambda es: RewardResult(np.full(len(es), 0.5))))
    rewards, lengths = evaluate_policy(
        agent, agent.env, n_eval_episodes=7, return_episode_rewards=True, deterministic=False
    )
    assert rewards == [0.5] * 7
    assert all(1 <= length <= 6 for length in lengths)


def test_logging_can_be_off_and_carry_words(make_agent):
    class Words(BaseCallback):
        def _on_step(self) -> bool:
            self.logger.record("note", "words")
            return True

    agent = make_agent()
    rows: list[Mapping[str, float]] = []

    def note(metrics: Mapping[str, float]) -> bool:
        rows.append(metrics)
        return True

    agent.learn(total_episodes=24, callback=Words(), log_interval=None, after_iteration=note)
    assert "note" not in rows[1]
    assert rows[1]["time/tokens_per_s"] > 0
