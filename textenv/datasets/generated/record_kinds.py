"""What the generated records are about: slots, their values, and the words that tell them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textenv.datasets.generated.procedural import Picker
from textenv.datasets.generated.tables import Texts, load_table
from textenv.datasets.generated.words import WOMEN


@dataclass(frozen=True)
class Kind:
    """One kind of record; see records.yaml."""

    template: str
    subjects: Mapping[str, tuple[Texts, ...]]
    values: Mapping[str, Texts]
    predicates: Mapping[str, tuple[str, str] | dict[str, tuple[str, str]]]
    numeric: frozenset[str]

    def draw_subject(self, picker: Picker) -> dict[str, str]:
        """Draws the values of the subject's slots."""
        return {
            slot: " ".join(picker.pick(part) for part in parts)
            for slot, parts in self.subjects.items()
        }

    def subject(self, slots: Mapping[str, str]) -> str:
        """Names what the record is about."""
        return self.template.format(*(slots[name] for name in self.subjects))

    def pronoun(self, slots: Mapping[str, str]) -> str:
        """Returns the word for it in later sentences."""
        if self is not PERSON:
            return "It"
        return "She" if slots["name"].split()[0] in WOMEN else "He"

    def predicate(self, slot: str, value: str, wording: int) -> str:
        """Tells a slot's value in one of two wordings."""
        forms = self.predicates[slot]
        if isinstance(forms, dict):
            return forms[value][wording]
        return forms[wording].format(value)


_KINDS = load_table("records", dict[str, Kind])

PERSON = _KINDS["person"]
KINDS = tuple(_KINDS.values())
