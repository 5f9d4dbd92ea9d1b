"""Whether a word is a form of another: run, runs, running and ran are one word to a keyword.

The rules are those of English verbs and nouns (-s, -es, -ies, -ed, -ied, -ing, doubled letters, a
dropped e), and inflection.yaml holds the common irregular forms. Derived words ("teacher" of
"teach") and comparatives are other words. The rules have no lexicon, so that a form that English
does not have ("goed") passes, too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from textenv.rewards.lexical.words import find_words
from textenv.strict_yaml import load_yaml_file

_IRREGULAR: dict[str, set[str]] = {}
for _base, _forms in load_yaml_file(
    Path(__file__).with_suffix(".yaml"), dict[str, tuple[str, ...]]
).items():
    for _form in _forms:
        _IRREGULAR.setdefault(_form, set()).add(_base)

_VOWEL = re.compile(r"[aeiouy]")


@lru_cache(maxsize=1 << 14)
def lemmas(word: str) -> frozenset[str]:
    """Returns every base form that a lower-case word may be a form of, itself among them."""
    found = {word, *_IRREGULAR.get(word, ())}
    if word.endswith("ies") and len(word) > 4:
        found |= {f"{word[:-3]}y", word[:-1]}
    elif word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        found.add(word[:-1])
        if word.endswith(("ses", "xes", "zes", "ches", "shes", "oes")):
            found.add(word[:-2])
    elif word.endswith("ied") and len(word) > 4:
        found |= {f"{word[:-3]}y", word[:-1]}
    elif word.endswith("ed") and not word.endswith("eed"):
        found |= _stems(word[:-2])
    elif word.endswith("ing"):
        found |= _stems(word[:-3])
    return frozenset(found)


def _stems(stem: str) -> set[str]:
    """What stands before -ed or -ing, as a word: "mak" may be make, "runn" run."""
    if len(stem) < 2 or not _VOWEL.search(stem):
        return set()
    found = {f"{stem}e"}
    if len(stem) > 2:
        found.add(stem)
    if len(stem) > 3 and stem[-1] == stem[-2]:
        found.add(stem[:-1])
    return found


def contains(words: Sequence[str], phrase: Sequence[str]) -> bool:
    """Tells whether words hold a phrase, in a row, its last word in any form; never an empty one.

    Both are words as `find_words` gives them, those of the phrase in their base form.
    """
    n = len(phrase)
    if not n:
        return False
    *first, last = phrase
    return any(
        last in lemmas(words[i + n - 1]) and list(words[i : i + n - 1]) == first
        for i in range(len(words) - n + 1)
    )


def phrase_of(keyword: str) -> tuple[str, ...]:
    """Returns the words of a keyword, as `contains` takes them."""
    return tuple(find_words(keyword))
