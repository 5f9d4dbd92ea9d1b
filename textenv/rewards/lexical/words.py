"""Splits text into words; every character of Chinese, Japanese and Korean text is one."""

from __future__ import annotations

import re

# Han with its marks, kana, Hangul syllables, and the full-width digits and letters set among them.
CJK_CLASS = (
    r"\u3005-\u3007\u3041-\u3096\u30a1-\u30fa\u30fc-\u30fe\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    r"\uac00-\ud7a3\uf900-\ufaff\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff66-\uff9f"
    r"\U00020000-\U0003ffff"
)
# A run of letters, digits and their marks, or one mark of punctuation.
_TOKEN = re.compile(r"[\w\u0300-\u036f\u0900-\u1dff]+|[^\w\s]")
_CJK = re.compile(f"[{CJK_CLASS}]")


def has_cjk(text: str) -> bool:
    """Tells whether a text holds a Chinese, Japanese or Korean character."""
    return not text.isascii() and _CJK.search(text) is not None


def space_cjk(text: str) -> str:
    """Sets a space on both sides of every Chinese, Japanese or Korean character."""
    return text if text.isascii() else _CJK.sub(r" \g<0> ", text)


def tokens(text: str) -> list[str]:
    """Returns the words and the punctuation marks of a text in any script, in lower case."""
    return _TOKEN.findall(space_cjk(text.lower()))


def normalised(text: str) -> str:
    """Returns a text without differences of case and white space."""
    return " ".join(text.split()).casefold()
