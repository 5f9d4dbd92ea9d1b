"""What about.json says of a run: versions, the data, and each warning once."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import numpy
import pytest
import torch

from agents.training import about
from agents.training.about import find_failure, hash_examples, noted
from textenv.examples import Example


class Core:
    """All that `describe_data` asks of an environment's slots."""

    def __init__(self, **splits):
        self._splits = splits

    def dataset(self, split):
        return self._splits[split]


def examples(n: int) -> list[Example]:
    return [Example(f"e{i}", f"prompt {i}", (f"reference {i}",)) for i in range(n)]


def test_it_holds_versions_data_and_what_the_packages_warn_of(tmp_path):
    out = tmp_path / "run"
    with noted(out) as found:
        logging.getLogger("textenv.datasets").warning("%d rows are %s.", 3, "cut")
        found.describe_data(Core(train=examples(5), test=examples(2)), ["train", "test"])
        out.mkdir()
        found.save()
        logging.getLogger("agents.ppo").warning("A step was skipped.")
        logging.getLogger("agents.ppo").warning("A step was skipped.")
        logging.getLogger("agents.ppo").info("All is well.")
    logging.getLogger("agents.ppo").warning("Too late.")
    content = json.loads((out / "about.json").read_text())
    assert content["warnings"] == ["3 rows are cut.", "A step was skipped."]
    assert content["versions"]["torch"] == torch.__version__
    assert content["versions"]["numpy"] == numpy.__version__
    assert content["data"] == {
        "train": {"examples": 5, "hash": hash_examples(examples(5))},
        "test": {"examples": 2, "hash": hash_examples(examples(2))},
    }


def test_a_run_that_goes_on_keeps_its_warnings_and_there_are_not_endlessly_many(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(about, "_MOST_WARNINGS", 2)
    for messages in (["a"], ["a", "b", "c", "d"]):
        with noted(tmp_path):
            for message in messages:
                logging.getLogger("agents").warning(message)
    told = json.loads((tmp_path / "about.json").read_text())["warnings"]
    assert told[:2] == ["a", "b"]
    assert len(told) == 3
    assert "more warnings than are kept" in told[2]


@pytest.mark.parametrize(
    ("error", "told", "failure"),
    [
        (KeyboardInterrupt(), None, ""),
        (ValueError("no data"), "ValueError: no data", "ValueError: no data"),
    ],
)
def test_it_tells_how_a_run_ended_early_until_it_goes_on(tmp_path, error, told, failure):
    def read():
        return json.loads((tmp_path / "about.json").read_text())

    with pytest.raises(type(error)), noted(tmp_path):
        raise error
    assert read()["ending"] == {"error": told}
    assert find_failure(read()) == failure
    with noted(tmp_path) as found:
        found.save()
    assert "ending" not in read()


def test_without_a_folder_nothing_is_written(tmp_path):
    with noted(tmp_path / "run"):
        logging.getLogger("agents").warning("The model cannot be loaded.")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize(
    "change", [{"id": "other"}, {"prompt": "other"}, {"references": ("other",)}]
)
def test_the_hash_tells_any_change_of_a_small_split(number, change):
    changed = examples(3)
    changed[number] = replace(changed[number], **change)
    assert hash_examples(changed) != hash_examples(examples(3))
    assert hash_examples(examples(3)) == hash_examples(examples(3))
    assert len(hash_examples(changed)) == 16


def test_of_a_large_split_the_hash_tells_a_row_more_and_examples_all_over_it():
    many = examples(2560)
    for number in (0, 1280, 2550):
        changed = list(many)
        changed[number] = replace(many[number], prompt="other")
        assert hash_examples(changed) != hash_examples(many)
    assert hash_examples(examples(2561)) != hash_examples(many)
