"""What Unicode says of characters: which are equal, which are marks, and where words end.

Everything here is read from Unicode's properties by the package `regex`, which is imported when the
first text comes that is not plain Latin. "Other" is every script but Latin, after the property
Script_Extensions; what scripts share (`“ – ½ ² €`) is not other.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Any

# Latin letters and their typographic marks, which no rule below changes.
_UNUSUAL = re.compile("[^\x00-\u02ff\u1e00-\u1eff\u2010-\u2027\u202f-\u205f\u20a0-\u20c0]")
# Also Chinese and Japanese characters and Korean syllables, each a word, and marks between them.
_COMPLEX = re.compile(
    "[^\x00-\u02ff\u1e00-\u1eff\u2010-\u2027\u202f-\u205f\u20a0-\u20c0"
    "\u3001\u3002\u3041-\u3096\u30a1-\u30fa\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uff01\uff0c\uff1a\uff1b\uff1f\ufffd]"
)
# Forms of a character by its place or width. Fractions, superscripts and circled digits are others.
_FORMS = re.compile("<(?:wide|narrow|small|vertical|initial|medial|final|isolated)> (.*)")
# Marks of direction, and the byte-order mark: they are no part of what is written.
_DIRECTIONS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")

# Vowels of Thai and Lao that are typed as their two parts, with a tone mark between.
_PARTS = re.compile("\u0e4d([\u0e48-\u0e4b]?)\u0e32|\u0ecd([\u0ec8-\u0ecb]?)\u0eb2|\u0e40\u0e40")

_LATIN = r"[\p{scx=Latn}\p{scx=Zyyy}\p{scx=Zinh}]"
_OTHER = rf"[[[\p{{L}}\p{{M}}\p{{N}}\p{{So}}]--{_LATIN}]||[\u3200-\u33ff]]"
_MARK = rf"[\p{{P}}--{_LATIN}]"
# Where Unicode's line breaking (UAX 14) lets a line break between two letters: no spaces there.
_UNSPACED = "".join(
    rf"\p{{lb={kind}}}"
    for kind in ("ID", "CJ", "H2", "H3", "JL", "JV", "JT", "SA", "AK", "AP", "AS")
)
_LETTER = rf"[{_OTHER}--[{_UNSPACED}]]"
_APOSTROPHE = "['’‘ʼ·‧]"
# Within a word (UAX 29), save that a full stop or a colon ends it: an apostrophe, a Hebrew
# gershayim, an Armenian question mark.
_WITHIN = (
    rf"(?:{_APOSTROPHE}|[{_MARK}&&[\p{{WB=ALetter}}\p{{WB=MidLetter}}]--\p{{Pd}}]"
    r'|(?<=\p{Hebrew})"(?=\p{Hebrew}))'
)
_LETTERS = rf"{_LETTER}[{_LETTER}\p{{M}}]*+"
# The marks that some scripts write in the place of a space: Tibetan, Ethiopic, Runic, ...
_SPACES = (
    r"[\u0f0b\u0f0c\u1361\u16eb-\u16ed\U00010100-\U00010102\U0001039f\U000103d0\U00010857"
    r"\U0001091f\U00012470]"
)
_INVISIBLE = r"[[\p{DI}&&[\p{Cf}\p{Mn}]]||[\u0640\u07fa]]"


@dataclass(frozen=True)
class Patterns:
    """Compiled patterns for text that `fold` has gone over."""

    # A Chinese, Thai, ... character with its combining marks, or an emoji.
    character: Any
    word: Any  # such a character, a word of a spaced script, or a run of `[a-z0-9]`
    # That, with every letter and number of Latin script and of mathematics.
    any_word: Any
    token: Any  # a word, or a single mark
    bare: Any  # what is left to count in a text without a word: letters, numbers and symbols
    foreign: Any  # whether any rule for other scripts applies
    other: Any  # a run of other letters
    inner: Any  # a mark of another script within a word or a number
    mark: Any  # another one of its marks
    shared: Any  # a mark that scripts share, not in ASCII
    apart: Any  # such marks, and symbols, save an apostrophe within a word
    piece: Any  # what stands between spaces
    full_width: Any
    dropped: Any  # signs in a word of other scripts that are not seen
    spaces: Any
    no_space: Any  # a space beside a letter of a script that has none
    sentence_end: Any  # of another script


@cache
def patterns() -> Patterns:
    """Returns the patterns, compiled once."""
    import regex

    emoji = (
        r"(?:(?=\p{Emoji_Presentation}|\p{Extended_Pictographic}[\uFE0F\U0001F3FB-\U0001F3FF]"
        r"|[\U0001F000-\U0001FBFF&&\p{So}]|[#*]\uFE0F?\u20E3)\X)"
    )
    unspaced = rf"[{_OTHER}&&[{_UNSPACED}]]"
    character = rf"{emoji}|(?={unspaced})\X"
    word = rf"{_LETTERS}(?:{_WITHIN}{_LETTERS})*+|{character}"
    inner = (
        rf"(?<=[\p{{L}}\p{{M}}])[{_MARK}&&[\p{{Pd}}\p{{WB=ALetter}}\p{{WB=MidLetter}}]](?=\p{{L}})"
        rf"|(?<=[0-9])[{_MARK}&&[\p{{WB=MidNum}}\p{{WB=Numeric}}]](?=[0-9])"
    )
    shared = rf"[[\p{{P}}--[\x00-\x7f]--{_MARK}]||[ʼ]]"
    full_width = r"[[\p{P}\p{S}]&&[\p{ea=F}\p{ea=H}]]"
    sources = Patterns(
        character=character,
        word=rf"[a-z0-9]+|{word}",
        any_word=rf"{word}|[[\p{{L}}\p{{N}}]--{_OTHER}][[\p{{L}}\p{{N}}\p{{M}}]--{_OTHER}]*",
        token=rf"{character}|[[\p{{L}}\p{{M}}\p{{N}}_]--{unspaced}]+|\S",
        bare=r"[\p{L}\p{N}][\p{L}\p{N}\p{M}]*|\p{S}",
        foreign=rf"{_OTHER}|{_MARK}|{emoji}",
        other=rf"{_OTHER}[{_OTHER}\p{{M}}]*",
        inner=inner,
        mark=rf"(?!{inner}){_MARK}",
        shared=shared,
        apart=(
            rf"(?!(?<={_LETTER}\p{{M}}{{0,8}}){_APOSTROPHE}{_LETTER})"
            rf"(?:[[\p{{P}}\p{{S}}]--[\x00-\x7f]--{_MARK}--[·]]|(?<={_LETTER}\p{{M}}{{0,8}})·)"
        ),
        piece=r"\S+",
        full_width=full_width,
        dropped=(
            rf"(?={_INVISIBLE})(?<={_OTHER}\p{{M}}{{0,8}}){_INVISIBLE}+"
            rf"|[\u00ad\u0640\u07fa\u180e\u200b\u200c\u2060]+(?={_OTHER})"
        ),
        spaces=_SPACES,
        no_space=rf"(?<={unspaced}\p{{M}}{{0,8}}) | (?={unspaced})",
        sentence_end=rf"[\p{{STerm}}&&[{_MARK}||[！？｡]]]+[\p{{Pe}}\p{{Pf}}\"']*",
    )
    compiled = {name: regex.compile(source, regex.V1) for name, source in vars(sources).items()}
    return Patterns(**compiled)


def fold(text: str) -> str:
    """Returns a text in the one form of all its spellings that look or mean the same.

    It is composed (NFC); full- and half-width forms, forms by place (Arabic) and the decimal digits
    of every script become the usual ones; marks of direction are dropped, and within words of other
    scripts all that is not seen (zero-width joiners, variation selectors) or only stretches a line
    (tatweel). Latin text that is composed stays as it is.
    """
    if is_plain(text):
        return text
    text = unicodedata.normalize("NFC", text)
    folded = _DIRECTIONS.sub("", text).translate(_FOLDED)
    if folded != text:
        text = unicodedata.normalize("NFC", folded)
    return str(patterns().dropped.sub("", _PARTS.sub(_whole, text)))


def _whole(parts: re.Match[str]) -> str:
    if parts[0].startswith("\u0e40"):
        return "\u0e41"
    return f"{parts[1]}\u0e33" if parts[1] is not None else f"{parts[2]}\u0eb3"


class _Folded(dict[int, int | str]):
    """What each character becomes in `fold`, looked up at its first appearance."""

    def __missing__(self, code: int) -> int | str:
        character = chr(code)
        digit = unicodedata.decimal(character, None)
        form = _FORMS.match(unicodedata.decomposition(character))
        if digit is not None:
            self[code] = str(digit)
        elif form is not None:
            self[code] = "".join(chr(int(part, 16)) for part in form[1].split())
        else:
            self[code] = code
        return self[code]


_FOLDED = _Folded()


def is_plain(text: str) -> bool:
    """Tells whether a text has nothing but composed letters and marks of Latin script."""
    return text.isascii() or _UNUSUAL.search(text) is None


def is_simple(text: str) -> bool:
    """Tells whether a text has nothing but plain Latin and characters that are words as they are.

    The rules for such text need no properties of Unicode, and are several times faster.
    """
    return text.isascii() or _COMPLEX.search(text) is None


def is_latin(folded: str) -> bool:
    """Tells whether no rule for other scripts applies to a text that was folded."""
    return is_plain(folded) or patterns().foreign.search(folded) is None


def is_unspaced(word: str) -> bool:
    """Tells whether a word is a character of a script without spaces, or an emoji."""
    return not is_plain(word) and patterns().character.fullmatch(word) is not None
