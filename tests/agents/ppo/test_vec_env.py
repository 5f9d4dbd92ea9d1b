"""The Stable-Baselines3 adaptor: the same stream and infos as SB3's own vector environment."""

from __future__ import annotations

import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import StopTrainingOnRewardThreshold
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import (
    VecCheckNan,
    VecEnvWrapper,
    VecExtractDictObs,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
    is_vecenv_wrapped,
)

from agents.integrations.sb3_evaluation import EvalCallback
from agents.integrations.sb3_evaluation import evaluate_policy as evaluate_any
from agents.policy.lm_policy import LMPolicy
from agents.ppo.ppo import TextPPO
from agents.ppo.random_states import slot_states
from agents.ppo.vec_env import TextVecEnv
from textenv.errors import ConfigError, RewardError
from textenv.rewards import RewardResult
from textenv.wrappers import RecordVectorEpisodes

END = 1
N = 3


def make(id="TextQA-v0", n=N, **kwargs) -> TextVecEnv:
    return TextVecEnv(gym.make_vec(id, num_envs=n, **kwargs))


class RandomPolicy:
    """What `evaluate_policy` needs of a model: random actions, END now and then."""

    def __init__(self, n_actions: int) -> None:
        self.n_actions = n_actions
        self.rng = np.random.default_rng(0)

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        n = len(next(iter(observation.values())))
        random = self.rng.integers(self.n_actions, size=n)
        return np.where(self.rng.random(n) < 0.2, END, random), state


def assert_same(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for key in found:
        np.testing.assert_array_equal(found[key], expected[key])
        assert found[key].dtype == expected[key].dtype


@pytest.mark.parametrize("limit", [None, 5])
@pytest.mark.parametrize(
    ("id", "level"),
    [
        ("TextQA-v0", "token"),
        ("TextDialogue-v0", "token"),
        ("TextSummarize-v0", "token"),
        ("TextDialogue-v0", "select"),
        ("TextQAChoice-v0", "select"),
    ],
)
def test_every_step_is_that_of_sb3s_own_vector_environment(id, level, limit):
    n_tokens = 6 if level == "token" else 32
    kwargs = {"max_new_tokens": n_tokens, "max_episode_steps": limit, "action_level": level}
    ours = make(id, **kwargs)
    theirs = make_vec_env(id, n_envs=N, env_kwargs=kwargs)
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    ours.seed(4)
    theirs.seed(4)
    assert_same(ours.reset(), theirs.reset())
    assert ours.reset_infos == theirs.reset_infos
    policy = RandomPolicy(ours.action_space.n)
    ended = 0
    for _ in range(60):
        actions, _ = policy.predict({"remaining": np.zeros(N)})
        observation, rewards, dones, infos = ours.step(actions)
        expected = theirs.step(actions)
        assert_same(observation, expected[0])
        np.testing.assert_array_equal(rewards, expected[1])
        np.testing.assert_array_equal(dones, expected[2])
        assert (rewards.dtype, dones.dtype) == (expected[1].dtype, expected[2].dtype)
        assert ours.reset_infos == theirs.reset_infos
        for slot in np.flatnonzero(dones):
            info, expected_info = infos[slot], dict(expected[3][slot])
            assert_same(info.pop("terminal_observation"), expected_info.pop("terminal_observation"))
            episode, expected_episode = info.pop("episode"), expected_info.pop("episode")
            assert (round(episode["r"], 6), episode["l"]) == (
                expected_episode["r"],
                expected_episode["l"],
            )
            assert episode["t"] >= 0
            assert info == expected_info
        for slot in np.flatnonzero(~dones):
            # Theirs says of every step whether a time limit ended it.
            assert infos[slot] | {"TimeLimit.truncated": False} == expected[3][slot]
        ended += dones.sum()
    assert ended > N


def test_a_new_turn_names_its_candidates():
    env = make("TextDialogue-v0", n=2, action_level="select")
    env.reset()
    first = [info["candidates"] for info in env.reset_infos]
    # A question goes on with the dialogue; a booking would end it.
    asking = [next(i for i, text in enumerate(one) if text.endswith("?")) for one in first]
    _, _, dones, infos = env.step(np.array(asking))
    assert not dones.any()
    masks = np.stack(env.env_method("action_masks"))
    for slot in range(2):
        assert infos[slot].keys() == {"candidates"}
        assert infos[slot]["candidates"] != first[slot]
        assert masks[slot].sum() == len(infos[slot]["candidates"])


@pytest.mark.parametrize("level", ["token", "select"])
def test_a_step_observes_once_and_copies_nothing(level, monkeypatch):
    env = make("TextQAChoice-v0", n=2, action_level=level)
    core_level, observed, alone = env.env.core.level, [], []
    whole, single = core_level.observe, core_level.observe_slot
    monkeypatch.setattr(core_level, "observe", lambda: observed.append(whole()) or observed[-1])
    monkeypatch.setattr(
        core_level, "observe_slot", lambda slot: alone.append(single(slot)) or alone[-1]
    )
    assert env.reset() is observed.pop()
    going = {"token": [700, 700], "select": [0, 0]}[level]
    for actions in (going, [1, 0], [1, 1]):
        observation, _, dones, infos = env.step(np.array(actions))
        assert observation is observed.pop()
        assert not observed
        ended = np.flatnonzero(dones).tolist()
        assert [id(infos[slot]["terminal_observation"]) for slot in ended] == list(map(id, alone))
        alone.clear()
    assert len(ended) == 2


def test_the_text_level_is_refused_with_what_to_do():
    with pytest.raises(ConfigError, match='make it with action_level="token"'):
        make(action_level="text")


def test_groups_play_the_same_examples_until_the_reset_after():
    env = make(n=8)
    env.set_options({"group_size": 4})
    env.seed(0)
    observation = env.reset()

    def prompts(observation) -> list[bytes]:
        return [row.tobytes() for row in observation["input_ids"]]

    for _ in range(2):
        shown = prompts(observation)
        assert shown == shown[:1] * 4 + shown[4:5] * 4
        assert shown[0] != shown[4]
        observation, _, dones, _ = env.step(np.full(8, END))
        assert dones.all()
    assert len(set(prompts(env.reset()))) == 8
    env.set_options({"group_size": 3})
    with pytest.raises(ConfigError, match="8 slots do not divide into groups of 3"):
        env.reset()


@pytest.mark.parametrize("level", ["token", "select"])
def test_each_slot_has_its_own_action_mask(level):
    env = make("TextDialogue-v0", action_level=level)
    env.seed(3)
    env.reset()
    env.step(np.array([0, 1, END]))
    masks = env.env_method("action_masks")
    assert len(masks) == N
    np.testing.assert_array_equal(np.stack(masks), env.env.action_masks())
    assert np.stack(masks).shape == (N, env.action_space.n)
    (last,) = env.env_method("action_masks", indices=[2])
    np.testing.assert_array_equal(last, masks[2])
    if level == "select":
        offered = env.env.core.observe()["candidate_mask"].reshape(N, env.action_space.n, -1)
        np.testing.assert_array_equal(np.stack(masks), offered.any(axis=2))


def test_a_truncated_episode_is_marked_and_a_terminated_one_is_not():
    env = make(n=2, max_episode_steps=2)
    env.reset()
    env.step(np.array([700, 700]))
    _, _, dones, infos = env.step(np.array([700, END]))
    assert dones.tolist() == [True, True]
    assert [info["TimeLimit.truncated"] for info in infos] == [True, False]


def test_the_terminal_observation_is_the_old_episode_and_stays_as_it_is():
    env = make(n=2)
    before = env.reset()
    observation, _, _, infos = env.step(np.array([END, 700]))
    final = infos[0]["terminal_observation"]
    length = int(before["attention_mask"][0].sum())
    assert final["input_ids"][length] == END
    kept = {key: value.copy() for key, value in final.items()}
    env.step(np.array([700, 700]))
    assert_same(final, kept)
    assert observation["remaining"][:, 0].tolist() == [8, 7]


@pytest.mark.parametrize("mode", ["next_step", "same_step", "disabled"])
def test_the_autoreset_mode_underneath_does_not_matter(mode):
    env, default = make(autoreset_mode=mode), make()
    for each in (env, default):
        each.seed(1)
        each.reset()
    for actions in ([END, 700, 700], [700, END, 700], [END, END, END]):
        found, expected = env.step(np.array(actions)), default.step(np.array(actions))
        assert_same(found[0], expected[0])
        np.testing.assert_array_equal(found[2], expected[2])


def test_a_seed_counts_for_one_reset():
    env = make()
    env.seed(3)
    first = env.reset()
    second = env.reset()
    assert (first["input_ids"] != second["input_ids"]).any()
    env.seed(3)
    assert_same(env.reset(), first)
    assert_same(env.reset(), second)


def test_options_are_for_all_slots_or_for_each_and_count_for_one_reset():
    env = make()
    env.set_options({"index": 5})
    env.reset()
    assert [info["example_id"] for info in env.reset_infos] == ["facts/train/0/5"] * N
    env.set_options([{"index": 5}, {"split": "test", "index": 6}, {}])
    env.seed(0)
    observation = env.reset()
    ids = [info["example_id"] for info in env.reset_infos]
    assert ids[:2] == ["facts/train/0/5", "facts/test/0/6"]
    single, _ = gym.make("TextQA-v0").reset(seed=2)
    np.testing.assert_array_equal(observation["input_ids"][2], single["input_ids"])
    env.reset()
    assert len({info["example_id"] for info in env.reset_infos} | {*ids}) == 2 * N


def test_sb3_evaluates_a_policy_without_asking_for_a_monitor():
    env = make(max_new_tokens=5, reward=lambda e: RewardResult(np.full(len(e), 0.5)))
    policy = RandomPolicy(env.action_space.n)
    rewards, lengths = evaluate_policy(policy, env, 7, return_episode_rewards=True)
    assert rewards == [0.5] * 7
    assert all(1 <= length <= 5 for length in lengths)
    assert env.env_is_wrapped(Monitor) == [True] * N
    assert env.env_is_wrapped(gym.wrappers.TimeLimit, indices=[0]) == [False]
    assert not is_vecenv_wrapped(env, VecMonitor)


def test_sb3s_monitor_gives_the_same_episodes():
    env = make(max_new_tokens=5)
    with pytest.warns(UserWarning, match="already wrapped with a `Monitor`"):
        watched = VecMonitor(make(max_new_tokens=5))
    for each in (env, watched):
        each.seed(0)
        each.reset()
    policy = RandomPolicy(env.action_space.n)
    for _ in range(20):
        actions, _ = policy.predict({"remaining": np.zeros(N)})
        _, _, dones, infos = env.step(actions)
        watched_infos = watched.step(actions)[3]
        for slot in np.flatnonzero(dones):
            for key in "rl":
                assert infos[slot]["episode"][key] == pytest.approx(
                    watched_infos[slot]["episode"][key], rel=1e-6
                )


def test_a_dialogues_length_counts_the_agents_tokens_of_all_its_turns():
    patient = {"path": "guests", "patience": 9}
    env = make("TextDialogue-v0", n=1, max_turns=3, dataset=patient)
    env.reset()
    for action in (700, END, 700, 700, END):
        assert not env.step(np.array([action]))[2][0]
    assert env.step(np.array([END]))[3][0]["episode"]["l"] == 6
    env.step(np.array([END]))
    env.step(np.array([END]))
    assert env.step(np.array([END]))[3][0]["episode"]["l"] == 3


def test_resting_slots_write_nothing_until_the_next_reset():
    env = make(n=2)
    env.reset()
    env.rest(np.array([True, False]))
    before = env.core.lengths.copy()
    for _ in range(3):
        _, _, dones, _ = env.step(np.array([END, 700]))
        assert not dones.any()
    assert (env.core.lengths - before).tolist() == [0, 3]
    env.reset()
    assert env.step(np.array([END, 700]))[2].tolist() == [True, False]


def test_mistakes_are_loud():
    env = make(n=2, reward=lambda e: RewardResult(np.full(len(e), np.nan)))
    with pytest.raises(gym.error.ResetNeeded, match="call reset"):
        env.step(np.array([700, 700]))
    env.reset()
    for actions in ([700, -1], [[700, 700]], [700], [0.5, 0.5]):
        with pytest.raises(ConfigError, match="token id"):
            env.step(np.array(actions))
    with pytest.raises(RewardError, match="= nan"):
        env.step(np.array([END, 700]))


def test_attributes_and_methods_are_those_of_the_shared_environment():
    env = make(n=2, render_mode="rgb_array")
    env.reset()
    assert env.get_attr("num_envs", indices=1) == [2]
    assert env.has_attr("core")
    assert not env.has_attr("no_such_thing")
    env.set_attr("tag", 5)
    assert env.get_attr("tag") == [5, 5]
    with pytest.raises(ConfigError, match="share 'tag'"):
        env.set_attr("tag", 6, indices=0)
    (frames,) = env.env_method("render", indices=[0])
    assert len(frames) == 2
    assert env.render().shape == (960, 640, 3)
    env.close()


@pytest.mark.parametrize("id", ["TextQA-v0", "TextDialogue-v0"])
def test_sb3s_own_make_vec_env_takes_an_id(id):
    env = make_vec_env(id, n_envs=2, seed=0)
    assert env.render_mode == "rgb_array"
    env.reset()
    assert env.render() is not None
    rewards, _ = evaluate_policy(
        RandomPolicy(env.action_space.n), env, 2, return_episode_rewards=True
    )
    assert len(rewards) == 2


def test_episodes_are_recorded_under_the_adaptor_too(tmp_path):
    path = tmp_path / "episodes.jsonl"
    env = TextVecEnv(RecordVectorEpisodes(gym.make_vec("TextQA-v0", num_envs=2), path))
    env.reset()
    env.step(np.array([END, END]))
    assert len(path.read_text().splitlines()) == 2


def test_another_kind_of_vector_environment_is_refused():
    env = gym.make_vec("TextQA-v0", num_envs=2, vectorization_mode="sync")
    with pytest.raises(ConfigError, match="not a SyncVectorEnv"):
        TextVecEnv(env)


class LeftPadded(VecEnvWrapper):
    """Pads texts on their left."""

    def reset(self):
        return self._flip(self.venv.reset())

    def step_wait(self):
        observation, *others = self.venv.step_wait()
        return self._flip(observation), *others

    def _flip(self, observation):
        return {key: np.flip(value, axis=1).copy() for key, value in observation.items()}


ALTERING = {
    "normalize": (VecNormalize, "VecNormalize alters"),
    "stack": (lambda env: VecFrameStack(env, 2), "VecFrameStack alters"),
    "left": (LeftPadded, "begins in the first column"),
    "key": (lambda env: VecExtractDictObs(env, "input_ids"), "VecExtractDictObs alters"),
}


@pytest.mark.parametrize("level", ["token", "select"])
@pytest.mark.parametrize(("wrap", "reason"), ALTERING.values(), ids=ALTERING)
def test_wrappers_that_alter_observations_are_refused(
    make_env, make_choice_env, make_agent, save_model, wrap, reason, level
):
    if level == "token":
        with pytest.raises(ConfigError, match=reason):
            make_agent(wrap(TextVecEnv(make_env()))).learn(total_episodes=12)
    make_slots = make_env if level == "token" else make_choice_env
    kwargs = {"model": save_model(), "bf16": False}
    with pytest.raises(ConfigError, match=r"first column|altered|shows text as tokens"):
        PPO(
            LMPolicy, wrap(TextVecEnv(make_slots())), n_steps=4, batch_size=16, device="cpu",
            policy_kwargs=kwargs,
        ).learn(16)  # fmt: skip


@pytest.mark.parametrize("watch", [VecMonitor, VecCheckNan])
def test_wrappers_that_watch_change_nothing(make_env, make_agent, watch):
    runs = []
    for wrap in (lambda env: env, watch):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # VecMonitor says that ours monitors already
            agent = make_agent(wrap(TextVecEnv(make_env())), advantage="rloo", group_size=2)
        agent.learn(total_episodes=12)
        prompts = [tuple(e.input_ids[~e.action_mask].tolist()) for e in agent.episodes]
        assert {prompts.count(prompt) % 2 for prompt in prompts} == {0}
        runs.append(agent.policy.state_dict())
        # What draws the next examples is saved below a wrapper, too.
        assert slot_states(agent.env, 4, agent.ranks)[0] is not None
    for name, tensor in runs[0].items():
        assert torch.equal(tensor, runs[1][name]), name


def test_evaluation_takes_make_vec_and_ids(tmp_path):
    half = {"max_new_tokens": 5, "reward": lambda e: RewardResult(np.full(len(e), 0.5))}
    policy = RandomPolicy(3072)
    rewards, lengths = evaluate_any(
        policy, gym.make_vec("TextQA-v0", num_envs=3, **half), 7, return_episode_rewards=True
    )
    assert rewards == [0.5] * 7
    assert all(1 <= length <= 5 for length in lengths)
    single = evaluate_any(policy, gym.make("TextQA-v0", **half), 2, return_episode_rewards=True)
    assert single[0] == [0.5] * 2
    assert len(evaluate_any(policy, "TextQA-v0", 3, return_episode_rewards=True)[0]) == 3
    assert EvalCallback("TextQA-v0").eval_env.num_envs == 16


def test_a_callback_evaluates_while_training(make_env, make_agent, tmp_path):
    callback = EvalCallback(
        make_env(2), n_eval_episodes=5, eval_freq=3, log_path=str(tmp_path), verbose=0,
        best_model_save_path=str(tmp_path), callback_on_new_best=StopTrainingOnRewardThreshold(-1),
    )  # fmt: skip
    agent = make_agent()
    agent.learn(total_episodes=36, callback=callback)
    assert [len(rewards) for rewards in callback.evaluations_results] == [5]
    assert set(callback.evaluations_results[0]) <= {0.0, 1.0}
    assert callback.last_mean_reward == np.mean(callback.evaluations_results[0])
    assert agent.n_iterations == 0
    assert TextPPO.load(tmp_path / "best_model", device="cpu").num_timesteps
