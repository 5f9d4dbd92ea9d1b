"""Divides examples into splits that share no prompt, and notes what a user should know of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textenv.datasets.base import SPLITS, Split, split_numbers
from textenv.datasets.examples import NO_PASSAGE, TableExamples

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Division:
    """The examples of each split."""

    owner: Mapping[Split, Split]  # split -> the declared split in whose table its examples are
    masks: Mapping[Split, Mask]  # over the examples of that table
    left_out: Mapping[Split, Mask]  # examples that are in no split, since another holds the prompt
    notes: tuple[str, ...]


def divide(
    tables: Mapping[Split, TableExamples], declared: Collection[Split], *, disjoint: bool
) -> Division:
    """Assigns every example of the tables that were read to a split.

    A declared split keeps its examples. Those that are not declared are taken from the training
    examples, by a hash of what the agent sees, or of the group. `disjoint` leaves out examples
    whose prompt stands in a later split, too.
    """
    left_out = {
        split: np.zeros(len(tables[split]), np.bool_) for split in SPLITS if split in tables
    }
    notes = []
    for place, held in enumerate(SPLITS):
        for learned in SPLITS[:place]:
            if held not in tables or learned not in tables:
                continue
            prompts = tables[held].prompts
            shared = np.isin(tables[learned].prompts, prompts)
            if disjoint:
                left_out[learned] |= shared
            elif shared.any():
                number = len(np.intersect1d(tables[learned].prompts, prompts))
                notes.append(
                    f"{number:,} of the {len(np.unique(prompts)):,} prompts of '{held}' stand in "
                    f"'{learned}', too. To leave them out of '{learned}': "
                    '{"path": ..., "disjoint": true}.'
                )
    owner: dict[Split, Split] = {split: split for split in left_out}
    masks: dict[Split, Mask] = {split: ~mask for split, mask in left_out.items()}
    if "train" in tables:
        numbers = split_numbers(tables["train"].keys)
        all_of_train = masks["train"]
        for number, split in enumerate(SPLITS):
            if split not in declared:
                owner[split], masks[split] = "train", all_of_train & (numbers == number)
                masks["train"] = masks["train"] & (numbers != number)
    return Division(owner, masks, left_out, tuple(notes))


def passages_note(found: TableExamples, division: Division, column: str) -> str | None:
    """Says how many texts that several examples share stand in more than one split, if any do."""
    if found.passages is None:
        return None
    total: set[int] = set()
    crossing: set[int] = set()
    n_examples = 0
    for split, owner in division.owner.items():
        if owner == "train":
            passages = found.passages[division.masks[split]]
            there = set(passages[passages != NO_PASSAGE].tolist())
            crossing |= total & there
            total |= there
            n_examples += len(passages)
    if not crossing:
        return None
    return (
        f"The {n_examples:,} examples share {len(total):,} texts in column '{column}', and "
        f"{len(crossing):,} of these stand in more than one split. To keep each in one: "
        f'{{"path": ..., "group": "{column}"}}.'
    )
