"""Hashes of what decides the split of an example: its prompt, or the group of its row."""

from __future__ import annotations

import json
import unicodedata
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textenv.datasets.base import hash_of
from textenv.datasets.columns import is_missing, value_at
from textenv.datasets.row import Row
from textenv.rewards.lexical.scripts import fold

Hashes = NDArray[np.uint64]

# Writes any value of a row as one text. One encoder for all: json.dumps would make one for each.
encode = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=str).encode


def prompt_hash(text: str) -> int:
    """Hashes what the agent sees; what only looks different, or is not seen, makes no other.

    That is capitals, spacing, forms of one character (composed or not, of full or half width) and
    what has no form (joiners, marks of direction, variation selectors).
    """
    if not text.isascii():
        text = fold(_unseen().sub("", text))
    text = " ".join(text.split()).casefold()
    return hash_of(text if text.isascii() else unicodedata.normalize("NFC", text))


@cache
def _unseen() -> Any:
    import regex

    return regex.compile(r"[\p{Cf}\p{Default_Ignorable_Code_Point}]+")


def group_hash(row: Row, group: str) -> int | None:
    """Hashes a row's value in the column `group`, if it has one."""
    value = value_at(row, group)
    return None if is_missing(value) else hash_of(encode(value))


def joined_groups(prompts: Hashes, groups: Hashes) -> tuple[Hashes, int]:
    """Joins groups that share a prompt, so that none of their prompts stands in two splits.

    Args:
        prompts: Hash of each example's prompt.
        groups: Hash of each example's group.

    Returns:
        The least hash of the groups that each example's group is joined with, its own included;
        and the number of prompts that stand in several groups.
    """
    _, prompt = np.unique(prompts, return_inverse=True)
    known, group = np.unique(groups, return_inverse=True)
    pairs = np.unique(np.stack([prompt, group]), axis=1)
    _, groups_of = np.unique(pairs[0], return_counts=True)
    n_joining = int((groups_of > 1).sum())
    if not n_joining:
        return groups, 0
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    size = len(known) + len(groups_of)
    ends = (pairs[1], len(known) + pairs[0])
    edges = coo_array((np.ones(pairs.shape[1]), ends), shape=(size, size))
    _, component = connected_components(edges, directed=False)
    least = np.full(component.max() + 1, np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(least, component[: len(known)], known)
    return least[component[group]], n_joining
