"""The generated set "rewrites": texts to fix, to simplify, or to put into another format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from textenv.datasets.generated.procedural import DIFFICULTIES, GradedGenerator, Picker
from textenv.datasets.generated.rewrite_fix import draw_fix
from textenv.datasets.generated.rewrite_format import draw_format
from textenv.datasets.generated.rewrite_simplify import draw_simplify
from textenv.errors import UnknownNameError

_DRAW = {"fix": draw_fix, "simplify": draw_simplify, "format": draw_format}


@dataclass(frozen=True)
class RewritesGenerator(GradedGenerator):
    """Rows for `RewriteTask`: "source", "target", "kind", "constraints", "keep", "candidates".

    Attributes:
        difficulty: Number of mistakes (1, 2, 4), clauses (2, 3, 4) or values (2, 3, 5).
        kind: Kind of rows; "mixed" draws each about equally often.
    """

    kind: Literal["mixed", "fix", "simplify", "format"] = "mixed"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in ("mixed", *_DRAW):
            raise UnknownNameError("kind", self.kind, ("mixed", *_DRAW))

    def sample(self, rng: np.random.Generator) -> tuple[str, Mapping[str, Any]]:
        """Draws a row; the text to rewrite decides the split."""
        picker = Picker(rng)
        kind = picker.pick(tuple(_DRAW)) if self.kind == "mixed" else self.kind
        row = _DRAW[kind](picker, DIFFICULTIES.index(self.difficulty))
        candidates = (row["target"], *row.pop("wrong"))
        if len(set(candidates)) < len(candidates) or row["source"] in candidates[:1]:
            return self.sample(rng)
        row |= {"kind": kind, "candidates": picker.distinct(candidates, len(candidates))}
        return row["source"], row
