"""One of the candidates is right, the dialogue alone tells which, and any corpus gives a choice."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter

import gymnasium as gym
import numpy as np
import pytest

import textenv  # noqa: F401 - registers the environments
from textenv.benchmark.adversary.options import choose_options
from textenv.datasets import SPLITS, load_dataset
from textenv.datasets.generated.replies import RepliesGenerator
from textenv.datasets.generated.services import SERVICES
from textenv.errors import ConfigError, DatasetError, UnknownNameError
from textenv.examples import Episode, Turn
from textenv.registry import environment_row
from textenv.rewards import load_reward
from textenv.tasks.dialogue_select import DialogueSelectTask
from textenv.tokenization import load_tokenizer

TASK = DialogueSelectTask()
CONTEXT = ["A table for 4.", "For 4, very well. Where?", "In the north."]
REPLIES = ["In the north, I see. When?", "In the south, I see. When?", "Where?", "Goodbye."]
ROW = {"context": CONTEXT, "candidates": REPLIES, "label": 0}
RECORDED = [text for i in range(9) for text in (f"Question {i}?", f"Answer {i}.")]
GOLDEN = {"easy": "1023e2c2576feb85", "medium": "26afc41a9fb391fc", "hard": "51ea20f994c66240"}
LEVELS = list(GOLDEN)


def replies(difficulty="medium", count=100, split="train", n=4):
    dataset = {"path": "replies", "difficulty": difficulty}
    data = load_dataset(dataset, DialogueSelectTask(n), split)
    return [data[i] for i in range(count)]


# Rows of one's own.


def test_the_dialogue_is_shown_turn_by_turn_and_the_agent_answers_the_user():
    example = TASK.example("a", ROW)
    turns = TASK.opening(example)
    assert [(turn.role, turn.text) for turn in turns] == [
        ("user", CONTEXT[0]),
        ("assistant", CONTEXT[1]),
        ("user", CONTEXT[2]),
    ]
    assert TASK.gold(example, turns) == REPLIES[0]
    assert TASK.reply(example, (*turns, Turn("assistant", REPLIES[0]))) is None
    assert set(TASK.candidates(example, turns)) == set(REPLIES)


@pytest.mark.parametrize("label", [1, "In the south, I see. When?", " in the SOUTH, I see.  when?"])
def test_the_label_is_the_place_or_the_text_of_the_right_reply(label):
    assert TASK.example("a", ROW | {"label": label}).references == (REPLIES[1],)


@pytest.mark.parametrize(
    "context",
    [
        "In the north.",
        [{"role": "user", "content": "In the north."}],
        {"speaker": ["USER"], "utterance": ["In the north."]},
        ["In the north."],
    ],
)
def test_a_context_may_be_a_text_or_turns_in_any_layout(context):
    assert TASK.opening(TASK.example("a", ROW | {"context": context})) == (
        Turn("user", "In the north."),
    )


def test_a_system_prompt_is_kept():
    turns = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello, who is there?"},
        {"role": "user", "content": "Anna"},
    ]
    opening = TASK.opening(TASK.example("a", ROW | {"context": turns}))
    assert [turn.role for turn in opening] == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize(("most", "shown"), [(1, 1), (2, 1), (3, 3), (4, 3), (99, 9)])
def test_a_long_dialogue_is_shown_from_a_late_turn_of_the_user_on(most, shown):
    task = DialogueSelectTask(max_context_turns=most)
    context = RECORDED[:9]
    turns = task.opening(task.example("a", ROW | {"context": context}))
    assert [turn.text for turn in turns] == context[-shown:]
    assert turns[0].role == turns[-1].role == "user"


def test_earlier_turns_are_shortened_where_they_do_not_fit_and_the_last_never():
    example = TASK.example("a", ROW | {"context": ["Hello " * 200, "Yes?", "Is this the end?"]})
    tokenizer = load_tokenizer()
    ids = tokenizer.encode_opening(TASK.opening(example), 64)[0]
    assert len(ids) == 64
    assert "Is this the end?" in tokenizer.decode(ids)


def test_candidates_are_listed_for_agents_that_write():
    task = DialogueSelectTask(show_candidates=True)
    example = task.example("a", ROW)
    last = task.opening(example)[-1].text
    listed = "\n".join(f"- {text}" for text in task.candidates(example))
    assert last == f"{CONTEXT[-1]}\n\nReply with one of:\n{listed}"


def test_of_too_many_candidates_the_right_and_the_first_others_are_kept():
    many = [f"Reply {i}." for i in range(9)]
    for n in (2, 4, 9, 16):
        task = DialogueSelectTask(n)
        candidates = task.example("a", ROW | {"candidates": many, "label": 7}).metadata[
            "candidates"
        ]
        kept = [text for text in many if text != many[7]][: n - 1]
        assert sorted(candidates) == sorted([many[7], *kept])


def test_candidates_that_differ_in_case_alone_are_one():
    example = TASK.example("a", ROW | {"candidates": ["Yes.", "YES.", "No.", " no. "], "label": 3})
    assert sorted(example.metadata["candidates"]) == ["Yes.", "no."]
    assert example.references == ("no.",)


def test_the_place_in_a_row_says_nothing_of_the_place_that_is_shown():
    places = Counter()
    for i in range(800):
        example = TASK.example("a", ROW | {"context": f"Call {i}."})
        places[example.metadata["candidates"].index(REPLIES[0])] += 1
        # Nor does the order of the row matter at all.
        turned = TASK.example(
            "a", {"context": f"Call {i}.", "candidates": REPLIES[::-1], "label": 3}
        )
        assert turned == example
    # Standard deviation sqrt(800 * 1/4 * 3/4) = 12.2.
    assert all(abs(places[place] - 200) < 4 * 12.2 for place in range(4))


def test_a_recording_gives_a_turn_of_the_agent_and_its_other_turns_as_wrong_ones():
    example = TASK.example("r", {"turns": RECORDED})
    place = RECORDED.index(example.references[0])
    assert place % 2 == 1
    context = [turn.text for turn in TASK.opening(example)]
    assert context == RECORDED[:place][-len(context) :]
    candidates = example.metadata["candidates"]
    assert len(set(candidates)) == 4
    assert example.references[0] in candidates
    assert set(candidates) <= set(RECORDED[1::2])


def test_recordings_are_asked_about_at_every_turn():
    places = Counter()
    for i in range(300):
        turns = [f"Call {i}.", *RECORDED[1:8]]
        places[RECORDED.index(TASK.example("r", {"turns": turns}).references[0])] += 1
    # Standard deviation sqrt(300 * 1/4 * 3/4) = 7.5.
    assert sorted(places) == [1, 3, 5, 7]
    assert all(abs(count - 75) < 4 * 7.5 for count in places.values())


def test_a_short_recording_offers_fewer_candidates():
    example = TASK.example("r", {"turns": ["Hello", "Who is it?", "Anna", "Goodbye."]})
    assert sorted(example.metadata["candidates"]) == ["Goodbye.", "Who is it?"]


def test_what_was_not_said_yet_is_preferred_as_a_wrong_reply():
    for i in range(20):
        turns = [f"Call {i}.", *RECORDED[1:]]
        example = TASK.example("r", {"turns": turns})
        place = RECORDED.index(example.references[0])
        wrong = set(example.metadata["candidates"]) - {example.references[0]}
        said = set(RECORDED[1:place:2])
        assert len(wrong - said) == min(3, (17 - place) // 2)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "neither 'candidates'"),
        ({"turns": RECORDED[:3]}, "fewer than two different turns"),
        ({"turns": ["Hello", "Yes?", "Hello", "yes? "]}, "fewer than two different turns"),
        ({"turns": "Hello"}, "'turns' of example 'a' must be a list"),
        (ROW | {"context": None}, "'context' of example 'a' must be a list"),
        (ROW | {"context": RECORDED[:2]}, "must end with a turn of the user"),
        (ROW | {"context": []}, "must end with a turn of the user"),
        (ROW | {"candidates": "Yes."}, "a list of at least two texts"),
        (ROW | {"candidates": ["Yes."]}, "a list of at least two texts"),
        (ROW | {"candidates": ["Yes.", " "]}, "a list of at least two texts"),
        (ROW | {"candidates": ["Yes.", "yes."]}, "all alike"),
        (ROW | {"label": 4}, "0 to 3, or its text"),
        (ROW | {"label": -1}, "0 to 3, or its text"),
        (ROW | {"label": True}, "0 to 3, or its text"),
        (ROW | {"label": None}, "0 to 3, or its text"),
        (ROW | {"label": "Perhaps."}, "0 to 3, or its text"),
    ],
)
def test_a_row_that_gives_no_choice_is_refused(row, message):
    with pytest.raises(DatasetError, match=message):
        TASK.example("a", row)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_candidates": 1}, "from 2 to 16"),
        ({"n_candidates": 17}, "from 2 to 16"),
        ({"n_candidates": 4.0}, "from 2 to 16"),
        ({"max_context_turns": 0}, "from 1 up"),
    ],
)
def test_arguments_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        DialogueSelectTask(**arguments)


@pytest.mark.parametrize("column", ["turns", "dialog", "utterances"])
def test_a_file_of_recordings_is_a_dataset(column, tmp_path):
    path = tmp_path / "calls.jsonl"
    rows = [{column: [f"Call {i}.", *RECORDED[1:]]} for i in range(60)]
    path.write_text("\n".join(map(json.dumps, rows)))
    sizes = [len(load_dataset(str(path), TASK, split)) for split in SPLITS]
    assert sum(sizes) == 60


# The generated set.


@pytest.mark.parametrize("difficulty", LEVELS)
def test_replies_are_the_same_on_every_machine(difficulty):
    found = repr([replies(difficulty, 5, split) for split in SPLITS])
    assert hashlib.blake2b(found.encode(), digest_size=8).hexdigest() == GOLDEN[difficulty]


@pytest.mark.parametrize("difficulty", LEVELS)
def test_calls_hardly_ever_repeat_and_splits_share_none(difficulty):
    calls = {
        split: {repr(TASK.opening(e)) for e in replies(difficulty, 300, split)} for split in SPLITS
    }
    assert calls["train"].isdisjoint(calls["validation"] | calls["test"])
    assert calls["validation"].isdisjoint(calls["test"])
    rng = np.random.default_rng(1)
    assert len({RepliesGenerator(difficulty).sample(rng)[0] for _ in range(3000)}) >= 2997


@pytest.mark.parametrize("difficulty", LEVELS)
def test_eight_replies_are_offered_and_all_differ(difficulty):
    for example in replies(difficulty, 200, n=8):
        assert len(set(example.metadata["candidates"])) == 8
        assert example.references[0] in example.metadata["candidates"]


def told(example):
    """Reads a call word by word, apart from the code under test: what holds at its end.

    Returns:
        The service, the last phrase that was said and holds, and every phrase that holds.
    """
    turns = TASK.opening(example)
    text = turns[0].text
    service = max(SERVICES, key=lambda s: len(s.thing) if s.thing in text else 0)
    said = " ".join(turn.text for turn in turns if turn.role == "user").lower()
    holding, last = {}, (-1, "")
    for slot in service.slots:
        for value in slot.values:
            phrase = slot.say(value).lower()
            padded = f" {re.sub('(?<!ms)[.,?]', ' ', said)} "
            if f" {phrase} " not in padded:
                continue
            taken_back = any(f" {word} {phrase} " in padded for word in ("not", "instead of"))
            if not taken_back:
                holding[slot.name] = phrase
                last = max(last, (padded.rfind(f" {phrase} "), phrase))
    return service, last[1], holding


@pytest.mark.parametrize("difficulty", LEVELS)
def test_exactly_one_reply_agrees_with_the_call(difficulty):
    for example in replies(difficulty, 200, n=8):
        service, last, holding = told(example)
        complete = len(holding) == len(service.slots)

        def agrees(reply, service=service, last=last, holding=holding, complete=complete):
            text = reply.lower()
            if "have booked" in text:
                return (
                    complete
                    and service.thing in text
                    and all(phrase in text for phrase in holding.values())
                )
            missing = [s.question.lower() for s in service.slots if s.name not in holding]
            return text.startswith(f"{last},") and text.endswith(tuple(missing or "\0"))

        found = [reply for reply in example.metadata["candidates"] if agrees(reply)]
        assert found == [example.references[0]]


def test_easy_replies_all_ask_or_all_book():
    for example in replies("easy", 200, n=4):
        assert len({"?" in reply for reply in example.metadata["candidates"]}) == 1


@pytest.mark.parametrize("difficulty", LEVELS)
def test_the_wrong_value_that_is_taken_up_was_said_too(difficulty):
    for example in replies(difficulty, 200, n=8):
        said = " ".join(t.text for t in TASK.opening(example) if t.role == "user").lower()
        asked = [reply for reply in example.metadata["candidates"] if "?" in reply]
        phrases = {reply.lower().partition(",")[0] for reply in asked}
        assert len(phrases) == 2
        assert all(phrase in said for phrase in phrases)


@pytest.mark.parametrize(("difficulty", "n"), [("easy", 4), ("medium", 4), ("hard", 8)])
def test_no_rule_without_understanding_picks_the_right_reply_often(difficulty, n):
    hits: Counter[str] = Counter()
    for example in replies(difficulty, 400, n=n):
        turns = TASK.opening(example)
        said = " ".join(turn.text for turn in turns if turn.role == "user")
        last, offered = turns[-1].text, sorted(example.metadata["candidates"])
        for rule, reply in choose_options(offered, last, last, said).items():
            hits[rule] += reply == example.references[0]
    assert max(hits.values()) < 0.45 * 400, hits.most_common(3)


@pytest.mark.parametrize("n", [4, 8])
@pytest.mark.parametrize("difficulty", LEVELS)
def test_candidates_alone_do_not_tell_which_is_right(difficulty, n):
    def words(text):
        return set(text.lower().strip(".?").split())

    def likeness(a, b):
        return len(words(a) & words(b)) / len(words(a) | words(b))

    guesses = {
        "typical": lambda texts: max(texts, key=lambda a: sum(likeness(a, b) for b in texts)),
        "odd": lambda texts: min(texts, key=lambda a: sum(likeness(a, b) for b in texts)),
        "long": lambda texts: max(texts, key=len),
        "short": lambda texts: min(texts, key=len),
        "first": lambda texts: texts[0],
        "question": lambda texts: next((t for t in texts if "?" in t), texts[0]),
        "booking": lambda texts: next((t for t in texts if "booked" in t), texts[0]),
    }
    examples = replies(difficulty, 800, n=n)
    spread = 4 * np.sqrt((1 / n) * (1 - 1 / n) / len(examples))
    for guess in guesses.values():
        share = np.mean([guess(e.metadata["candidates"]) == e.references[0] for e in examples])
        assert abs(share - 1 / n) < spread


def test_callers_correct_themselves_the_more_often_the_harder():
    def corrected(example):
        return any(word in example.prompt for word in ("Sorry, ", "Oh, ", "But please", "And make"))

    share = {level: np.mean([corrected(e) for e in replies(level, 400)]) for level in LEVELS}
    assert share["easy"] == 0
    assert 0.15 < share["medium"] < 0.35
    assert 0.65 < share["hard"] < 0.85


@pytest.mark.parametrize("difficulty", LEVELS)
def test_the_right_candidate_is_paid_and_no_other(difficulty):
    reward = load_reward("selection")
    for example in replies(difficulty, 100):
        for reply in TASK.candidates(example):
            episode = Episode(example, (Turn("user", example.prompt), Turn("assistant", reply)))
            assert reward([episode]).total.tolist() == [float(reply == TASK.gold(example))]


@pytest.mark.parametrize(
    "id", ["TextDialogueSelect-v0", "TextDialogueSelectEasy-v0", "TextDialogueSelectHard-v0"]
)
def test_calls_and_replies_fit_the_windows_of_the_registered_rows(id):
    kwargs = environment_row(id).make_kwargs()
    task = DialogueSelectTask(**kwargs["task_kwargs"])
    data, tokenizer = load_dataset(kwargs["dataset"], task, "train"), load_tokenizer()
    for i in range(300):
        example = data[i]
        opening = tokenizer.encode_opening(task.opening(example), 1000)[0]
        longest = max(len(tokenizer.encode(text)) for text in task.candidates(example))
        assert len(opening) <= kwargs["max_prompt_tokens"]
        assert longest + 1 <= kwargs["max_new_tokens"]


@pytest.mark.parametrize("choose", [0, 1, 2, 3])
def test_one_choice_ends_the_episode_and_the_context_is_no_part_of_it(choose):
    env = gym.make("TextDialogueSelect-v0")
    for index in range(10):
        _, info = env.reset(options={"index": index})
        example = env.unwrapped.core.dataset()[index]
        candidates = info["candidates"]
        _, reward, ended, _, info = env.step(choose)
        assert ended
        assert info["response"] == candidates[choose]
        assert reward == (candidates[choose] == example.references[0])


def test_a_difficulty_that_there_is_not_is_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'hard'"):
        RepliesGenerator("hrad")
