"""The data sets that are known by name: the generated ones, and well-known ones of the hub.

`gym.make("TextSummarize-v0", dataset="cnn_dailymail")` is all that a user writes. An entry is data
alone: where a set lies and how its columns are read, in keys of `textenv.datasets.spec.RowsSpec`,
which a user's own mapping may override. No code that comes with a data set is ever run; where the
main branch of a set is a script, the entry names the hub's own Parquet copy of it (the branch
`refs/convert/parquet`) or a mirror.

For people without a network, the same entry reads a copy:
`{"path": "my_copy.jsonl", "like": "cnn_dailymail"}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textenv.datasets.columns import Column
from textenv.strict_yaml import load_yaml_file

PROCEDURAL: Mapping[str, str] = {
    "news": "news:NewsGenerator",
    "facts": "facts:FactsGenerator",
    "facts-choice": "facts_choice:FactsChoiceGenerator",
    "word-problems": "word_problems:WordProblemsGenerator",
    "phrases": "phrases:PhrasesGenerator",
    "phrases-en-de": "phrases:GermanPhrases",
    "phrases-en-zh": "phrases:ChinesePhrases",
    "guests": "guests:GuestsGenerator",
    "replies": "replies:RepliesGenerator",
    "keywords": "keywords:KeywordsGenerator",
    "records": "records:RecordsGenerator",
    "reviews": "reviews:ReviewsGenerator",
    "stories": "stories:StoriesGenerator",
    "rewrites": "rewrites:RewritesGenerator",
}
"""Generated set -> its class in `textenv.datasets.generated`; its fields are the set's options."""


@dataclass(frozen=True)
class NamedDataset:
    """One well-known data set."""

    path: str  # Its Hugging Face id
    tasks: tuple[str, ...]  # The tasks that it suits, as "module:Class"
    note: str  # Its size, its licence, and what to know about the entry
    # Field of a task -> column; fields that the task at hand lacks are left aside.
    # "{source_language}", "{target_language}" and "{unanswerable}" stand for attributes of the
    # task, in "fill" as well
    columns: Mapping[str, Column]
    name: str | None = None  # The configuration that is read unless another is named
    configurations: tuple[str, ...] = ()  # All that there are; empty if there is but one
    # How a configuration names its two languages, as in "{}-{}"; the one that has the task's
    # languages is read unless another is named
    pair: str | None = None
    revision: str | None = None  # The branch, where it is not the main one
    # Our split -> its name for it; what is not listed is taken from the training rows
    splits: Mapping[str, str] = field(default_factory=dict)
    # Further keys of `RowsSpec` that the entry sets
    options: Mapping[str, Any] = field(default_factory=dict)


NAMED: Mapping[str, NamedDataset] = load_yaml_file(
    Path(__file__).with_name("named_datasets.yaml"), dict[str, NamedDataset]
)
