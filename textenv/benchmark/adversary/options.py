"""Picks one of the options of a prompt by rules that need no understanding.

By length and place, by shared words, by how often and where the text has an option, and by what is
near the question's name or last word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

from textenv.rewards.lexical.rouge import rouge_words
from textenv.rewards.style.writing import content_words, split_sentences

_NAME = re.compile(r"[A-Z][\w'-]*(?: [A-Z][\w'-]*)*")
_WINDOWS = (3, 8)  # words to either side of an option that are compared with the question


def choose_options(options: Sequence[str], prompt: str, source: str, said: str) -> dict[str, str]:
    """Returns the option that each rule picks, by the rule's name; {} for fewer than two options.

    Args:
        options: The options, in their order.
        prompt: All of the last turn.
        source: The part of it that differs from example to example.
        said: All that the other side has said.
    """
    if len(options) < 2:
        return {}
    question = next((s for s in split_sentences(prompt) if s.endswith("?")), source)
    found = {
        "longest option": max(options, key=len),
        "shortest option": min(options, key=len),
        "last option": options[-1],
    }
    texts = {"text": source, "question": question, "prompt's end": source[-80:], "talk": said}
    for name, text in texts.items():
        rating = partial(_overlap, known=frozenset(rouge_words(text)))
        found |= _extremes(options, rating, f"like the {name}")
    found |= _extremes(options, partial(_likeness, options=options), "like the others")
    found |= _extremes(options, source.count, "frequent")
    for size in _WINDOWS:
        near = partial(_among, source=source, question=question, size=size)
        found[f"option among the question's words ({size})"] = max(options, key=near)
    return found | _by_place(options, source, question)


def _extremes(options: Sequence[str], rating: Callable[[str], float], what: str) -> dict[str, str]:
    ratings = [rating(option) for option in options]
    return {
        f"option most {what}": options[ratings.index(max(ratings))],
        f"option least {what}": options[ratings.index(min(ratings))],
    }


def _overlap(option: str, known: Collection[str]) -> float:
    words = rouge_words(option)
    return sum(1 for word in words if word in known) / max(1, len(words))


def _likeness(option: str, options: Sequence[str]) -> float:
    own = set(rouge_words(option))
    return sum(len(own & (them := set(rouge_words(o)))) / max(1, len(own | them)) for o in options)


def _among(option: str, source: str, question: str, size: int) -> int:
    """Returns the most words of a question that stand near an option anywhere in a text."""
    words, phrase = rouge_words(source), rouge_words(option)
    asked, n = content_words(rouge_words(question)), len(phrase)
    return max(
        (
            len(asked & {*words[max(0, i - size) : i], *words[i + n : i + n + size]})
            for i in range(len(words) - n + 1)
            if words[i : i + n] == phrase
        ),
        default=-1,
    )


def _by_place(options: Sequence[str], source: str, question: str) -> dict[str, str]:
    """Picks by where a text has the options first, and where next to what the question names."""
    seen = sorted((source.find(option), option) for option in options if option in source)
    if not seen:
        return {}
    found = {"option seen first": seen[0][1], "option seen last": seen[-1][1]}
    anchors = {"name": _NAME.findall(question), "last word": re.findall(r"\w+", question)[-1:]}
    for what, texts in anchors.items():
        anchor = _first_place(texts, source)
        places = sorted((place, o) for o in options for place in _places(o, source))
        after = [option for place, option in places if place >= anchor]
        before = [option for place, option in places if place < anchor]
        nearest = min(places, key=lambda pair: abs(pair[0] - anchor))[1]
        found[f"option nearest to the question's {what}"] = nearest
        found[f"option after the question's {what}"] = (after or before)[0]
        found[f"second option after the question's {what}"] = (after[1:] or after or before)[0]
        found[f"third option after the question's {what}"] = (after[2:] or after or before)[0]
        found[f"option before the question's {what}"] = (before or after)[-1]
    return found


def _first_place(texts: Iterable[str], source: str) -> int:
    """Returns where a text has the first of some texts that it has; 0 if it has none."""
    return next((place for text in texts if (place := source.find(text)) >= 0), 0)


def _places(option: str, source: str) -> list[int]:
    return [found.start() for found in re.finditer(re.escape(option), source)]
