"""A gold metric of the designs' own kind is told of."""

from __future__ import annotations

import pytest

from textenv.benchmark.independence import counts_overlap, tell_of_shared_faults


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("rougeL", True),
        ({"rouge1": {"measure": "recall"}}, True),
        ({"product": {"of": ["novelty", {"chrf": 1}]}}, True),
        ({"mine": {"reward": "token_f1", "weight": 2}}, True),
        ("embedding_cosine", False),
        ({"coverage": {"keywords": ["bleu"]}}, True),  # a word that is also a name: rather warned
        ({"length": {"least": 5}}, False),
        ("my_rewards.py:rougeL", False),  # nobody knows what that counts
    ],
)
def test_rewards_that_count_words_in_common_are_known(spec, expected):
    assert counts_overlap(spec) is expected


def test_gold_that_counts_as_a_design_does_is_told_of():
    designs = {"f1": "token_f1", "checklist": {"coverage": {"keywords": ["in"]}}}
    said = tell_of_shared_faults(designs, {"rouge2": "rouge2", "bleu": "bleu"})
    assert said.startswith(
        "All gold (rouge2 and bleu) count words in common with the references, as f1 does, and may "
        "share its faults"
    )
    assert "embedding_cosine" in said


def test_gold_of_another_kind_is_fine():
    designs = {"f1": "token_f1"}
    assert tell_of_shared_faults(designs, {"rouge2": "rouge2", "e": "embedding_cosine"}) == ""
    assert tell_of_shared_faults({"long": {"length": {"least": 9}}}, {"bleu": "bleu"}) == ""
