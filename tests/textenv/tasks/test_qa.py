"""Laws of the question-answering task and of the generated set "facts"."""

from __future__ import annotations

import re
from collections import Counter
from statistics import mean

import pytest

from textenv.datasets.generated.facts import _ATTRIBUTES, FactsGenerator
from textenv.datasets.generated.procedural import ProceduralDataset
from textenv.datasets.generated.words import FIRST_NAMES
from textenv.errors import ConfigError, DatasetError, UnknownNameError
from textenv.tasks.qa import QATask

TASK = QATask()
ROW = {"context": "Anna has a dog.", "question": "What pet does Anna have?", "answers": "dog"}


@pytest.fixture(scope="module")
def facts():
    data = ProceduralDataset("facts", FactsGenerator(), TASK, "test")
    return [data[i] for i in range(500)]


def count(text, phrase):
    return len(re.findall(rf"\b{re.escape(phrase)}\b", text))


def test_the_opening_is_one_user_turn_whose_cut_is_the_context_and_spares_the_question():
    (turn,) = TASK.opening(TASK.example("x", ROW))
    assert turn.role == "user"
    assert (
        turn.text == "Anna has a dog.\n\nQuestion: What pet does Anna have?\nAnswer in a few words."
    )
    assert turn.text[slice(*turn.cut)] == "Anna has a dog."


def test_without_a_context_the_question_stands_alone_and_nothing_is_cut():
    example = TASK.example("x", {"question": "Who?", "answers": "Anna"})
    (turn,) = TASK.opening(example)
    assert (turn.text, turn.cut) == ("Question: Who?\nAnswer in a few words.", None)
    assert example.metadata == {}


@pytest.mark.parametrize(
    ("answers", "references"),
    [
        ("dog", ("dog",)),
        (["dog", "a dog"], ("dog", "a dog")),
        ({"text": ["dog", "a dog", "dog"], "answer_start": [11, 9, 11]}, ("dog", "a dog")),
    ],
)
def test_answers_may_be_a_string_a_list_or_squads_dict(answers, references):
    example = TASK.example("x", {**ROW, "answers": answers})
    assert example.references == references
    assert TASK.gold(example) == "dog"
    assert TASK.reply(example, TASK.opening(example)) is None


def test_a_list_of_answers_may_be_padded():
    example = TASK.example("x", {**ROW, "answers": ["a", None, 5, " ", float("nan")]})
    assert example.references == ("a", "5")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"question": None}, "'row 3' has no question"),
        ({"question": ""}, "'row 3' has an empty question"),
        ({"context": "  "}, "'row 3' has an empty context"),
        ({"context": ["a"]}, "context of type list; it must be a string"),
        ({"answers": None}, "'row 3' has no answers"),
        ({"answers": []}, "keep only the rows whose list of answers is not empty"),
        ({"answers": {"text": [], "answer_start": []}}, "as in SQuAD v2"),
        ({"answers": {"texts": ["dog"]}}, "the key 'text'"),
        ({"answers": True}, "'row 3' has answers of type bool"),
        ({"question": ["a"]}, "has a question of type list"),
        ({"answers": [None, " "]}, "'row 3' has empty answers"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_in_plain_words(change, words):
    with pytest.raises(DatasetError, match=re.escape(words)):
        TASK.example("row 3", {**ROW, **change})


def test_facts_are_short_contexts_with_short_answers(facts):
    for example in facts:
        assert 4 <= example.metadata["context"].count(".") <= 6
        assert 1 <= len(example.references[0].split()) <= 3
    assert 35 <= mean(len(example.metadata["context"].split()) for example in facts) <= 60


def test_the_answer_is_a_span_of_the_context_and_not_of_the_question(facts):
    for example in facts:
        (answer,) = example.references
        assert count(example.metadata["context"], answer) >= 1
        assert count(example.prompt, answer) == 0
        if answer not in FIRST_NAMES:
            assert count(example.metadata["context"], answer) == 1


def test_the_kind_of_answer_alone_never_decides_it(facts):
    kinds = [attribute.values for attribute in _ATTRIBUTES] + [FIRST_NAMES]
    for example in facts:
        (values,) = [values for values in kinds if example.references[0] in values]
        context = example.metadata["context"]
        assert sum(count(context, value) > 0 for value in values) >= 3


def test_no_value_is_part_of_another_so_that_questions_have_one_answer():
    for attribute in _ATTRIBUTES:
        for value in attribute.values:
            assert [v for v in attribute.values if count(v, value)] == [value]


def test_some_questions_ask_for_the_person(facts):
    share = mean(example.references[0] in FIRST_NAMES for example in facts)
    assert 0.17 < share < 0.33


def test_the_candidates_are_the_values_of_what_is_asked_and_the_gold_is_one(facts):
    kinds = [attribute.values for attribute in _ATTRIBUTES] + [FIRST_NAMES]
    places = Counter()
    for example in facts:
        candidates = TASK.candidates(example)
        places[candidates.index(TASK.gold(example)), len(candidates)] += 1
        assert 3 <= len(set(candidates)) == len(candidates) <= TASK.n_candidates
        assert any(set(candidates) <= set(values) for values in kinds)
        assert all(count(example.metadata["context"], text) >= 1 for text in candidates)
    # 250 of either length, with a standard deviation of at most 7.5 for each place.
    for n in (3, 4):
        assert all(abs(places[i, n] - 250 / n) < 30 for i in range(n))


@pytest.mark.parametrize(("difficulty", "people"), [("easy", {2}), ("hard", {5, 6})])
def test_difficulty_sets_how_many_people_there_are(difficulty, people):
    data = ProceduralDataset("facts", FactsGenerator(difficulty), TASK, "train")
    examples = [data[i] for i in range(200)]
    for example in examples:
        context = example.metadata["context"]
        assert sum(count(context, name) > 0 for name in FIRST_NAMES) in people
        assert TASK.candidates(example).count(TASK.gold(example)) == 1
        assert len(TASK.candidates(example)) == min(4, max(people))
    hops = sum("the person who" in example.prompt for example in examples)
    assert (hops > 60) == (difficulty == "hard")
    places = Counter(TASK.candidates(e).index(TASK.gold(e)) for e in examples)
    assert max(places.values()) < 1.4 * 200 / len(places)


def test_a_question_in_two_steps_names_one_person_by_the_other_fact():
    data = ProceduralDataset("facts", FactsGenerator("hard"), TASK, "train")
    told = 0
    for i in range(200):
        example = data[i]
        _, who, described = example.prompt.partition("the person who ")
        if not who:
            continue
        values = [v for a in _ATTRIBUTES for v in a.values if count(described, v)]
        assert len(values) == 1
        assert count(example.metadata["context"], values[0]) == 1
        told += 1
    assert told > 60


def test_an_unknown_difficulty_is_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'medium'"):
        FactsGenerator("mediun")


def test_questions_without_an_answer_get_the_agreed_one_and_the_prompt_says_so():
    task = QATask(unanswerable="no answer")
    row = {**ROW, "answers": {"text": [], "answer_start": []}}
    example = task.example("x", row)
    assert example.references == ("no answer",)
    (turn,) = task.opening(example)
    assert turn.text == (
        "Anna has a dog.\n\nQuestion: What pet does Anna have?\n"
        'Answer in a few words. If it cannot be answered, write "no answer".'
    )
    assert turn.text[slice(*turn.cut)] == "Anna has a dog."
    assert task.example("x", ROW).references == ("dog",)


@pytest.mark.parametrize("unanswerable", ["", " ", 3])
def test_the_agreed_answer_is_a_text(unanswerable):
    with pytest.raises(ConfigError, match="unanswerable"):
        QATask(unanswerable=unanswerable)


def test_the_layout_of_narrativeqa_is_read():
    row = {
        "context": {"text": "A whole book.", "summary": {"text": "Anna has a dog."}},
        "question": {"text": "What pet does Anna have?", "tokens": []},
        "answers": [{"text": "a dog", "tokens": []}, {"text": "dog"}],
    }
    example = TASK.example("x", row)
    assert example.prompt == "What pet does Anna have?"
    assert example.references == ("a dog", "dog")
    assert example.metadata["context"] == "Anna has a dog."


def test_candidates_of_a_row_must_have_the_answer_among_them():
    row = {**ROW, "candidates": ["cat", "dog"]}
    assert TASK.candidates(TASK.example("x", row)) == ("cat", "dog")
    with pytest.raises(DatasetError, match="None of the candidates"):
        TASK.example("x", {**ROW, "candidates": ["cat", "bird"]})
