"""The contract of a dataset: a fixed number of examples, each a pure function of its index."""

from __future__ import annotations

import hashlib
from typing import Literal, Protocol, get_args

from textenv.examples import Example

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

# Tenths of all content: 0-7 train, 8 validation, 9 test.
_VALIDATION_BUCKET, _TEST_BUCKET = 8, 9


class TextDataset(Protocol):
    """One split of a dataset."""

    def __len__(self) -> int:
        """The number of examples."""
        ...

    def __getitem__(self, index: int) -> Example:
        """The example at `index`; the same one at every call, in every process."""
        ...


def split_of(content: str) -> Split:
    """Assigns content to a split by its hash, so that splits are disjoint by construction."""
    # Half a surrogate pair, which JSON may hold, is content, too.
    spelled = content.encode("utf-8", "surrogatepass")
    bucket = int.from_bytes(hashlib.blake2b(spelled, digest_size=8).digest()) % 10
    if bucket == _VALIDATION_BUCKET:
        return "validation"
    return "test" if bucket == _TEST_BUCKET else "train"
