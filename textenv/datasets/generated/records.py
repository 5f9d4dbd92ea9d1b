"""The generated set "records": slots of a restaurant, a person, a match or a product, as text.

A text gives every slot one predicate ("serves Thai food"), one or two of them a sentence. The
other candidates change one value, another, or both, so that no candidate looks more like the
others than the right one does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from textenv.datasets.generated.procedural import GradedGenerator, Picker
from textenv.datasets.generated.record_kinds import KINDS, Kind
from textenv.errors import ConfigError

_COUNTS = {"easy": 3, "medium": 5, "hard": 7}
_FEWEST, _MOST = 3, 7


@dataclass(frozen=True)
class RecordsGenerator(GradedGenerator):
    """Rows for `DataTask`: "slots", two "references", "values" and four "candidates".

    Attributes:
        difficulty: Number of slots: 3 ("easy"), 5 ("medium") or 7 ("hard").
        n_slots: Number of slots, from 3 to 7, in place of the difficulty's.
    """

    n_slots: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        n = self.n_slots
        if n is not None and (isinstance(n, bool) or n not in range(_FEWEST, _MOST + 1)):
            raise ConfigError(f"n_slots is {n!r}; a record has {_FEWEST} to {_MOST} of them.")

    def sample(self, rng: np.random.Generator) -> tuple[str, Mapping[str, Any]]:
        """Draws a record; its slots, as they are shown, decide the split."""
        picker = Picker(rng)
        kind = picker.pick(KINDS)
        n_slots = self.n_slots or _COUNTS[self.difficulty]
        names = picker.distinct(tuple(kind.predicates), n_slots - len(kind.subjects))
        subject = kind.draw_subject(picker)
        pairs = {name: picker.distinct(kind.values[name], 2) for name in names}
        slots = {**subject, **{name: right for name, (right, _) in pairs.items()}}
        wordings = tuple(picker.below(2) for _ in names)
        by_two = picker.below(3) > 0
        said = _tell(kind, slots, names, wordings)
        # The second value drawn is wrong; a record with one predicate has its subject wrong.
        changed = (
            picker.distinct(names, 2) if len(names) > 1 else (*names, next(iter(kind.subjects)))
        )
        wrong = {name: pairs[name][1] for name in names}
        if changed[1] in subject:
            wrong |= kind.draw_subject(picker)
            if wrong[changed[1]] == subject[changed[1]]:
                return self.sample(rng)
        texts = [_join(kind, slots, said, by_two)]
        for edited in (changed[:1], changed[1:], changed):
            edited_slots = {**slots, **{name: wrong[name] for name in edited}}
            edited_said = [
                kind.predicate(name, wrong[name], wording) if name in edited else predicate
                for name, wording, predicate in zip(names, wordings, said, strict=True)
            ]
            texts.append(_join(kind, edited_slots, edited_said, by_two))
        other = _tell(kind, slots, names, [1 - wording for wording in wordings])
        row = {
            "slots": slots,
            "references": [texts[0], _join(kind, slots, other, not by_two)],
            "values": {name: kind.values[name] for name in names if name not in kind.numeric},
            "candidates": picker.distinct(tuple(texts), len(texts)),
        }
        return "\n".join(f"{slot}: {value}" for slot, value in slots.items()), row


def _tell(
    kind: Kind, slots: Mapping[str, str], names: Sequence[str], wordings: Sequence[int]
) -> list[str]:
    """Returns the predicates of some slots."""
    return [
        kind.predicate(name, slots[name], wording)
        for name, wording in zip(names, wordings, strict=True)
    ]


def _join(kind: Kind, slots: Mapping[str, str], said: Sequence[str], by_two: bool) -> str:
    """Makes sentences of predicates, one or two in each."""
    step = 2 if by_two else 1
    groups = [" and ".join(said[k : k + step]) for k in range(0, len(said), step)]
    pronoun = kind.pronoun(slots)
    later = [f" {pronoun} {group}." for group in groups[1:]]
    return f"{kind.subject(slots)} {groups[0]}.{''.join(later)}"
