r"""Which digits of a text are a number: those that only what is known to be harmless touches.

| written | read as |
|---|---|
| 18.0  .5  1,000 (groups of three; also 1{,}000  1\,000  10,\!000)  1e3  1E-3 | the number |
| 1.5×10^3  1 \times 10^{-3}  1x10³ | the number |
| 3/4  \frac{3}{4}  \frac 34  \tfrac34  ½  1 1/2  2½  3\frac{1}{2} | the fraction |
| -5  −5  –5  -$5  $-5  -(1/3)  minus 5  negative 5 | the number below 0 |
| 18%  18\%  $18  18€  18°  18^\circ  18cm  18 cm^2  18 red apples  18-inch  18/day | 18 |
| (18)  "18"  **18**  `18`  $18$  \(18\)  {18}  18.  18,  18;  18:  18? | 18 |
| １８  १८  ١٨  18个  18。  ٣٫٥ | as in ASCII |
| 2nd  m2  H2O  cm^2: an ordinal, a name, the power of a unit | passed over |
| 5x  2k  12pi  3i  0x1F  2\pi  2\sqrt{3}  \sqrt{53}  x^2  2^10  3!  52_8  \binom{5}{2} | nothing |
| 12:00  3:2  3-5  5 - 2  2*3  2(3)  1.2.3.4  2024-03-15  1.000,50  3,5  1_000 | nothing |
| 0.\overline{3}  0.333...  ±5  >5  (1,200)  half of 36  2 million  5 and a half  May 5 | nothing |

"!" behind a whole number may be a factorial, so that "18!" is nothing, while "$18!" is 18. Numbers
in words, NaN and infinity are never read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from textenv.rewards.verifiable.number_words import (
    CHANGES_BEFORE,
    CHANGES_BEHIND,
    CURRENCY,
    CURRENCY_CODES,
    GLUED_UNITS,
    LETTER_UNITS,
    MONTHS,
    NUMBER_WORDS,
    PARTS,
    PLAIN_SHORT,
    UNSPACED,
    UNSPACED_BEFORE,
    UNSPACED_BEHIND,
    VARIABLES,
)

_MAX_LENGTH = 60  # characters of a number; what is longer is none
_MARKS = r"\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0dff\u0e31-\u0e4e\u0eb1-\u0ecd\u1000-\u109f\u1780-\u17ff"
_TOKEN = re.compile(
    r"(?P<space>[^\S\n]+)"
    r"|(?P<number>(?P<whole>(?:\d{1,3}(?:,\d{3})++(?!\d)|\d++)(?:\.\d++)?|\.\d++)"
    r"(?:[eE](?P<power>[-+]?\d{1,2})(?!\d)"
    r"|\s?[×x*·]\s?10\s?\^\s?(?:(?P<power10>-?\d{1,2})(?!\d)|\{\s*(?P<braced>-?\d{1,2})\s*\})"
    r"|[^\S\n]?/[^\S\n]?(?P<under>\d++)"
    r"|[^\S\n]+(?P<mixed>\d++/\d++)"
    r"|(?P<ordinal>st|nd|rd|th)\b)?)"
    r"|(?P<unit>(?<!\\)(?:[A-Za-z]{2,}|m|s)\s?\^\s?(?:-?[1-4](?!\d)|\{\s*-?[1-4]\s*\}))"
    r"|(?P<name>(?!(?:USD|EUR|GBP|INR|CNY|RMB|AUD|CAD|RM)\d)(?:[A-Z]{1,6}|cm|mm|km|ft|m)"
    r"\d++(?!\.\d)[A-Za-z\d]*)"
    rf"|(?P<word>[^\W\d_](?:[^\W\d_]|[{_MARKS}]|['’](?=[^\W\d_]))*)"
    r"|(?P<command>\\(?:[A-Za-z]+|.))"
    r"|(?P<tag></?(?:br|p|em|strong|span|div|answer|final_answer|code|eos|s)\s*/?>|<\|[^<>\s]*?\|>)"
    r"|(?P<other>\n|\.{2,}|\*+|_+|[^\n])",
)

_OPENING = frozenset([*CURRENCY, *"\"'“‘«`([{¿¡", "*", "**", "***", "_", "__"])
_CLOSING = frozenset([*CURRENCY, *"%°\"'”’»`)]}", "*", "**", "***", "_", "__"])
_BRACKETS = frozenset("([{")
_OPERATORS = frozenset([*"+-*/^<>!|\\~#@&±×÷·√∞⌊⌋⌈⌉№§", "**", "***", "_", "__", "—", "―", "..."])
_EQUALS = frozenset("=≈≅~→⇒⟹∴:")


class Token(NamedTuple):
    """A piece of text."""

    kind: str
    text: str
    value: Fraction | None = None


class Number(NamedTuple):
    """A number of a text, or digits there that are none."""

    value: Fraction | None  # None if what touches the digits makes something else of them
    first: int  # its place among the tokens, with its sign
    last: int


def split_tokens(text: str) -> list[Token]:
    """Splits a text, of plain characters, into numbers, words and other pieces."""
    tokens = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if match["number"] is not None:
            kind = "ordinal" if match["ordinal"] else "number"
            tokens.append(Token(kind, match.group(), _magnitude(match)))
        else:
            tokens.append(Token(kind, match.group()))
    return tokens


def _magnitude(match: re.Match[str]) -> Fraction | None:
    if len(match["number"]) > _MAX_LENGTH:
        return None
    value = Fraction(match["whole"].replace(",", ""))
    power = match["power"] or match["power10"] or match["braced"]
    if power:
        return value * Fraction(10) ** int(power)
    if match["under"]:
        return value / int(match["under"]) if int(match["under"]) else None
    if match["mixed"]:
        over, under = map(int, match["mixed"].split("/"))
        return value + Fraction(over, under) if over < under and value.denominator == 1 else None
    return value


def find_numbers(tokens: Sequence[Token]) -> list[Number]:
    """Finds all numbers, and all digits that are none, but for ordinals, names and unit powers."""
    return [_read(tokens, i) for i, token in enumerate(tokens) if token.kind == "number"]


def _read(tokens: Sequence[Token], i: int) -> Number:
    before = _look_before(tokens, i)
    value = tokens[i].value
    if value is None or before is None or not _plain_behind(tokens, i, before.brackets):
        return Number(None, i, i)
    return Number(before.sign * value, before.first, i)


class _Before(NamedTuple):
    sign: int
    first: int
    brackets: str  # those that were opened right before the number


def _look_before(tokens: Sequence[Token], i: int) -> _Before | None:
    """Looks at what stands before a number; None if it makes something else of it."""
    sign, signed, spaced, brackets = 1, False, False, ""
    j = i - 1
    while j >= 0:
        kind, text, _ = tokens[j]
        if kind == "space":
            spaced = True
        elif text in _OPENING:
            if spaced and text not in CURRENCY:
                break  # a bracket of its own, or "* 18"
            brackets += text * (text in _BRACKETS)
        elif text in ("-", "+") and not signed:
            if spaced and _last_of(tokens, j) not in _EQUALS:
                return None  # "5 - 2", "Total - 18", or a list's "- 18"
            sign, signed, spaced = (-1 if text == "-" else 1), True, False
        else:
            break
        j -= 1
    before = _Before(sign, j + 1, brackets)
    if j < 0 or tokens[j].text == "\n" or tokens[j].kind == "tag":
        return before
    kind, text, _ = tokens[j]
    if kind == "space":
        raise AssertionError
    if kind in ("word", "unit"):
        return _behind_word(tokens, j, before, spaced=spaced, signed=signed)
    if kind == "command" or kind == "number" and (signed or not spaced):
        return None
    if kind == "number" and re.fullmatch(r"\d{3}", tokens[i].text):
        return None  # 1 000
    if kind == "other":
        previous = tokens[j - 1] if j else None
        glued_digit = previous is not None and previous.kind == "number"
        if text in ("*", "-") and spaced and (j == 0 or tokens[j - 1].text == "\n"):
            return before if text == "*" else None  # a list's item
        if text in _OPERATORS and not (text in "|&~#" and (spaced or text == "~")):
            return None
        if text == "=" and previous is not None and previous.text in ("!", "<", ">"):
            return None
        if text in ")]}%°" and (signed or not spaced):
            return None
        if text in ".,;:!?" and not spaced and (glued_digit or text in ".,!?"):
            return None
        if text == ":" and previous is not None and previous.kind == "space":
            if j > 1 and tokens[j - 2].kind == "number":
                return None  # 3 : 2
        if text == "," and previous is not None:
            if previous.kind == "command" or _is_variable(previous.text):
                return None  # (x, 5)
        if text in ")]}%°" and signed:
            return None
        if not text.isascii() and unicodedata.category(text)[:2] == "Sm" and text not in _EQUALS:
            return None
        if not text.isascii() and text in "·′″‰…٫٬" or unicodedata.category(text[0]) == "No":
            return None
    return before


def _last_of(tokens: Sequence[Token], j: int) -> str:
    """Returns the last piece before place j that is no space and no opening mark."""
    j -= 1
    while j >= 0 and (tokens[j].kind == "space" or tokens[j].text in _OPENING):
        j -= 1
    return tokens[j].text if j >= 0 else ""


def _words_before(tokens: Sequence[Token], j: int) -> list[str]:
    """Returns the last two pieces up to place j that are no space, the nearest first."""
    found = [token.text for token in tokens[max(0, j - 3) : j + 1] if token.kind != "space"]
    return [*reversed(found), "", ""][:2]


def _behind_word(
    tokens: Sequence[Token], j: int, before: _Before, *, spaced: bool, signed: bool
) -> _Before | None:
    word = tokens[j].text
    if not spaced:
        if before.brackets or signed:
            return None
        if word in CURRENCY_CODES:
            return before
        unspaced = UNSPACED.match(word[-1]) and not UNSPACED_BEFORE.search(word)
        return before if unspaced else None
    nearest, second = _words_before(tokens, j)
    low = nearest.lower()
    if low in ("minus", "negative") and not signed:
        is_operand = any(
            t.kind in ("number", "command") or _is_variable(t.text)
            for t in tokens[max(0, j - 2) : j]
        )
        return None if is_operand else before._replace(sign=-1, first=j)
    if tokens[j].kind == "unit":
        return None if signed else before
    if low in CHANGES_BEFORE or nearest in MONTHS or low.endswith(("n't", "n’t")):
        return None
    if low == "of" and (
        second.lower() in PARTS or second[:1].isdigit() or second in ("%", "°", "percent")
    ):
        return None
    if _is_variable(nearest) or UNSPACED_BEFORE.search(nearest):
        return None
    return before


def _is_variable(word: str) -> bool:
    return (
        word not in PLAIN_SHORT
        and word not in GLUED_UNITS
        and VARIABLES.fullmatch(word) is not None
    )


def _plain_behind(tokens: Sequence[Token], i: int, brackets: str) -> bool:
    """Tells whether what stands behind a number leaves it as it is."""
    j, spaced, closed = i + 1, False, ""
    while j < len(tokens):
        kind, text, _ = tokens[j]
        if kind == "space":
            spaced = True
        elif text in _CLOSING and (not spaced or text in CURRENCY or text in "%°"):
            closed += text
        else:
            break
        j += 1
    if brackets and "," in tokens[i].text and closed[:1] in (")", "]", "}"):
        return False  # (1,200) may be two numbers
    if j == len(tokens) or tokens[j].text == "\n" or tokens[j].kind == "tag":
        return True
    kind, text, _ = tokens[j]
    if "°" in closed and text in ("C", "F", "K"):
        return True
    if kind in ("word", "unit"):
        if spaced or closed[-1:] in ('"', "”", "»"):
            return _plain_word(tokens, j)
        if UNSPACED.match(text):
            return not UNSPACED_BEHIND.match(text)
        word = re.match("[A-Za-z]*", text)
        assert word is not None
        return word.group() in GLUED_UNITS and closed.strip("%") == ""
    if kind in ("number", "ordinal", "name", "command"):
        return spaced and kind != "command"
    following = tokens[j + 1] if j + 1 < len(tokens) else Token("space", "")
    if text in ("-", "/"):
        if text == "-" and spaced and following.kind == "space":
            following = tokens[j + 2] if j + 2 < len(tokens) else following
            return (
                following.kind == "word"
                and not _is_variable(following.text)
                or following.kind == "space"
            )
        is_word = following.kind == "word" and len(following.text) > 1
        return not spaced and is_word and _plain_word(tokens, j + 1)
    if text in ("(", "[", "{"):
        k = j + 1 + (following.kind == "space")
        return spaced and k < len(tokens) and tokens[k].kind == "word" and _plain_word(tokens, k)
    if text == "!":
        whole = tokens[i].text
        is_money = any(c in CURRENCY for c in closed) or tokens[i - 1].text in CURRENCY and i > 0
        return (
            not spaced
            and (is_money or "," in whole or "." in whole or "%" in closed)
            and following.kind != "number"
        )
    if text.startswith(".."):
        return False
    if text in (".", ",", ";", ":", "?"):
        if text == ":" and spaced:
            return not any(t.kind == "number" for t in tokens[j + 1 : j + 3])
        k = j + 1
        while k < len(tokens) and tokens[k].text in _CLOSING:
            k += 1
        return k == len(tokens) or tokens[k].kind in ("space", "tag") or tokens[k].text == "\n"
    if text in _OPERATORS:
        return spaced and text in "|&" or spaced and text in ("—", "―", "_", "*")
    if text in _EQUALS or text in _OPENING or text in _CLOSING:
        return True
    kind = unicodedata.category(text[0])
    return kind not in ("Sm", "No", "Nl", "Sk") and text not in "·′″‰…٫٬‱"


def _plain_word(tokens: Sequence[Token], j: int) -> bool:
    """Tells whether a word behind a number leaves it as it is."""
    words = [t.text for t in tokens[j : j + 8] if t.kind in ("word", "unit", "number", "other")]
    first = re.split(r"[\s^]", words[0])[0]
    low = [word.lower() for word in words]
    if first.lower() in CHANGES_BEHIND or first in MONTHS or _is_variable(first):
        return False
    if UNSPACED_BEHIND.match(first):
        return False
    if first in ("a", "A", "I") and (len(words) < 2 or len(words[1]) < 2 or _is_variable(words[1])):
        return False  # 2 a x + b
    if len(words) > 1 and words[1] == "(" and tokens[j + 1].text == "(" and first.islower():
        return False  # f(x)
    if first in LETTER_UNITS and len(words) > 1 and words[1] in ("+", "-", "*", "/", "^", "="):
        return False
    joined = low.index("and") if "and" in low[:3] else low.index("or") if "or" in low[:3] else -1
    if joined >= 0 and any(word in NUMBER_WORDS for word in low[joined + 1 : joined + 3]):
        return False  # 5 and a half, 18 dollars and fifty cents
    if low[0] == "to" and low[1:2] == ["the"]:
        return False
    return not (
        low[0] == "times"
        and len(low) > 1
        and (low[1] in NUMBER_WORDS or _is_variable(words[1]) or low[1] == "the")
    )
