"""One loop plays every episode, in the order asked for, whoever writes and however it is scored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from textenv.rewards.base import RewardResult
from textenv.rollout import (
    CoreSlots,
    PlayedEpisode,
    Rollout,
    SpeakerWriter,
    play_examples,
    play_text,
)
from textenv.vector import make_core

IDS = ["TextSummarize-v0", "TextDialogue-v0", "TextMath-v0"]


class TokenByToken:
    """Writes what a speaker says, a token at a time, with made-up log-probabilities."""

    def __init__(self, core: Any, speak: Any) -> None:
        self._core, self._speak = core, speak
        self._left: dict[int, list[int]] = {}

    def write(self, slots: Any, rows: Any) -> Any:
        core, tokens = self._core, []
        for row in rows.tolist():
            if core.turn_starts[row] == core.lengths[row]:
                said = self._speak(core.example(row), tuple(core.turns[row]))
                self._left[row] = list(core.tokenizer.encode_turn(said, core.max_new_tokens))
            tokens.append(self._left[row].pop(0))
        return np.array(tokens), np.full(len(rows), -0.5, np.float32)


@pytest.fixture
def make(request):
    def make(id: str, n_slots: int, n: int, **arguments: Any) -> Any:
        core = make_core(id, n_slots, arguments)
        return core, [core.dataset("train")[i] for i in range(n)]

    return make


@pytest.mark.parametrize("id", IDS)
@pytest.mark.parametrize("n_slots", [1, 3, 8])
def test_examples_are_played_in_their_order_whatever_the_slots(make, id, n_slots):
    core, examples = make(id, n_slots, 7)
    played = play_examples(core, SpeakerWriter(core, core.task.gold), examples)
    assert [episode.conversation.example for episode in played] == examples
    assert [episode.group for episode in played] == list(range(7))
    for episode, example in zip(played, examples, strict=True):
        alone = play_text(core, example, core.task.gold)
        assert alone.turns == episode.conversation.turns
        assert alone.input_ids.tolist() == episode.input_ids.tolist()
    assert not core.playing.any()


@pytest.mark.parametrize("id", IDS)
def test_whole_turns_and_single_tokens_make_the_same_episode(make, id):
    core, examples = make(id, 3, 5)
    speakers = (
        core.task.gold,
        lambda *_: "",
        lambda *_: "a very long answer " * 40,
    )
    for speak in speakers:
        by_turn = play_examples(core, SpeakerWriter(core, speak), examples, scored=True)
        by_token = play_examples(core, TokenByToken(core, speak), examples, scored=True)
        for one, other in zip(by_turn, by_token, strict=True):
            assert one.input_ids.tolist() == other.input_ids.tolist()
            assert one.action_mask.tolist() == other.action_mask.tolist()
            assert one.conversation.stop_reason == other.conversation.stop_reason
            assert one.rewards.tolist() == other.rewards.tolist()
            assert one.components == other.components
            assert one.logprobs is None
            assert other.logprobs is not None
            assert (other.logprobs != 0).tolist() == other.action_mask.tolist()


def test_the_last_token_of_the_agent_is_paid_and_only_where_that_was_asked_for(make):
    core, examples = make("TextQA-v0", 2, 4)
    writer = SpeakerWriter(core, core.task.gold)
    for episode in play_examples(core, writer, examples, scored=True):
        assert episode.reward == 1.0
        assert np.flatnonzero(episode.rewards).tolist() == [np.flatnonzero(episode.action_mask)[-1]]
        assert episode.components
    for episode in play_examples(core, writer, examples):
        assert episode.reward == 0.0
        assert episode.components == {}


def test_scoring_is_left_to_the_caller_unless_it_is_asked_for(make):
    calls = []

    def count(episodes: Any) -> RewardResult:
        calls.append(len(episodes))
        return RewardResult(np.zeros(len(episodes)))

    core, examples = make("TextQA-v0", 4, 4, reward=count)
    writer = SpeakerWriter(core, core.task.gold)
    play_examples(core, writer, examples)
    assert calls == []
    play_examples(core, writer, examples, scored=True)
    assert sum(calls) == 4
    assert core.defer is None


def test_candidates_are_chosen_by_number(make):
    core, examples = make("TextDialogueSelect-v0", 2, 4)

    class First:
        def write(self, slots: Any, rows: Any) -> Any:
            return np.zeros(len(rows), np.int64), None

    for episode in play_examples(core, First(), examples):
        said = episode.conversation
        opening = tuple(core.task.opening(said.example))
        assert said.response == core.task.candidates(said.example, opening)[0]


def test_progress_counts_what_has_ended(make):
    core, examples = make("TextQA-v0", 2, 5)
    seen: list[float] = []
    play_examples(
        core,
        SpeakerWriter(core, core.task.gold),
        examples,
        progress=lambda done, note: seen.append(done),
    )
    assert seen[-1] == 5
    assert seen == sorted(seen)


def test_a_rollout_can_be_driven_by_hand(make):
    """As an asynchronous caller does, who waits between the tokens."""
    core, examples = make("TextQA-v0", 1, 1)
    slots = CoreSlots(core, examples, scored=True)
    rollout, writer = Rollout(slots, 1), TokenByToken(core, core.task.gold)
    n = 0
    while len(rows := rollout.rows()):
        rollout.advance(rows, *writer.write(slots, rows))
        n += 1
    (episode,) = rollout.episodes
    assert n == episode.action_mask.sum()
    assert episode.n_prompt == episode.action_mask.argmax()
    assert rollout.await_scores() is None


def test_the_record_of_a_conversation_alone_is_unpaid(make):
    core, (example,) = make("TextQA-v0", 1, 1)
    said = play_text(core, example, core.task.gold)
    record = PlayedEpisode.unpaid(said)
    assert record.conversation is said
    assert record.reward == 0.0
    assert record.rewards.shape == record.input_ids.shape
