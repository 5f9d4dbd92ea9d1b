"""Responses of every kind to score, made from data sets' own texts.

A folder of data holds JSON lines: `summ_*.jsonl` (document, summaries), `mt_*.jsonl` (src, tgt,
tgt_lang) and `qa_*.jsonl` (context, answers). Without one, the generated sets of the package serve.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from textenv.datasets import make_generator

GENERATED_ROWS = 500
MOST_SOURCE_WORDS = 100
MARKS = (",", ".", ";", ":", "!", "?", "'", '"', "(", ")", "-", " - ", "...", "'s", "&", "%", "/")


@dataclass(frozen=True)
class Row:
    """A source, and what may be said about it.

    Attributes:
        source: A document, a sentence to translate, or a context.
        references: Summaries, a translation, or answers.
    """

    source: str
    references: tuple[str, ...]


@dataclass(frozen=True)
class TextSet:
    """Responses and their references.

    Attributes:
        name: What they are.
        n_rows: From how many rows they were made.
        responses: The responses; those of one row follow each other.
        references: The references of each.
    """

    name: str
    n_rows: int
    responses: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]

    def take_first(self) -> TextSet:
        """Keeps the first response of each row."""
        step = len(self.responses) // self.n_rows
        return TextSet(self.name, self.n_rows, self.responses[::step], self.references[::step])


def load_rows(folder: Path | None) -> dict[str, list[Row]]:
    """Returns the rows of each set, by the file's name or that of the generated set."""
    if folder is None:
        return dict(_generated_rows())
    found = {
        path.stem: [
            _row(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()
        ]
        for prefix in ("summ", "mt", "qa")
        for path in sorted(folder.glob(f"{prefix}_*.jsonl"))
    }
    if not found:
        raise SystemExit(f"{folder} has no file summ_*.jsonl, mt_*.jsonl or qa_*.jsonl.")
    return found


def _row(fields: dict[str, Any]) -> Row:
    if "summaries" in fields:
        return Row(fields["document"], tuple(fields["summaries"]))
    if "answers" in fields:
        return Row(fields["context"], tuple(fields["answers"]))
    return Row(fields["src"], (fields["tgt"],))


def _generated_rows() -> Iterator[tuple[str, list[Row]]]:
    columns = {
        "news": ("document", "summary"),
        "phrases-en-de": ("source", "target"),
        "phrases-en-zh": ("source", "target"),
        "facts": ("context", "answers"),
    }
    for name, (source, target) in columns.items():
        generator, rng = make_generator(name, {}), np.random.default_rng(0)
        samples = [generator.sample(rng)[1] for _ in range(GENERATED_ROWS)]
        yield name, [Row(str(row[source]), (str(row[target]),)) for row in samples]


def _shuffled(row: Row, other: Row, rng: np.random.Generator) -> str:
    return " ".join(rng.permutation(_pieces(row.references[-1])))


def _truncated(row: Row, other: Row, rng: np.random.Generator) -> str:
    return row.references[0][: rng.integers(len(row.references[0]) + 1)]


def _marked(row: Row, other: Row, rng: np.random.Generator) -> str:
    marks = iter(rng.choice(MARKS, size=2 * len(row.references[0])))
    pieces = _pieces(row.references[0])
    return "".join(f"{piece}{next(marks)}{' ' * rng.integers(2)}" for piece in pieces)


def _lines(row: Row, other: Row, rng: np.random.Generator) -> str:
    # References in another order of sentences, cut into lines as they come.
    pieces = _pieces(f"{other.references[0]} {row.references[-1]}")
    ends = rng.choice([" ", "\n", "\n\n"], size=len(pieces), p=[0.8, 0.15, 0.05])
    return "".join(piece + end for piece, end in zip(pieces, ends, strict=True))


def _pieces(text: str) -> list[str]:
    """Splits a text at spaces or, where there are none, into pieces of two characters."""
    return text.split() if " " in text else [text[i : i + 2] for i in range(0, len(text), 2)]


# The reference of another row, the lead of the source and the source itself come first, a doubled
# reference and nothing last.
KINDS: tuple[Callable[[Row, Row, np.random.Generator], str], ...] = (
    lambda row, other, rng: other.references[0],
    lambda row, other, rng: row.source.partition(". ")[0] + ".",
    lambda row, other, rng: " ".join(row.source.split()[:MOST_SOURCE_WORDS]),
    *(_shuffled, _truncated, _marked, _lines),
    lambda row, other, rng: f"{row.references[0]} {row.references[-1].upper()}",
    lambda row, other, rng: "",
)


def make_texts(name: str, rows: Sequence[Row], n_responses: int) -> TextSet:
    """Makes responses for each row, the same each time; over the rows all kinds take turns.

    Args:
        name: What the texts are.
        rows: Their rows.
        n_responses: How many a row, up to the number of kinds.
    """
    rng = np.random.default_rng(0)
    responses, references = [], []
    for i, row in enumerate(rows):
        for k in range(n_responses):
            kind = KINDS[(i + k) % len(KINDS)]
            responses.append(kind(row, rows[(i + 1) % len(rows)], rng))
            references.append(row.references)
    return TextSet(name, len(rows), tuple(responses), tuple(references))


def break_sentences(texts: TextSet) -> TextSet:
    """Sets every sentence on its own line, in responses and references."""
    return TextSet(
        f"{texts.name}, a line a sentence",
        texts.n_rows,
        tuple(_break(text) for text in texts.responses),
        tuple(tuple(map(_break, group)) for group in texts.references),
    )


def _break(text: str) -> str:
    for end in (". ", "? ", "! ", ", "):
        text = text.replace(end, f"{end[0]}\n")
    return text
