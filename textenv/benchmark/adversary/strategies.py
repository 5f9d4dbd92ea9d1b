"""Rules from prompt to text: templates whose gaps the prompt fills, with no understanding of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from textenv.benchmark.adversary.offers import MOST, Offers

# A piece is a word or more of text, or "{name 2}": a part of the prompt, or "{each field|the {key}
# is {value}|. }": a frame for each member of a family and what stands between them.
Piece = str
Line = tuple[Piece, ...]  # the text of one turn

_PIECE = re.compile(r"\{[^{}]*\}|[^\s{}]+")
_SLOT = re.compile(r"\{([^{}|]+)\}")
_EACH = re.compile(r"\{each ([\w ]+)\|(.*)\|(.*)\}", re.DOTALL)
_SPACE_BEFORE = re.compile(r" +([.,;:!?])")
_START = re.compile(r"(^|[.!?] )([a-z])")


@dataclass(frozen=True)
class Strategy:
    """What to say in each turn; the last line is said again where an episode goes on."""

    lines: tuple[Line, ...]
    # Other lines for prompts of a certain kind.
    by_kind: Mapping[str, tuple[Line, ...]] = field(default_factory=dict)

    def write(self, offers: Offers, turn: int, kind: str = "") -> str:
        """Returns the text of a turn, from 0; gaps that the prompt cannot fill stay empty."""
        lines = self.by_kind.get(kind, self.lines)
        return write_line(lines[min(turn, len(lines) - 1)], offers)

    def describe(self) -> str:
        """Returns the rule in one text, turns and kinds of prompts apart."""
        if self.by_kind:
            rules = (f"{kind!r}: {_describe(lines)}" for kind, lines in self.by_kind.items())
            return "; ".join(rules)
        return _describe(self.lines)


def pieces_of(template: str) -> Line:
    """Splits a template such as "the {item 1} in {name 1} ." into its words and gaps."""
    return tuple(_PIECE.findall(template))


def write_line(line: Line, offers: Offers) -> str:
    """Fills a template from a prompt; sentences begin with a capital."""
    text = " ".join(filter(None, (_fill(piece, offers) for piece in line)))
    text = _SPACE_BEFORE.sub(r"\1", text).strip()
    return _START.sub(lambda found: found[1] + found[2].upper(), text)


def _fill(piece: Piece, offers: Offers) -> str:
    if "{" not in piece:
        return piece
    each = _EACH.fullmatch(piece)
    if each is not None:
        family, frame, between = each.groups()
        members = offers.families.get(family, ())
        return between.join(_fill_slots(frame, member) for member in members)
    return _fill_slots(piece, offers.parts)


def _fill_slots(frame: str, parts: Mapping[str, str]) -> str:
    return _SLOT.sub(lambda found: parts.get(found[1], ""), frame)


def abstract(text: str, offers: Offers, kinds: Sequence[str] = ("name", "number", "item")) -> Line:
    """Turns a text into a template: what it took from its prompt becomes a gap."""
    known = [
        (offers.parts[name], name)
        for kind in (*kinds, "value", "option", "quote", "word")
        for i in range(MOST)
        if (name := f"{kind} {i + 1}") in offers.parts
    ]
    known.sort(key=lambda pair: -len(pair[0]))
    pieces: list[Piece] = [text]
    for value, name in known:
        pattern = re.compile(rf"(?<!\w){re.escape(value)}(?!\w)", re.IGNORECASE)
        found: list[Piece] = []
        for piece in pieces:
            if piece.startswith("{"):
                found.append(piece)
                continue
            for k, part in enumerate(pattern.split(piece)):
                found += [f"{{{name}}}"] * (k > 0) + [part.strip()] * bool(part.strip())
        pieces = found
    return tuple(word for piece in pieces for word in ([piece] if "{" in piece else piece.split()))


def _describe(lines: tuple[Line, ...]) -> str:
    return " / ".join(" ".join(line) or "(nothing)" for line in lines)
