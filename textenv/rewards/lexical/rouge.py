"""ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum: shared words, pairs, and common subsequences.

Words of Latin script are those of the rouge-score package: lower-case runs of `[a-z0-9]`, and all
else separates them, so that an accented letter splits its word ("naïve" is "na", "ve"). Those of
other scripts, which that package does not see, are Unicode's, and emojis are words (see
`textenv.rewards.lexical.words`). A text in which that leaves nothing ("é", "+") has its letters,
numbers and symbols for words.

Paper: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries" (2004).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any, Literal

from textenv.errors import ConfigError
from textenv.rewards.lexical.best_over_references import BestOverReferences
from textenv.rewards.lexical.scripts import fold, is_latin, is_plain, is_simple, patterns
from textenv.rewards.lexical.subsequences import common_length, union_hits
from textenv.rewards.lexical.words import ASCII_WORDS, Rules, caseless, check_rules, find_words

Measure = Literal["fmeasure", "precision", "recall"]

Split = Callable[[str], list[str]]

# The words of a text that is simple.
_SIMPLE_WORD = re.compile(
    "[a-z0-9]+|[\u3041-\u3096\u30a1-\u30fa\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3]"
)


def rouge_words(text: str) -> list[str]:
    """Returns the words of a text in any script, as ROUGE counts them."""
    if text.isascii() and (found := text.translate(ASCII_WORDS).split()):
        return found
    return _ruled_words(text) or find_words(text)


def reference_words(text: str) -> list[str]:
    """Returns the words of a text as rouge-score has them: runs of `[a-z0-9]`."""
    if not text.isascii():  # All else becomes "?", which separates: twice as fast as a pattern.
        text = text.lower().encode("ascii", "replace").decode()
    return text.translate(ASCII_WORDS).split()


def _ruled_words(text: str) -> list[str]:
    """The words of a text; none of "é" or "+", which other texts of Latin script do not count."""
    if text.isascii():
        return text.translate(ASCII_WORDS).split()
    if is_plain(text):
        return reference_words(text)
    if is_simple(text):
        return _SIMPLE_WORD.findall(text.lower())
    if is_latin(text := fold(text)):
        return reference_words(text)
    return [caseless(word) for word in patterns().word.findall(text.lower())]


def stemmed_words(text: str, split: Split = rouge_words) -> list[str]:
    """Returns the words of a text, those of more than three characters by their stems."""
    return [_stem(word) if len(word) > 3 and word.isascii() else word for word in split(text)]


def rouge1(
    stem: bool = False, measure: Measure = "fmeasure", rules: Rules = "unicode"
) -> BestOverReferences[Counter[str]]:
    """F1 (or precision, recall) of the shared words; in [0, 1].

    Args:
        stem: True counts words of four letters or more by their Porter stems; it needs nltk.
        measure: "fmeasure" (F1), "precision" (of the response) or "recall" (of the reference).
        rules: "unicode" for those of the table of scripts, "reference" for those of rouge-score.
    """
    return BestOverReferences(
        "rouge1", _Counts(_splitter("rouge1", stem, rules)), _Overlap(_checked(measure))
    )


def rouge2(
    stem: bool = False, measure: Measure = "fmeasure", rules: Rules = "unicode"
) -> BestOverReferences[Counter[tuple[str, str]]]:
    """F1 (or precision, recall) of the shared pairs of neighbours; in [0, 1].

    One word has no pair: 0.

    Args:
        stem: True counts words of four letters or more by their Porter stems; it needs nltk.
        measure: "fmeasure" (F1), "precision" (of the response) or "recall" (of the reference).
        rules: "unicode" for those of the table of scripts, "reference" for those of rouge-score.
    """
    return BestOverReferences(
        "rouge2", _Pairs(_splitter("rouge2", stem, rules)), _Overlap(_checked(measure))
    )


def rouge_l(
    stem: bool = False, measure: Measure = "fmeasure", rules: Rules = "unicode"
) -> BestOverReferences[list[str]]:
    """F1 (or precision, recall) of the longest common subsequence of words; in [0, 1].

    Args:
        stem: True counts words of four letters or more by their Porter stems; it needs nltk.
        measure: "fmeasure" (F1), "precision" (of the response) or "recall" (of the reference).
        rules: "unicode" for those of the table of scripts, "reference" for those of rouge-score.
    """
    return BestOverReferences(
        "rougeL", _splitter("rougeL", stem, rules), _Subsequence(_checked(measure))
    )


def rouge_lsum(
    stem: bool = False, measure: Measure = "fmeasure", rules: Rules = "unicode"
) -> BestOverReferences[list[list[str]]]:
    """F1 (or precision, recall) of what the sentences of two summaries share; in [0, 1].

    A sentence is a line, as in rouge-score with `split_summaries=False`: set a newline after each.
    A text without newlines is one sentence, and for two of them the score is that of `rougeL`. For
    each sentence of the reference, the words count that are in its longest common subsequence with
    any sentence of the response; none counts more often than it is there.

    Args:
        stem: True counts words of four letters or more by their Porter stems; it needs nltk.
        measure: "fmeasure" (F1), "precision" (of the response) or "recall" (of the reference).
        rules: "unicode" for those of the table of scripts, "reference" for those of rouge-score.
    """
    split = _splitter("rougeLsum", stem, rules)
    ruled = split if rules == "reference" else _splitter("rougeLsum", stem, rules, _ruled_words)
    return BestOverReferences("rougeLsum", _Lines(ruled, split), _Union(_checked(measure)))


@dataclass(frozen=True)
class _Counts:
    words: Split

    def __call__(self, text: str) -> Counter[str]:
        return Counter(self.words(text))


@dataclass(frozen=True)
class _Pairs:
    words: Split

    def __call__(self, text: str) -> Counter[tuple[str, str]]:
        return Counter(pairwise(self.words(text)))


@dataclass(frozen=True)
class _Lines:
    ruled: Split
    words: Split  # for a text in which the rules leave no word

    def __call__(self, text: str) -> list[list[str]]:
        lines = text.split("\n")
        ruled = [found for line in lines if (found := self.ruled(line))]
        return ruled or [found for line in lines if (found := self.words(line))]


@dataclass(frozen=True)
class _Overlap:
    measure: Measure

    def __call__(self, response: Counter[Any], reference: Counter[Any]) -> float:
        shared = sum(min(count, reference[word]) for word, count in response.items())
        return _ratio(shared, response.total(), reference.total(), self.measure)


@dataclass(frozen=True)
class _Subsequence:
    measure: Measure

    def __call__(self, response: list[str], reference: list[str]) -> float:
        shared = common_length(response, reference)
        return _ratio(shared, len(response), len(reference), self.measure)


@dataclass(frozen=True)
class _Union:
    measure: Measure

    def __call__(self, response: list[list[str]], reference: list[list[str]]) -> float:
        sizes = sum(map(len, response)), sum(map(len, reference))
        return _ratio(union_hits(response, reference), *sizes, self.measure)


def _ratio(shared: int, n_response: int, n_reference: int, measure: Measure) -> float:
    if not shared:
        return 0.0
    if measure == "precision":
        return shared / n_response
    if measure == "recall":
        return shared / n_reference
    # 2PR / (P + R) with P = shared / n_response and R = shared / n_reference.
    return 2 * shared / (n_response + n_reference)


def _checked(measure: Measure) -> Measure:
    if measure not in ("fmeasure", "precision", "recall"):
        raise ConfigError(
            f"ROUGE's option 'measure' is 'fmeasure', 'precision' or 'recall', not {measure!r}."
        )
    return measure


def _splitter(reward: str, stem: bool, rules: Rules, split: Split = rouge_words) -> Split:
    check_rules(reward, rules)
    split = split if rules == "unicode" else reference_words
    if not stem:
        return split
    try:
        import nltk.stem.porter  # noqa: F401 - refused here rather than at the first score
    except ImportError as error:
        raise ConfigError(
            "ROUGE's option 'stem' needs the Porter stemmer of nltk: pip install nltk."
        ) from error
    return partial(stemmed_words, split=split)


@lru_cache(maxsize=1)
def _stemmer() -> Any:
    from nltk.stem.porter import PorterStemmer

    return PorterStemmer()


@lru_cache(maxsize=2**16)  # A word is stemmed in 20 us, and words come back.
def _stem(word: str) -> str:
    return str(_stemmer().stem(word))
