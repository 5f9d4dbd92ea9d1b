"""Forms of English words for generated sentences: a or an, he runs, running, ran, a list.

For the words that the generated datasets use: the rules are the regular ones, and the verbs that
break them stand in a table.
"""

from __future__ import annotations

from collections.abc import Sequence

from textenv.datasets.generated.words import split_words

_VOWELS = "aeiou"
# "a uniform", but "an uncle"; "an honest man", but "a horse".
_SOUND_OF_YOU = (
    "euro",
    "ukulele",
    "uniform",
    "unicorn",
    "union",
    "unit",
    "univers",
    "use",
    "usual",
)
_SILENT_H = ("heir", "honest", "honor", "hour")
# Base and past of verbs whose past is irregular.
_PAST: dict[str, str] = dict(
    pair.split("/")
    for pair in split_words(
        "beat/beat bring/brought build/built buy/bought catch/caught cut/cut dig/dug "
        "draw/drew drink/drank drive/drove eat/ate feed/fed find/found fly/flew get/got "
        "give/gave hang/hung have/had hit/hit hold/held keep/kept lead/led light/lit "
        "lose/lost make/made pay/paid put/put read/read ride/rode run/ran say/said see/saw "
        "sell/sold send/sent shake/shook sing/sang sit/sat sleep/slept speak/spoke "
        "spread/spread stand/stood steal/stole sweep/swept take/took teach/taught tell/told "
        "think/thought throw/threw understand/understood wear/wore win/won write/wrote"
    )
)
# One-syllable verbs that double their last letter, and the only longer ones that do.
_DOUBLED = frozenset(
    split_words(
        "chop clap cut dig drop drum fit get grab hit hug jog mop pat pet plan put rub run scan "
        "scrub sip sit skip spot stir stop strum swim tap tip trim wag wrap win zip plot begin"
    )
)


def with_article(noun: str) -> str:
    """Returns "an" before a vowel sound and "a" before others, with the noun phrase."""
    word = noun.lower()
    is_vowel = word[0] in _VOWELS and not word.startswith(_SOUND_OF_YOU)
    return f"{'an' if is_vowel or word.startswith(_SILENT_H) else 'a'} {noun}"


def third_person(verb: str) -> str:
    """Returns the form after "she": "carries", "washes", "cuts"."""
    if verb == "have":
        return "has"
    if verb.endswith("y") and verb[-2] not in _VOWELS:
        return f"{verb[:-1]}ies"
    return f"{verb}es" if verb.endswith(("s", "x", "z", "ch", "sh", "o")) else f"{verb}s"


def gerund(verb: str) -> str:
    """Returns the form after "is": "carrying", "making", "cutting"."""
    if verb in _DOUBLED:
        return f"{verb}{verb[-1]}ing"
    if verb.endswith("e") and not verb.endswith(("ee", "ye", "oe")):
        return f"{verb[:-1]}ing"
    return f"{verb}ing"


def past(verb: str) -> str:
    """Returns the simple past: "carried", "baked", "stirred", "cut"."""
    if verb in _PAST:
        return _PAST[verb]
    if verb in _DOUBLED:
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
