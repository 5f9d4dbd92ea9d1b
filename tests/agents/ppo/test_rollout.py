"""Collection plays exactly the episodes asked for, each to its end, whatever their lengths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv

from agents.ppo.rollout import collect_episodes
from agents.ppo.vec_env import TextVecEnv
from textenv import RewardResult
from textenv.env import TextEnv

END = 2


class Scripted:
    """Writes in each slot answers of prescribed lengths, one after the other."""

    reading_share = 0.0

    def __init__(self, lengths: list[list[int]]) -> None:
        self.lengths = lengths
        self.calls: list[int] = []
        self._written = [0] * len(lengths)
        self._episode = [0] * len(lengths)

    def act(self, ids: Any, lengths: Any, rows: Any, deterministic: bool = False) -> Any:
        self.calls.append(len(rows))
        actions = []
        for row in rows:
            self._written[row] += 1
            ends = self._written[row] == self.lengths[row][self._episode[row]]
            actions.append(END if ends else 7)
            if ends:
                self._written[row] = 0
                self._episode[row] += 1
        return np.array(actions), np.zeros(len(rows), np.float32)


def numbered(episodes: Any) -> RewardResult:
    return RewardResult(np.array([float(e.action_mask.sum()) for e in episodes]))


@pytest.fixture
def env(make_env):
    def make(n: int, **arguments: Any) -> TextVecEnv:
        return TextVecEnv(make_env(n, reward=numbered, **arguments))

    return make


def always(*_: Any) -> bool:
    return True


def test_exactly_so_many_start_and_all_of_them_finish(env):
    # Slot 0 writes long answers: it is waited for, and its long one counts.
    policy = Scripted([[6], [1, 1, 3], [2]])
    episodes = collect_episodes(env(3), policy, 5, always)
    lengths = [int(e.action_mask.sum()) for e in episodes]
    assert lengths == [1, 1, 2, 3, 6]
    assert policy.calls == [3, 3, 2, 2, 2, 1]
    for episode in episodes:
        assert episode.rewards[-1] == episode.action_mask.sum() == episode.rewards.sum()
        assert not episode.truncated
        written = episode.input_ids[episode.action_mask]
        assert written.tolist() == [7] * (len(written) - 1) + [END]
        assert len(episode.input_ids) == len(episode.action_mask) == len(episode.rewards)
        assert episode.input_ids[~episode.action_mask][-1] == 4  # <|assistant|>


def test_more_slots_than_episodes_rest(env):
    policy = Scripted([[3], [2], [], []])
    slots = env(4)
    episodes = collect_episodes(slots, policy, 2, always)
    assert [int(e.action_mask.sum()) for e in episodes] == [2, 3]
    assert policy.calls == [2, 2, 1]
    assert not slots.core.playing.any()
    # And the next iteration has all of them again.
    assert len(collect_episodes(slots, Scripted([[1]] * 4), 4, always)) == 4


class Patient(Scripted):
    reading_share = 0.5


def test_slots_with_a_prompt_to_read_wait_for_one_another(env):
    policy = Patient([[1, 5, 3], [4, 2, 3], [2, 1, 3], [6, 3]])
    steps = []

    def note(n: int, rewards: Any, dones: Any, infos: Any) -> bool:
        steps.append((n, dones.tolist()))
        return True

    episodes = collect_episodes(env(4), policy, 8, note)
    assert len(episodes) == 8
    # Slot 0 ends at once, and waits until slot 2 has ended, too.
    assert policy.calls[:5] == [4, 3, 4, 3, 4]
    assert [n for n, _ in steps] == policy.calls
    for episode in episodes:
        assert episode.rewards.sum() == episode.action_mask.sum()
        assert set(episode.input_ids[episode.action_mask].tolist()) <= {7, END}


def test_turns_are_waited_for_too_and_nothing_else_changes(env):
    script = [[2, 3, 1], [1, 1, 1], [3, 1, 2]]
    found = []
    for kind in (Scripted, Patient):
        slots = env(3, max_turns=3)
        slots.seed(5)
        policy = kind([list(lengths) for lengths in script])
        episodes = collect_episodes(slots, policy, 3, always, group_size=3)
        found.append(sorted((e.input_ids.tolist(), e.rewards.tolist()) for e in episodes))
        assert not slots.core.playing.any()
    # Slot 1 has a turn to read after one token, and slot 0 after two.
    assert policy.calls[:3] == [3, 2, 3]
    assert found[0] == found[1]


def test_masks_skip_what_the_environment_says(env):
    policy = Scripted([[2, 3, 1], [1, 1, 1]])
    slots = env(2, max_turns=3)
    episodes = collect_episodes(slots, policy, 2, always)
    for episode, turns in zip(episodes, [[1, 1, 1], [2, 3, 1]], strict=True):
        runs, current = [], 0
        for is_ours in [*episode.action_mask.tolist(), False]:
            if is_ours:
                current += 1
            elif current:
                runs.append(current)
                current = 0
        assert runs == turns
        assert episode.rewards.sum() == sum(turns)
        said = episode.input_ids[episode.action_mask]
        assert set(said.tolist()) <= {7, END}


def test_other_vector_environments_give_the_same_episodes(env, make_env, echo_rows):
    """Their idle slots cannot rest, and do not count."""
    core = make_env(reward=numbered).core

    def single() -> TextEnv:
        return TextEnv(
            task=core.task, dataset=echo_rows, reward=numbered, tokenizer=core.tokenizer,
            max_prompt_tokens=16, max_new_tokens=6,
        )  # fmt: skip

    script = [[5], [1, 2], [2]]
    found = []
    for slots in (env(3), DummyVecEnv([single] * 3)):
        slots.seed(3)
        steps = []

        def note(n: int, rewards: Any, dones: Any, infos: Any, steps: list[Any] = steps) -> bool:
            steps.append((n, rewards.tolist(), dones.tolist()))
            assert ["terminal_observation" in info for info in infos] == dones.tolist()
            return True

        episodes = collect_episodes(slots, Scripted(script), 4, note)
        found.append(([e.input_ids.tolist() for e in episodes], steps))
    assert found[0] == found[1]


def test_stopping_gives_no_episodes(env):
    assert collect_episodes(env(2), Scripted([[3], [2]]), 2, lambda *_: False) is None


def test_an_episode_cut_off_is_marked(env):
    policy = Scripted([[9], [2]])
    episodes = collect_episodes(env(2, max_episode_steps=3), policy, 2, always)
    assert [e.truncated for e in episodes] == [False, True]
    assert [int(e.action_mask.sum()) for e in episodes] == [2, 3]
    assert [e.rewards.sum() for e in episodes] == [2.0, 0.0]


def test_a_prompt_of_a_group_is_computed_once(make_agent, make_env):
    agent = make_agent(make_env(4))
    policy, slots = agent.policy, TextVecEnv(make_env(4))
    found = []
    for group_size in (1, 4):
        slots.seed(3)
        slots.set_options({"group_size": group_size})
        fed = policy.cached.decoders[0].fed_tokens if policy.cached.decoders else 0
        episodes = collect_episodes(slots, policy, 4, always)
        written = sum(int(e.action_mask.sum()) for e in episodes)
        prompts = [int(e.action_mask.argmax()) for e in episodes]
        found.append((policy.cached.decoders[0].fed_tokens - fed - (written - 4), prompts))
        for decoder in policy.cached.decoders:
            decoder.drop()
    # All of each prompt; or all but the last token once, and the last token of each.
    (alone, prompts), (shared, same) = found
    assert alone == sum(prompts)
    assert shared == same[0] - 1 + 4
    assert len(set(same)) == 1
