"""Dialogue rewards read the whole conversation, not one text."""

from __future__ import annotations

import pytest

from textenv.errors import RewardError
from textenv.examples import Episode, Example, Turn
from textenv.rewards import compute_rewards, load_reward
from textenv.tasks.dialogue import DialogueTask

GOAL = {"food": "Italian", "area": "north", "people": "4", "day": "Friday", "time": "7 pm"}
BOOKING = DialogueTask().example("b", {"goal": GOAL, "revealed": ["food", "area", "people"]})
RECORDED = DialogueTask().example(
    "r",
    {
        "turns": [
            {"speaker": "USER", "text": "Hello."},
            {"speaker": "SYSTEM", "text": "Which city?"},
            {"speaker": "USER", "text": "Rome."},
            {"speaker": "SYSTEM", "text": "Booked a red car for you."},
        ]
    },
)


def played(example: Example, *responses: str) -> Episode:
    """The episode in which the agent says these things whatever it hears."""
    task = DialogueTask()
    turns = task.opening(example)
    for response in responses:
        turns = (*turns, Turn("assistant", response))
        reply = task.reply(example, turns)
        turns = turns if reply is None else (*turns, reply)
    return Episode(example, turns)


def test_success_pays_right_slots_and_again_those_that_had_to_be_asked_for() -> None:
    ask = "Which day and what time?"
    episodes = [
        played(BOOKING, ask, "Booked: Italian food in the north for 4 people on Friday at 7 pm."),
        # The time is wrong: 4 of 5 slots, and 1 of the 2 that had to be asked for.
        played(BOOKING, "Booked: Italian food in the north for 4 people on Friday at 8 pm."),
        played(BOOKING, ask, "Goodbye.", ""),
    ]
    result = compute_rewards(load_reward("dialogue_success"), episodes)
    assert result.total == pytest.approx([1.0, 0.5 * (0.8 + 0.5), 0.0])
    assert {key: values.tolist() for key, values in result.components.items()} == {
        "slots": [1.0, 0.8, 0.0],
        "success": [1, 0, 0],
        "withheld": [1, 0.5, 0],
        "turns": [2, 1, 3],
    }


def test_recorded_turns_are_compared_in_their_places() -> None:
    episodes = [
        played(RECORDED, *RECORDED.references),
        played(RECORDED, *reversed(RECORDED.references)),
        # {which, town} and {which, city}: 2*1/4. {booked, car} of {booked, red, car, for, you}:
        # 2*2/7, the article does not count.
        played(RECORDED, "Which town?", "Booked the car"),
        # Cut after one turn.
        played(RECORDED, "Which city?"),
        played(RECORDED, "", ""),
    ]
    result = compute_rewards(load_reward("turn_f1"), episodes)
    assert result.total == pytest.approx([1, 0, (1 / 2 + 4 / 7) / 2, 1, 0])
    assert result.components["turns"].tolist() == [2, 2, 2, 1, 2]


def test_a_reward_for_the_other_kind_of_dialogue_is_refused() -> None:
    with pytest.raises(RewardError, match="'r' is a recorded dialogue"):
        compute_rewards(load_reward("dialogue_success"), [played(RECORDED, "Hello.")])
    with pytest.raises(RewardError, match="'b' is no recorded dialogue"):
        compute_rewards(load_reward("turn_f1"), [played(BOOKING, "Hello.")])
