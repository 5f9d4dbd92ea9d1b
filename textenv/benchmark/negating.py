"""Says the opposite: denies an answer, or puts "not" into a sentence; in English, German, Chinese.

The texts that come out bear nearly all words of what they deny, and mean the contrary: a reward
that counts words cannot tell them apart.
"""

from __future__ import annotations

import re

from textenv.rewards.lexical.words import has_han

_SHORT = 8  # words up to which a text is an answer ("It is not X"), not a sentence
_DENIALS = {
    "en": ("It is not {}", "It is not true that {}"),
    "de": ("Es ist nicht {}", "Es stimmt nicht, dass {}"),
    "zh": ("不是{}", "并非{}"),
}
# After an English or German auxiliary, and before a Chinese one.
_AUXILIARIES = {
    "en": re.compile(
        r"\b(?:is|are|was|were|can|could|will|would|should|may|might|must|has|have|had|does|do|did)"
        r"\b(?! not\b)"
    ),
    "de": re.compile(
        r"\b(?:ist|sind|war|waren|wird|werden|wurde|wurden|kann|können|muss|müssen|will|wollen|hat"
        r"|haben|hatte|hatten)\b(?! nicht\b)"
    ),
    "zh": re.compile(r"(?<!不)(?:是|会|能|在|想|要)"),
}
_NOT = {"en": r"\g<0> not", "de": r"\g<0> nicht", "zh": r"不\g<0>"}


def language_of(text: str, declared: object = None) -> str:
    """Returns "en", "de" or "zh": what is declared, else a guess by the script."""
    code = str(declared or "").replace("_", "-").split("-")[0].lower()
    if code in _DENIALS:
        return code
    return "zh" if has_han(text) else "en"


def deny(text: str, language: str = "en") -> str:
    """Denies a text as a whole: "It is not X" of a short one, "It is not true that X" of others."""
    answer, sentence = _DENIALS[language]
    short = len(text) <= 2 * _SHORT if language == "zh" else len(text.split()) <= _SHORT
    return (answer if short else sentence).format(text)


def deny_inside(text: str, language: str = "en") -> str | None:
    """Puts a "not" beside the first auxiliary verb; None if there is none."""
    negated, n_changes = _AUXILIARIES[language].subn(_NOT[language], text, count=1)
    return negated if n_changes else None
