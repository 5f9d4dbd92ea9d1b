"""The word lists and sentences of the generated sets: YAML files, read strictly and lazily."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pydantic
import pytest
import yaml

from textenv.datasets.generated import tables
from textenv.datasets.generated.tables import Numbers, Texts, load_table
from textenv.errors import UnknownNameError

FOLDER = Path(tables.__file__).parent
FILES = sorted(FOLDER.glob("*.yaml"))


@dataclass(frozen=True)
class Row:
    name: str
    words: Texts
    sizes: Numbers = ()


@pytest.fixture
def read(monkeypatch):
    """Reads a text as if it were a table; words.yaml has the list `towns`, and `all`, it twice."""
    words = {"towns": ["Oslo", "Rome"], "all": ["$towns", "$towns"]}
    monkeypatch.setattr(tables, "_word_lists", lambda: words)

    def read(text: str) -> tuple[Row, ...]:
        monkeypatch.setattr(tables, "_read", lambda file: tables.load_yaml(text, fast=True))
        return load_table("rows", tuple[Row, ...])

    return read


def test_a_table_becomes_typed_records_with_tuples(read):
    rows = read("- {name: a, words: [b, c]}\n- {name: d, words: [], sizes: [1, 2]}")
    assert rows == (Row("a", ("b", "c")), Row("d", (), (1, 2)))


def test_the_name_of_a_list_stands_for_its_words(read):
    assert read("- {name: a, words: [x, $all, y]}")[0].words == (
        *("x", "Oslo", "Rome", "Oslo", "Rome", "y"),
    )
    with pytest.raises(UnknownNameError, match="There is no word list 'town'"):
        read("- {name: a, words: [$town]}")


def test_ranges_and_parts_are_written_out(read):
    ranged = read('- {name: a, words: {first: 5, last: 11, step: 5, text: "{} g"}, sizes: [1]}')
    assert ranged[0].words == ("5 g", "10 g")
    assert read("- {name: a, words: {parts: [[b, c], [$towns]]}}")[0].words == (
        *("b Oslo", "b Rome", "c Oslo", "c Rome"),
    )
    assert read("- {name: a, words: [], sizes: {first: 2, last: 4}}")[0].sizes == (2, 3, 4)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("- {name: a, words: [], wrods: []}", "`rows.yaml`.0.wrods"),  # an unknown key
        ("- {name: a}", "`rows.yaml`.0.words"),  # a missing one
        ("- {name: a, words: [true]}", "`rows.yaml`.0.words.0"),  # "true" is a text
        ("- {name: 7, words: []}", "`rows.yaml`.0.name"),
    ],
)
def test_a_mistake_is_refused_with_its_place(read, text, where):
    with pytest.raises(pydantic.ValidationError) as caught:
        read(text)
    assert where in str(caught.value)


def test_a_key_that_stands_twice_is_refused(read):
    with pytest.raises(yaml.YAMLError, match="the key 'name' stands twice"):
        read("- {name: a, name: b, words: []}")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_begins_with_what_it_holds(path):
    assert path.read_text("utf-8").startswith("# ")


def test_importing_textenv_reads_no_table():
    code = "import sys, textenv; print(*(m for m in sys.modules if '.generated' in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "\n")
    assert FILES
