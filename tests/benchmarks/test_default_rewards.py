"""The pure parts of `benchmarks.default_rewards`."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benchmarks import default_rewards
from benchmarks.default_rewards import Found, load_found, main, table

FOUND = Found("TextX-v0", "rougeL", 1.0, 0.25, (0.2, 0.3), True, "a | b\nc", 2000, 200)


def test_a_rule_fits_into_a_cell_of_the_table() -> None:
    head, line, row = table([FOUND]).split("\n")
    assert head.count("|") == line.count("|") == 6
    assert row == "| TextX-v0 | `rougeL` | 1.00 | 0.25 [0.20, 0.30] | `a \\| b c` |"
    assert len(replace(FOUND, rule="x" * 999).row) < 300


def test_the_command_goes_on_from_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, searched = tmp_path / "out.json", []

    def search(id: str, budget: int, examples: int) -> Found:
        searched.append(id)
        return replace(FOUND, id=id, budget=budget, examples=examples)

    monkeypatch.setattr(default_rewards, "search", search)
    for ids in (["A", "B"], ["A", "B", "C"]):
        main(ids, path, 2000, 200)
    assert searched == ["A", "B", "C"]
    assert capsys.readouterr().out.count("| C |") == 1
    assert set(load_found(path, 2000, 200)) == {"A", "B", "C"}
    # Another budget is another search.
    assert load_found(path, 100, 200) == {}


def test_the_command_fails_where_a_rule_earns_too_much(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    bad = replace(FOUND, id="Bad", passes=False)
    path.write_text(json.dumps([asdict(FOUND), asdict(bad)]), encoding="utf-8")
    main([FOUND.id], path, 2000, 200)
    with pytest.raises(SystemExit, match="earns too much in Bad"):
        main([FOUND.id, "Bad"], path, 2000, 200)
