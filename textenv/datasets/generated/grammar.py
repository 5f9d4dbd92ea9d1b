"""Forms of English words for generated sentences: a or an, he runs, running, ran, a list.

For the words that the generated datasets use: the rules are the regular ones, and grammar.yaml
holds the words that break them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textenv.datasets.generated.tables import load_table

_VOWELS = "aeiou"


@dataclass(frozen=True)
class _Exceptions:
    """What grammar.yaml holds."""

    past: dict[str, str]
    doubled: frozenset[str]
    sound_of_you: tuple[str, ...]
    silent_h: tuple[str, ...]


_EXCEPTIONS = load_table("grammar", _Exceptions)


def with_article(noun: str) -> str:
    """Returns "an" before a vowel sound and "a" before others, with the noun phrase."""
    word = noun.lower()
    is_vowel = word[0] in _VOWELS and not word.startswith(_EXCEPTIONS.sound_of_you)
    return f"{'an' if is_vowel or word.startswith(_EXCEPTIONS.silent_h) else 'a'} {noun}"


def third_person(verb: str) -> str:
    """Returns the form after "she": "carries", "washes", "cuts"."""
    if verb == "have":
        return "has"
    if verb.endswith("y") and verb[-2] not in _VOWELS:
        return f"{verb[:-1]}ies"
    return f"{verb}es" if verb.endswith(("s", "x", "z", "ch", "sh", "o")) else f"{verb}s"


def gerund(verb: str) -> str:
    """Returns the form after "is": "carrying", "making", "cutting"."""
    if verb in _EXCEPTIONS.doubled:
        return f"{verb}{verb[-1]}ing"
    if verb.endswith("e") and not verb.endswith(("ee", "ye", "oe")):
        return f"{verb[:-1]}ing"
    return f"{verb}ing"


def past(verb: str) -> str:
    """Returns the simple past: "carried", "baked", "stirred", "cut"."""
    if verb in _EXCEPTIONS.past:
        return _EXCEPTIONS.past[verb]
    if verb in _EXCEPTIONS.doubled:
        return f"{verb}{verb[-1]}ed"
    if verb.endswith("y") and verb[-2] not in _VOWELS:
        return f"{verb[:-1]}ied"
    return f"{verb}d" if verb.endswith("e") else f"{verb}ed"


def sentence(text: str) -> str:
    """Returns a text with its first letter in upper case, and a period if it has no end."""
    end = "" if text.endswith((".", "!", "?")) else "."
    return f"{text[0].upper()}{text[1:]}{end}"


def listed(words: Sequence[str]) -> str:
    """Returns "a", "a and b", or "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
