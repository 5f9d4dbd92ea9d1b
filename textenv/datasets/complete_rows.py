"""Which rows have a value in every needed field: read from Arrow's buffers where rows lie there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from textenv.datasets.columns import paths_of

if TYPE_CHECKING:
    from textenv.datasets.reading import Table
    from textenv.datasets.rows import RowReader

Mask = np.ndarray[Any, np.dtype[np.bool_]]

_BATCH = 10_000

# A character that is not blank; a text is searched up to its first, so long ones cost no more.
_INK = r"[^\s\p{Z}\x{0b}\x{1c}-\x{1f}\x{85}]"


def present_rows(table: Table, reader: RowReader) -> Mask:
    """Returns, for each row, whether it has a value in every needed field, bool (n_rows,)."""
    fields = reader.fields
    needed = [
        sorted(paths_of(fields.columns[name])) for name in reader.needed if name not in fields.fill
    ]
    if not hasattr(table.rows, "with_format"):
        return np.fromiter((reader.is_complete(row) for row in table.scan()), np.bool_)
    paths = [path for field_paths in needed for path in field_paths]
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
