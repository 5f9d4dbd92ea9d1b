"""Exact match and token F1 of short answers, by the rules of SQuAD.

A text is lower-cased, ASCII punctuation and the articles (a, an, the) are dropped, and the rest is
split at white space. In text with Chinese, Japanese or Korean, their characters are words of their
own and all punctuation is dropped. Two answers of which nothing is left match, as in SQuAD 2.0.

Papers: Rajpurkar et al., "SQuAD: 100,000+ Questions for Machine Comprehension of Text" (2016), and
"Know What You Don't Know: Unanswerable Questions for SQuAD" (2018).
"""

from __future__ import annotations

import operator
import re
import string
import unicodedata
from collections import Counter

from textenv.rewards.lexical.best_over_references import BestOverReferences
from textenv.rewards.lexical.words import has_cjk, space_cjk

_ARTICLE = re.compile(r"\b(a|an|the)\b")
_DROP_PUNCTUATION = str.maketrans("", "", string.punctuation)


def answer_words(text: str) -> list[str]:
    """Returns the words of an answer that count."""
    text = text.lower().translate(_DROP_PUNCTUATION)
    if has_cjk(text):
        text = "".join(c for c in text if not unicodedata.category(c).startswith("P"))
    return _ARTICLE.sub(" ", space_cjk(text)).split()


def exact_match() -> BestOverReferences[list[str]]:
    """1 if the response is one of the references after normalisation, else 0."""
    return BestOverReferences("exact_match", answer_words, operator.eq)


def token_f1() -> BestOverReferences[list[str]]:
    """F1 of the words that response and reference share, counted with repetition; in [0, 1]."""
    return BestOverReferences("token_f1", answer_words, _token_f1)


def substring_match() -> BestOverReferences[list[str]]:
    """1 if all words of a reference stand in the response, in a row, after normalisation; else 0.

    Lenient towards answers in whole sentences, and so towards "It is not X" and lists of answers.
    A reference of which nothing is left is found only in a response of which nothing is left.
    """
    return BestOverReferences("substring_match", answer_words, _holds)


def _holds(response: list[str], reference: list[str]) -> float:
    n = len(reference)
    if not n:
        return float(not response)
    return float(any(response[i : i + n] == reference for i in range(len(response) - n + 1)))


def _token_f1(response: list[str], reference: list[str]) -> float:
    if not response or not reference:
        return float(response == reference)
    shared = (Counter(response) & Counter(reference)).total()
    return 2 * shared / (len(response) + len(reference))
