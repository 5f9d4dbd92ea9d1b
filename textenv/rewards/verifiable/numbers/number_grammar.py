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

"!" behind a whole number may be a factorial, so that "18!" is nothing, while "$18!" is 18 (and
"The answer is 18!", of which `numeric` takes the "!" as a full stop). Behind a number a word of
ASCII letters is harmless unless `number_words` lists it; a word of other letters is so only if
listed there. Numbers in words, NaN and infinity are never read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from textenv.rewards.verifiable.numbers.number_neighbours import Token, is_plain_behind, look_before

_MAX_LENGTH = 60  # characters of a number; what is longer is none
# Marks that belong to the letter before them: accents, and the vowels of many scripts.
_MARKS = (
    r"\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0dff"
    r"\u0e31-\u0e4e\u0eb1-\u0ecd\u1000-\u109f\u1780-\u17ff"
)
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
    value, before = tokens[i].value, look_before(tokens, i)
    if value is None or before is None or not is_plain_behind(tokens, i, before.brackets):
        return Number(None, i, i)
    return Number(before.sign * value, before.first, i)
