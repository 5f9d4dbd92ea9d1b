"""Dense pay: it sums to what the whole episode is worth."""

from __future__ import annotations

import json
from collections.abc import Sequence

import gymnasium as gym
import numpy as np
import pytest

from textenv.errors import RewardError
from textenv.examples import Episode
from textenv.rewards import RewardResult, load_reward
from textenv.rewards.dense import PotentialDifferences, potential_terms
from textenv.wrappers import PotentialShaping, RecordEpisodes


def word_count(episodes: Sequence[Episode]) -> RewardResult:
    words = np.array([len(episode.response.split()) for episode in episodes], np.float64)
    return RewardResult(words, {"letters": 2.0 * words})


def test_the_rule_pays_gamma_times_the_potential_after_less_the_one_before():
    rule = PotentialDifferences(2, gamma=0.5)
    rule.start(1)
    assert rule.move(1, 3.0) == 1.5
    assert rule.move(np.array([1]), np.array([4.0])).tolist() == [0.5 * 4 - 3]
    assert rule.move(1, 0.0) == -4
    assert rule.before.tolist() == [0, 0]


def test_potentials_in_sums_weigh_as_the_sum_does():
    inner = {"dense": {"of": "rougeL", "potential": "bleu", "every": 3, "weight": 2}}
    spec = {"both": {"reward": {**inner, "exact_match": 1}, "weight": 0.5}, "rougeL": 1}
    (term,) = potential_terms(load_reward(spec))
    assert (term.weight, term.potential.name, term.every) == (1.0, "bleu", 3)
    assert potential_terms(load_reward("rougeL")) == ()


DENSE = {
    "TextQA-v0": {"dense": {"of": "token_f1", "potential": word_count, "every": 1}},
    "TextSummarize-v0": {"dense": {"of": "rougeL", "potential": "chrf", "every": 3}},
    "TextTranslate-v0": {
        "a": {"reward": "dense", "of": "chrf", "every": 2, "weight": 0.5},
        "b": {"reward": "dense", "of": "rouge1", "potential": word_count, "every": 5, "weight": -1},
        "bleu": 0.25,
    },
    "TextDialogue-v0": {"dense": {"of": {"dialogue": 1}, "potential": word_count, "every": 7}},
}


def make(id: str, **arguments) -> gym.Env:
    return gym.make(id, max_new_tokens=20, **arguments)


def tokens_of(core, rng: np.random.Generator) -> int:
    """Random words, and the end of the turn once in a while."""
    if rng.random() < 0.07:
        return core.tokenizer.end_id
    return int(rng.choice(core.tokenizer.encode("the cat is red and Anna went to Berlin .")))


@pytest.mark.parametrize("id", DENSE)
def test_dense_pay_sums_to_what_the_episode_is_worth(id):
    env = make(id, reward=DENSE[id])
    core, rng = env.unwrapped.core, np.random.default_rng(0)
    early = 0
    for seed in range(4):
        env.reset(seed=seed)
        paid, terminated = [], False
        while not terminated:
            _, reward, terminated, _, info = env.step(np.int64(tokens_of(core, rng)))
            paid.append(reward)
        worth = core.reward([core.episode(0)]).total[0]
        assert sum(paid) == pytest.approx(worth, abs=1e-12)
        assert info["reward_components"] == {
            name: pytest.approx(values[0])
            for name, values in core.reward([core.episode(0)]).components.items()
        }
        early += np.count_nonzero(paid[:-1])
    assert early, "something is paid before the end"


def test_a_payment_is_what_was_added_since_the_last_one():
    env = make(
        "TextQA-v0", reward={"dense": {"of": "exact_match", "potential": word_count, "every": 2}}
    )
    core = env.unwrapped.core
    env.reset(options={"prompt": "Who?", "references": "red bird"})
    ids = core.tokenizer.encode("red bird and more words of it")
    assert len(ids) >= 6
    paid = [env.step(np.int64(id))[1] for id in ids[:5]]
    n_words = [len(core.tokenizer.decode(ids[:n]).split()) for n in range(6)]
    assert paid == [0, n_words[2], 0, n_words[4] - n_words[2], 0]
    # The sixth token ends it: what was paid is taken back of the reward, which is 0.
    assert env.step(np.int64(core.tokenizer.end_id))[1] == -n_words[4]


def test_an_episode_owes_nothing_for_one_that_was_left():
    spec = {
        "often": {"reward": "dense", "of": "exact_match", "potential": word_count, "every": 2},
        "rarely": {"reward": "dense", "of": "exact_match", "potential": word_count, "every": 4},
    }
    env = make("TextQA-v0", reward=spec)
    ids = env.unwrapped.core.tokenizer.encode("red bird and more words of it")
    paid = []
    for _ in range(2):
        env.reset(options={"prompt": "Who?", "references": "red bird"})
        paid.append([env.step(np.int64(id))[1] for id in ids[:4]])
    assert paid[0][3] > 0
    assert paid[1] == paid[0]


@pytest.mark.parametrize("id", DENSE)
def test_dense_pay_of_many_slots_is_that_of_single_ones(id):
    n, steps = 3, 60
    envs = [make(id, reward=DENSE[id]) for _ in range(n)]
    many = gym.make_vec(id, num_envs=n, max_new_tokens=20, reward=DENSE[id])
    core = many.unwrapped.core
    many.reset(seed=5)
    for i, env in enumerate(envs):
        env.reset(seed=5 + i)
    rng = np.random.default_rng(1)
    ended = np.zeros(n, np.bool_)
    for _ in range(steps):
        actions = np.array([tokens_of(core, rng) for _ in range(n)])
        _, rewards, terminated, _, _ = many.step(actions)
        for i, env in enumerate(envs):
            if ended[i]:
                env.reset()
                assert rewards[i] == 0
                continue
            _, reward, single_terminated, _, _ = env.step(actions[i])
            assert (reward, single_terminated) == (rewards[i], terminated[i])
        ended = terminated
    assert ended is not None


def test_at_text_level_and_where_reward_is_not_dense_the_end_pays_all():
    env = gym.make("TextQA-v0", reward=DENSE["TextQA-v0"], action_level="text")
    env.reset(options={"prompt": "Who?", "references": "red bird"})
    assert env.step("red")[1] == pytest.approx(2 / 3)
    assert env.unwrapped.core._dense is None
    core = make("TextQA-v0").unwrapped.core
    assert core._dense is None
    core.reward = load_reward(DENSE["TextQA-v0"])
    assert core._dense is not None


def test_shaping_and_recording_go_with_dense_pay(tmp_path):
    env = make("TextQA-v0", reward=DENSE["TextQA-v0"])
    env = RecordEpisodes(PotentialShaping(env, "chrf"), tmp_path / "episodes.jsonl")
    core, rng = env.unwrapped.core, np.random.default_rng(2)
    worths = []
    for seed in range(3):
        env.reset(seed=seed)
        paid, terminated = 0.0, False
        while not terminated:
            _, reward, terminated, _, _ = env.step(np.int64(tokens_of(core, rng)))
            paid += reward
        worths.append(core.reward([core.episode(0)]).total[0])
        assert paid == pytest.approx(worths[-1], abs=1e-12)
    lines = (tmp_path / "episodes.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["reward"] for line in lines] == pytest.approx(worths, abs=1e-12)


def test_a_person_is_shown_what_the_whole_episode_is_worth(capsys):
    spec = {"dense": {"of": "token_f1", "every": 1}}
    env = make("TextQA-v0", reward=spec, render_mode="human")
    env.reset(options={"prompt": "Who?", "references": "red bird"})
    for id in (
        *env.unwrapped.core.tokenizer.encode("red bird"),
        env.unwrapped.core.tokenizer.end_id,
    ):
        _, last, *_ = env.step(np.int64(id))
    assert last == 0
    assert "reward 1.000 (dense 1.000" in capsys.readouterr().out


def test_a_truncated_episode_keeps_what_it_was_paid():
    spec = {"dense": {"of": "exact_match", "potential": word_count, "every": 2}}
    many = gym.make_vec("TextQA-v0", num_envs=2, reward=spec, max_episode_steps=4)
    core = many.unwrapped.core
    many.reset(seed=0)
    ids = core.tokenizer.encode("red bird and more words of it")
    paid = 0.0
    for id in ids[:4]:
        _, rewards, terminated, truncated, _ = many.step(np.full(2, id))
        paid += rewards
    assert truncated.all()
    assert not terminated.any()
    n_words = len(core.tokenizer.decode(ids[:4]).split())
    assert paid.tolist() == [n_words, n_words]


def test_an_unfinished_episode_without_a_score_keeps_its_potential_where_that_is_allowed():
    def blind_at_two(episodes):
        words = np.array([len(e.response.split()) for e in episodes], np.float64)
        return RewardResult(words, valid=words != 2)

    env = make(
        "TextQA-v0", reward={"dense": {"of": "exact_match", "potential": blind_at_two, "every": 1}}
    )
    core = env.unwrapped.core
    ids = core.tokenizer.encode("red red red")

    def write_all() -> float:
        env.reset(options={"prompt": "Who?", "references": "red bird"})
        return sum(env.step(np.int64(id))[1] for id in ids)

    core.mask_invalid = True
    assert write_all() == 3
    core.mask_invalid = False
    with pytest.raises(RewardError, match="'blind_at_two' could not score"):
        write_all()
