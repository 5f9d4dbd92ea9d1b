"""Laws of the data-to-text task, of the generated set "records", and of their reward."""

from __future__ import annotations

import re

import numpy as np
import pytest

from textenv.datasets.generated.procedural import ProceduralDataset
from textenv.datasets.generated.record_kinds import KINDS
from textenv.datasets.generated.records import RecordsGenerator
from textenv.errors import ConfigError, DatasetError, RewardError, UnknownNameError
from textenv.rewards import score
from textenv.rewards.tasks.data_to_text import realised, slot_words, split_slots, words_of
from textenv.tasks.data_to_text import DataTask

TASK = DataTask()
E2E = "name[The Vaults], food[Thai], customer rating[5 out of 5], familyFriendly[no]"
TEXT = "The Vaults has Thai food, is rated 5 out of 5 and is not family friendly."
ROW = {"slots": E2E, "references": TEXT}
LEVELS = {"easy": 3, "medium": 5, "hard": 7}


def cell(value, is_header=False, column_span=1, row_span=1):
    return {
        "value": value,
        "is_header": is_header,
        "column_span": column_span,
        "row_span": row_span,
    }


TABLE = [
    [cell("Year", True), cell("Film", True, column_span=2)],
    [cell("1998", row_span=2), cell("Water"), cell("Alma")],
    [cell("Fire"), cell("Bess")],
]


@pytest.fixture(scope="module", params=LEVELS)
def records(request):
    data = ProceduralDataset("records", RecordsGenerator(request.param), TASK, "test")
    return request.param, [data[i] for i in range(200)]


def rate(examples, responses):
    return score(
        "data_to_text",
        responses,
        [example.references for example in examples],
        [example.prompt for example in examples],
        [example.metadata for example in examples],
    )


def test_a_dialogue_act_with_a_slot_without_a_value_is_refused():
    with pytest.raises(DatasetError, match="cannot be read"):
        DataTask().example("x", {"slots": "inform(name='X',phone)", "references": "a"})


@pytest.mark.parametrize(
    "text",
    [
        "inform(name='The Mill, Ely',food=Thai)",
        'inform(name="The Mill, Ely"; food=Thai)',
        "name[The Mill, Ely], food[Thai]",
    ],
)
def test_texts_of_slots_are_read_in_every_layout(text):
    example = DataTask().example("x", {"slots": text, "references": "a"})
    assert example.metadata["slots"] == (("name", "The Mill, Ely"), ("food", "Thai"))


def test_the_opening_lists_the_slots_and_only_they_may_be_cut():
    (turn,) = TASK.opening(TASK.example("x", ROW))
    assert turn.text == (
        "Write a text that says all of this, and nothing else.\n\n"
        "name: The Vaults\nfood: Thai\ncustomer rating: 5 out of 5\nfamilyFriendly: no"
    )
    assert turn.text[slice(*turn.cut)].startswith("name: The Vaults\n")


@pytest.mark.parametrize(
    "slots",
    [
        "name[The Mill], food[Thai]",
        "name: The Mill\nfood: Thai",
        "name: The Mill | food: Thai",
        {"name": "The Mill", "food": "Thai", "area": None},
        [["name", "The Mill"], ("food", "Thai")],
    ],
)
def test_slots_may_be_a_mapping_pairs_or_a_text(slots):
    example = TASK.example("x", {**ROW, "slots": slots})
    assert example.metadata["slots"] == (("name", "The Mill"), ("food", "Thai"))


def test_highlighted_cells_of_a_totto_table_carry_their_headers_across_spans():
    row = {
        "table": TABLE,
        "highlighted_cells": [[1, 0], [2, 0], [2, 1]],
        "title": "Ann Bell",
        "section": "Films",
        "references": {"original_sentence": ["x"], "final_sentence": ["Ann Bell.", "She."]},
    }
    example = TASK.example("x", row)
    assert example.metadata["slots"] == (("Year", "1998"), ("Film", "Fire"), ("Film", "Bess"))
    assert example.prompt.split("\n")[:2] == ["page title: Ann Bell", "section title: Films"]
    assert example.references == ("Ann Bell.", "She.")
    listed = [{"final_sentence": "Ann Bell."}, {"final_sentence": "She."}]
    assert TASK.example("x", {**row, "references": listed}).references == example.references


def test_of_a_plain_table_every_cell_is_told_under_the_first_rows_headers():
    example = TASK.example(
        "x", {"table": [["Town", "Size"], ["Oslo", 7], ["", 9]], **{"references": "Oslo."}}
    )
    assert example.metadata["slots"] == (("Town", "Oslo"), ("Size", "7"), ("Size", "9"))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"references": "a"}, "neither 'slots' nor a 'table'"),
        ({"slots": "nothing", "references": "a"}, "cannot be read to the end"),
        ({"slots": 3, "references": "a"}, "slots of example 'row 3' are of type int"),
        ({"slots": {"food": ["a", 2]}, "references": "a"}, "for food, a value of type list"),
        ({"slots": {"food": {"a": 1}}, "references": "a"}, "for food, a value of type dict"),
        ({"slots": ["ab", "cd"], "references": "a"}, "a list of [slot, value] pairs"),
        ({"slots": [{"slot": "a", "value": "b"}], "references": "a"}, "[slot, value] pairs"),
        ({"table": [["a"], [["b"]]], "references": "a"}, "for a cell, a value of type list"),
        ({"slots": {}, "references": "a"}, "hold no value"),
        ({"slots": E2E}, "'row 3' has no references"),
        ({"table": "a", "references": "a"}, "must be a list of rows"),
        ({"table": TABLE, "highlighted_cells": [[9, 0]], "references": "a"}, "table of 3 rows"),
        ({"table": TABLE, "highlighted_cells": [[-1, 0]], "references": "a"}, "from 0"),
        ({**ROW, "candidates": ["a", "b"]}, "is the ideal reply"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_in_plain_words(row, words):
    with pytest.raises(DatasetError, match=re.escape(words)):
        TASK.example("row 3", row)


def test_difficulty_is_the_number_of_slots_and_both_references_tell_them_all(records):
    level, examples = records
    for example in examples:
        assert len(example.metadata["slots"]) == LEVELS[level]
        assert len(set(example.references)) == 2
    for k in range(2):
        assert (rate(examples, [e.references[k] for e in examples]).total == 1).all()


def test_of_the_candidates_only_the_right_one_tells_the_data(records):
    _, examples = records
    positions = []
    for example in examples:
        offered = TASK.candidates(example)
        assert len(set(offered)) == TASK.n_candidates == 4
        result = rate([example] * 4, offered)
        # "green" may be told of Kate Green's car by her name; then it is another color that tells.
        right = result.components["slots"] * result.components["faithful"] == 1
        assert right.sum() == 1
        positions.append(int(result.total.argmax()))
        assert offered[positions[-1]] == TASK.gold(example)
    # Standard deviation of a position's count among 200: 6.1.
    assert all(abs(positions.count(k) - 50) < 4 * 6.1 for k in range(4))


def test_every_wording_of_every_value_is_noticed():
    for kind in KINDS:
        for slot, values in kind.values.items():
            for value in values:
                for wording in (0, 1):
                    words = words_of(f"It {kind.predicate(slot, value, wording)}.")
                    assert realised(slot, value, words) == 1, (slot, value, wording)


def test_n_slots_overrides_the_difficulty_and_what_cannot_be_is_refused():
    _, row = RecordsGenerator("easy", n_slots=6).sample(np.random.default_rng(0))
    assert len(row["slots"]) == 6
    for wrong in (2, 8, True, "5"):
        with pytest.raises(ConfigError, match="3 to 7"):
            RecordsGenerator(n_slots=wrong)
    with pytest.raises(UnknownNameError, match="Did you mean 'hard'"):
        RecordsGenerator("hart")


def test_the_data_decide_the_split_and_hardly_ever_repeat():
    data = ProceduralDataset("records", RecordsGenerator(), TASK)
    assert len({data[i].prompt for i in range(3000)}) == 3000
    content, row = RecordsGenerator().sample(np.random.default_rng(1))
    assert TASK.opening(TASK.example("x", row))[0].text.endswith(content)


def test_copying_listing_and_padding_do_not_pay(records):
    _, examples = records
    copies = [TASK.opening(example)[0].text for example in examples]
    inputs = [example.prompt for example in examples]
    values = [", ".join(value for _, value in e.metadata["slots"]) for e in examples]
    for hack in (copies, inputs, values):
        assert rate(examples, hack).total.max() == 0
    everything = [
        f"It has {', '.join(v for vs in e.metadata['values'].values() for v in vs)}. {values[i]}."
        for i, e in enumerate(examples)
    ]
    assert rate(examples, everything).total.mean() < 0.35
    with_is = [
        ", ".join(f"{slot} is {value}" for slot, value in e.metadata["slots"]) + "."
        for e in examples
    ]
    assert rate(examples, with_is).total.mean() < 0.35
    twice = [f"{example.references[0]} {example.references[0]}" for example in examples]
    assert rate(examples, twice).total.mean() < 0.6


def said_in_frames(slots):
    """Texts by rules that put any data into a frame."""
    (_, name), *others = slots
    first, *rest = [f"the {slot} {value}" for slot, value in others]
    values = [value for _, value in slots]
    cut = " ".join(f"{slot}. {value}" for slot, value in slots)
    return {
        "the data among function words": f"With the of {cut} in on.",
        "has the key value": f"{name} has {first}. "
        + " ".join(f"The {slot} is {value}." for slot, value in others[1:]),
        "the key is value": " ".join(f"The {slot} is {value}." for slot, value in slots),
        "has all": f"{name} has {' and '.join([first, *rest])}.",
        "value key": f"{name} has {' and '.join(f'{v} {slot}' for slot, v in others)}.",
        "value as key": f"{name} has {', '.join(f'{v} as {slot}' for slot, v in others)}.",
        "prepositions": f"{name} is in {' with '.join(values[1:])}.",
        "a stock phrase": f"It is said that there was a great place there: {' and '.join(values)}.",
    }


def test_data_in_frames_earn_less_than_half(records):
    _, examples = records
    texts = [said_in_frames(example.metadata["slots"]) for example in examples]
    for frame in texts[0]:
        earned = rate(examples, [text[frame] for text in texts]).total.mean()
        assert earned < 0.4, frame


# Data with the two references that the generator writes, and paraphrases by hand.
PARAPHRASED = [
    (
        "name[Copper Whale], family friendly[no], food[Greek], seats[110], area[business district]",
        [
            "Copper Whale is not family friendly and offers Greek dishes. It has 110 seats and "
            "stands in the business district.",
            "Copper Whale is not a family friendly place. It serves Greek food. It offers 110 "
            "seats to its guests. It is located in the business district.",
        ],
        [
            "Copper Whale serves Greek food in the business district. It has 110 seats, but it "
            "is not family friendly.",
            "Located in the business district, Copper Whale offers Greek food and 110 seats. It "
            "is not a family friendly restaurant.",
        ],
    ),
    (
        "model[Vertex X920], color[green], type[camera], price[850 dollars], maker[Davis Works]",
        [
            "The Vertex X920 is green and is a camera. It sells for 850 dollars and is made by "
            "Davis Works.",
            "The Vertex X920 comes in green. It is a new kind of camera. It costs 850 dollars. It "
            "comes from Davis Works.",
        ],
        [
            "The Vertex X920 is a camera made by Davis Works. It is green and costs 850 dollars.",
            "Davis Works sells its camera, the Vertex X920, for 850 dollars. It comes in green.",
        ],
    ),
    (
        "name[Anna Bell], born[1976], job[nurse], home[Oslo], car[red]",
        [
            "Anna Bell was born in 1976 and works as a nurse. She lives in Oslo and drives a red "
            "car.",
            "Anna Bell has 1976 as year of birth. She is a nurse. She has a house in Oslo. She "
            "owns a red car.",
        ],
        [
            "Anna Bell, born in 1976, is a nurse who lives in Oslo and has a red car.",
            "Anna Bell works in Oslo as a nurse. She was born in 1976, and her red car is her own.",
        ],
    ),
    (
        "home team[Seoul United], away team[Zurich Wanderers], score[2-1], spectators[8100]",
        [
            "The match of Seoul United against Zurich Wanderers ended 2-1 and drew 8100 "
            "spectators.",
            "The match of Seoul United against Zurich Wanderers had a final score of 2-1. It was "
            "seen by 8100 spectators.",
        ],
        [
            "The match Seoul United played against Zurich Wanderers ended 2-1, and 8100 "
            "spectators saw it.",
            "Before 8100 spectators the match of Seoul United against Zurich Wanderers ended 2-1.",
        ],
    ),
]


@pytest.mark.parametrize(("slots", "references", "paraphrases"), PARAPHRASED)
def test_references_earn_everything_and_paraphrases_most(slots, references, paraphrases):
    example = TASK.example("x", {"slots": slots, "references": references})
    assert rate([example] * 2, references).total.tolist() == [1, 1]
    earned = rate([example] * 2, paraphrases).total
    assert earned.mean() > 0.55
    assert earned.min() > 0.3


@pytest.mark.parametrize(
    ("slot", "value", "text", "told"),
    [
        ("food", "Thai", "It serves Thai food.", 1),
        ("food", "Thai", "It serves food.", 0),
        ("name", "The Mill", "Mills, and a mill.", 1),
        ("people", "5", "for five people", 1),
        ("kind", "coffee shop", "two coffee shops", 1),
        ("kind", "coffee shop", "a shop with coffee", 0),
        ("note", "one two three four five six", "six five four", 0.5),
        ("familyFriendly", "yes", "a family-friendly pub", 1),
        ("familyFriendly", "yes", "it is not family friendly", 0),
        ("familyFriendly", "no", "it is not family friendly", 1),
        ("familyFriendly", "no", "a family friendly pub", 0),
        ("familyFriendly", "no", "a pub", 0),
        ("familyFriendly", "yes", "a kid friendly pub", 1),
    ],
)
def test_a_value_is_told_when_its_words_are_there(slot, value, text, told):
    assert realised(slot, value, words_of(text)) == told


def test_slot_names_are_read_as_words():
    assert slot_words("familyFriendly") == slot_words("family_friendly") == "family friendly"


@pytest.mark.parametrize(
    ("text", "slots"),
    [
        ("name[A], food[x y]", {"name": "A", "food": "x y"}),
        ("name[A]; food[x],", {"name": "A", "food": "x"}),
        ("name[The [Old] Inn], food[x]", {"name": "The [Old] Inn", "food": "x"}),
        ("name: A\n\nopen: 9:30 [am]\n", {"name": "A", "open": "9:30 [am]"}),
        ("price (GBP)[5]", {"price (GBP)": "5"}),
        ("name: A | food: x", {"name": "A", "food": "x"}),
        # Anything left over, and a slot without a value
        ("no slots here", {}),
        ("name[A], food", {}),
        ("food, name[A]", {}),
        ("food\nname[A]", {}),
        ("name[A], food[x", {}),
        ("inform(name[A], food[x])", {}),
        ("inform(name[A]", {}),
        ("name[A], food[]", {}),
        ("name[A], near: B", {}),
        ("name[A] (cheap), food[x]", {}),
        ("name: A\nfood", {}),
        ("name: A\nfood:", {}),
        ("inform(name='A',time=12:30", {}),
    ],
)
def test_slots_are_read_to_the_end_or_not_at_all(text, slots):
    assert split_slots(text) == tuple(slots.items())


def test_values_of_slots_are_what_json_spells():
    slots = {"open": True, "rooms": 7, "stars": 4.5, "area": None, "near": " "}
    assert TASK.example("x", {"slots": slots, "references": "a"}).metadata["slots"] == (
        ("open", "true"),
        ("rooms", "7"),
        ("stars", "4.5"),
    )
    with pytest.raises(DatasetError, match="each with a value"):
        TASK.example("x", {"slots": "inform(name='A',food='')", "references": "a"})


def test_inventions_cost_and_names_known_from_the_data_do_not():
    example = TASK.example("x", {**ROW, "values": {"food": ["Thai", "French", "fast"]}})
    gold = TASK.gold(example)
    texts = [gold, f"{gold} Founded in 1990 by Bob.", f"{gold} It has fast food."]
    faithful = rate([example] * 3, texts).components["faithful"]
    assert faithful.tolist() == [1, 4 / (4 + 2), 4 / (4 + 1)]


def test_data_may_stand_in_the_prompt_and_none_at_all_is_an_error():
    result = score("data_to_text", ["It has Thai dishes."], ["It has Thai dishes."], ["food: Thai"])
    assert result.total == [1]
    with pytest.raises(RewardError, match="neither 'slots' in its metadata"):
        score("data_to_text", ["Thai"], ["Thai"])


def test_the_ideal_text_is_the_reference_that_tells_most():
    references = ["The Mill is cheap.", "The Mill serves cheap Thai food.", "The Mill, Thai."]
    row = {"slots": "name[The Mill], food[Thai], price[cheap]", "references": references}
    task = DataTask()
    example = task.example("x", row)
    assert task.gold(example) == references[1]
    assert example.references == tuple(references)
    named = task.example("y", row | {"candidates": ["The Mill is cheap.", "Rain."]})
    assert task.gold(named) == references[0]
