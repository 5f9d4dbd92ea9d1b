"""An episode without a score teaches TextPPO nothing and is counted; others get an error."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.vec_env import DummyVecEnv

from agents.ppo.ppo import TextPPO
from agents.ppo.vec_env import TextVecEnv
from agents.training.config import load_config
from agents.training.held_out import evaluate_policy_on_split
from agents.training.run import make_agent as make_agent_of_run
from textenv import Episode, RewardError, RewardResult
from textenv.env import TextEnv
from textenv.errors import ConfigError
from textenv.vector import TextVectorEnv
from textenv.wrappers import RecordVectorEpisodes

END = 2


def n_written(episode: Episode) -> int:
    return int(episode.action_mask.sum())


def by_length(is_valid: Callable[[int], bool], otherwise: float = np.nan) -> Any:
    """Pays the length; some lengths are without a score, or are paid something else."""

    def reward(episodes: Sequence[Episode]) -> RewardResult:
        lengths = np.array([n_written(episode) for episode in episodes])
        valid = np.array([is_valid(length) for length in lengths], np.bool_)
        total = np.where(valid, lengths, otherwise).astype(np.float64)
        if not np.isnan(otherwise):
            return RewardResult(total)
        reasons = {int(i): f"{lengths[i]} is too odd." for i in np.flatnonzero(~valid)}
        return RewardResult(total, {"length": total}, valid, reasons)

    return reward


def is_even(length: int) -> bool:
    return length % 2 == 0


def parameters(agent: TextPPO) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in agent.policy.parameters()])


# One step


def test_a_step_raises_unless_it_is_masked(make_env):
    env = TextVecEnv(make_env(3, reward=by_length(is_even)))
    env.reset()
    with env.masking_invalid():
        env.step(np.array([7, 7, 7]))
        _, rewards, dones, infos = env.step(np.array([END, 7, 7]))
        assert (rewards[0], dones[0], infos[0]["episode"]["r"]) == (2, True, 2)
        _, rewards, dones, infos = env.step(np.array([7, END, END]))
        assert dones.tolist() == [False, True, True]
        assert np.isnan(rewards[1:]).all()
        for info in infos[1:]:
            assert (info["valid"], info["invalid_reason"]) == (False, "3 is too odd.")
            assert info["reward_components"] == {}
            assert "terminal_observation" in info
            assert "episode" not in info
        # The next episode of such a slot is like any other.
        env.step(np.array([7, 7, 7]))
        _, rewards, _, infos = env.step(np.array([7, END, 7]))
        assert (rewards[1], infos[1]["episode"]["r"], infos[1]["episode"]["l"]) == (2, 2, 2)
    with pytest.raises(RewardError, match=r"could not score example .*: 3 is too odd\."):
        env.step(np.array([7, 7, END]))


def test_masking_ends_when_something_else_fails(make_env):
    env = TextVecEnv(make_env(1, reward=by_length(is_even)))
    with pytest.raises(KeyError), env.masking_invalid():
        raise KeyError
    assert not env.core.mask_invalid


def test_a_recorded_episode_without_a_score_has_no_number(make_env, tmp_path):
    env = make_env(2, reward=by_length(is_even))
    slots = TextVecEnv(RecordVectorEpisodes(env, tmp_path / "episodes.jsonl"))
    slots.reset()
    with slots.masking_invalid():
        slots.step(np.array([END, 7]))
        slots.step(np.array([7, END]))
    lines = (tmp_path / "episodes.jsonl").read_text().splitlines()
    records = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    assert [record["reward"] for record in records] == [None, 2]


# A step that fails


@pytest.mark.parametrize("mode", ["next_step", "same_step", "disabled"])
def test_a_score_that_is_missing_in_one_slot_leaves_the_others_as_they_are(make_env, mode):
    failing = make_env(3, reward=by_length(lambda length: length > 1), autoreset_mode=mode)
    sound = make_env(3, reward=by_length(lambda _: True), autoreset_mode=mode)
    for env in (failing, sound):
        env.reset(seed=5)
    with pytest.raises(RewardError):
        failing.step(np.array([END, 7, 8]))
    sound.step(np.array([END, 7, 8]))
    assert failing.core.playing.tolist() == [False, True, True]
    if mode == "same_step":
        with pytest.raises(gym.error.ResetNeeded, match=r"slots \[0\] ended in a step that failed"):
            failing.step(np.array([7, 7, 7]))
    if mode != "next_step":
        for env in (failing, sound):
            env.reset(options={"reset_mask": np.array([True, False, False]), "index": 3})
    for actions in ([7, 9, 7], [7, 9, END]):
        ours, theirs = (env.step(np.array(actions)) for env in (failing, sound))
        for key in ("input_ids", "attention_mask", "remaining"):
            assert ours[0][key].tolist() == theirs[0][key].tolist()
        assert [part.tolist() for part in ours[1:4]] == [part.tolist() for part in theirs[1:4]]
    assert ours[1].tolist() == [0, 0, 3]


def test_under_sb3_a_failed_step_that_ended_episodes_asks_for_a_reset(make_env):
    env = TextVecEnv(make_env(2, reward=by_length(is_even)))
    env.reset()
    with pytest.raises(RewardError):
        env.step(np.array([END, 7]))
    with pytest.raises(gym.error.ResetNeeded, match="ended in a step that failed"):
        env.step(np.array([7, 7]))
    env.reset()
    env.step(np.array([7, 7]))
    # A refused action changes nothing, and does not count as one.
    with pytest.raises(ConfigError):
        env.step(np.array([-1, 7]))
    _, rewards, _, infos = env.step(np.array([END, 7]))
    assert rewards[0] == infos[0]["episode"]["l"] == 2


# Training


def test_training_is_as_if_such_episodes_had_not_been_played(make_agent, make_env):
    masked = make_agent(make_env(reward=by_length(is_even)), max_invalid_share=0.9)
    masked.learn(total_episodes=12)
    n_valid = len(masked.episodes)
    assert 0 < n_valid < 12
    assert all(is_even(int(e.action_mask.sum())) for e in masked.episodes)

    # The same episodes, all of them scored, and the odd ones removed by hand.
    plain = make_agent(make_env(reward=by_length(is_even, otherwise=1000.0)))
    collect = plain.collect_rollouts

    def collect_and_remove(*arguments: Any) -> bool:
        going = collect(*arguments)
        assert len(plain.episodes) == 12
        plain.episodes = [e for e in plain.episodes if is_even(int(e.action_mask.sum()))]
        return going

    plain.collect_rollouts = collect_and_remove
    plain.learn(total_episodes=12)
    assert torch.equal(parameters(masked), parameters(plain))
    assert torch.isfinite(parameters(masked)).all()
    assert masked.num_timesteps == plain.num_timesteps
    assert masked.n_episodes_done == plain.n_episodes_done == 12


def test_they_are_counted_and_in_no_statistic(make_agent, make_env):
    found = []
    agent = make_agent(make_env(reward=by_length(is_even)), max_invalid_share=0.9, seed=1)
    agent.learn(total_episodes=24, after_iteration=lambda metrics: not found.append(metrics))
    assert len(found) == 2
    lengths = [int(e.action_mask.sum()) for e in agent.episodes]
    last = found[-1]
    assert last["rollout/invalid_episodes"] == 12 - len(lengths) > 0
    assert last["rollout/reward_mean"] == last["rollout/response_tokens"] == np.mean(lengths)
    # Where all returns are equal there is no variance to explain.
    unknown = {k for metrics in found for k, v in metrics.items() if not np.isfinite(v)}
    assert unknown <= {"train/explained_variance"}
    n_scored = sum(12 - int(metrics["rollout/invalid_episodes"]) for metrics in found)
    assert len(agent.ep_info_buffer) == n_scored
    assert all(is_even(int(info["r"])) for info in agent.ep_info_buffer)


def test_a_run_without_such_episodes_counts_none(make_agent):
    found = []
    make_agent().learn(total_episodes=12, after_iteration=lambda m: not found.append(m))
    assert found[0]["rollout/invalid_episodes"] == 0


def test_a_rollout_with_too_many_stops_with_the_reason_of_one(make_agent, make_env):
    agent = make_agent(make_env(reward=by_length(is_even)), max_invalid_share=0.01)
    message = r"of the 12 episodes of a rollout .*max_invalid_share = 0\.01 .*example '.*': \d is"
    with pytest.raises(RewardError, match=message):
        agent.learn(total_episodes=12)


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_rollout_without_any_score_always_stops(make_agent, make_env, share):
    agent = make_agent(make_env(reward=by_length(lambda _: False)), max_invalid_share=share)
    before = parameters(agent)
    with pytest.raises(RewardError, match=r"12 of the 12 episodes.* is too odd\."):
        agent.learn(total_episodes=12)
    assert torch.equal(parameters(agent), before)
    assert not agent.env.core.mask_invalid


def test_a_single_score_is_enough_where_all_else_may_fail(make_agent, make_env):
    agent = make_agent(make_env(reward=by_length(is_even)), max_invalid_share=1.0)
    longest = max(range(2, 7, 2))
    agent.env.core.reward = by_length(lambda length: length == longest)
    agent.learn(total_episodes=12)
    assert {int(e.action_mask.sum()) for e in agent.episodes} == {longest}


def test_a_vector_environment_of_others_raises_at_the_first(make_agent, make_env, echo_rows):
    core = make_env().core

    def single() -> TextEnv:
        return TextEnv(
            task=core.task, dataset=echo_rows, reward=by_length(is_even), tokenizer=core.tokenizer,
            max_prompt_tokens=16, max_new_tokens=6,
        )  # fmt: skip

    agent = make_agent(DummyVecEnv([single] * 4), max_invalid_share=1.0)
    with pytest.raises(RewardError, match=r"could not score example .*is too odd\."):
        agent.learn(total_episodes=12)


def test_the_share_is_saved_and_configured(make_agent, tmp_path):
    make_agent(max_invalid_share=0.25).save(tmp_path / "agent")
    assert TextPPO.load(tmp_path / "agent", device="cpu").max_invalid_share == 0.25
    config = load_config(None, ["max_invalid_share=0.75", "n_envs=2"], id="TextQA-v0")
    assert make_agent_of_run(config, {}).max_invalid_share == 0.75


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_is_from_0_to_1(make_agent, share):
    with pytest.raises(ConfigError, match=r"max_invalid_share=.* is not valid"):
        make_agent(max_invalid_share=share)


def test_an_evaluation_is_complete_or_an_error(make_agent, make_env):
    policy = make_agent().policy
    core = make_env(4, reward=by_length(lambda _: False)).core
    with pytest.raises(RewardError, match=r"could not score example .*is too odd\."):
        evaluate_policy_on_split(policy, core, "train", 6)


# With a judge


@pytest.fixture
def judged_env(make_env, server, tmp_path):

    def make(**options: Any) -> TextVectorEnv:
        judge = {"model": "m", "base_url": server.url, "cache": str(tmp_path), **options}
        return make_env(reward={"judge": {"backoff_s": 0.001, **judge}})

    return make


def test_training_goes_on_with_a_judge_that_cannot_always_answer(make_agent, judged_env, server):
    def answer(body: dict[str, Any]) -> Any:
        response = body["messages"][-1]["content"].split('"response": ')[1].split("\nEND")[0]
        if len(response) % 3 == 0:
            return server.completion("I like it.")
        return server.completion('{"reason": "Well.", "score": 4}')

    server.answer = answer
    found = []
    agent = make_agent(judged_env(), max_invalid_share=0.9)
    agent.learn(total_episodes=24, after_iteration=lambda metrics: not found.append(metrics))
    assert len(found) == 2
    assert 0 < sum(metrics["rollout/invalid_episodes"] for metrics in found) < 24
    assert [metrics["rollout/reward_mean"] for metrics in found] == [pytest.approx(1 / 3)] * 2
    assert torch.isfinite(parameters(agent)).all()


@pytest.mark.parametrize(
    ("answer", "options", "message"),
    [
        ((200, "<html>"), {}, r"12 of the 12 episodes.*not a chat completion"),
        ((500, "{}"), {"max_retries": 1}, "refused with status 500"),
        ((429, "{}"), {"max_retries": 1}, "refused with status 429.*Lower the concurrency"),
        ((500, "{}"), {"max_retries": 0, "on_failure": "mark"}, "12 of the 12.*status 500"),
        ((401, "{}"), {}, "refused with status 401.*api_key"),
        (None, {"max_calls": 2}, "max_calls = 2 requests"),
    ],
)
def test_a_judge_that_never_answers_stops_the_run_and_says_why(
    make_agent, judged_env, server, answer, options, message
):
    server.answer = lambda body: answer or server.completion('{"score": 4}')
    agent = make_agent(judged_env(**options))
    with pytest.raises(RewardError, match=message):
        agent.learn(total_episodes=12)


def test_the_same_run_again_asks_nothing(make_agent, judged_env, server):
    server.answer = lambda body: server.completion('{"score": 4}')
    first = make_agent(judged_env()).learn(total_episodes=24)
    n_asked = len(server.bodies)
    again = make_agent(judged_env(max_calls=0)).learn(total_episodes=24)
    assert len(server.bodies) == n_asked > 0
    assert torch.equal(parameters(first), parameters(again))
