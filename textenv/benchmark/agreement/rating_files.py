"""Reads files of rated texts: one's own rows, and published sets as their repositories ship them.

Whatever the file, a row has `prompt`, `response`, `references`, `item`, `system` and a column for
each rating. Known layouts of others, told by their keys:

- SummEval (Fabbri et al. 2021), `model_annotations.aligned.paired.jsonl`: the experts' ratings are
  columns such as "coherence", the crowd's "turker_coherence"; lists of annotators;
- the pickles of BARTScore (Yuan et al. 2021): SummEval, REALSumm, Newsroom, QAGS, Rank19, BAGEL,
  SFHOT, SFRES, and WMT's pairs of a better and a worse translation;
- REALSumm (Bhandari et al. 2020), `scores_dicts/abs.pkl` and `ext.pkl`: scores of metrics become
  columns, too;
- UniEval (Zhong et al. 2022), `reproduce/data`: dialogue (Topical-Chat), summaries, data to text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from textenv.benchmark.agreement.plain_pickle import load_plain_pickle
from textenv.benchmark.agreement.sheet import join_key
from textenv.datasets.formats.files import is_readable, read_files
from textenv.datasets.formats.text_files import ReadOptions
from textenv.errors import ConfigError

Row = Mapping[str, Any]

_PICKLES = (".pkl", ".pickle")
_SENTENCE_MARK = re.compile(r"\s*(?:</?t>\s*)+")


def read_rated_rows(path: Path) -> list[Row]:
    """Reads a file of rated texts, of any layout above; JSON, JSON Lines, CSV, Parquet or a pickle.

    Raises:
        ConfigError: The file cannot be read, or has no rows.
        DatasetError: A row cannot be read.
    """
    if not path.is_file():
        raise ConfigError(f"'{path}' is no file. Name a file of rated texts.")
    if path.suffix.lower() in _PICKLES:
        rows = list(_rows_of_pickle(load_plain_pickle(path), path))
    elif is_readable(path):
        table = read_files(path.name, [path], ReadOptions())
        if table.refused:
            raise ConfigError(f"{table.refused[0].where}: {table.refused[0].reason}.")
        rows = join_key([_row_of_file(row) for row in table.scan()], path)
    else:
        raise ConfigError(
            f"'{path}' does not end like a file that can be read, such as .jsonl, .json, .csv, "
            f".parquet or {_PICKLES[0]}."
        )
    if not rows:
        raise ConfigError(f"'{path}' has no rows.")
    return rows


def _row_of_file(row: Row) -> Row:
    if "decoded" in row and "expert_annotations" in row:
        return _row_of_summeval(row)
    if "system_output" in row and isinstance(row.get("scores"), Mapping):
        return _row_of_unieval(row)
    return row


def _row_of_summeval(row: Row) -> Row:
    ratings: dict[str, list[Any]] = {}
    for prefix, key in (("", "expert_annotations"), ("turker_", "turker_annotations")):
        for annotation in row.get(key) or ():
            for name, value in annotation.items():
                ratings.setdefault(prefix + name, []).append(value)
    references = row.get("references") or row.get("reference") or ()
    return {
        "item": row.get("id"),
        "system": row.get("model_id"),
        "prompt": row.get("text") or "",
        "response": row["decoded"],
        "references": [references] if isinstance(references, str) else list(references),
        **ratings,
    }


def _row_of_unieval(row: Row) -> Row:
    reference = row.get("reference") or ()
    made: dict[str, Any] = {
        "item": str(row.get("doc_id", row.get("source"))),
        "prompt": row.get("source") or "",
        "response": row["system_output"],
        "references": [reference] if isinstance(reference, str) else list(reference),
        **row["scores"],
    }
    if "system_id" in row:
        made["system"] = str(row["system_id"])
    if "context" in row:
        made["context"] = row["context"]
    return made


def _rows_of_pickle(data: Any, path: Path) -> Iterator[Row]:
    if not isinstance(data, Mapping):
        raise _unknown(path)
    for key, document in data.items():
        if not isinstance(document, Mapping):
            raise _unknown(path)
        outputs = document.get("sys_summs", document.get("system_summaries"))
        if isinstance(outputs, Mapping):
            for system, output in outputs.items():
                text = output.get("sys_summ", output.get("system_summary"))
                yield _row_of_output(key, document, text, output) | {"system": str(system)}
        elif "sys_summ" in document:
            yield _row_of_output(key, document, document["sys_summ"], document)
        elif "better" in document and "worse" in document:
            better, worse = document["better"], document["worse"]
            yield {
                "item": document.get("src", key),
                "prompt": document.get("src", ""),
                "references": _references(document),
                "chosen": better["sys"],
                "rejected": worse["sys"],
                "chosen_system": better.get("sys_name"),
                "rejected_system": worse.get("sys_name"),
            }
        else:
            raise _unknown(path)


def _row_of_output(key: Any, document: Row, text: Any, scored: Row) -> dict[str, Any]:
    return {
        "item": str(key),
        "prompt": _plain(document.get("src", "")),
        "response": _plain(text),
        "references": _references(document),
        **scored.get("scores", {}),
    }


def _references(document: Row) -> list[str]:
    many = document.get("ref_summs") or document.get("refs")
    one = document.get("ref_summ") or document.get("ref")
    found: Sequence[Any] = many if isinstance(many, list) else [one] if one else []
    return [_plain(text) for text in found]


def _plain(text: Any) -> str:
    """Returns a text without REALSumm's marks about sentences."""
    return _SENTENCE_MARK.sub(" ", text).strip() if isinstance(text, str) else str(text)


def _unknown(path: Path) -> ConfigError:
    return ConfigError(
        f"'{path}' is a pickle of no known layout: a mapping of documents with 'sys_summs', "
        "'system_summaries', 'sys_summ', or 'better' and 'worse'. Write it as JSON Lines."
    )
