"""Episodes whose agent is waited for: each slot goes on as soon as its own answer is there."""

from __future__ import annotations

import threading

import gymnasium as gym
import pytest

from textenv.endpoints.concurrent_play import NoAnswer, play_concurrently
from textenv.examples import UnfinishedText
from textenv.rollout import SpeakerWriter, play_examples


def _core(n_slots, id="TextDialogue-v0", **arguments):
    return gym.make_vec(id, num_envs=n_slots, **arguments).unwrapped.core


def _gold(core):
    return lambda ask, stop: core.task.gold(ask.example, ask.transcript)


def test_it_plays_what_the_turn_by_turn_loop_plays():
    core = _core(3)
    examples = [core.dataset()[i] for i in range(7)]
    asked = play_concurrently(core, examples, _gold(core), concurrency=2)
    spoken = play_examples(core, SpeakerWriter(core, core.task.gold), examples)
    assert [e.conversation.turns for e in asked] == [e.conversation.turns for e in spoken]
    assert [e.input_ids.tolist() for e in asked] == [e.input_ids.tolist() for e in spoken]
    assert [e.group for e in asked] == list(range(7))


def test_a_slow_answer_holds_up_no_other_episode():
    core = _core(2)
    examples = [core.dataset()[i] for i in range(6)]
    others_are_done = threading.Event()
    gold, done = _gold(core), []

    def answer(ask, stop):
        if ask.number == 0:
            assert others_are_done.wait(10)
        return gold(ask, stop)

    def progress(n_done, note):
        done.append(n_done)
        if n_done == 5:
            others_are_done.set()

    played = play_concurrently(core, examples, answer, concurrency=2, progress=progress)
    assert len(played) == 6
    assert done[-1] == 6


def test_an_episode_without_an_answer_is_invalid_and_the_others_go_on():
    core = _core(2)
    examples = [core.dataset()[i] for i in range(4)]

    def answer(ask, stop):
        said = sum(turn.role == "assistant" for turn in ask.transcript)
        if (ask.number, said) in ((1, 0), (2, 1)):  # before its first word, and later
            return NoAnswer("too long")
        return core.task.gold(ask.example, ask.transcript)

    played = play_concurrently(core, examples, answer, concurrency=2)
    reasons = [episode.invalid_reason for episode in played]
    assert reasons[0] is reasons[3] is None
    assert reasons[1] == f"example '{examples[1].id}': too long"
    assert [len(played[i].conversation.responses) for i in (1, 2)] == [0, 1]
    gold = play_examples(core, SpeakerWriter(core, core.task.gold), examples)
    assert played[3].conversation.turns == gold[3].conversation.turns


def test_an_error_ends_the_play_after_what_is_under_way():
    core = _core(2, "TextQA-v0")
    examples = [core.dataset()[i] for i in range(8)]
    under_way, finished = threading.Event(), []

    def answer(ask, stop):
        if ask.number == 0:
            assert under_way.wait(10)
            raise ValueError("gone")
        if ask.number == 1:
            under_way.set()
            assert stop.wait(10)
            finished.append(ask.number)
        return "yes"

    with pytest.raises(ValueError, match="gone"):
        play_concurrently(core, examples, answer, concurrency=2)
    assert finished == [1]


def test_a_turn_that_was_cut_has_no_end():
    core = _core(1, "TextQA-v0", max_new_tokens=8)
    example = core.dataset()[0]
    said = [UnfinishedText("In Paris"), "In Paris"]
    cut, ended = (
        play_concurrently(core, [example], lambda *_, text=text: text, concurrency=1)[0]
        for text in said
    )
    assert cut.conversation.responses == ended.conversation.responses == ("In Paris",)
    assert cut.conversation.stop_reason == "max_new_tokens"
    assert ended.conversation.stop_reason == "end_of_turn"
    assert [*cut.input_ids.tolist(), core.tokenizer.end_id] == ended.input_ids.tolist()


def test_a_cut_turn_is_one_at_text_level_too():
    env = gym.make("TextQA-v0", action_level="text")
    reasons = []
    for text in ("In Paris", UnfinishedText("In Paris")):
        env.reset(seed=0)
        *_, info = env.step(text)
        reasons.append(info["stop_reason"])
    assert reasons == ["end_of_turn", "max_new_tokens"]


def test_an_agent_is_shown_its_own_words_with_the_white_space_around_them():
    core = _core(2, max_new_tokens=12, max_turns=3)
    said = ["One moment, ", " \nWhich day", "word " * 40]
    seen = {}

    def answer(ask, stop):
        own = [turn.text for turn in ask.transcript if turn.role == "assistant"]
        seen.setdefault(ask.number, []).append(own)
        return said[(len(own) + ask.number) % 3]

    examples = [core.dataset("train")[i] for i in range(3)]
    played = play_concurrently(core, examples, answer, concurrency=2)
    for number, episode in enumerate(played):
        heard = episode.conversation.responses
        assert [text.strip() for text in heard] == list(heard)
        wanted = [said[(i + number) % 3] for i in range(len(heard))]
        # A text that is too long is shown as it was cut.
        shown = [text if len(text) < 100 else cut for text, cut in zip(wanted, heard, strict=True)]
        assert seen[number] == [shown[:i] for i in range(len(heard))]
        assert any(len(cut) < len(text) - 10 for text, cut in zip(wanted, heard, strict=True))
