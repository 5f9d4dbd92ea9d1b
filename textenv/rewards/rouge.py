"""ROUGE-1, ROUGE-2 and ROUGE-L: the overlap of words, pairs of words, and common subsequences.

Words are those of the rouge-score package without stemming: lower-case runs of `[a-z0-9]`, and all
else separates them. Scores agree with it to 1e-6 on text in Latin or Greek script; an accented
letter splits its word there ("naïve" is "na", "ve"), and a Greek one is dropped. Where that package
sees nothing, words are kept here: each Chinese, Japanese or Korean character is one, and so is each
run of characters between U+0400 and U+1DFF (Cyrillic, Arabic, Devanagari, Thai, ...).

Paper: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries" (2004).
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from typing import TypeVar

from textenv.rewards.lexical import BestOverReferences
from textenv.rewards.words import CJK_CLASS

_WORD = re.compile(rf"[a-z0-9]+|[{CJK_CLASS}]|[\u0400-\u1dff]+")
# All of ASCII at its place: letters in lower case, digits, and a space for everything else.
_ASCII = "".join(chr(i).lower() if chr(i).isalnum() else " " for i in range(128))

Gram = TypeVar("Gram", str, tuple[str, str])


def rouge_words(text: str) -> list[str]:
    """Returns the words of a text, as ROUGE counts them."""
    if text.isascii():  # A third faster than the pattern.
        return text.translate(_ASCII).split()
    return _WORD.findall(text.lower())


def rouge1() -> BestOverReferences[Counter[str]]:
    """F1 of the shared words; in [0, 1]."""
    return BestOverReferences("rouge1", _counts, _overlap_f1)


def rouge2() -> BestOverReferences[Counter[tuple[str, str]]]:
    """F1 of the shared pairs of neighbouring words; in [0, 1]. One word has no pair: 0."""
    return BestOverReferences("rouge2", _pairs, _overlap_f1)


def rouge_l() -> BestOverReferences[list[str]]:
    """F1 of the longest common subsequence of words; in [0, 1]."""
    return BestOverReferences("rougeL", rouge_words, _subsequence_f1)


def _counts(text: str) -> Counter[str]:
    return Counter(rouge_words(text))


def _pairs(text: str) -> Counter[tuple[str, str]]:
    return Counter(pairwise(rouge_words(text)))


def _overlap_f1(response: Counter[Gram], reference: Counter[Gram]) -> float:
    shared = sum(min(count, reference[word]) for word, count in response.items())
    return _f1(shared, response.total(), reference.total())


def _subsequence_f1(response: list[str], reference: list[str]) -> float:
    from rapidfuzz.distance.LCSseq import similarity

    return _f1(similarity(response, reference), len(response), len(reference))


def _f1(shared: int, n_response: int, n_reference: int) -> float:
    # 2PR / (P + R) with P = shared / n_response and R = shared / n_reference.
    return 2 * shared / (n_response + n_reference) if shared else 0.0
