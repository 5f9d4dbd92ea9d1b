"""Guests change their mind, lose patience and leave; the agent has to find out what they want."""

from __future__ import annotations

import hashlib
from collections import Counter

import gymnasium as gym
import numpy as np
import pytest

import textenv  # noqa: F401 - registers the environments
from textenv.datasets.generated.guests import GuestsGenerator
from textenv.datasets.generated.procedural import ProceduralDataset
from textenv.errors import ConfigError, UnknownNameError
from textenv.examples import Episode, Turn
from textenv.guests.booking_lines import SLOTS
from textenv.guests.guest import follow
from textenv.guests.guest_lines import RETURNS
from textenv.rewards import load_reward
from textenv.tasks.dialogue import DialogueTask

TASK = DialogueTask()
GOAL = {"food": "Thai", "area": "north", "people": "3", "day": "Friday", "time": "7:30 pm"}
ROW = {"goal": GOAL, "revealed": ["food", "people"], "patience": 2}
GOLDEN = {"easy": "38d615e523178d94", "medium": "de07a4e0b6ccf238", "hard": "e6af3f1908da1f8e"}
LEVELS = list(GOLDEN)


def guests(difficulty, count, split="train", **options):
    generator = GuestsGenerator(difficulty, **options)
    dataset = ProceduralDataset("guests", generator, TASK, split)
    return [dataset[i] for i in range(count)]


def conversation(row, *said):
    """Returns what the guest of a row says, turn by turn, None once they are gone."""
    example = TASK.example("a", ROW | row)
    transcript, heard = TASK.opening(example), []
    for text in said:
        transcript += (Turn("assistant", text),)
        reply = TASK.reply(example, transcript)
        heard.append(None if reply is None else reply.text)
        transcript += () if reply is None else (reply,)
    return heard


def play(example, say, max_turns=8):
    transcript = TASK.opening(example)
    for _ in range(max_turns):
        transcript += (Turn("assistant", say(example, transcript)),)
        reply = TASK.reply(example, transcript)
        if reply is None:
            break
        transcript += (reply,)
    return Episode(example, transcript)


def test_a_change_of_mind_is_said_after_its_turn_and_holds_from_then_on():
    change = {"slot": "people", "value": "4", "turn": 2}
    row = {"changes": [change]}
    first, second = conversation(row, "Which area?", "Which day?")
    assert first == "The north, thank you."
    assert second == "Let me see, Friday. Wait, 4 people would be better than 3."
    guest = follow(TASK.example("a", ROW | row), ["Which area?"])
    assert guest.goal["people"] == "3"
    guest.hear("Which day?")
    assert guest.goal["people"] == "4"


def test_a_change_waits_until_its_slot_was_told():
    row = {"changes": [{"slot": "day", "value": "Sunday", "turn": 1}]}
    heard = conversation(row, "Which area?", "Which day?", "What time?")
    assert ["Sunday" in reply for reply in heard] == [False, False, True]
    assert "Friday" in heard[1]


def test_a_change_is_said_once():
    row = {"changes": [{"slot": "people", "value": "4", "turn": 1}]}
    heard = conversation(row, "Which area?", "Which day?", "What time?")
    assert ["4 people" in reply for reply in heard] == [True, False, False]


def test_gold_books_what_the_guest_wants_in_the_end():
    row = ROW | {"changes": [{"slot": "food", "value": "Greek", "turn": 1}]}
    episode = play(TASK.example("a", row), TASK.gold)
    assert episode.responses == (
        "Which area, which day and what time?",
        "Booked: Greek food in the north for 3 people on Friday at 7:30 pm.",
    )
    assert episode.example.references == episode.responses[1:]


def test_useless_turns_cost_patience_and_replies_until_the_guest_leaves():
    heard = conversation({}, "Hello!", "What food?", "Hello!", "Which area?")
    assert heard == [
        "I am not sure what you mean. We want a table for Thai food for 3 people.",
        "I have said that before: Thai food. I am about to hang up.",
        None,
        None,
    ]


def test_asking_for_what_is_missing_costs_nothing():
    said = ["Which area?", "Which day?", "What time?"]
    heard = conversation({"patience": 0}, *said)
    assert None not in heard
    assert conversation({"patience": 0}, "What food, and which area?") == [None]


def test_a_question_for_new_and_old_is_answered_in_part_and_costs_patience():
    (reply,) = conversation({}, "What food, and which area?")
    assert reply == "As I said: Thai food. The north."
    assert follow(TASK.example("a", ROW), ["What food, and which area?"]).wasted == 1


def test_an_impatient_guest_answers_in_no_more_words_than_needed():
    calm, curt = conversation({"patience": 9}, "Which area?", "Hello?")[0], None
    curt = conversation({"patience": 9}, "Hello?", "Which area?")[1]
    assert calm == "The north, thank you."
    assert curt == "The north."


def test_without_patience_to_lose_a_guest_never_leaves():
    assert None not in conversation({"patience": None, "in_words": True}, *["Hello!"] * 50)


def test_a_guest_of_one_thing_at_a_time_answers_the_first_and_says_so():
    row = {"one_at_a_time": True}
    heard = conversation(row, "Which area and which day?", "Which day and what time?", "What time?")
    assert heard[0] == "Not so fast, one after the other. The north."
    assert heard[1] == "Please ask me one thing at a time. Friday."
    example = TASK.example("a", ROW | row)
    # The first time the agent cannot know.
    assert follow(example, ["Which area and which day?"]).wasted == 0
    assert follow(example, ["Which area and which day?", "Which day and what time?"]).wasted == 1


def test_gold_asks_one_thing_at_a_time_once_it_was_told_to():
    episode = play(TASK.example("a", ROW | {"one_at_a_time": True}), TASK.gold)
    assert episode.responses[:3] == (
        "Which area, which day and what time?",
        "Which day?",
        "What time?",
    )
    assert len(episode.responses) == 4


def test_what_the_guest_does_not_care_about_is_left_out_of_the_booking():
    row = ROW | {"goal": GOAL | {"area": "any"}}
    example = TASK.example("a", row)
    assert "any area" in conversation(row, "Which area?")[0].lower()
    episode = play(example, TASK.gold)
    assert episode.responses[-1] == "Booked: Thai food for 3 people on Friday at 7:30 pm."
    assert load_reward("dialogue")([episode]).total.tolist() == [1.0]


@pytest.mark.parametrize(
    ("time", "said"),
    [
        ("12:30 pm", "half past twelve"),
        ("1 pm", "one in the afternoon"),
        ("9:30 pm", "half past nine in the evening"),
    ],
)
def test_numbers_are_said_in_words(time, said):
    row = {"goal": GOAL | {"time": time}, "in_words": True, "revealed": ["food", "area"]}
    (reply,) = conversation(row, "How many people, and what time?")
    assert "three people" in reply.lower()
    assert said in reply


def test_a_row_may_bring_its_own_opening():
    example = TASK.example("a", ROW | {"opening": "Thai for 3!"})
    assert TASK.opening(example) == (Turn("user", "Thai for 3!"),)


# Dialogue acts.


@pytest.mark.parametrize("difficulty", LEVELS)
def test_at_every_turn_there_are_seven_different_acts_and_gold_is_one(difficulty):
    rng = np.random.default_rng(0)
    for example in guests(difficulty, 100):
        transcript = TASK.opening(example)
        for _ in range(8):
            candidates = TASK.candidates(example, transcript)
            assert len(set(candidates)) == len(candidates) == TASK.n_candidates == 7
            assert TASK.gold(example, transcript) in candidates
            transcript += (Turn("assistant", candidates[rng.integers(7)]),)
            reply = TASK.reply(example, transcript)
            if reply is None:
                break
            transcript += (reply,)


def test_acts_tell_no_more_of_the_goal_than_the_guest_has():
    # Two guests who differ in what they have not told offer the same acts.
    for untold in ({"day": "Sunday"}, {"day": "any"}, {"time": "1 pm"}):
        guests = [TASK.example("a", ROW | {"goal": goal}) for goal in (GOAL, GOAL | untold)]
        asked = [(*TASK.opening(e), Turn("assistant", "Which area?")) for e in guests]
        heard = [(*t, TASK.reply(e, t)) for e, t in zip(guests, asked, strict=True)]
        acts = [TASK.candidates(e, t) for e, t in zip(guests, heard, strict=True)]
        assert heard[0] == heard[1]
        assert acts[0] == acts[1]


def test_no_place_is_better_than_another():
    places = Counter()
    for example in guests("medium", 700):
        places[TASK.candidates(example, ()).index(TASK.gold(example))] += 1
    # Standard deviation sqrt(700 * 1/7 * 6/7) = 9.3.
    assert all(abs(places[place] - 100) < 4 * 9.3 for place in range(7))


@pytest.mark.parametrize("level", ["text", "select"])
def test_the_same_dialogue_is_played_by_choosing_acts_or_by_writing_them(level):
    env = gym.make("TextDialogueHard-v0", action_level=level)
    core = env.unwrapped.core
    for index in range(20):
        _, info = env.reset(options={"index": index})
        ended = False
        while not ended:
            gold = TASK.gold(core.dataset()[index], core.transcript(0))
            action = gold if level == "text" else info["candidates"].index(gold)
            _, reward, ended, _, info = env.step(action)
        assert reward == 1
        assert info["reward_components"]["success"] == 1


# The generated set.


@pytest.mark.parametrize("difficulty", LEVELS)
def test_guests_are_the_same_on_every_machine(difficulty):
    found = repr([guests(difficulty, 5, split) for split in ("train", "validation", "test")])
    assert hashlib.blake2b(found.encode(), digest_size=8).hexdigest() == GOLDEN[difficulty]


@pytest.mark.parametrize("difficulty", LEVELS)
def test_openings_hardly_ever_repeat_and_splits_share_none(difficulty):
    rng = np.random.default_rng(1)
    assert len({GuestsGenerator(difficulty).sample(rng)[0] for _ in range(5000)}) >= 4995
    prompts = [{e.prompt for e in guests(difficulty, 200, s)} for s in ("train", "test")]
    assert prompts[0].isdisjoint(prompts[1])


@pytest.mark.parametrize("difficulty", LEVELS)
def test_gold_is_perfect_within_the_turns_of_every_level(difficulty):
    episodes = [play(example, TASK.gold, 6) for example in guests(difficulty, 300)]
    assert set(load_reward("dialogue")(episodes).total) == {1.0}


def test_levels_differ_in_what_guests_do():
    share = {
        level: {
            "changes": np.mean([bool(e.metadata["changes"]) for e in guests(level, 400)]),
            "one_at_a_time": np.mean([e.metadata["one_at_a_time"] for e in guests(level, 400)]),
            "any": np.mean(["any" in e.metadata["goal"].values() for e in guests(level, 400)]),
        }
        for level in LEVELS
    }
    assert share["easy"] == {"changes": 0, "one_at_a_time": 0, "any": 0}
    # 50, 0 and 20 percent; a second missing slot is needed for "any". Then 80, 60 and 40 percent.
    assert 0.4 < share["medium"]["changes"] < 0.6
    assert share["medium"]["one_at_a_time"] == 0
    assert 0 < share["medium"]["any"] < 0.25
    assert share["hard"]["changes"] > 0.7
    assert 0.5 < share["hard"]["one_at_a_time"] < 0.7
    assert share["hard"]["any"] > 0.3


def test_an_option_sets_one_trait_and_changes_nothing_else():
    plain = guests("hard", 50)
    for name, value, key in (
        ("patience", 7, "patience"),
        ("one_at_a_time", 1.0, "one_at_a_time"),
        ("corrections", 0.0, "changes"),
    ):
        for before, after in zip(plain, guests("hard", 50, **{name: value}), strict=True):
            expected = dict(before.metadata) | {key: [] if key == "changes" else value}
            assert after.metadata == expected
            assert after.prompt == before.prompt


def test_returning_guests_say_so_whether_they_are_in_the_book_or_not():
    in_book = []
    for i in range(400):
        before, after = (
            dict(GuestsGenerator("easy", returning=odds).sample(np.random.default_rng(i))[1])
            for odds in (None, 0.7)
        )
        (said,) = [line for line in RETURNS if line in after["opening"]]
        assert after.pop("opening").replace(f" {said}", "") == before.pop("opening")
        in_book.append(after.pop("in_book"))
        assert not before.pop("in_book")
        assert after == before
    # Standard deviation sqrt(0.7 * 0.3 / 400) = 0.023.
    assert abs(np.mean(in_book) - 0.7) < 4 * 0.023


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"corrections": 2}, "use 0 to 1"),
        ({"one_at_a_time": True}, "use 0 to 1"),
        ({"returning": -0.1}, "use 0 to 1"),
        ({"patience": -1}, "whole number"),
        ({"patience": 1.5}, "whole number"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        GuestsGenerator(**options)
    with pytest.raises(UnknownNameError, match="Did you mean 'hard'"):
        GuestsGenerator("hrad")


def test_a_goal_takes_each_of_its_values():
    goals = [example.metadata["goal"] for example in guests("easy", 500)]
    assert all({goal[slot] for goal in goals} == set(SLOTS[slot]) for slot in SLOTS)
