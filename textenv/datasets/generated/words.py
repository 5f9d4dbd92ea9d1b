"""Short common words that several generated datasets share; words.yaml holds them."""

from __future__ import annotations

from textenv.datasets.generated.tables import load_table

_WORDS = load_table("words", dict[str, tuple[str, ...]])

WOMEN = _WORDS["women"]
MEN = _WORDS["men"]
FIRST_NAMES = _WORDS["first_names"]
LAST_NAMES = _WORDS["last_names"]
TOWNS = _WORDS["towns"]
DAYS = _WORDS["days"]
MONTHS = _WORDS["months"]
JOBS = _WORDS["jobs"]
COLORS = _WORDS["colors"]
