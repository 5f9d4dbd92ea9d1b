"""What stands in a block of thoughts is no answer, to any reward that reads one."""

from __future__ import annotations

import pytest

from textenv import score
from textenv.rewards.thinking import answer_part


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("18", "18"),
        ("<think>20</think>18", "18"),
        ("<think>\n20\n</think>\n\n18", "18"),
        ("18 <think>20</think>", "18"),
        ("<think>a</think>b<think>c</think>d", "b d"),
        ("20</think>18", "18"),
        ("20</think>19</think>18", "18"),
        ("20<think>a</think>19</think>18", "18"),
        ("<think>20", ""),
        ("<think>20</think>18<think>19", "18"),
        ("<think>write <think> first</think>18", "18"),
        ("<Thinking>20</THINKING >18", "18"),
        ("I think 18 < 20.", "I think 18 < 20."),
    ],
)
def test_thoughts_are_left_out(text, answer):
    assert answer_part(text).strip() == answer


@pytest.mark.parametrize(
    ("reward", "answer", "references", "metadata"),
    [
        ("numeric", "18", ["#### 18"], {}),
        ("exact_match", "Norwich", ["Norwich"], {}),
        ("token_f1", "in Norwich", ["in Norwich"], {}),
        ("substring_match", "in Norwich", ["Norwich"], {}),
        ("choice", "B", ["B"], {"choices": ["cat", "dog"], "correct": 1}),
        ({"regex": {"pattern": "yes|no"}}, "yes", [], {}),
        ({"json": {"required": ["a"]}}, '{"a": 1}', [], {}),
        ({"constraints": {"constraints": [{"check": "max_words", "n": 2}]}}, "Yes.", [], {}),
    ],
)
def test_every_verifiable_reward_reads_what_stands_behind_the_thoughts(
    reward, answer, references, metadata
):
    thought = f"<think>A {answer} or {answer}? No, 20, A, of some words.</think>"
    texts = [answer, thought + answer, thought, f"<think>{answer}", f"so {answer}</think>{answer}"]
    result = score(reward, texts, [references] * 5, metadata=[metadata] * 5)
    assert result.total.tolist() == [1, 1, 0, 0, 1]
