"""Running text as safe HTML: names stand out, may break where they are long, intervals may not."""

from __future__ import annotations

import re
from collections.abc import Iterable

from markupsafe import Markup, escape

_INTERVAL = r"\[[^\[\]\n]{1,30}\]"
_JOINT = re.compile(r"(?<=[_/.,:-])(?=\w)")


def emphasise(text: str, names: Iterable[str]) -> Markup:
    """Sets off each of the names in a text, and keeps "[0.1, 0.2]" on one line."""
    ordered = sorted((name for name in names if name), key=len, reverse=True)
    known = "|".join(re.escape(name) for name in ordered)
    pattern = rf"(?<!\w)({known})(?!\w)|({_INTERVAL})" if known else f"(?!)()|({_INTERVAL})"
    pieces: list[Markup] = []
    end = 0
    for match in re.finditer(pattern, text):
        pieces.append(escape(text[end : match.start()]))
        name, interval = match.groups()
        pieces.append(
            Markup("<b>{}</b>").format(breakable(name))
            if name
            else Markup('<span class="whole">{}</span>').format(interval)
        )
        end = match.end()
    return Markup("").join([*pieces, escape(text[end:])])


def breakable(name: str) -> Markup:
    """Lets a long name break after its underscores, slashes and the like."""
    return Markup("<wbr>").join(_JOINT.split(name))
