"""Laws of the task of word problems, and of the generated set "word-problems"."""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction
from importlib.util import find_spec

import numpy as np
import pytest

from textenv import score
from textenv.datasets import load_dataset
from textenv.datasets.base import SPLITS
from textenv.datasets.generated.procedural import ProceduralDataset
from textenv.datasets.generated.word_problem_stories import SITUATIONS
from textenv.datasets.generated.word_problems import WordProblemsGenerator
from textenv.errors import ConfigError, DatasetError, UnknownNameError
from textenv.rewards.verifiable.numeric import final_number
from textenv.tasks.math import MathTask

TASK = MathTask()
N_STEPS = {"easy": (1, 2), "medium": (2, 4), "hard": (4, 6)}


@pytest.fixture(scope="module", params=N_STEPS)
def problems(request):
    data = ProceduralDataset("p", WordProblemsGenerator(request.param), TASK, "train")
    return request.param, [data[i] for i in range(400)]


def test_every_line_of_a_solution_is_true_and_the_last_gives_the_answer(problems):
    difficulty, examples = problems
    for example in examples:
        *lines, last = example.references[0].split("\n")
        for line in lines:
            left, _, right = line.rpartition(" = ")
            exact = re.sub(r"\d+(\.\d+)?", r"Fraction('\g<0>')", left)
            assert eval(exact, {"Fraction": Fraction}) == Fraction(right), line
        assert last == f"#### {right}"
        assert float(example.metadata["answer"]) == float(right)
        fewest, most = N_STEPS[difficulty]
        assert fewest <= len(lines) <= most


def test_every_number_that_a_solution_starts_from_is_told_be_it_right_or_wrong(problems):
    words = {"half": 2, "third": 3, "quarter": 4, "fifth": 5, "twice": 2, "three": 3, "four": 4}
    words |= {"five": 5, "same way": 2}
    for example in problems[1]:
        in_problem = {Fraction(n) for n in re.findall(r"\d+(?:\.\d+)?", example.prompt)}
        in_problem |= {Fraction(n) for word, n in words.items() if word in example.prompt}
        for solution in TASK.candidates(example):
            told = {*in_problem, Fraction(100)}
            for line in solution.split("\n")[:-1]:
                left, _, right = line.rpartition(" = ")
                assert {Fraction(n) for n in re.findall(r"\d+(?:\.\d+)?", left)} <= told, example
                told.add(Fraction(right))


def test_no_slot_is_left_unfilled_and_a_question_comes_last(problems):
    for example in problems[1]:
        assert "{" not in example.prompt
        assert example.prompt.endswith("?")
        assert example.prompt[0].isupper()


def test_only_hard_problems_have_facts_that_do_not_matter_and_cents():
    def share_with_cents(difficulty):
        data = ProceduralDataset("p", WordProblemsGenerator(difficulty), TASK)
        return np.mean(["." in data[i].references[0] for i in range(400)])

    assert share_with_cents("easy") == share_with_cents("medium") == 0
    assert 0.02 < share_with_cents("hard") < 0.3


def test_the_candidates_are_the_gold_and_three_other_answers(problems):
    for example in problems[1]:
        candidates = TASK.candidates(example)
        assert len(candidates) == TASK.n_candidates == 4
        assert candidates.count(TASK.gold(example)) == 1
        assert len({final_number(text) for text in candidates}) == 4
        scores = score("numeric", candidates, [example.references] * 4).total
        assert sorted(scores) == [0, 0, 0, 1]


def test_neither_place_nor_length_nor_size_gives_the_right_candidate_away(problems):
    places, ranks, longest = Counter(), Counter(), []
    for example in problems[1]:
        candidates, gold = TASK.candidates(example), TASK.gold(example)
        places[candidates.index(gold)] += 1
        ranks[sorted(map(final_number, candidates)).index(example_number(example))] += 1
        n_lines = [text.count("\n") for text in candidates]
        longest.append((gold.count("\n") == max(n_lines)) / n_lines.count(max(n_lines)))
    # 400 draws of 1/4 have a standard deviation of 8.7.
    assert all(abs(places[i] - 100) < 40 for i in range(4))
    assert max(ranks.values()) < 0.45 * 400
    assert np.mean(longest) < 0.45


def test_what_most_candidates_share_does_not_give_the_right_one_away(problems):
    found = []
    for example in problems[1]:
        candidates = TASK.candidates(example)
        lines = [set(text.split("\n")) for text in candidates]
        shared = [sum(len(one & other) for other in lines) for one in lines]
        right = shared[candidates.index(TASK.gold(example))]
        found.append((right == max(shared)) / shared.count(max(shared)))
    assert np.mean(found) < 0.42


def test_what_candidates_share_with_the_problem_does_not_give_the_right_one_away(problems):
    def words(text):
        return re.findall(r"\w+", text.lower())

    most, densest = [], []
    for example in problems[1]:
        offered, gold = TASK.candidates(example), TASK.gold(example)
        told = set(words(TASK.opening(example)[0].text))
        counts = {text: len(told & set(words(text))) for text in offered}
        shares = {text: np.mean([w in told for w in words(text)]) for text in offered}
        for found, rated in ((most, counts), (densest, shares)):
            best = [text for text in offered if rated[text] == max(rated.values())]
            found.append((gold in best) / len(best))
    # Chance is .25, and the standard deviation of 400 draws .02.
    assert np.mean(most) < 0.41
    assert np.mean(densest) < 0.35


def example_number(example):
    return final_number(example.references[0])


def test_prompts_hardly_ever_repeat_and_splits_share_none(problems):
    data = [
        ProceduralDataset("p", WordProblemsGenerator(problems[0]), TASK, split) for split in SPLITS
    ]
    train, validation, test = (
        {d[i].prompt for i in range(n)} for d, n in zip(data, (2000, 100, 100), strict=True)
    )
    assert len(train) >= 1995
    assert not train & validation
    assert not train & test
    assert not validation & test


def test_every_situation_is_told():
    generator, rng = WordProblemsGenerator(), np.random.default_rng(0)
    text = " ".join(generator.sample(rng)[0] for _ in range(1000))
    for situation in SITUATIONS:
        openings = [re.split(r"{\w+}", t) for move in situation.starts for t in move.texts]
        assert any(max(parts, key=len) in text for parts in openings)


def test_an_unknown_difficulty_is_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'hard'"):
        WordProblemsGenerator("hardd")


def test_the_opening_tells_how_to_end_and_is_never_cut():
    (turn,) = TASK.opening(TASK.example("x", {"question": "What is 2 + 2?", "answer": "4"}))
    assert turn.text == 'Solve the problem. End with "#### " and the number.\n\nWhat is 2 + 2?'
    assert turn.cut is None


@pytest.mark.parametrize(
    ("row", "gold", "number"),
    [
        ({"answer": "9 * 2 = $<<9*2=18>>18\n#### 18"}, "9 * 2 = $18\n#### 18", 18),
        ({"answer": "18"}, "#### 18", 18),
        ({"answer": 18}, "#### 18", 18),
        ({"answer": 2.5}, "#### 2.5", 2.5),
        ({"answer": "$1,200"}, "#### $1,200", 1200),
        (
            {"solution": "It is 9 * 2 = 18.\n#### 18", "answer": "18"},
            "It is 9 * 2 = 18.\n#### 18",
            18,
        ),
        ({"solution": "Twice nine.", "answer": "18"}, "Twice nine.\n#### 18", 18),
        ({"solution": "Twice nine.", "answer": 18.0}, "Twice nine.\n#### 18.0", 18),
        ({"solution": r"So \boxed{\frac{1}{2}}."}, r"So \boxed{\frac{1}{2}}.", 0.5),
        ({"solution": r"So \boxed{\frac 12}.", "answer": "0.5"}, r"So \boxed{\frac 12}.", 0.5),
        # As ASDiv, SVAMP and MATH-500 write them.
        ({"answer": "9 (apples)"}, "#### 9 (apples)", 9),
        ({"answer": "About 9"}, "#### About 9", 9),
        ({"answer": "1/2 (feet)"}, "#### 1/2 (feet)", 0.5),
        ({"answer": 145.0}, "#### 145.0", 145),
        ({"answer": 1e16}, "#### 10000000000000000", 10**16),
        ({"answer": r"11,\! 111"}, r"#### 11,\! 111", 11111),
        ({"answer": r"$\$ 3040$"}, r"#### $\$ 3040$", 3040),
    ],
)
def test_rows_give_a_worked_solution_that_ends_with_the_number(row, gold, number):
    example = TASK.example("x", {"question": "How many?", **row})
    assert (TASK.gold(example), example.metadata["answer"]) == (gold, number)
    assert score("numeric", [gold], [example.references]).total.tolist() == [1]
    assert TASK.candidates(example) == ()


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({}, "neither an answer nor a solution"),
        ({"answer": True}, "answer of type bool"),
        ({"solution": "#### 18", "answer": "20"}, "does not end with its answer. It is 20."),
        ({"answer": "4", "candidates": ["#### 3"]}, "None of the candidates"),
        ({"answer": "4", "candidates": ["#### 4", "#### 4 "]}, "must all differ"),
        ({"answer": "4", "candidates": "#### 4"}, "list of texts"),
        ({"answer": "4", "candidates": list("12345")}, "has 5 candidates"),
        ({"answer": "4", "body": " "}, "empty body"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_in_plain_words(row, words):
    with pytest.raises(DatasetError, match=re.escape(words)):
        TASK.example("row 3", {"question": "How many?", **row})


@pytest.mark.parametrize(
    "answer",
    [
        *(
            "many",
            "18 or 20",
            "5; 6",
            "3:2",
            "8:30",
            "6th",
            "Yes",
            "2 million",
            "9 (dozens)",
            "Rug 2",
        ),
        *(r"\frac{\sqrt{3}}{2}", "(1, 2)", "x^2", "2516_8", "5x", "$2 a x+b$", r"x+y=5", "1 000"),
        # Where the answer of a longer text stands is not guessed at.
        "She sells 9 of the eggs for 2 dollars each, and in the end she has 18 of them.",
        "9 * 2 = 18\n18 is half of 36",
        float("nan"),
        float("inf"),
    ],
)
@pytest.mark.parametrize("name", ["answer", "solution"])
def test_an_answer_that_is_no_single_number_is_refused_for_one_reason(answer, name):
    row = {"question": "How many?", name: answer if name == "answer" else str(answer)}
    with pytest.raises(DatasetError) as caught:
        TASK.example("row 3", row)
    article = "an" if name == "answer" else "a"
    reason = f"Example 'row 3' has {article} {name} that gives no single number. It is "
    assert str(caught.value).startswith(reason)
    assert 'task_kwargs={"answer": "expression"} and reward="math"' in str(caught.value)


def test_a_text_of_its_own_stands_before_the_question():
    row = {"body": "Ada has 9 books.", "question": "How many are left?", "answer": "9 (books)"}
    assert TASK.example("x", row).prompt == "Ada has 9 books. How many are left?"


@pytest.mark.skipif(find_spec("math_verify") is None, reason="needs textenv[math]")
@pytest.mark.parametrize(
    ("row", "gold", "answer"),
    [
        ({"answer": r"\frac{\sqrt{3}}{2}"}, r"#### \frac{\sqrt{3}}{2}", r"\frac{\sqrt{3}}{2}"),
        ({"solution": r"So $\boxed{[2,\infty)}$."}, r"So $\boxed{[2,\infty)}$.", r"[2,\infty)"),
        ({"solution": r"\boxed{x+1}", "answer": "1+x"}, r"\boxed{x+1}", "1+x"),
        ({"solution": "Sum them.", "answer": r"\text{even}"}, None, r"\text{even}"),
        ({"answer": 18}, "#### 18", "18"),
    ],
)
def test_expressions_are_answers_where_the_task_is_told_so(row, gold, answer):
    task = MathTask(answer="expression")
    example = task.example("x", {"question": "What is it?", **row})
    assert example.references[0] == (gold or "Sum them.\n#### \\text{even}")
    assert example.metadata["answer"] == answer
    assert score("math", [task.gold(example)], [example.references]).total.tolist() == [1]
    assert task.opening(example)[0].text.startswith('Solve the problem. End with "#### " and the a')


@pytest.mark.skipif(find_spec("math_verify") is None, reason="needs textenv[math]")
@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"answer": "12:00"}, "gives no expression which math-verify can read. It is '12:00'"),
        ({"solution": "No mark."}, "gives no expression which math-verify can read. It is 'No"),
        ({"solution": r"\boxed{x}", "answer": "x+1"}, "does not end with its answer. It is x+1."),
    ],
)
def test_rows_without_a_readable_expression_are_refused(row, words):
    with pytest.raises(DatasetError, match=re.escape(words)):
        MathTask("expression").example("row 3", {"question": "What is it?", **row})


def test_another_kind_of_answer_is_refused():
    with pytest.raises(ConfigError, match="'number' or 'expression', not 'text'"):
        MathTask("text")


def test_problems_of_xml_are_rows_though_they_are_called_like_a_field(tmp_path) -> None:
    path = tmp_path / "problems.xml"
    problems = "".join(
        f'<Problem ID="p-{i}"><Body>Ann has {i} pears.</Body><Question>How many?</Question>'
        f"<Answer>{i} (pears)</Answer></Problem>"
        for i in range(40)
    )
    path.write_text(f"<File><Set>{problems}</Set></File>", encoding="utf-8")
    datasets = [load_dataset(path, MathTask(), split) for split in SPLITS]
    found = {
        (example.id, example.prompt, example.metadata["answer"])
        for dataset in datasets
        for example in (dataset[i] for i in range(len(dataset)))
    }
    assert found == {(f"p-{i}", f"Ann has {i} pears. How many?", i) for i in range(40)}
