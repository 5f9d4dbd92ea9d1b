"""JSON of others is read, or an error is a ValueError."""

from __future__ import annotations

import json

import pytest

from textenv.plain_json import DEEPEST, load_json


@pytest.mark.parametrize("value", [None, 1, "ж", [1, {"a": [True]}], {"k": list(range(200))}])
def test_plain_json_is_read(value):
    assert load_json(json.dumps(value)) == value
    assert load_json(json.dumps(value).encode("utf-8-sig")) == value


@pytest.mark.parametrize("n", [DEEPEST + 1, 500, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_deeper_than_anything_meant_is_refused(n, opening, closing):
    with pytest.raises(ValueError, match="nested too deeply"):
        load_json(opening * n + "1" + closing * n)
    load_json(opening * DEEPEST + "1" + closing * DEEPEST)


@pytest.mark.parametrize("text", ["", "{", b"\xff", "9" * 10_000, "[1,]"])
def test_what_is_no_json_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"column|codec|digits"):
        load_json(text)
