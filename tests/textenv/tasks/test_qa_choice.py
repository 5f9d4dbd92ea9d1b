"""Laws of multiple-choice question answering, and of the generated set "facts-choice"."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from textenv import score
from textenv.benchmark.adversary.options import choose_options
from textenv.datasets.generated.facts_choice import FactsChoiceGenerator
from textenv.datasets.generated.procedural import ProceduralDataset
from textenv.errors import ConfigError, DatasetError, UnknownNameError
from textenv.tasks.qa_choice import QAChoiceTask

TASK = QAChoiceTask()
ROW = {
    "context": "Anna has a dog.",
    "question": "What pet does Anna have?",
    "choices": ["cat", "dog", "bird"],
    "answer": "B",
}
N_CHOICES = {"easy": 3, "medium": 4, "hard": 4}


@pytest.fixture(scope="module", params=N_CHOICES)
def questions(request):
    data = ProceduralDataset("c", FactsChoiceGenerator(request.param), TASK, "train")
    return request.param, [data[i] for i in range(400)]


def test_the_opening_shows_lettered_options_and_only_the_context_may_be_cut():
    (turn,) = TASK.opening(TASK.example("x", ROW))
    assert turn.text == (
        "Anna has a dog.\n\nQuestion: What pet does Anna have?\n"
        "A) cat\nB) dog\nC) bird\nChoose one."
    )
    assert turn.text[slice(*turn.cut)] == "Anna has a dog."
    (bare,) = TASK.opening(TASK.example("x", {**ROW, "context": None}))
    assert (bare.text, bare.cut) == (turn.text.partition("\n\n")[2], None)


def test_gold_is_the_right_option_as_it_is_shown_and_one_of_the_candidates():
    example = TASK.example("x", ROW)
    assert TASK.gold(example) == "B) dog"
    assert TASK.candidates(example) == ("A) cat", "B) dog", "C) bird")
    assert TASK.reply(example, TASK.opening(example)) is None


@pytest.mark.parametrize("answer", ["B", "b", "dog", 1, "1"])
def test_the_answer_may_be_a_letter_a_text_or_an_index(answer):
    assert TASK.example("x", {**ROW, "answer": answer}).metadata["correct"] == 1


def test_labels_of_the_rows_own_win_over_letters_and_indices():
    choices = {"text": ["cat", "dog", "bird"], "label": ["1", "2", "3"]}
    example = TASK.example("x", {**ROW, "choices": choices, "answer": "2"})
    assert TASK.gold(example) == "B) dog"


def labelled(labels):
    return {"text": ["cat", "dog", "bird"], "label": list(labels)}


@pytest.mark.parametrize(
    ("choices", "answer", "gold"),
    [
        (["O", "A", "B", "AB"], "D", "D) AB"),
        (["O", "A", "B", "AB"], "AB", "D) AB"),
        (["O", "A", "B", "AB"], 1, "B) A"),
        (["O", "A", "B", "AB"], "A", None),
        (["b", "a"], "A", None),
        (["a", "A"], "a", "A) a"),  # both readings are the first
        (["3", "1", "2"], "2", "C) 2"),  # so is each of these the last
        (["2", "3", "1"], "1", None),
        (["2", "3", "1"], "C", "C) 1"),
        (["2", "3", "1"], 1, "B) 3"),  # of texts, a number is no text
        ([2, 3, 1], 1, None),
        ([20, 30, 10], 1, "B) 30"),
        (["cat", "dog", "cat"], "cat", None),
        (labelled("ABE"), "D", None),
        (labelled("ABE"), "e", "C) bird"),
        (labelled("ABE"), 2, "C) bird"),
        (labelled("123"), 2, "B) dog"),
        (labelled("123"), 0, None),
        (labelled("123"), "B", "B) dog"),
    ],
)
def test_an_answer_that_may_name_two_options_is_refused(choices, answer, gold):
    row = {**ROW, "choices": choices, "answer": answer}
    if gold is None:
        with pytest.raises(DatasetError, match=r"which may be [A-D]\) .* or |not among its 3"):
            TASK.example("x", row)
    else:
        assert TASK.gold(TASK.example("x", row)) == gold


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"question": None}, "'row 3' has no question"),
        ({"choices": None}, "choices of example 'row 3' are of type NoneType"),
        ({"choices": "dog"}, "choices of example 'row 3' are of type str"),
        ({"choices": {"texts": ["dog"]}}, "the key 'text'"),
        ({"choices": {"text": ["cat", "dog"], "label": ["A"]}}, "a label for each"),
        ({"choices": ["dog"]}, "has 1 choices"),
        ({"choices": list("vwxyz")}, "Set n_choices"),
        ({"choices": ["cat", ""]}, "Choice B of example 'row 3' has no text"),
        ({"choices": ["cat", None, "dog"]}, "Choice B of example 'row 3' has no text"),
        ({"choices": {"text": ["cat", "dog"], "label": ["A", "A"]}}, "all different"),
        ({"answer": None}, "not among its 3 choices"),
        ({"answer": "D"}, "not among its 3 choices"),
        ({"answer": "fish"}, "not among its 3 choices"),
        ({"answer": 3}, "not among its 3 choices"),
        ({"answer": -1}, "not among its 3 choices"),
        ({"answer": True}, "not among its 3 choices"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_in_plain_words(change, words):
    with pytest.raises(DatasetError, match=re.escape(words)):
        TASK.example("row 3", {**ROW, **change})


def test_n_choices_is_the_number_of_candidates_that_rows_may_have():
    task = QAChoiceTask(n_choices=5)
    assert task.n_candidates == 5
    assert len(task.candidates(task.example("x", {**ROW, "choices": list("vwxyz")}))) == 5


@pytest.mark.parametrize("n_choices", [1, 27, "4", True])
def test_an_n_choices_that_cannot_work_is_refused(n_choices):
    with pytest.raises(ConfigError, match="n_choices"):
        QAChoiceTask(n_choices)


def test_generated_options_differ_and_are_all_told_in_the_context(questions):
    difficulty, examples = questions
    for example in examples:
        choices = example.metadata["choices"]
        assert len(set(choices)) == N_CHOICES[difficulty]
        for choice in choices:
            assert re.search(rf"\b{choice}\b", example.metadata["context"])


def test_the_right_option_stands_anywhere_equally_often(questions):
    difficulty, examples = questions
    places = Counter(example.metadata["correct"] for example in examples)
    # At most sqrt(400 * 1/3 * 2/3) = 9.4 is the standard deviation.
    assert all(abs(n - 400 / N_CHOICES[difficulty]) < 40 for n in places.values())
    assert len(places) == N_CHOICES[difficulty]


def test_every_value_is_told_once_of_each_of_three_facts(questions):
    for example in questions[1]:
        if example.prompt.startswith(("Who ", "Whose ")):
            continue
        for choice in example.metadata["choices"]:
            assert len(re.findall(rf"\b{choice}\b", example.metadata["context"])) == 3


def test_no_rule_without_understanding_picks_the_right_option_often(questions):
    difficulty, examples = questions
    hits: Counter[str] = Counter()
    for example in examples:
        (turn,) = TASK.opening(example)
        context, choices = example.metadata["context"], example.metadata["choices"]
        for rule, option in choose_options(choices, turn.text, context, context).items():
            hits[rule] += option == choices[example.metadata["correct"]]
    # At most 9.4 is the standard deviation.
    assert max(hits.values()) < 400 / N_CHOICES[difficulty] + 40, hits.most_common(3)


def test_gold_scores_1_and_each_other_candidate_the_prompt_and_nothing_0(questions):
    for example in questions[1][:100]:
        texts = [*TASK.candidates(example), TASK.opening(example)[0].text, ""]
        metadata = [example.metadata] * len(texts)
        total = score("choice", texts, ["x"] * len(texts), metadata=metadata).total
        assert total.tolist() == [text == TASK.gold(example) for text in texts]


def test_hard_questions_often_name_the_person_by_another_fact():
    data = ProceduralDataset("c", FactsChoiceGenerator("hard"), TASK, "train")
    share = sum("the person who" in data[i].prompt for i in range(400)) / 400
    assert 0.35 < share < 0.55  # 60 % of the three quarters that do not ask for the person


def test_an_unknown_difficulty_is_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'easy'"):
        FactsChoiceGenerator("eazy")
