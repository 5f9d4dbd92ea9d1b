"""Exact match and token F1 of short answers, by the rules of SQuAD.

A text is lower-cased, ASCII punctuation and the articles (a, an, the) are dropped, and the rest is
split at white space. Two answers of which nothing is left match, as in SQuAD 2.0. For other scripts
than Latin (see `textenv.rewards.lexical.words`), their own marks are dropped, too, and in a word
with one of their letters all punctuation; characters of scripts without spaces, and emojis, are
words. What stands in `<think>...</think>` is no part of an answer.

Papers: Rajpurkar et al., "SQuAD: 100,000+ Questions for Machine Comprehension of Text" (2016), and
"Know What You Don't Know: Unanswerable Questions for SQuAD" (2018).
"""

from __future__ import annotations

import operator
import re
import string
from collections import Counter
from collections.abc import Callable

from textenv.rewards.lexical.best_over_references import BestOverReferences
from textenv.rewards.lexical.scripts import fold, is_latin, is_plain, patterns
from textenv.rewards.lexical.words import Rules, caseless, check_rules, set_apart
from textenv.rewards.thinking import answer_part

_ARTICLE = re.compile(r"\b(a|an|the)\b")
_DROP_PUNCTUATION = str.maketrans("", "", string.punctuation)


def answer_words(text: str) -> list[str]:
    """Returns the words of an answer that count, in any script; thoughts before it do not."""
    if "<" in text:
        text = answer_part(text)
    if not is_plain(text) and not is_latin(text := fold(text)):
        text = _without_marks(text)
    return reference_answer_words(text)


def reference_answer_words(text: str) -> list[str]:
    """Returns the words of an answer that count, as SQuAD's script has them."""
    return _ARTICLE.sub(" ", text.lower().translate(_DROP_PUNCTUATION)).split()


def exact_match(rules: Rules = "unicode") -> BestOverReferences[list[str]]:
    """1 if the response is one of the references after normalisation, else 0.

    Args:
        rules: "unicode" for those of the table of scripts, "reference" for those of SQuAD's script.
    """
    return BestOverReferences("exact_match", _splitter("exact_match", rules), operator.eq)


def token_f1(rules: Rules = "unicode") -> BestOverReferences[list[str]]:
    """F1 of the words that response and reference share, counted with repetition; in [0, 1].

    Args:
        rules: "unicode" for those of the table of scripts, "reference" for those of SQuAD's script.
    """
    return BestOverReferences("token_f1", _splitter("token_f1", rules), _token_f1)


def substring_match(rules: Rules = "unicode") -> BestOverReferences[list[str]]:
    """1 if all words of a reference stand in the response, in a row, after normalisation; else 0.

    Lenient towards answers in whole sentences, and so towards "It is not X" and lists of answers.
    A reference of which nothing is left is found only in a response of which nothing is left.

    Args:
        rules: "unicode" for those of the table of scripts, "reference" for those of SQuAD's script.
    """
    return BestOverReferences("substring_match", _splitter("substring_match", rules), _holds)


def _splitter(reward: str, rules: Rules) -> Callable[[str], list[str]]:
    check_rules(reward, rules)
    return answer_words if rules == "unicode" else reference_answer_words


def _without_marks(text: str) -> str:
    """Returns a text with the words of other scripts apart, and without the marks beside them."""
    known = patterns()
    pieces = text.split()
    is_other = [known.other.search(piece) is not None for piece in pieces]
    kept = []
    for i, piece in enumerate(pieces):
        if is_other[i]:
            piece = known.shared.sub("", piece)
        elif any(is_other[max(0, i - 1) : i + 2]) and not any(map(str.isalnum, piece)):
            continue  # a dash or a quotation mark that stands by itself
        kept.append(piece)
    text = known.mark.sub(" ", known.inner.sub("", " ".join(kept)))
    return str(known.other.sub(lambda found: caseless(found[0]), set_apart(text)))


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
