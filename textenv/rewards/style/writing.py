"""Guards of written text: signs that it repeats itself, or is a list and no sentence.

Each is a factor in [0, 1] that natural prose leaves at 1. They are cheap and coarse: they stop the
shortcuts that policies find first (a word over and over, the bare input copied), not bad style.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from itertools import groupby, pairwise

from textenv.rewards.lexical.scripts import is_plain, is_unspaced, patterns

# Natural sentences of up to a hundred words stay above both.
_LEAST_DISTINCT_WORDS = 0.5
_LEAST_DISTINCT_PAIRS = 0.75

_FULL_STOPS = tuple(".!?\u2026")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=\S)|\n")
# A period that ends no sentence: of a title, an initial, or a common abbreviation.
_ABBREVIATION = re.compile(r"\b(?:[A-Z]|Mr|Mrs|Ms|Dr|St|Prof|vs|etc|e\.g|i\.e|No)\.$")


def variety(words: Sequence[str]) -> float:
    """1 unless words, or pairs of neighbours, repeat far more than in prose; 0 for no words.

    Half of the words and three quarters of the pairs distinct are enough; below, the factor falls
    in proportion. A sentence said twice gets about 0.7. Of scripts without spaces, three characters
    in a row count as a word: single letters of Thai come back in any prose.
    """
    if not words:
        return 0.0
    if not "".join(words).isascii():
        words = _grouped(words)
    distinct = min(1.0, len(set(words)) / len(words) / _LEAST_DISTINCT_WORDS)
    n_pairs = len(words) - 1
    if n_pairs:
        distinct *= min(1.0, len(set(pairwise(words))) / n_pairs / _LEAST_DISTINCT_PAIRS)
    return distinct


def unlooped(words: Sequence[str]) -> float:
    """1 unless groups of three words come back, as in "a dark tale of her, is a dark tale of her".

    One may, as in prose. Beyond it four times the share that comes back is lost: a quarter of all
    leaves 0.
    """
    groups = list(zip(words, words[1:], words[2:], strict=False))
    repeated = max(0, len(groups) - len(set(groups)) - 1)
    return max(0.0, 1.0 - 4 * repeated / len(groups)) if groups else 1.0


def has_ended(text: str) -> bool:
    """Whether a text ends as a sentence does: with a full stop, a "!", a "?" or their like."""
    end = text.rstrip().rstrip("\"'\u201d\u2019)]\u300d\u300f*_ ")[-1:]
    return end in _FULL_STOPS if is_plain(end) else bool(patterns().sentence_end.fullmatch(end))


def _grouped(words: Sequence[str]) -> Sequence[str]:
    """Returns words with each run of single characters as its overlapping groups of three."""
    found: list[str] = []
    for is_character, run in groupby(words, is_unspaced):
        same = list(run)
        n_groups = max(1, len(same) - 2)
        found += ["".join(same[i : i + 3]) for i in range(n_groups)] if is_character else same
    return found


def split_sentences(text: str) -> list[str]:
    """Returns the sentences of a text.

    They end at ., ! or ? before a space, at a line's end, and at a mark of another script that ends
    a sentence ("。", "।", "؟"), with or without a space.
    """
    found: list[list[str]] = []
    has_ended = True
    if not is_plain(text):
        text = patterns().sentence_end.sub(r"\g<0>\n", text)
    for part in filter(None, (part.strip() for part in _SENTENCE_END.split(text))):
        if has_ended:
            found.append([])
        found[-1].append(part)
        has_ended = not _ABBREVIATION.search(part)
    return [" ".join(parts) for parts in found]


def glue(words: Sequence[str], given: Collection[str] = ()) -> float:
    """1 if a fifth of the words are function words of English, as in any prose; less below.

    Words that are `given`, such as a name ("May"), do not count as function words.
    """
    if not words:
        return 0.0
    share = sum(w in _FUNCTION_WORDS and w not in given for w in words) / len(words)
    return min(1.0, share / _LEAST_FUNCTION_WORDS)


def content_words(words: Sequence[str]) -> set[str]:
    """Returns the different words that are no function words of English."""
    return {word for word in words if word not in _FUNCTION_WORDS}


_LEAST_FUNCTION_WORDS = 0.2
_FUNCTION_WORDS = frozenset(
    word
    for line in (
        "a an the this that these those and or but so if as while when because than then of in on",
        "at to for from with by into about over after before i you he she it we they me him her us",
        "them my your his its our their who which what there is are was were be been being am has",
        "have had do does did not no will would can could may might must should",
    )
    for word in line.split()
)
