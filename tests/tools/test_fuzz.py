"""Mutated input ends in one of our errors or in a result."""

from __future__ import annotations

import pytest

from tools import fuzz


@pytest.mark.parametrize(
    "n_inputs", [400, pytest.param(100_000, marks=pytest.mark.slow)], ids=["short", "long"]
)
@pytest.mark.filterwarnings("ignore")
def test_no_input_ends_in_an_error_that_is_not_ours(n_inputs, tmp_path):
    outcomes = fuzz.fuzz(n_inputs, 1, tmp_path)
    assert [said for outcome in outcomes.values() for said in outcome.failures] == []
    assert sum(o.results + o.refusals for o in outcomes.values()) == n_inputs
    for kind, outcome in outcomes.items():  # neither all nor none of them is refused
        assert outcome.results, kind
        assert outcome.refusals or kind == "chat", kind


def test_an_error_that_is_not_ours_and_input_that_takes_too_long_are_failures(
    tmp_path, monkeypatch
):
    def loop(surfaces, data):
        while True:
            pass

    def fail(surfaces, data):
        raise KeyError("x")

    monkeypatch.setattr(fuzz, "LIMIT_S", 0.05)
    monkeypatch.setattr(fuzz._Surfaces, "configuration", loop)
    monkeypatch.setattr(fuzz._Surfaces, "override", fail)
    outcomes = fuzz.fuzz(2, 1, tmp_path)
    assert "TimeoutError" in outcomes["configuration"].failures[0]
    assert "KeyError" in outcomes["override"].failures[0]
