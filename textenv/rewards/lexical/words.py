"""Splits text of any script into words: what all lexical rewards count.

Words are Unicode's (UAX 29). Where a script has no spaces (Chinese, Japanese, Thai, Lao, Khmer,
Burmese, Javanese, ...), and in Korean, a word is one character with its combining marks; an emoji
is a word. Rewards that repeat a package keep its rule for text in Latin script, run by run: a Greek
letter in an English sentence does not change how the rest is split.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any, Literal

from textenv.rewards.lexical.scripts import fold, is_latin, is_plain, patterns
from textenv.rewards.options import check_choice

Rules = Literal["unicode", "reference"]
RULES = ("unicode", "reference")

# All of ASCII at its place: letters in lower case, digits, and a space for everything else.
ASCII_WORDS = "".join(chr(i).lower() if chr(i).isalnum() else " " for i in range(128))
_LATIN_WORD = re.compile(r"[^\W_]+")
_TOKEN = re.compile(r"[\w\u0307]+|[^\w\s]")  # "İ" in lower case has a dot of its own
_HYPHENATION = dict.fromkeys(map(ord, "\u00ad\u2060\u200c"))
# How an emoji is shown, and a letter that stands for an apostrophe.
_SHOWN = dict.fromkeys(map(ord, "\ufe0e\ufe0f"))
_SIGNS = "\ufe0e\ufe0fʼ"
_HAN = re.compile("[\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


def check_rules(reward: str, rules: object) -> None:
    """Refuses an option 'rules' of another name."""
    check_choice(reward, "rules", rules, RULES)


def find_words(text: str) -> list[str]:
    """Returns the words of a text without case, those of Latin script with all their letters.

    In a text without any, each symbol is one ("+", "€").
    """
    if text.isascii() and (found := text.translate(ASCII_WORDS).split()):
        return found
    folded = fold(text).translate(_HYPHENATION)
    if is_plain(folded):
        folded = unicodedata.normalize("NFC", folded.casefold()).replace("i\u0307", "i")
        return _LATIN_WORD.findall(folded.replace("ʼ", "")) or _bare(text)
    return [caseless(word) for word in patterns().any_word.findall(folded)] or _bare(text)


def tokens(text: str, lower: bool = True) -> list[str]:
    """Returns the words and the marks of a text, in their case or in lower case."""
    text = fold(text)
    pattern: Any = _TOKEN if is_plain(text) else patterns().token
    found: list[str] = pattern.findall(text.lower() if lower else text)
    return found


def set_apart(text: str, mark: str | None = None) -> str:
    r"""Puts spaces about what is a word of its own in other scripts; Latin text stays as it is.

    Args:
        text: Any text; it is folded.
        mark: What becomes of a mark of another script, and of all punctuation and symbols in a
            word that has one of its letters: " " drops them, r" \g<0> " sets them apart; None
            leaves them.
    """
    if is_plain(text):
        return text
    known = patterns()
    if mark is not None:  # before full-width forms are folded: "3，5" is two numbers, "3,5" one

        def without_shared(piece: Any) -> str:
            found: str = piece[0]
            return str(known.apart.sub(mark, found)) if known.other.search(found) else found

        text = known.full_width.sub(mark, known.piece.sub(without_shared, text))
    text = fold(text)
    if is_latin(text):
        return text
    if mark is not None:
        text = known.mark.sub(mark, text)
    text = known.character.sub(r" \g<0> ", known.spaces.sub(" ", text))
    return str(text.translate(_SHOWN))


def marks_apart(text: str) -> str:
    """Returns a text whose words and marks of other scripts stand between spaces."""
    return set_apart(text, r" \g<0> ")


def marks_dropped(text: str) -> str:
    """Returns a text whose words of other scripts stand between spaces, without their marks."""
    return set_apart(text, " ")


def join_words(pieces: Iterable[str]) -> str:
    """Puts words together with spaces, and those of scripts without spaces directly."""
    text = " ".join(pieces)
    return text if text.isascii() else str(patterns().no_space.sub("", text))


def has_han(text: str) -> bool:
    """Tells whether a text holds a Chinese character."""
    return not text.isascii() and _HAN.search(text) is not None


def normalised(text: str) -> str:
    """Returns a text without differences of case, white space and spelling in Unicode."""
    return " ".join(fold(text).split()).casefold()


def answer_key(text: str) -> tuple[str, ...]:
    """Returns what two spellings of one answer share; the text itself where it has no words."""
    return tuple(find_words(text)) or (normalised(text),)


def caseless(word: str) -> str:
    """Returns a word without case, and without the marks and signs within it."""
    if word.isascii():
        return word.lower()
    word = word.casefold()
    if word.isalnum() and "ʼ" not in word:
        return unicodedata.normalize("NFC", word)
    kept = (c for c in word if c not in _SIGNS and not _is_mark(c))
    return unicodedata.normalize("NFC", "".join(kept)).replace("i\u0307", "i") or word


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "P"


def _bare(text: str) -> list[str]:
    """The letters, numbers and symbols of a text in which nothing else counts."""
    if not text or text.isspace():
        return []
    found: list[str] = patterns().bare.findall(unicodedata.normalize("NFC", text).casefold())
    return found
