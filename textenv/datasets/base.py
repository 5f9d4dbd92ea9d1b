"""The contract of a dataset: a fixed number of examples, each a pure function of its index."""

from __future__ import annotations

import hashlib
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from textenv.examples import Example

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

# Tenths of all content: 0-7 train, 8 validation, 9 test.
_PLACES = (0, 0, 0, 0, 0, 0, 0, 0, 1, 2)


class TextDataset(Protocol):
    """One split of a dataset."""

    def __len__(self) -> int:
        """The number of examples."""
        ...

    def __getitem__(self, index: int) -> Example:
        """The example at `index`; the same one at every call, in every process."""
        ...


def hash_of(content: str) -> int:
    """Hashes content to a whole number of 64 bits."""
    # Half a surrogate pair, which JSON may hold, is content, too.
    spelled = content.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(spelled, digest_size=8).digest())


def split_numbers(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Returns the place in `SPLITS` of content with such hashes."""
    places: NDArray[np.int64] = np.array(_PLACES)[hashes % np.uint64(len(_PLACES))]
    return places


def split_of(content: str) -> Split:
    """Assigns content to a split by its hash, so that splits are disjoint by construction."""
    return SPLITS[_PLACES[hash_of(content) % len(_PLACES)]]
