"""The page of data sets, made of the list of generated ones and of those known by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from textenv.datasets import NAMED, PROCEDURAL, generator_class
from tools.docs_pages.environments import family_name, spec_text
from tools.docs_pages.markdown import entries_of, render_page
from tools.docs_pages.records import EnvironmentRecord


def render_datasets(records: Sequence[EnvironmentRecord]) -> str:
    """Returns the page."""
    tasks: dict[str, list[str]] = {}
    sets: dict[str, list[str]] = {}
    for record in records:
        dataset = record.row.kwargs.dataset
        tasks.setdefault(record.row.task, []).append(record.row.id)
        path: Any = dataset["path"] if isinstance(dataset, Mapping) else dataset
        sets.setdefault(path, []).append(record.row.id)
    generators = {name: generator_class(name) for name in PROCEDURAL}
    generated = [
        {
            "name": name,
            "generator": generator,
            "options": _options(generator),
            "ids": sets.get(name, []),
        }
        for name, generator in generators.items()
    ]
    families = {task: family_name(ids) for task, ids in tasks.items()}
    return render_page("datasets", generated=generated, named=NAMED, families=families)


def _options(generator: type[Any]) -> list[tuple[str, str, str]]:
    """Returns name, default and meaning of a generator's options, inherited ones included."""
    documented: dict[str, str] = {}
    for cls in reversed(generator.__mro__):
        documented |= entries_of(cls) if cls is not object else {}
    return [
        (
            field.name,
            "none" if field.default is None else spec_text(field.default),
            documented[field.name],
        )
        for field in dataclasses.fields(generator)
    ]
