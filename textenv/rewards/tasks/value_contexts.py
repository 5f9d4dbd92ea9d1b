"""Whether the values that a text tells stand among words that suit them, as in a reference.

Anybody can put values into frames ("the food is Thai", "with Thai in the low on Friday"). What that
leaves out is the word that ties a value to its subject: serves, born, costs. So for each value the
words before it and after it are compared with those in the references. This follows Wen et al.,
"Semantically Conditioned LSTM-based Natural Language Generation for Spoken Dialogue Systems"
(2015), where every value is one token, and its neighbours make the sentence.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import takewhile

import numpy as np

from textenv.rewards.style.inflection import lemmas
from textenv.rewards.style.writing import content_words

_REACH = 4  # words to either side of a value
_BESIDE = 3  # words to either side among which a content word of the text's own counts
_OWN = 0.25  # how much it counts
# Means over the values, between which the factor rises from 0 to 1.
_NONE, _ENOUGH = 0.3, 0.65

Side = tuple[str, ...]  # words beside a value, the nearest first
Phrase = tuple[str, ...]


def suited(
    words: Sequence[str],
    references: Sequence[Sequence[str]],
    phrases: Sequence[Phrase],
    names: Collection[str] = (),
) -> float:
    """Returns how far values stand among words that a reference has beside them, too; in [0, 1].

    A value counts fully if on one of its sides both the nearest word and a content word are those
    of a reference ("born in <value>", "<value> food"), and half if one of them is. Articles and
    "and" are no nearest words. Else it counts a quarter if a content word stands beside it that is
    no name of a slot, and beside no other value: a paraphrase may have words of its own. The factor
    is 0 up to a mean of 0.3 over the values that both texts have, and 1 from 0.65 on. Without any
    such value there is nothing to compare: 1.

    Args:
        words: Words of the text, in lower case.
        references: Those of each reference.
        phrases: The words of each value.
        names: The words of the slots' names.
    """
    said = _contexts(words, phrases)
    known = [_contexts(reference, phrases) for reference in references]
    used = set(names)
    likeness = []
    for phrase, sides in said.items():
        alike = [_alike(sides, one[phrase]) for one in known if phrase in one]
        if not alike:
            continue
        beside = [word for side in sides for word in side[:_BESIDE]]
        own = next((w for w in beside if w in content_words(beside) - used), None)
        if max(alike) < _OWN and own is not None:
            used.add(own)  # a frame has the same words beside every value
            alike.append(_OWN)
        likeness.append(max(alike))
    if not likeness:
        return 1.0
    mean = sum(likeness) / len(likeness)
    return float(np.clip((mean - _NONE) / (_ENOUGH - _NONE), 0.0, 1.0))


def _contexts(words: Sequence[str], phrases: Sequence[Phrase]) -> dict[Phrase, tuple[Side, Side]]:
    """Returns the words before and after each value that is there, up to the next value."""
    owner: list[Phrase | None] = [None] * len(words)
    places: dict[Phrase, tuple[int, int]] = {}
    # Long values first: "5" must not take its place in "5 out of 5".
    for phrase in sorted(set(phrases), key=lambda phrase: (-len(phrase), phrase)):
        start = _find(words, phrase, owner)
        if start is not None:
            places[phrase] = (start, start + len(phrase))
            owner[start : start + len(phrase)] = [phrase] * len(phrase)
    return {
        phrase: (
            _free(words, owner, range(start - 1, max(-1, start - 1 - _REACH), -1)),
            _free(words, owner, range(end, min(len(words), end + _REACH))),
        )
        for phrase, (start, end) in places.items()
    }


def _free(words: Sequence[str], owner: Sequence[Phrase | None], places: range) -> Side:
    """Returns the words at some places up to the first that belongs to a value."""
    return tuple(words[i] for i in takewhile(lambda i: owner[i] is None, places))


def _find(words: Sequence[str], phrase: Phrase, owner: Sequence[Phrase | None]) -> int | None:
    """Returns where a phrase begins in free words, its last word in any form; None if nowhere."""
    *first, last = phrase
    n = len(phrase)
    for i in range(len(words) - n + 1):
        is_there = list(words[i : i + n - 1]) == first and last in lemmas(words[i + n - 1])
        if is_there and not any(owner[i : i + n]):
            return i
    return None


def _alike(said: tuple[Side, Side], known: tuple[Side, Side]) -> float:
    """Returns how alike the words beside a value are, on the side where they are more so."""
    return max(map(_shared, said, known))


def _shared(said: Side, known: Side) -> float:
    """Returns 1, 0.5 or 0: whether the nearest word, and a content word, are shared."""
    said, known = (tuple(word for word in side if word not in _LINKS) for side in (said, known))
    if not said or not known:
        return 0.0
    is_nearest = said[0] == known[0]
    content = content_words(known)
    if not content:
        return float(is_nearest)
    forms = {form for word in content_words(said) for form in lemmas(word)}
    shares = any(not forms.isdisjoint(lemmas(word)) for word in content)
    return (is_nearest + shares) / 2


_LINKS = frozenset(("a", "an", "the", "and"))
