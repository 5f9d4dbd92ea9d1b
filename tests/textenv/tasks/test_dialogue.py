"""The task: a guest who answers what is asked, dialogue acts, and recorded dialogues."""

from __future__ import annotations

import itertools
import json
import string

import numpy as np
import pytest

from textenv.datasets import load_dataset
from textenv.datasets.generated.guests import GuestsGenerator
from textenv.datasets.generated.procedural import ProceduralDataset
from textenv.errors import DatasetError
from textenv.examples import Episode, Example, Turn
from textenv.guests.booking_lines import SLOTS, booking_line, parse_booking
from textenv.guests.guest_lines import repeat_text
from textenv.rewards import load_reward
from textenv.tasks.dialogue import DialogueTask

TASK = DialogueTask()
GOAL = {"food": "Italian", "area": "old town", "people": "4", "day": "Friday", "time": "7:30 pm"}
ROW = {"goal": GOAL, "revealed": ["people", "food"], "wording": 0}
LINE = "Booked: Italian food in the old town for 4 people on Friday at 7:30 pm."
EXAMPLE = TASK.example("a", ROW)
GUESS = {"food": "Thai", "area": "north", "people": "2", "day": "Sunday", "time": "6 pm"}


def agent(text):
    return Turn("assistant", text)


def play(example, say):
    """Plays to the end, at most 4 turns of the agent; `say(example, transcript)` speaks."""
    transcript = TASK.opening(example)
    for _ in range(4):
        transcript += (agent(say(example, transcript)),)
        reply = TASK.reply(example, transcript)
        if reply is None:
            break
        transcript += (reply,)
    return transcript


def mentioned(text):
    """Finds the values in a guest's turn word by word, apart from the code under test."""
    words = "".join(c for c in text.lower() if c not in string.punctuation or c == ":").split()
    padded = f" {' '.join(words)} "
    found = {
        slot: {v for v in SLOTS[slot] if f" {v.lower()} " in padded}
        for slot in ("food", "area", "day", "time")
    }
    found["people"] = {v for v in SLOTS["people"] if f" {v} people " in padded}
    return {slot: next(iter(values)) for slot, values in found.items() if values}


def guests(count, split="train", **options):
    dataset = ProceduralDataset("guests", GuestsGenerator("easy", **options), TASK, split=split)
    return [dataset[i] for i in range(count)]


def quality(example, transcript):
    """Returns the components of reward `dialogue` that judge the booking."""
    components = load_reward("dialogue")([Episode(example, transcript)]).components
    return {name: components[name][0] for name in ("success", "slots", "withheld")}


def test_gold_asks_once_then_books_what_the_guest_wants():
    for example in guests(500):
        transcript = play(example, TASK.gold)
        said = [turn.text for turn in transcript if turn.role == "assistant"]
        assert len(said) == 2
        assert said[1] == example.references[0]
        assert quality(example, transcript) == {"success": 1, "slots": 1, "withheld": 1}


def test_the_opening_tells_some_slots_and_never_all():
    for example in guests(500):
        told = mentioned(example.prompt)
        assert set(told) == set(example.metadata["revealed"])
        assert 2 <= len(told) <= 4
        assert told.items() <= example.metadata["goal"].items()
        assert TASK.opening(example) == (Turn("user", example.prompt),)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_guest_answers_exactly_what_is_asked(size):
    questions = {
        "food": "What kind of food?",
        "area": "In which area?",
        "people": "How many people?",
        "day": "Which day?",
        "time": "What time?",
    }
    for example in guests(20):
        for slots in itertools.combinations(SLOTS, size):
            asked = agent(" ".join(questions[slot] for slot in slots))
            answer = TASK.reply(example, (*TASK.opening(example), asked))
            assert mentioned(answer.text) == {s: example.metadata["goal"][s] for s in slots}


def test_a_guest_of_two_columns_opens_by_the_wording_and_never_loses_patience():
    assert EXAMPLE.prompt == "I would like to book a table for Italian food for 4 people."
    transcript = TASK.opening(EXAMPLE)
    for _ in range(20):
        transcript += (agent("Nice to meet you!"),)
        transcript += (TASK.reply(EXAMPLE, transcript),)
    assert transcript[2].text == (
        "I am not sure what you mean. We want a table for Italian food for 4 people."
    )


def test_what_the_guest_says_depends_on_the_example_and_the_transcript_alone():
    transcript = (*TASK.opening(EXAMPLE), agent("Which day and where?"))
    replies = {TASK.reply(TASK.example("a", ROW), transcript) for _ in range(3)}
    assert replies == {Turn("user", "The old town and Friday, thank you.")}


def test_the_guest_is_brief():
    for wording in range(24):
        text = repeat_text(GOAL, ["people", "area", "day", "time"], wording, False, False)
        assert len(text.split()) <= 25


def test_a_slot_counts_as_revealed_only_once_the_guest_has_answered():
    opening = TASK.opening(EXAMPLE)
    asked = (*opening, agent("Which area?"))
    answered = (*asked, TASK.reply(EXAMPLE, asked))
    for unanswered in ((), opening, asked):
        assert TASK.gold(EXAMPLE, unanswered) == "Which area, which day and what time?"
    assert TASK.gold(EXAMPLE, answered) == "Which day and what time?"


def test_a_booking_that_names_every_value_is_worth_nothing():
    hedge = "Booked: " + " ".join(
        f"{value} people" if slot == "people" else value
        for slot, values in SLOTS.items()
        for value in values
    )
    assert parse_booking(hedge) == {}
    scores = quality(EXAMPLE, (*TASK.opening(EXAMPLE), agent(hedge)))
    assert scores == {"success": 0, "slots": 0, "withheld": 0}


def test_only_the_first_booking_counts():
    asked = (*TASK.opening(EXAMPLE), agent("Which area, which day and what time?"))
    wrong = agent(LINE.replace("Friday", "Monday"))
    turns = (*asked, TASK.reply(EXAMPLE, asked), wrong, Turn("user", "No."), agent(LINE))
    # 4 of 5 slots; of the 3 that were withheld (area, day, time), 2.
    assert quality(EXAMPLE, turns) == pytest.approx(
        {"success": 0, "slots": 4 / 5, "withheld": 2 / 3}
    )


def test_no_booking_scores_nothing():
    turns = (*TASK.opening(EXAMPLE), agent(""))
    assert quality(EXAMPLE, turns) == {"success": 0, "slots": 0, "withheld": 0}


def test_guessing_what_was_not_told_pays_less_than_asking():
    def guess(example, transcript):
        goal, told = example.metadata["goal"], example.metadata["revealed"]
        return booking_line({s: goal[s] if s in told else GUESS[s] for s in SLOTS})

    scores = [quality(example, play(example, guess)) for example in guests(500)]
    means = {key: np.mean([score[key] for score in scores]) for key in scores[0]}
    assert means["success"] == means["withheld"] == 0
    assert means["slots"] < 0.75


def test_splits_share_no_opening_and_examples_are_pure():
    prompts = [{e.prompt for e in guests(300, split)} for split in ("train", "validation")]
    prompts.append({e.prompt for e in guests(300, "test")})
    assert all(a.isdisjoint(b) for a, b in itertools.combinations(prompts, 2))
    assert guests(5) == guests(5)


RECORDED = [
    {"speaker": "USER", "text": "A table, please."},
    {"speaker": "SYSTEM", "text": "For when?"},
    {"speaker": "USER", "text": "Today."},
    {"speaker": "SYSTEM", "text": "Done."},
    {"speaker": "USER", "text": "Thanks."},
]


def test_a_recorded_dialogue_replays_in_order():
    example = TASK.example("r", {"turns": RECORDED})
    assert example.references == ("For when?", "Done.")
    transcript = play(example, TASK.gold)
    # The last user turn has no answer on record, so it is not played.
    assert [turn.text for turn in transcript] == [turn["text"] for turn in RECORDED[:4]]
    # The user keeps to the record whatever the agent says.
    assert [turn.text for turn in play(example, lambda *_: "Booked: x")][2] == "Today."


def test_a_system_turn_is_the_prompt_where_an_assistant_speaks():
    turns = [
        {"role": "system", "content": "Be kind."},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "A table."},
        {"role": "user", "content": "For two."},
        {"role": "assistant", "content": "Yes."},
    ]
    example = TASK.example("r", {"turns": turns})
    assert TASK.opening(example) == (
        Turn("system", "Be kind."),
        Turn("user", "A table. For two."),
    )
    assert example.references == ("Yes.",)


LAYOUTS = {
    "speakers": RECORDED,
    "texts": [turn["text"] for turn in RECORDED],
    "columns": {
        "speaker": [turn["speaker"] for turn in RECORDED],
        "utterance": [turn["text"] for turn in RECORDED],
    },
    "labels": {"speaker": [0, 1, 0, 1, 0], "utterance": [turn["text"] for turn in RECORDED]},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_a_recording_is_the_same_dialogue(layout):
    assert TASK.example("r", {"turns": LAYOUTS[layout]}) == TASK.example("r", {"turns": RECORDED})


@pytest.mark.parametrize("column", ["turns", "dialog", "utterances", "dialogue", "messages"])
def test_the_column_of_a_recording_is_found_by_the_names_that_corpora_use(column, tmp_path):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([{column: LAYOUTS["texts"]}] * 2))
    example = load_dataset(str(path), TASK, "train")[0]
    assert example.references == ("For when?", "Done.")


def test_candidates_of_a_recording_are_its_own_turns():
    example = TASK.example("r", {"turns": RECORDED})
    for transcript in ((), play(example, TASK.gold)[:3]):
        assert set(TASK.candidates(example, transcript)) == {"For when?", "Done."}
    many = [text for i in range(20) for text in (f"Question {i}?", f"Answer {i}.")]
    example = TASK.example("r", {"turns": many})
    transcript = TASK.opening(example)
    for i in range(20):
        candidates = TASK.candidates(example, transcript)
        assert len(set(candidates)) == 7
        assert f"Answer {i}." in candidates
        transcript += (agent("Well."), Turn("user", "So?"))


def test_an_example_given_by_hand_ends_after_one_turn():
    example = Example("prompt", "Hi", ("Hello",))
    assert TASK.gold(example) == "Hello"
    assert TASK.candidates(example) == ("Hello",)
    assert TASK.reply(example, (*TASK.opening(example), agent("Hello"))) is None


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "neither 'turns'"),
        ({"turns": "hello"}, "must be a list"),
        ({"turns": ["hello", {"role": "user", "content": "hello"}]}, "use a mapping"),
        ({"turns": ["hello"]}, "no turn of the agent"),
        ({"turns": {"speaker": ["user", "system"], "utterance": ["hello"]}}, "of one length"),
        ({"turns": {"text": ["hello"]}}, "with the keys text"),
        ({"turns": [{"role": "dog", "content": "woof"}]}, "speaker 'dog'"),
        ({"turns": [{"role": "user", "content": " "}]}, "no text"),
        ({"turns": RECORDED[:1]}, "no turn of the agent"),
        ({"turns": []}, "no turn of the agent"),
        ({"goal": {"food": "Thai"}}, "must map each of"),
        ({**ROW, "goal": {**GOAL, "day": "Doomsday"}}, "day = 'Doomsday'"),
        ({"goal": GOAL}, "must list some, but not all"),
        ({**ROW, "revealed": list(SLOTS)}, "must list some, but not all"),
        ({**ROW, "revealed": ["food", "name"]}, "must list some, but not all"),
        ({**ROW, "wording": "x"}, "integer"),
        ({**ROW, "opening": " "}, "must be a text"),
        ({**ROW, "goal": {**GOAL, "people": "any"}}, "people = 'any'"),
        ({**ROW, "goal": {**GOAL, "food": "any"}}, "'any' in a slot that the opening tells"),
        ({**ROW, "goal": GOAL | dict.fromkeys(("area", "day", "time"), "any")}, "at least one"),
        ({**ROW, "patience": -1}, "number of turns from 0 up"),
        ({**ROW, "one_at_a_time": "yes"}, "use true or false"),
        ({**ROW, "changes": "food"}, "must be a list"),
        ({**ROW, "changes": ["food"]}, "optionally 'turn'"),
        ({**ROW, "changes": [{"slot": "food", "value": "Italian"}]}, "another value"),
        ({**ROW, "changes": [{"slot": "name", "value": "Anna"}]}, "another value"),
        ({**ROW, "changes": [{"slot": "food", "value": "Thai", "turn": 0}]}, "from 1 up"),
    ],
)
def test_a_row_that_cannot_be_played_is_refused(row, message):
    with pytest.raises(DatasetError, match=message):
        TASK.example("a", row)
