"""Composed rewards in training: every part is logged, dense pay arrives, a fitted run repeats."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import yaml
from stable_baselines3.common.logger import HumanOutputFormat, Logger

from agents.training.config import load_config
from agents.training.run import fit_config, train
from textenv.errors import RewardError
from textenv.rewards import RewardResult

QUICK = [
    "total_episodes=8", "n_episodes=8", "n_envs=4", "eval_examples=4", "validation_every=0",
    "env.max_new_tokens=8",
]  # fmt: skip


def word_count(episodes):
    words = np.array([len(e.response.split()) for e in episodes], np.float64)
    return RewardResult(words, {"letters": np.array([float(len(e.response)) for e in episodes])})


def test_the_mean_of_every_component_is_logged(make_env, make_agent):
    spec = {"words": {"reward": word_count, "weight": 0.5}, "random": 0}
    logged = {}
    agent = make_agent(make_env(reward=spec))
    agent.learn(total_episodes=12, after_iteration=logged.update)
    assert logged["rollout/words"] == pytest.approx(2 * logged["rollout/reward_mean"])
    assert logged["rollout/words/letters"] > logged["rollout/words"] > 0
    assert 0 < logged["rollout/random"] < 1


def test_long_names_of_components_are_logged_and_not_printed(make_env, make_agent):
    name = "a name that is longer than what is printed of it "
    spec = {name + str(i): {"reward": word_count} for i in range(2)}
    logged, printed = {}, io.StringIO()
    agent = make_agent(make_env(reward=spec))
    agent.set_logger(Logger(None, [HumanOutputFormat(printed)]))
    agent.learn(total_episodes=12, after_iteration=logged.update)
    assert logged[f"rollout/{name}1"] == logged[f"rollout/{name}0"]
    assert "reward_mean" in printed.getvalue()


def test_the_buffer_holds_dense_pay_where_it_came_and_sums_to_the_total(make_env, make_agent):
    spec = {"dense": {"of": word_count, "every": 2}}
    agent = make_agent(make_env(reward=spec))
    logged = {}
    agent.learn(total_episodes=12, after_iteration=logged.update)
    assert logged["rollout/reward_mean"] == pytest.approx(logged["rollout/dense"], abs=1e-5)
    early = 0
    for episode in agent.episodes:
        written = episode.rewards[episode.action_mask]
        assert not episode.rewards[~episode.action_mask].any()
        assert not written[:-1][::2].any()  # the odd tokens of what is not the end
        early += np.count_nonzero(written[:-1])
    assert early


def test_a_reward_that_was_not_fitted_says_what_to_do(make_env, make_agent):
    agent = make_agent(make_env(reward={"normalise": {"of": word_count}}))
    with pytest.raises(RewardError, match=r"standard deviation of 'word_count'.*fit_reward"):
        agent.learn(total_episodes=12)


@pytest.mark.slow
def test_training_fits_a_reward_first_and_the_run_repeats(save_model, tmp_path):
    reward = {"normalise": {"of": "random", "weight": 0.5}, "token_f1": 1}
    config = load_config(
        None, QUICK, id="TextQA-v0", model=save_model("gpt2", tokenizer="embedded"), reward=reward
    )
    first, second = tmp_path / "first", tmp_path / "second"
    result = train(config, first)
    written = yaml.safe_load((first / "config.yaml").read_text(encoding="utf-8"))
    std = written["reward"]["normalise"]["std"]
    # Uniform numbers in [0, 1] deviate by 1/sqrt(12) = 0.289.
    assert std == pytest.approx(0.289, abs=0.03)
    assert result["reward"] == written["reward"]
    assert written["reward"] == {"normalise": {"of": "random", "weight": 0.5, "std": std},
                                 "token_f1": 1}  # fmt: skip
    again = train(load_config(first / "config.yaml"), second)
    ignored = {"wall_s", "train_wall_s"}
    assert {k: v for k, v in again.items() if k not in ignored} == {
        k: v for k, v in result.items() if k not in ignored
    }
    rows = [json.loads((run / "metrics.jsonl").read_text()) for run in (first, second)]
    for row in rows:
        for key in [key for key in row if key.startswith("time/")]:
            del row[key]
    assert rows[0] == rows[1]


def test_nothing_is_sampled_where_nothing_is_to_be_fitted(save_model):
    model = save_model("gpt2", tokenizer="embedded")
    config = load_config(None, QUICK, id="TextQA-v0", model=model)
    assert fit_config(config) is config
    alike = load_config(
        None, QUICK, id="TextQA-v0", model=model, reward={"normalise": {"of": "constant"}}
    )
    with pytest.raises(RewardError, match="all score 0"):
        fit_config(alike)
