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
