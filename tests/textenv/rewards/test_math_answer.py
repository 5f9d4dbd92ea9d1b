"""Whether an expression says what a reference says, by math-verify in its own process."""

from __future__ import annotations

import threading
from importlib.util import find_spec

import pytest

from textenv import score
from textenv.errors import ConfigError, RewardError
from textenv.rewards.verifiable import math_process
from textenv.rewards.verifiable.math_answer import find_expression, same_expression

pytestmark = pytest.mark.skipif(find_spec("math_verify") is None, reason="needs textenv[math]")

SAME = [
    (r"\frac{\sqrt{3}}{2}", r"\frac{\sqrt3}2"),
    (r"\frac{\sqrt{3}}{2}", "0.8660254"),
    ("x^2 + 2x + 1", "(x+1)^2"),
    ("x + 1", "1+x"),
    (r"[2, \infty)", r"[2,\infty)"),
    (r"(-\infty, 1) \cup (2, \infty)", r"(2,\infty)\cup(-\infty,1)"),
    (r"\{1, 2\}", "2, 1"),
    (r"1 \pm \sqrt{19}", r"1+\sqrt{19}, 1-\sqrt{19}"),
    ("(1, 2)", r"\left(1, 2\right)"),
    ("y = 2x + 3", "y=3+2x"),
    ("x = 5", "5"),
    ("5", "x=5"),
    (r"\frac{1}{2}", ".5"),
    ("10{,}000", "10000"),
    (r"10\%", "0.1"),
    (r"5.4 \text{ cents}", "5.4"),
    (r"\text{Evelyn}", "Evelyn"),
    (r"\text{(C)}", "C"),
    ("2516_8", "2516_{8}"),
    ("6 - 5i", "-5i + 6"),
    (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{bmatrix} 1 \\ 2 \end{bmatrix}"),
]
OTHER = [
    (r"\frac{\sqrt{3}}{2}", "0.87"),
    ("x + 1", "y + 1"),
    ("(1, 2)", "(2, 1)"),
    ("(1, 2)", "[1, 2]"),
    ("(1, 2)", r"\{1, 2\}"),
    ("(1, 2)", "1, 2"),
    (r"\{1, 2\}", "(1, 2)"),
    (r"[2, \infty)", "2"),
    ("3, 5, 7", "3"),
    ("3, 5", "3, 5, 7"),
    (r"1 \pm \sqrt{19}", r"1 + \sqrt{19}"),
    ("y = 2x + 3", "y = 2x + 4"),
    ("x = 5", "y = 5"),
    ("x + y = 5", "5"),
    ("5", "x + y = 5"),
    (r"\text{east}", "seat"),
    ("east", "seat"),
    (r"\text{(C)}", "D"),
    ("2516_8", "2516_9"),
    ("3", "3!"),
    ("2", "2k"),
    ("5", ""),
    ("5", "many"),
    (r"12\pi", "12"),
    ("x^2", "x_2"),
]


@pytest.mark.parametrize(("reference", "answer"), SAME)
def test_another_form_of_an_expression_is_the_same(reference, answer):
    assert score("math", [f"#### {answer}"], [rf"So \boxed{{{reference}}}."]).total[0] == 1


@pytest.mark.parametrize(("reference", "answer"), OTHER)
def test_what_says_something_else_is_not_the_same(reference, answer):
    assert score("math", [rf"\boxed{{{answer}}}"], [f"#### {reference}"]).total[0] == 0


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("It is\n#### x^2", "x^2"),
        (r"\boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"The answer is $\pi$.", r"\pi"),
        (r"The answer is \(\pi\), since", r"\pi"),
        (r"We get $a = 1$ and then $b = 2\pi$.", r"b = 2\pi"),
        (r"$\boxed{3}$ and $\boxed{x}$", "3, x"),
        ("x^2 - 1", "x^2 - 1"),
        (r"$\boxed{12}\pi$", None),
        ("There is no formula in these lines.\nNone.", None),
        ("<think>#### x</think>", None),
        ("", None),
    ],
)
def test_the_answer_is_found_by_its_mark_or_is_the_last_formula(text, expression):
    assert find_expression(text) == expression


@pytest.mark.parametrize(
    "answer",
    [
        "9^9^9^9",
        "9^{9^{9^9}}",
        "10^{10^{10}}",
        "999999999999!",
        r"\int_0^1 e^{x^x} \sin(x^x) dx",
        "10**10**10",
        "{" * 5000 + "5",
        "(" * 19 + "x" + ")" * 19,
        "x" * 1_000_000,
        "\ud800",
        "\\" * 50,
        "__import__('os').abort()",
    ],
)
def test_a_hostile_answer_costs_its_time_limit_and_scores_0(answer):
    reward = {"math": {"timeout_s": 0.5}}
    assert score(reward, [f"#### {answer}"], ["#### x^2 + 1"]).total[0] == 0
    # What was killed is started again.
    assert score("math", ["#### 1 + x^2"], ["#### x^2 + 1"]).total[0] == 1


def test_threads_share_the_process_and_get_their_own_replies():
    found = {}

    def compare(k):
        # Every other one differs, out of step with the other threads.
        found[k] = [
            same_expression(f"{k} x + {j}", f"{j + (j + k // 2) % 2} + x {k}", 30.0)
            for j in range(20)
        ]

    threads = [threading.Thread(target=compare, args=(k,)) for k in range(2, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(2, 6):
        assert found[k] == [(j + k // 2) % 2 == 0 for j in range(20)]


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("There is no formula in these lines.\nNone.", "gives none"),
        (r"#### \frac{1}{", "is no expression to math-verify"),
        ("#### 12:00", "is no expression to math-verify"),
        ("#### " + "x + " * 200 + "1", "has more than 500 characters"),
    ],
)
def test_a_reference_that_cannot_be_read_is_an_error_not_a_0(reference, words):
    with pytest.raises(RewardError, match=words):
        score("math", ["#### 1"], [reference])


def test_a_missing_package_and_a_wrong_option_are_told(monkeypatch):
    with pytest.raises(ConfigError, match="must be above 0"):
        score({"math": {"timeout_s": 0}}, ["1"], ["1"])
    monkeypatch.setattr(math_process, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install textenv\[math\]"):
        score("math", ["1"], ["1"])
