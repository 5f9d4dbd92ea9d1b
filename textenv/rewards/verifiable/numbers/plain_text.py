r"""Writes numbers of any script, typography or LaTeX in plain characters: "1\,000" as "1,000".

Nothing is read here, and what has no plain form is left as it is.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

_DASHES = "−–‒‐‑﹣－"
_STOPS = "。｡।॥؟،؛۔։።။។、"  # other scripts' punctuation, which never stands within a number
_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻"
_INVISIBLE = r"[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]"
_ODD = re.compile(
    rf"(?![0-9])\d|[{_DASHES}{_STOPS}\u2044\u2215\uff01-\uff5e\u00a0\u2007\u2009\u202f]"
    rf"|[{_SUPERSCRIPTS}]+|[¼-¾⅐-⅞]|٫(?=\d)|٬(?=\d{{3}})|[٪﹪]"
    rf"|(?<!\d)(?<!\d[.,/]){_INVISIBLE}|{_INVISIBLE}++(?![.,/]?\d)"  # "1<U+200B>8" is not 18
)
_THIN_SPACES = "\u00a0\u2007\u2009\u202f"
_GROUPED = re.compile(rf"(?<=\d)[{_THIN_SPACES}](?=\d{{3}}(?!\d))")
_SQUARE_METRES = re.compile(r"(?<=\d)(?=m[²³])")

_GAP = re.compile(r"\s*\\!\s*")
_COMMA = re.compile(
    r"\{\s*,\s*\}|(?<=\d),\s*\\[ ,;:](?=\d{3})|(?<=\d)(?:\\[ ,;:]|~)(?=\d{3}(?!\d))"
)
_TEXT = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|normal)?|math(?:rm|bf|it|sf|tt|normal)|mbox|hbox|emph|operatorname)"
    r"\s*\{([^{}]*)\}"
)
_ARGUMENT = r"\s*(?:\{\s*(-?(?:\d{1,3}(?:,\d{3})+|\d*\.?\d+))\s*\}|(\d))"
_FRACTION = re.compile(rf"(\d\s*)?\\[dtc]?frac(?![A-Za-z]){_ARGUMENT}{_ARGUMENT}")
_SPACE = re.compile(
    r"\\(?:[,;: ]|q?quad\b|thinspace\b|displaystyle\b|(?:left|right|[bB]igg?[lr]?)(?=[\s()\[\]|.]))"
    r"|\\[()\[\]]|(?<!\\)~|\\\\"
)
_DEGREE = re.compile(r"\s*\^\s*(?:\\circ|\{\s*\\circ\s*\}|\\degree|o\b)|\s*\\degree\b")
_SIGNS = {"times": "×", "cdot": "·", "div": "÷", "approx": "≈", "sim": "≈"}
_SIGNS |= dict.fromkeys(["to", "rightarrow", "Rightarrow", "implies", "therefore"], "→")
_SIGN = re.compile(rf"\\({'|'.join(_SIGNS)})(?![A-Za-z])|\\([$%#&])")
_LETTER_UNIT = re.compile(r"(?<![A-Za-z\d])[mghslLCFJNVW](?![A-Za-z\d])")


def plain_characters(text: str) -> str:
    """Writes the digits, signs and punctuation of other scripts and typography in ASCII.

    Decimal digits of all scripts, full-width forms, minus signs and dashes (not the em dash),
    fractions such as ½, superscripts (as "^{2}"), the Arabic separators, no-break spaces (between
    groups of three digits a comma), and other scripts' full stops. Invisible marks are left out,
    but those within numbers.
    """
    if text.isascii():
        return text
    return _ODD.sub(_plain, _GROUPED.sub(",", _SQUARE_METRES.sub(" ", text)))


def _plain(match: re.Match[str]) -> str:
    found = match.group()
    first = found[0]
    if first.isdecimal():
        return str(unicodedata.decimal(first))
    if first in _DASHES:
        return "-"
    if first in _SUPERSCRIPTS:
        return "^{" + unicodedata.normalize("NFKC", found).replace("−", "-") + "}"
    if first in _STOPS:
        return ". " if first in "。｡।॥۔։።။។" else ", "
    if first in "\u2044\u2215":
        return "/"
    if first == "٫":
        return "."
    if first == "٬":
        return ","
    if first in "٪﹪":
        return "%"
    if first in _THIN_SPACES:
        return " "
    if "\uff01" <= first <= "\uff5e":
        return chr(ord(first) - 0xFEE0)
    if unicodedata.category(first) == "No":  # ½, which a digit behind it would make another number
        if match.string[match.end() : match.end() + 1].isalnum():
            return found
        glued = match.string[match.start() - 1 : match.start()].isdecimal()
        return " " * glued + unicodedata.normalize("NFKC", found).replace("\u2044", "/")
    return ""


def plain_latex(text: str) -> str:
    r"""Writes the LaTeX of a number without commands.

    Spacing, "\left", "\right" and delimiters of math become spaces, "\text{ cm}" its content,
    "\frac{1}{2}", "\frac12" and "\frac 34" become "1/2" and "3/4", "^\circ" becomes "°",
    "{,}", "\," and "\!" between groups of three digits a comma.
    """
    if "\\" not in text and "{,}" not in text:
        return text
    text = _COMMA.sub(",", _GAP.sub("", text))
    text = _TEXT.sub(_text, text)
    text = _FRACTION.sub(_fraction, text)
    return _SIGN.sub(
        lambda m: _SIGNS[m[1]] if m[1] else m[2], _SPACE.sub(" ", _DEGREE.sub("°", text))
    )


def _text(match: re.Match[str]) -> str:
    # As text a letter is a unit; by itself it would be a variable.
    return f" {_LETTER_UNIT.sub('unit', match[1])} "


def _fraction(match: re.Match[str]) -> str:
    whole, over, under = match[1], match[2] or match[3], match[4] or match[5]
    if match.string[match.end() : match.end() + 1].isdigit():
        return match.group()
    if not (over.removeprefix("-") + under).isdigit():  # 3.5/2, 1,000/3, 1/-2
        divisor = Fraction(under.replace(",", ""))
        if whole or not divisor:
            return match.group()
        value = Fraction(over.replace(",", "")) / divisor
        return f"{value.numerator}/{value.denominator}"
    if whole is None:
        return f"{over}/{under}"
    return f"{whole.rstrip()} {over}/{under}"
