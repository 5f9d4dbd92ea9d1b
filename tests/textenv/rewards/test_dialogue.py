"""Dialogue rewards read the whole conversation, not one text."""

from __future__ import annotations

import pytest

from textenv.errors import ConfigError, RewardError
from textenv.examples import Episode, Example, Turn
from textenv.rewards import compute_rewards, load_reward, score
from textenv.tasks.dialogue import DialogueTask
from textenv.vector import make_core

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


ASK = "Which day and what time?"
RIGHT = "Booked: Italian food in the north for 4 people on Friday at 7 pm."


@pytest.mark.parametrize(
    ("said", "components"),
    [
        ([ASK, RIGHT], [1, 1, 1, 1, 1]),
        # One turn more than needed, both of its questions on topic.
        (["Which day?", "What time?", RIGHT], [1, 1, 1, 2 / 3, 1]),
        # Four turns, of which a greeting and a question that was answered are off topic.
        (["Hello!", ASK, ASK, RIGHT], [1, 1, 1, 2 / 4, 2 / 4]),
        # The time is wrong: 4 of 5 slots, and 1 of the 2 that had to be asked for.
        ([ASK, RIGHT.replace("7 pm", "8 pm")], [0, 4 / 5, 1 / 2, 0, 1]),
        # The day was asked for, and the time guessed, as luck would have it.
        (["Which day?", RIGHT], [0, 4 / 5, 1 / 2, 0, 1]),
        # A lucky guess of both.
        ([RIGHT], [0, 3 / 5, 0, 0, 1]),
        # Asked and booked in one breath, before any answer.
        ([f"{ASK} {RIGHT}"], [0, 3 / 5, 0, 0, 1]),
        # The booking's first line counts, whatever follows it.
        ([ASK, f"Booked: Thai food. {RIGHT}"], [0, 0, 0, 0, 1]),
        # 14 words do, "Booked:" included; 13 and 15 more are heard, and 13 and 16 are too many.
        ([ASK, f"{RIGHT} {'Well, ' * 15}"], [1, 1, 1, 1, 1]),
        ([ASK, f"{RIGHT} {'Well, ' * 16}"], [0, 0, 0, 0, 1]),
        ([ASK, "Goodbye.", ASK], [0, 0, 0, 0, 1 / 3]),
        (["", ""], [0, 0, 0, 0, 0]),
        ([], [0, 0, 0, 0, 0]),
    ],
)
def test_quality_pays_what_the_guest_told_and_how_directly_it_was_found_out(
    said: list[str], components: list[float]
) -> None:
    result = compute_rewards(load_reward("dialogue"), [played(BOOKING, *said)])
    names = ("success", "slots", "withheld", "efficiency", "relevance")
    assert [result.components[name][0] for name in names] == pytest.approx(components)
    *paid, relevance = components
    weighted = sum(w * c for w, c in zip((8, 3, 3, 3), paid, strict=True)) / 17
    assert result.total == pytest.approx([relevance * weighted])
    assert result.components["turns"].tolist() == [len(said)]


@pytest.mark.parametrize(
    ("said", "facts"),
    [
        (RIGHT, 1),
        ("You get an ITALIAN table for 4, in the north, Friday, 7.", 1),
        # 4 of the 5 that are wanted, and 4 of the 5 that are named.
        (RIGHT.replace("7 pm", "8 pm"), 4 / 5),
        (RIGHT.replace("7 pm", "7:30 pm"), 4 / 5),
        # All 5, of 7 that are named.
        (f"{RIGHT} Or Thai food on Sunday.", 5 / 7),
        ("Booked: a table at 7.", 1 / 5),
        (ASK, 0),
    ],
)
def test_facts_are_found_in_the_text_whatever_it_books(said: str, facts: float) -> None:
    result = compute_rewards(load_reward("dialogue"), [played(BOOKING, ASK, said)])
    assert result.components["facts"] == pytest.approx([facts])


def test_a_guest_in_the_book_is_right_at_once_and_when_asked() -> None:
    row = {"goal": GOAL, "revealed": ["food", "area", "people"], "in_book": True}
    guest = DialogueTask().example("k", row)
    wrong = RIGHT.replace("Friday", "Sunday")
    episodes = [played(guest, RIGHT), played(guest, ASK, RIGHT), played(guest, wrong)]
    result = compute_rewards(load_reward("dialogue"), episodes)
    assert result.total == pytest.approx([1, 1, 3 * (4 / 5 + 1 / 2) / 17])
    assert DialogueTask().gold(guest, DialogueTask().opening(guest)) == RIGHT


@pytest.mark.parametrize(
    "id",
    ["TextDialogue-v0", "TextDialogueEasy-v0", "TextDialogueHard-v0", "TextDialogueReturning-v0"],
)
def test_no_lazy_text_earns_more_than_half(id: str) -> None:
    """One rule from what was heard to what is said, whatever that is."""
    task = DialogueTask()
    dataset = make_core(id).dataset()
    everything = "What food, which area, how many people, which day and what time?"
    echoes = (
        lambda turns: "Booked: " + " ".join(t.text for t in turns if t.role == "user"),
        lambda turns: "Booked: " + " ".join(t.text for t in turns[-2:] if t.role == "user"),
        lambda turns: "Booked: " + turns[0].text,
        lambda turns: "Booked: " + turns[-1].text,
    )
    for openers in ((), (everything,), ("Hello!", everything), (everything, everything)):
        for echo in echoes:
            episodes = []
            for i in range(100):
                example = dataset[i]
                turns = task.opening(example)
                for opener in (*openers, None):
                    turns += (Turn("assistant", opener or echo(turns)),)
                    reply = task.reply(example, turns)
                    if reply is None:
                        break
                    turns += (reply,)
                episodes.append(Episode(example, turns))
            assert compute_rewards(load_reward("dialogue"), episodes).total.mean() <= 0.5


def test_quality_counts_what_the_guest_wants_in_the_end() -> None:
    change = {"slot": "food", "value": "Thai", "turn": 1}
    row = {"goal": GOAL, "revealed": ["food", "area", "people"], "changes": [change]}
    guest = DialogueTask().example("c", row)
    episodes = [
        played(guest, ASK, RIGHT.replace("Italian", "Thai")),
        played(guest, ASK, RIGHT),
        # Booked before the guest changed their mind.
        played(guest, RIGHT),
    ]
    result = compute_rewards(load_reward("dialogue"), episodes)
    assert result.components["success"].tolist() == [1, 0, 0]
    assert result.components["slots"].tolist() == pytest.approx([1, 4 / 5, 3 / 5])
    assert result.components["withheld"].tolist() == [1, 1, 0]


def test_more_turns_are_needed_where_one_thing_is_answered_at_a_time() -> None:
    row = {"goal": GOAL, "revealed": ["food", "area", "people"], "one_at_a_time": True}
    guest = DialogueTask().example("o", row)
    episodes = [played(guest, "Which day?", "What time?", RIGHT), played(guest, ASK, ASK, RIGHT)]
    result = compute_rewards(load_reward("dialogue"), episodes)
    assert result.components["efficiency"].tolist() == [1, 1]
    # The second time, the day was known, and the guest had asked for one thing at a time.
    assert result.components["relevance"].tolist() == pytest.approx([1, 2 / 3])


def test_the_weights_of_quality_can_be_chosen() -> None:
    episode = played(BOOKING, "Which day?", "What time?", RIGHT)
    weights = {"success": 1, "efficiency": 1}
    result = compute_rewards(load_reward({"dialogue": {"weights": weights}}), [episode])
    assert result.total == pytest.approx([(1 + 2 / 3) / 2])
    for bad in ({"succes": 1}, {"success": -1}, {"success": 0}, {}, {"success": "much"}, "all"):
        with pytest.raises(ConfigError, match="use numbers from 0 up"):
            load_reward({"dialogue": {"weights": bad}})


@pytest.mark.parametrize(
    ("response", "paid"),
    [
        ("Is it the north?", 1),
        (" is it  the NORTH? ", 1),
        ("Is it the north", 0),
        ("Is it north?", 0),
        ("Is it the north? Is it the south?", 0),
        ("", 0),
    ],
)
def test_a_selection_is_the_right_candidate_and_nothing_else(response: str, paid: int) -> None:
    assert score("selection", [response], ["Is it the north?"]).total.tolist() == [paid]


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


def test_quality_pays_recorded_dialogues_by_their_turns_beside_others() -> None:
    simulated = played(BOOKING, "Which day and what time?", RIGHT)
    replayed = played(RECORDED, "Which town?", "Booked the car")
    result = compute_rewards(load_reward("dialogue"), [replayed, simulated])
    assert result.total == pytest.approx([(1 / 2 + 4 / 7) / 2, 1])
    assert result.components["turn_f1"] == pytest.approx([(1 / 2 + 4 / 7) / 2, 0])
    assert result.components["success"].tolist() == [0, 1]
    assert result.components["turns"].tolist() == [2, 2]
    assert "turn_f1" not in compute_rewards(load_reward("dialogue"), [simulated]).components


def test_a_reward_for_the_other_kind_of_dialogue_is_refused() -> None:
    lost = Example("x", "Hi", ("Hello.",))
    with pytest.raises(RewardError, match="'x' is not a recorded dialogue"):
        compute_rewards(load_reward("dialogue"), [Episode(lost, (Turn("assistant", "Hello."),))])
    with pytest.raises(RewardError, match="'b' is not a recorded dialogue"):
        compute_rewards(load_reward("turn_f1"), [played(BOOKING, "Hello.")])
