"""Prompts and levels whose rewards vary are drawn more often; the rest of a run stays as it is."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import DummyVecEnv

import agents.ppo.curriculum
from agents.ppo.curriculum import Answers, Curriculum, Prompt, Spread, answers_of
from agents.ppo.difficulty_levels import load_levels
from agents.ppo.distributed import Ranks
from agents.ppo.ppo import TextPPO
from agents.ppo.prompts import PromptOrder
from agents.ppo.vec_env import TextVecEnv
from agents.training.metrics import LEVEL, METRICS
from textenv.errors import ConfigError, UnknownNameError
from textenv.rollout import PlayedEpisode

LEVELS = ["TextQAEasy-v0", "TextQA-v0", "TextQAHard-v0"]


def answered(rewards: Mapping[int, tuple[float, ...]], level: str = "") -> list[Answers]:
    return [Answers(Prompt(level, index), found) for index, found in rewards.items()]


def rollout(
    order: PromptOrder,
    env: TextVecEnv,
    answer: Callable[[Prompt], tuple[float, ...]],
    levels: Mapping[str, Any] | None = None,
    n: int = 16,
) -> tuple[list[Prompt], dict[str, float]]:
    """Draws the prompts of a rollout, and learns from the rewards of some answers to each."""
    with order.choosing(env, n, 1, levels, uniform_share=0.25) as prompts:
        pass
    played = [Answers(prompt, answer(prompt)) for prompt in prompts]
    return list(prompts), order.learn(played, (-np.inf, np.inf))


def test_the_spread_of_a_prompt_is_that_of_its_visits():
    first = Spread().after(np.array([0.0, 1.0]))
    assert (first.weight, first.mean, first.squares, first.freedom) == (2, 0.5, 0.5, 1)
    assert first.variance() == 0.5
    # By then the first visit counts 3/4 of its answers: 1.5 of them, and 2 more, half apart.
    second = first.after(np.array([1.0, 1.0]))
    assert second.weight == 3.5
    assert second.mean == pytest.approx((0.75 + 2) / 3.5)
    assert second.squares == pytest.approx(0.75 * 0.5 + 0.25 * 1.5 * 2 / 3.5)
    assert second.freedom == 0.75 + 2


def test_the_spread_of_a_level_is_that_within_its_groups():
    groups = [np.array([0.0, 1.0]), np.array([5.0, 5.0, 5.0])]
    spread = Spread().after_groups(groups)
    assert (spread.squares, spread.freedom, spread.mean) == (0.5, 3, 16 / 5)
    again = spread.after_groups([np.array([0.0, 0.0])])
    assert (again.squares, again.freedom) == (0.375, 0.75 * 3 + 1)


def test_without_groups_a_level_is_compared_over_its_episodes():
    known = Curriculum()
    known.see(answered({0: (0.0,), 1: (1.0,), 2: (1.0,)}, "a"), has_levels=True)
    assert known.state_dict()["levels"] == [["a", 3, 2 / 3, pytest.approx(2 / 3), 2]]


def test_one_answer_to_a_prompt_says_nothing_of_its_variance():
    known = Curriculum()
    known.see(answered({i: (float(i % 2),) for i in range(8)}), has_levels=False)
    assert known.draw_prompts(np.random.default_rng(0), 4, 60) == []
    # Two answers to prompt 0 do; the others are then taken to be like it.
    known.see(answered({0: (0.0, 1.0)}), has_levels=False)
    assert len(known.draw_prompts(np.random.default_rng(0), 4, 60)) == 2


def test_prompts_are_drawn_in_proportion_to_their_variance_and_once_each():
    known = Curriculum()
    known.see(
        answered({i: (0.0, 1.0) if i < 2 else (1.0, 1.0) for i in range(16)}), has_levels=False
    )
    rng = np.random.default_rng(0)
    draws = [known.draw_prompts(rng, 9, 60) for _ in range(400)]
    assert all(len(set(drawn)) == len(drawn) == 4 for drawn in draws)
    firsts = Counter(drawn[0] for drawn in draws)
    # The mean variance is 1/16, which counts as one more degree of freedom: 9/32 against 1/32.
    assert firsts[0] + firsts[1] == pytest.approx(400 * 18 / 32, rel=0.15)
    assert [known.draw_prompts(np.random.default_rng(5), 3, 60) for _ in range(2)] == [
        known.draw_prompts(np.random.default_rng(5), 3, 60)
    ] * 2


def test_prompts_that_the_data_set_no_longer_has_are_not_drawn():
    known = Curriculum()
    known.see(answered(dict.fromkeys(range(20), (0.0, 1.0))), has_levels=False)
    assert set(known.draw_prompts(np.random.default_rng(0), 9, 4)) <= set(range(4))


def test_levels_are_drawn_in_proportion_to_their_variance():
    known = Curriculum()
    assert known.draw_levels(np.random.default_rng(0), 3, ["a", "b"]) == []
    known.see(
        [
            *answered({0: (0.0, 1.0), 1: (0.0, 1.0)}, "a"),
            *answered({0: (0.0, 1.0), 1: (1.0, 1.0), 2: (1.0, 1.0)}, "b"),
            *answered({0: (1.0, 1.0)}, "solved"),
        ],
        has_levels=True,
    )
    drawn = Counter(known.draw_levels(np.random.default_rng(0), 900, ["a", "b", "solved"]))
    assert drawn["solved"] == 0
    assert drawn["a"] == pytest.approx(3 * drawn["b"], rel=0.2)
    assert "new" in known.draw_levels(np.random.default_rng(0), 99, ["a", "new"])


def test_what_varies_is_played_more_often_as_a_bandit_would(make_env):
    """One prompt in ten is answered rightly half of the time; the others always, or never."""
    env, rng = TextVecEnv(make_env()), np.random.default_rng(3)
    size = len(env.core.dataset())

    def answer(prompt: Prompt) -> tuple[float, ...]:
        chance = 0.5 if prompt.number % 10 == 0 else prompt.number % 2
        return tuple((rng.random(4) < chance).astype(float).tolist())

    order, played, metrics = PromptOrder(0, Ranks()), [], {}
    for _ in range(40):
        prompts, metrics = rollout(order, env, answer)
        played += prompts
    late = played[len(played) // 2 :]
    informative = [prompt.number % 10 == 0 for prompt in late]
    assert np.mean(informative) > 0.3  # of uniform ones: 0.1
    uniform = [prompt.number for prompt in played if not prompt.by_variance]
    assert set(Counter(uniform[:size]).values()) == {1}
    assert metrics["curriculum/known_prompts"] == size
    assert metrics["curriculum/equal_prompts"] == pytest.approx(0.9, abs=0.03)
    assert 0.4 < metrics["curriculum/by_variance_share"] <= 1.0


def test_levels_that_are_solved_or_hopeless_are_left_to_the_uniform_share(make_env):
    env, rng = TextVecEnv(make_env()), np.random.default_rng(3)
    levels = {name: range(100) for name in ("solved", "open", "hopeless")}
    chances = {"solved": 1.0, "open": 0.3, "hopeless": 0.0}

    def answer(prompt: Prompt) -> tuple[float, ...]:
        return tuple((rng.random(4) < chances[prompt.level]).astype(float).tolist())

    order, played, metrics = PromptOrder(0, Ranks()), [], {}
    for _ in range(20):
        prompts, metrics = rollout(order, env, answer, levels)
        played += prompts
    shares = Counter(prompt.level for prompt in played[16:])
    assert shares["open"] / (len(played) - 16) == pytest.approx(0.75 + 0.25 / 3, abs=0.06)
    assert min(shares["solved"], shares["hopeless"]) > 10
    assert metrics["curriculum/solved/variance"] == 0
    assert metrics["curriculum/open/variance"] == pytest.approx(0.21, abs=0.05)
    assert metrics["curriculum/hopeless/reward_mean"] == 0
    # Within a level no prompt comes twice before all have come.
    for name in levels:
        indices = [prompt.number for prompt in played if prompt.level == name][:100]
        assert len(set(indices)) == len(indices)


def test_draws_depend_on_the_seed_and_on_what_was_played(make_env):
    env = TextVecEnv(make_env())

    def played(seed: int) -> list[list[Prompt]]:
        order = PromptOrder(seed, Ranks())
        return [rollout(order, env, lambda p: (0.0, float(p.number % 2)))[0] for _ in range(5)]

    assert played(0) == played(0) != played(1)


def test_a_return_far_outside_does_not_rule_what_is_drawn():
    order = PromptOrder(0, Ranks())
    order.learn(answered({0: (0.0, 1e6), 1: (0.0, 1.0)}), (0.0, 1.0))
    prompts = order.state_dict()["curriculum"]["prompts"]
    assert prompts[0][1:] == prompts[1][1:]


def test_only_the_latest_prompts_are_remembered(monkeypatch):
    monkeypatch.setattr(agents.ppo.curriculum, "_MOST_KNOWN", 3)
    known = Curriculum()
    for indices in ((0, 1, 2), (0,), (3,)):
        known.see(answered(dict.fromkeys(indices, (0.0, 1.0))), has_levels=False)
    assert [row[0] for row in known.state_dict()["prompts"]] == [2, 0, 3]


def test_answers_without_a_score_are_left_out():
    def played(reward: float, group: int, **more: Any) -> PlayedEpisode:
        mask = np.array([False, True])
        return PlayedEpisode(
            np.zeros(2, np.int32), mask, np.float32([0.0, reward]), group=group, **more
        )

    prompts = [Prompt("", 5), Prompt("", 7)]
    episodes = [played(0.5, 1), played(np.nan, 0, invalid_reason="no answer"), played(0.25, 1)]
    found = answers_of(prompts, episodes)
    assert found == [Answers(prompts[0], ()), Answers(prompts[1], (0.5, 0.25))]
    known = Curriculum()
    assert known.see(found, has_levels=False)["curriculum/known_prompts"] == 1


def test_processes_draw_different_prompts_from_the_same_knowledge(make_env):
    env = TextVecEnv(make_env())
    alone = PromptOrder(0, Ranks())
    for _ in range(8):
        rollout(alone, env, lambda p: (0.0, float(p.number % 3 == 0)))
    drawn = []
    for rank in range(2):
        order = PromptOrder(0, Ranks(rank, 2))
        order.load_state_dict(alone.state_dict())
        with order.choosing(env, 16, 1, None, 0.25) as prompts:
            drawn.append({prompt.number for prompt in prompts if prompt.by_variance})
    assert min(map(len, drawn)) > 3
    assert not drawn[0] & drawn[1]


def played_by(agent: TextPPO, n_iterations: int) -> list[list[tuple[int, ...]]]:
    found: list[list[tuple[int, ...]]] = []

    def note(_: Any) -> bool:
        episodes = sorted(agent.episodes, key=lambda episode: episode.group)
        found.append([tuple(e.input_ids[: e.n_prompt].tolist()) for e in episodes])
        return len(found) < n_iterations

    agent.learn(total_episodes=10**6, after_iteration=note, resume=True)
    return found


def test_when_off_prompts_come_in_the_shuffled_order(make_agent, make_env):
    env = make_env(4)
    core = env.core
    wanted = []
    for index in np.random.default_rng([3, 0]).permutation(len(core.dataset()))[:12].tolist():
        core.start(0, core.dataset()[index])
        wanted.append(tuple(core.input_ids[0, : core.lengths[0]].tolist()))
    off = make_agent(env, seed=3, n_epochs=1)
    assert not any(name.startswith("curriculum") for name in off.logger.name_to_value)
    assert played_by(off, 1) == [wanted]
    uniform = make_agent(make_env(4), seed=3, n_epochs=1, prompts="curriculum", uniform_share=1.0)
    off = make_agent(make_env(4), seed=3, n_epochs=1)
    assert played_by(uniform, 5) == played_by(off, 5)


_GROUPS = {"group_size": 2, "advantage": "rloo", "n_episodes": 24, "learning_rate": 1e-2}


def go_on(agent: TextPPO, total: int, save_at: int = 0, to: Any = None) -> list[Any]:
    rows: list[Any] = []

    def note(metrics: Any) -> bool:
        rows.append({k: v for k, v in metrics.items() if not k.startswith("time/")})
        if agent.n_iterations == save_at:
            agent.save(to)
        return True

    agent.set_logger(Logger(None, []))
    agent.learn(total_episodes=total, after_iteration=note, resume=True)
    return rows


def everything(agent: TextPPO, folder: Any) -> tuple[dict[str, torch.Tensor], Any]:
    agent.save(folder)
    weights = load_file(folder / "agent.safetensors")
    weights |= load_file(folder / "model/model.safetensors")
    return weights, json.loads((folder / "agent.json").read_text())["state"]


@pytest.mark.parametrize("levels", [[], LEVELS])
def test_resume_equals_uninterrupted_bit_for_bit(
    levels, make_agent, make_env, save_model, tmp_path
):
    def env() -> Any:
        if not levels:
            return make_env()
        return gym.make_vec(LEVELS[-1], num_envs=8, max_new_tokens=8)

    def agent() -> TextPPO:
        policy = {"model": save_model(tokenizer="embedded", spread=0.3)} if levels else {}
        return make_agent(env(), policy, prompts="curriculum", levels=levels, **_GROUPS)

    straight = agent()
    rows = go_on(straight, 120, save_at=3, to=tmp_path / "half")
    assert len(rows) == 5
    assert rows[-1]["curriculum/by_variance_share"] > 0 or levels
    stopped = TextPPO.load(tmp_path / "half", env=env(), device="cpu")
    assert go_on(stopped, 120) == rows[3:]
    (found, state), (wanted, other) = (
        everything(one, tmp_path / name) for one, name in ((stopped, "a"), (straight, "b"))
    )
    assert [name for name in wanted if not torch.equal(found[name], wanted[name])] == []
    assert state == other


def test_levels_take_turns_and_are_logged_under_names_that_are_documented(make_agent, save_model):
    policy = {"model": save_model(tokenizer="embedded", spread=0.3)}
    env = gym.make_vec(LEVELS[-1], num_envs=12, max_new_tokens=8)
    agent = make_agent(env, policy, levels=LEVELS)
    (row,) = go_on(agent, 12)
    assert [row[f"curriculum/{name}/share"] for name in LEVELS] == [pytest.approx(1 / 3)] * 3
    assert row["curriculum/by_variance_share"] == 0
    assert {e.said.example.id.split("/")[0] for e in agent.episodes} == {
        "facts(difficulty=easy)", "facts", "facts(difficulty=hard)"
    }  # fmt: skip
    declared = {metric.name for metrics in METRICS.values() for metric in metrics}
    written = {key for key in row if key.startswith("curriculum/")}
    for name in LEVELS:
        written = {key.replace(f"/{name}/", "/LEVEL/") for key in written}
    assert written <= declared
    assert {key for key in written if key.startswith(LEVEL)} == {
        name for name in declared if name.startswith(LEVEL)
    }


def test_a_level_is_the_same_split_and_the_environments_own_keeps_its_data(echo_rows):
    env = TextVecEnv(gym.make_vec("TextQAHard-v0", num_envs=1, split="validation", dataset_seed=4))
    levels = load_levels(env, LEVELS)
    assert list(levels) == LEVELS
    assert levels["TextQAHard-v0"] is env.core.dataset()
    assert levels["TextQAEasy-v0"][0].id == "facts(difficulty=easy)/validation/4/0"
    assert load_levels(env, []) == {}


@pytest.mark.parametrize(
    ("id", "options", "error", "words"),
    [
        ("TextQA-v0", {"levels": ["TextQA-v0"]}, ConfigError, "two or more different ids"),
        ("TextQA-v0", {"levels": ["TextQA-v0"] * 2}, ConfigError, "two or more different ids"),
        ("TextQA-v0", {"levels": ["TextQAEasy-v0", "TextQ-v0"]}, UnknownNameError, "TextQA-v0"),
        ("TextQA-v0", {"levels": ["TextQA-v0", "TextMath-v0"]}, ConfigError, "is another task"),
        (
            "TextTranslate-v0",
            {"levels": ["TextTranslate-v0", "TextTranslateZh-v0"]},
            ConfigError,
            "is another task",
        ),
        (
            "TextQA-v0",
            {"levels": ["TextQA-v0", "TextQAHard-v0"]},
            ConfigError,
            "max_prompt_tokens=160, and the environment TextQA-v0 only 128",
        ),
        (
            "TextQA-v0",
            {"levels": ["TextQA-v0", "TextQAEasy-v0"], "prompts": "independent"},
            ConfigError,
            "set prompts to 'shuffled' or 'curriculum'",
        ),
    ],
)
def test_levels_that_cannot_be_played_are_refused(id, options, error, words):
    with pytest.raises(error, match=words):
        TextPPO("LMPolicy", id, n_envs=1, _init_setup_model=False, **options)


def test_an_environment_whose_prompts_cannot_be_chosen_is_refused(make_env):
    def foreign() -> DummyVecEnv:
        return DummyVecEnv([lambda: gym.make("TextQA-v0")])

    for options in ({"prompts": "curriculum"}, {"levels": LEVELS}):
        with pytest.raises(ConfigError, match=r"gymnasium\.make_vec"):
            TextPPO("LMPolicy", foreign(), _init_setup_model=False, **options)
    with pytest.raises(ConfigError, match=r"gymnasium\.make_vec"):
        load_levels(TextVecEnv(make_env()), LEVELS)
