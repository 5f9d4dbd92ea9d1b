"""Finds the rows that have a value in every needed field, by Arrow where the table is Arrow's."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from textenv.datasets.columns import FieldMap, paths_of
from textenv.datasets.reading import Table

Mask = np.ndarray[Any, np.dtype[np.bool_]]

_BATCH = 10_000

# A character that is not blank; a text is searched up to its first, so long ones cost no more.
_INK = r"[^\s\p{Z}\x{0b}\x{1c}-\x{1f}\x{85}]"


def complete_rows(table: Table, fields: FieldMap, needed: Collection[str]) -> Mask:
    """Returns, for each row, whether it has a value in every needed field, bool (n_rows,)."""
    if not hasattr(table.rows, "with_format"):
        return np.fromiter((fields.has_all(row, needed) for row in table.scan()), np.bool_)
    columns = [fields.columns[name] for name in needed if name not in fields.fill]
    paths = [path for column in columns for path in paths_of(column)]
    if not paths:
        return np.ones(len(table.rows), np.bool_)
    rows = table.narrowed(paths).rows.with_format("arrow")  # type: ignore[attr-defined] # a Dataset, as was asked above
    masks = []
    for batch in rows.iter(batch_size=_BATCH):
        mask = np.ones(batch.num_rows, np.bool_)
        for path in paths:
            keys = [path] if path in batch.column_names else path.split(".")
            mask &= _present(batch[keys[0]].combine_chunks(), keys[1:])
        masks.append(mask)
    return np.concatenate(masks) if masks else np.ones(0, np.bool_)


def _present(values: Any, keys: list[str]) -> Mask:
    """Tells which values of an Arrow array are there, at a path into them: not null, not blank."""
    import pyarrow
    import pyarrow.compute

    kind = values.type
    if pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind):
        inner = _present(pyarrow.compute.list_flatten(values), keys)
        parents = pyarrow.compute.list_parent_indices(values).to_numpy(zero_copy_only=False)
        return np.bincount(parents[inner], minlength=len(values)).astype(np.bool_)
    if keys:
        if not pyarrow.types.is_struct(kind) or kind.get_field_index(keys[0]) < 0:
            return np.zeros(len(values), np.bool_)
        return _present(pyarrow.compute.struct_field(values, keys[0]), keys[1:])
    if pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind):
        found = pyarrow.compute.match_substring_regex(values, _INK)
        return np.asarray(found.fill_null(False).to_numpy(zero_copy_only=False), np.bool_)
    return np.asarray(values.is_valid().to_numpy(zero_copy_only=False), np.bool_)
