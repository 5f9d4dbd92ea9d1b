"""What touches a number in a text: only what is known to leave it as it is passes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from textenv.rewards.verifiable.numbers.number_words import (
    CHANGES_BEFORE,
    COUNTS,
    CURRENCY,
    CURRENCY_CODES,
    GLUED_UNITS,
    LETTER_UNITS,
    MONTHS,
    PARTS,
    UNSPACED,
    UNSPACED_BEFORE,
)
from textenv.rewards.verifiable.numbers.words_behind import (
    is_known_word,
    is_month,
    is_plain_word,
    is_variable,
)

_EMPHASIS = ("*", "**", "***", "_", "__")
_OPENING = frozenset([*CURRENCY, *"\"'“‘«`([{¿¡", *_EMPHASIS])
_CLOSING = frozenset([*CURRENCY, *"%°\"'”’»`)]}", *_EMPHASIS])
_BRACKETS = frozenset("([{")
_GIVES = frozenset("=≈≅~→⇒⟹∴")
# Marks that are punctuation to Unicode, and parts of numbers or of expressions.
_OPERATORS = frozenset("·‧′″‴‰‱…٫٬§№⌊⌋⌈⌉⁄※†‡‼✕✖➕➖➗")
_LETTERED = re.compile("[㈀-㍿㏠-㏿🄀-🅏🔟]")  # pictures that are numbers, months and days


class Token(NamedTuple):
    """A piece of a text."""

    # "number", "ordinal", "unit" (cm^2), "name" (H2O), "word", "command" (of LaTeX), "tag",
    # "space", or "other", which is a sign
    kind: str
    text: str
    value: Fraction | None = None


_END = Token("space", "\n")


class Before(NamedTuple):
    """What belongs to a number before its digits."""

    sign: int
    first: int  # the place of its first token
    brackets: str  # those that are opened right before it


def look_before(tokens: Sequence[Token], i: int) -> Before | None:
    """Looks at what stands before a number; None if that makes something else of it."""
    sign, signed, spaced, brackets = 1, False, False, ""
    j = i - 1
    while j >= 0:
        kind, text, _ = tokens[j]
        if kind == "space":
            spaced = True
        elif text in _OPENING and (text in CURRENCY or not spaced):
            brackets += text * (text in _BRACKETS)
        elif text in ("-", "+") and not signed:
            if spaced and _before(tokens, j).text not in (*_GIVES, ":"):
                return None  # "5 - 2", "Total - 18", or "- 18", an item of a list
            sign, signed, spaced = (-1 if text == "-" else 1), True, False
        else:
            break
        j -= 1
    before = Before(sign, j + 1, brackets)
    if j < 0 or tokens[j].text == "\n" or tokens[j].kind == "tag":
        return before
    kind = tokens[j].kind
    if kind == "word":
        return _behind_word(tokens, j, before, signed, spaced)
    if kind == "other":
        return before if _is_plain_sign(tokens, j, signed, spaced) else None
    if kind == "number" and re.fullmatch(r"\d{3}", tokens[i].text):
        return None  # 1 000
    return before if kind != "command" and spaced and not signed else None


def _before(tokens: Sequence[Token], j: int) -> Token:
    """Returns the last token before place j that is no space and opens nothing."""
    passed = (k for k in range(j - 1, -1, -1) if tokens[k].kind != "space")
    return next((tokens[k] for k in passed if tokens[k].text not in _OPENING), _END)


def _after(tokens: Sequence[Token], j: int) -> Token:
    return tokens[j + 1] if j + 1 < len(tokens) else _END


def _words_from(tokens: Sequence[Token], j: int) -> tuple[list[str], bool]:
    """Returns what is said from a word on, and whether the word is a function's, as in "f(x)"."""
    words = [token.text for token in tokens[j : j + 8] if token.kind != "space"]
    return words, _after(tokens, j).text == "("


def _behind_word(
    tokens: Sequence[Token], j: int, before: Before, signed: bool, spaced: bool
) -> Before | None:
    word = tokens[j].text
    low, previous = word.lower(), _before(tokens, j)
    if not spaced:
        is_currency = word in CURRENCY_CODES and not signed
        is_plain = UNSPACED.match(word[-1]) and not UNSPACED_BEFORE.search(word)
        if len(word) < 3 and j and tokens[j - 1].kind == "number":
            return None  # 1米8 is 1.8 m
        return before if is_currency or (is_plain and not before.brackets and not signed) else None
    if low in ("minus", "negative") and not signed:
        is_operand = previous.kind in ("number", "command") or is_variable(previous.text)
        return None if is_operand else before._replace(sign=-1, first=j)
    if before.brackets == "(" and low in COUNTS:
        return before  # eighteen (18)
    if low in CHANGES_BEFORE or word in MONTHS or low.endswith(("n't", "n’t")):
        return None
    if low in ("of", "de", "di") and (
        previous.text.lower() in PARTS or re.search(r"\d|[%°]", previous.text)
    ):
        return None
    if low in ("and", "to") and (previous.text.lower() in COUNTS | PARTS):
        return None  # three and 1/2, quarter to 6
    return None if is_variable(word) or UNSPACED_BEFORE.search(low) else before


def _is_plain_sign(tokens: Sequence[Token], j: int, signed: bool, spaced: bool) -> bool:
    """Tells whether a sign before a number leaves it as it is."""
    text = tokens[j].text
    beside = tokens[j - 1] if j else _END
    if text in _GIVES:
        is_known = beside.kind != "other" or beside.text in _CLOSING or beside.text in "\n=:?.|"
        return is_known and not text == beside.text == "~"
    if text == ":":  # 12:00 and 3 : 2, but "Step 3: 18"
        is_ratio = beside.kind == "number" and not spaced
        return not is_ratio and not (beside.kind == "space" and _before(tokens, j).kind == "number")
    if text in ("|", "&"):
        return spaced
    if text in (")", "]", "}", "%", "°"):
        return spaced and not signed
    if text == ",":  # (x, 5)
        return spaced and beside.kind != "command" and not is_variable(beside.text)
    if text in (".", ";", "!", "?"):
        return spaced
    if text in ("*", "#"):  # an item of a list, a heading
        return spaced and beside.text == "\n"
    if text in _EMPHASIS:  # "**Total** 18", but "2** 18"
        return spaced and beside.kind not in ("space", "number")
    if text in _CLOSING:
        return spaced
    is_dash = text in "—―" and not spaced
    is_between = _before(tokens, j).kind == "number"  # 1<U+034F>8, 3 ✖ 5
    return _is_plain_mark(text) and not (is_dash or is_between)


def _is_plain_mark(text: str) -> bool:
    """Tells whether a sign is punctuation of another script, or a picture."""
    category = unicodedata.category(text[0])
    is_harmless = (
        category[0] == "P" or (category == "So" and not _LETTERED.match(text)) or text == "\ufe0f"
    )
    return is_harmless and not text.isascii() and text[0] not in _OPERATORS


def is_plain_behind(tokens: Sequence[Token], i: int, brackets: str) -> bool:
    """Tells whether what stands behind a number leaves it as it is."""
    j, spaced, closed = i + 1, False, ""
    while j < len(tokens):
        kind, text, _ = tokens[j]
        if kind == "space":
            spaced = True
        elif text in _CLOSING and (not spaced or text in ")]}%°" or text in CURRENCY):
            closed += text
            spaced = False
        else:
            break
        j += 1
    if closed.count("%") > 1:
        return False
    if brackets and "," in tokens[i].text and closed[:1] in (")", "]", "}"):
        return False  # (1,200) may be two numbers
    if j == len(tokens) or tokens[j].text == "\n" or tokens[j].kind == "tag":
        return True
    kind, text, _ = tokens[j]
    is_money = (i > 0 and tokens[i - 1].text in CURRENCY) or not CURRENCY.isdisjoint(closed)
    if "°" in closed and text in ("C", "F", "K"):
        return True
    if text.lower().replace("’", "'") in ("am", "pm", "noon", "o'clock") and "." in tokens[i].text:
        return False  # 3.30 pm
    if kind == "unit" and _after(tokens, j).kind in ("word", "number"):
        return False  # 18 m^2x
    if kind in ("word", "unit"):
        if spaced or closed[-1:] in ('"', "”", "»"):
            return not (is_money and text in LETTER_UNITS) and is_plain_word(
                *_words_from(tokens, j)
            )
        if not text.isascii():
            return is_known_word(_words_from(tokens, j)[0])
        return re.split(r"[\s^]", text)[0] in GLUED_UNITS and not closed.strip("%")
    if kind == "name":  # 18 m2
        return spaced and re.split(r"\d", text)[0] in GLUED_UNITS | LETTER_UNITS
    if kind != "other":
        return spaced and kind != "command"
    if text == "!":
        is_factorial = not (is_money or "%" in closed or re.search(r"[.,]", tokens[i].text))
        return not (spaced or is_factorial or _after(tokens, j).text == "$")
    return _is_plain_sign_behind(tokens, j, spaced)


def _is_plain_sign_behind(tokens: Sequence[Token], j: int, spaced: bool) -> bool:
    text = tokens[j].text
    behind, further = _after(tokens, j), _after(tokens, j + 1)
    if text == "-" and spaced:  # a dash
        return behind.kind == "space" and further.kind == "word" and not is_variable(further.text)
    if text in ("-", "/"):  # 18-inch, 18/day
        is_word = behind.kind == "word" and len(behind.text) > 1
        return not spaced and is_word and is_plain_word(*_words_from(tokens, j + 1))
    if text in _BRACKETS:  # 9 (apples)
        k = j + 2 if behind.kind == "space" else j + 1
        return (
            spaced
            and k < len(tokens)
            and tokens[k].kind == "word"
            and is_plain_word(*_words_from(tokens, k))
        )
    if text == ":" and spaced:
        return behind.kind != "number" and further.kind != "number"
    if text in (".", ",", ";", ":", "?"):
        k = j + 1
        while k < len(tokens) and tokens[k].text in _CLOSING:
            k += 1
        if text == "." and further.text != "May" and is_month(further.text):
            return False  # 3. Mai
        is_list = further.kind == "command" or is_variable(further.text)
        if text in (",", ";") and is_list:  # [2, \infty), (5, x)
            return False
        return k == len(tokens) or tokens[k].kind in ("space", "tag") or tokens[k].text == "\n"
    if text in ("|", "&", "—", "―"):
        return spaced
    return text in _GIVES or text in _OPENING or text in _CLOSING or _is_plain_mark(text)
