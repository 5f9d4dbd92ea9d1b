"""Plain words of YAML are texts, save what YAML 1.2 takes for something else."""

from __future__ import annotations

import pytest
import yaml

from textenv.strict_yaml import load_yaml

TEXTS = ["no", "yes", "On", "OFF", "n", "y", "12:30", "010", "1_000", "12:30.5", "1e-5"]
VALUES = [True, False, None, 3, -4, 16, 1.5, 1e-05, float("inf"), "no", "true", "12:30", "1e-5"]


@pytest.mark.parametrize("fast", [False, True])
def test_only_true_and_false_are_booleans_and_only_decimals_numbers(fast):
    assert load_yaml(f"[{', '.join(TEXTS)}]", fast=fast) == TEXTS
    assert load_yaml("{no: a, true: b, 0x10: c}", fast=fast) == {"no": "a", True: "b", 16: "c"}


@pytest.mark.parametrize("fast", [False, True])
def test_what_safe_dump_wrote_is_read_back(fast):
    assert load_yaml(yaml.safe_dump(VALUES + TEXTS), fast=fast) == VALUES + TEXTS


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2020-99-99", "2020-99-99"),
        ("2020-01-01 10:00:00", "2020-01-01 10:00:00"),
        ("190:20:30", "190:20:30"),
        ("0o17", "0o17"),
        ("=", "="),
        ("!!str 12", "12"),
        ("!!int 12", 12),
        ("!!float 1", 1.0),
        ("[&a {b: 1}, *a]", [{"b": 1}, {"b": 1}]),
        ("{<<: {a: 1, b: 2}, b: 3}", {"a": 1, "b": 3}),
    ],
)
def test_plain_words_and_aliases_are_read_as_they_are_meant(text, value, fast):
    assert load_yaml(text, fast=fast) == value


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("!!set {a, b}", "!!set is not read"),
        ("!!binary aaaa", "!!binary is not read"),
        ("!!timestamp 2020-01-01", "!!timestamp is not read"),
        ("!!python/object/apply:os.system [x]", "is not read"),
        ("!own x", "!own is not read"),
        ("!!map [a: 1]", "!!map is not read"),
        ("!!seq {a: 1}", "!!seq is not read"),
        ("!!int 010", "'010' is no !!int"),
        ("!!bool maybe", "'maybe' is no !!bool"),
        ("9" * 301, "300 digits"),
        ("&a [*a]", "stands in what it stands for"),
        ("- " * 61 + "1", "more than 60 deep"),
        ("[" * 100_000, "more than 60 deep"),
        ("x" * 1_000_001, "1,000,001 characters"),
        ("a: &a " + "x" * 600_000 + "\nb: [*a, *a, *a]", "written out"),
        ("%A b\n" * 50 + "--- 1", "begin with %"),
        ("{1: a, 0x1: b}", "stands twice"),
        ('"\\ud800"', "surrogate|invalid Unicode"),
        ("\ud800", "surrogate"),
    ],
)
def test_what_is_no_plain_value_or_stands_for_too_much_is_refused(text, problem, fast):
    with pytest.raises(yaml.YAMLError, match=problem):
        load_yaml(text, fast=fast)


def test_a_text_of_the_longest_kind_is_read():
    assert load_yaml("x" * 1_000_000, fast=True) == "x" * 1_000_000
    nested = load_yaml("[" * 60 + "]" * 60)
    for _ in range(59):
        (nested,) = nested
    assert nested == []
