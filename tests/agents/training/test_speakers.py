"""Baselines that speak: the lead sentence, and answers cut to their first sentence."""

from __future__ import annotations

import pytest

from agents.training.held_out import evaluate_speaker
from agents.training.speakers import cut_to_first_sentence, first_sentence, speak_lead_sentence
from textenv import Example


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("One. Two.", "One."),
        ('He said "No." Then he left.', 'He said "No."'),
        ("No end", "No end"),
        ("A line\nanother", "A line"),
        ("  padded! yes", "padded!"),
        ("今天下雨。明天晴。", "今天下雨。"),
        ("“是的！”他说。", "“是的！”"),
        ("3.5 percent rose. Then fell.", "3.5 percent rose."),
        ("", ""),
    ],
)
def test_the_first_sentence_ends_where_it_ends(text, first):
    assert first_sentence(text) == first


def test_the_lead_is_that_of_the_source(make_env):
    example = Example("1", "Shorten: A b. C d.", ("x",), {"context": "A b. C d."})
    assert speak_lead_sentence(example, ()) == "A b."


def test_cutting_scores_the_first_sentence_of_each_turn(make_env):
    core = make_env(2, tokenizer="embedded", max_prompt_tokens=64, max_turns=2).core
    long = evaluate_speaker(lambda example, turns: "A b. C d", core, "train", 5)
    assert [episode.response for episode in long.episodes] == ["A b. C d\nA b. C d"] * 5
    short = cut_to_first_sentence(core, long)
    assert [episode.response for episode in short.episodes] == ["A b.\nA b."] * 5
    assert [e.example.id for e in short.episodes] == [e.example.id for e in long.episodes]
