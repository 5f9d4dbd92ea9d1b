"""What decides the split of each example, where a column groups them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]


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
