"""What an agent's turn asks for, and what it books, is read by keywords."""

from __future__ import annotations

import numpy as np
import pytest

from textenv.datasets.generated.guests import GuestsGenerator
from textenv.guests.booking_lines import (
    SLOTS,
    asked_slots,
    booking_line,
    parse_booking,
    question_line,
)

GOAL = {"food": "Italian", "area": "old town", "people": "4", "day": "Friday", "time": "7:30 pm"}
LINE = "Booked: Italian food in the old town for 4 people on Friday at 7:30 pm."


@pytest.mark.parametrize(
    ("text", "slots"),
    [
        ("What time on which day?", {"time", "day"}),
        ("When, and where?", {"day", "time", "area"}),
        ("What CUISINE do you prefer?", {"food"}),
        ("How many guests?", {"people"}),
        ("See you on Friday, sometimes.", set()),
        ("", set()),
    ],
)
def test_questions_are_understood_by_whole_words(text, slots):
    assert asked_slots(text) == slots


@pytest.mark.parametrize(
    "text",
    [
        LINE,
        "Great! " + LINE + " Enjoy!",
        LINE.lower(),
        "BOOKED: on friday at 7:30PM for four people, old town, italian food",
        "Booked : a table for 4 at 7.30 p.m. on Friday in the old town, Italian",
        LINE + " Booked: Thai food in the north for 2 people on Sunday at 6 pm.",
    ],
)
def test_a_booking_is_read_whatever_its_case_order_and_extra_words(text):
    assert parse_booking(text) == GOAL


def test_times_on_the_hour_are_no_number_of_people():
    assert parse_booking("Booked: a table for 7 pm") == {"time": "7 pm"}
    assert parse_booking("Booked: a table for 12:30 pm") == {"time": "12:30 pm"}
    assert parse_booking("Booked: at 7:00 pm in the city centre") == {
        "area": "center",
        "time": "7 pm",
    }


def test_nothing_is_booked_without_the_word():
    assert parse_booking("I booked Italian food for 4 people.") is None
    assert parse_booking("Booked: done!") == {}
    for denied in (f"It is not {LINE}", f"I haven't {LINE}", f"No table is {LINE}"):
        assert parse_booking(denied) is None
    assert parse_booking(f"Not at all. {LINE}") == GOAL
    assert parse_booking(f"No problem! {LINE}") == GOAL


def test_a_flood_of_words_is_no_booking():
    # 15 words do, "Booked:" included; 14 and 16 more are heard, and 14 and 17 are too many.
    assert parse_booking(LINE + " Enjoy" * 16) == GOAL
    assert parse_booking(LINE + " Enjoy" * 17) == {}


def test_every_goal_reads_back_from_its_line():
    rng = np.random.default_rng(3)
    for _ in range(200):
        _, row = GuestsGenerator("easy").sample(rng)
        assert parse_booking(booking_line(row["goal"])) == row["goal"]


def test_a_question_is_understood_as_what_it_was_made_of():
    for k in range(1, len(SLOTS) + 1):
        asked = list(SLOTS)[:k]
        assert asked_slots(question_line(asked)) == set(asked)
    assert question_line(["food"]) == "What food?"
    assert question_line(["area", "day", "time"]) == "Which area, which day and what time?"
