"""Cells that spell a list are lists; those that only look like one are refused."""

from __future__ import annotations

import pytest

from textenv.datasets.formats.cells import list_in_cell
from textenv.errors import DatasetError


@pytest.mark.parametrize(
    "cell",
    [
        "array(['a', 'b'], dtype=object)",
        "np.array(['a'])",
        "('a', 'b')",
        "('a',)",
        "(nan, 'b')",
        "[nan, 'b']",
        "[None 'b']",
        "[ 'a' 'b' ]",
        "[u'a' u'b']",
        "[7 'b']",
        "[foo, 'b']",
        "[np.str_('a'), np.str_('b')]",
        "[list(['a']) list(['b'])]",
        "<StringArray>\n['a', 'b']\nLength: 2",
        "['a'].",
        '["a", "b"],',
        "[“a”, “b”]",
        "(“a”, “b”)",
        "[‘a’, ‘b’]",
        "[「a」、「b」]",
        "{'a', 'b'}",
        "['a', ...]",
        "['a', 'b'",
        '["a", "b',
        "['a",
        '{"a": 1',
        "[['a' 'b']\n ['c' 'd']]",
        '["He said "no"", "b"]',
        "\ufeff['a' 'b']",
    ],
)
def test_a_cell_that_looks_like_a_list_and_is_none_is_refused(cell):
    with pytest.raises(DatasetError, match="'answers' looks like a list"):
        list_in_cell("answers", cell)


@pytest.mark.parametrize(
    "cell",
    [
        "[sic] he said",
        "(see above)",
        "('90s music)",
        "['90s music] was played",
        "{'90s music} was played",
        '("Yes," she said.) Then',
        '("Hamlet", a play) is old',
        '("Hamlet", "Macbeth") are plays',
        '("a" or "b")',
        '["sic"] he said',
        "[“Yes,” he said] and left",
        '[He said "no"]',
        '[1] "Quoted" text',
        "[None of the above]",
        "[...]",
        "[1, 2]",
        "(1, 2)",
        "[0, 1)",
        "[a] b [c]",
        "{x | x > 2}",
        "array of sensors",
        "list(s) of names",
        'print(["a"])',
    ],
)
def test_prose_that_begins_with_a_bracket_stays_text(cell):
    assert list_in_cell("answers", cell) == cell


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        (' [ "a", "b" ] ', ["a", "b"]),
        ("['a', \"it's\"]", ["a", "it's"]),
        ("[7, 'b', None]", [7, "b", None]),
        ('\u200b["a"]', ["a"]),
    ],
)
def test_a_list_in_json_or_python_is_read(cell, value):
    assert list_in_cell("answers", cell) == value
