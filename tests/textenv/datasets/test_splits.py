"""Splits share nothing that the agent sees, and the report says what became of every row."""

from __future__ import annotations

import json
import logging
import unicodedata

import pytest

from textenv.datasets import SPLITS, load_dataset
from textenv.datasets.report import LoadReport
from textenv.errors import DatasetError
from textenv.tasks.continuation import ContinueTask
from textenv.tasks.data_to_text import DataTask
from textenv.tasks.dialogue import DialogueTask
from textenv.tasks.dialogue_select import DialogueSelectTask
from textenv.tasks.keywords import KeywordsTask
from textenv.tasks.math import MathTask
from textenv.tasks.qa import QATask
from textenv.tasks.qa_choice import QAChoiceTask
from textenv.tasks.rewrite import RewriteTask
from textenv.tasks.summarize import SummarizeTask
from textenv.tasks.translate import TranslateTask

N_PROMPTS, N_ROWS = 60, 3


def turns(*texts):
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]


# Task -> row j of prompt i; the rows of a prompt differ in what the agent does not see.
ROWS = {
    "summarize": (SummarizeTask(), lambda i, j: {"document": f"d {i}", "summary": f"s {i} {j}"}),
    "qa": (QATask(), lambda i, j: {"question": f"q {i}", "answer": f"a {j}", "id": f"{i}-{j}"}),
    "qa with a text": (
        QATask(unanswerable="none"),
        lambda i, j: {"context": f"c {i}", "question": "Who?", "answers": [f"a {j}"]},
    ),
    "choice": (
        QAChoiceTask(),
        lambda i, j: {"question": f"q {i}", "choices": ["a", "b", "c"], "answer": j},
    ),
    "math": (
        MathTask(),
        lambda i, j: {"question": f"q {i}", "answer": f"{j + 1} - 0 = {j + 1}\n#### 9"},
    ),
    "translate": (TranslateTask(), lambda i, j: {"src": f"one {i}", "tgt": f"eins {j}"}),
    "translation": (
        TranslateTask(),
        lambda i, j: {"translation": {"en": f"one {i}", "de": f"eins {j}"}},
    ),
    "keywords": (
        KeywordsTask(),
        lambda i, j: {"concepts": ["a", f"w{i}"], "target": f"a w{i} {j}"},
    ),
    "data": (DataTask(), lambda i, j: {"mr": f"name[n{i}], food[f]", "ref": f"n{i} has f {j}"}),
    "rewrite": (RewriteTask(), lambda i, j: {"source": f"he go {i}", "target": f"he goes {i} {j}"}),
    "continue": (
        ContinueTask(),
        lambda i, j: {"opening": f"once {i}", "continuation": f"there {j}", "label": 1},
    ),
    "cut": (
        ContinueTask(opening_words=2),
        lambda i, j: {"text": f"once {i} there was a {j}", "label": 1},
    ),
    "dialogue": (
        DialogueTask(),
        lambda i, j: {"turns": turns(f"hello {i}", f"hi {j}", "bye", f"ciao {j}")},
    ),
    "select": (
        DialogueSelectTask(),
        lambda i, j: {"context": f"hello {i}", "candidates": ["hi", f"no {j}"], "label": 0},
    ),
}


def write(path, rows):
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return path


def by_split(spec, task):
    found = {}
    for split in SPLITS:
        try:
            dataset = load_dataset(spec, task, split)
        except DatasetError as error:
            assert "is empty: none of" in str(error)  # noqa: PT017 - other errors are not expected
            continue
        found[split] = [dataset[i] for i in range(len(dataset))]
    return found


def test_a_reason_without_places_has_no_brackets():
    lines = LoadReport("a", 2, 1, {"its prompt is held out": 1}).lines()
    assert lines[-1] == "Skipped 1: its prompt is held out"


def report_of(spec, task, split="train") -> LoadReport:
    return load_dataset(spec, task, split).report


@pytest.mark.parametrize("name", ROWS)
def test_no_prompt_stands_in_two_splits_however_many_rows_it_has(tmp_path, name):
    task, row = ROWS[name]
    rows = [row(i, j) for j in range(N_ROWS) for i in range(N_PROMPTS)]
    path = write(tmp_path / "rows.jsonl", rows)
    found = by_split(path, task)
    prompts = [{task.opening(e) for e in examples} for examples in found.values()]
    assert len(found) == 3
    assert sum(map(len, prompts)) == len(set.union(*prompts)) == N_PROMPTS
    report = report_of(path, task)
    merged = report.kept - report.duplicates - report.merged
    assert sum(report.sizes.values()) == sum(map(len, found.values())) == merged
    assert report.rows_read == report.kept == len(rows)


@pytest.mark.parametrize(
    "name", ["summarize", "qa", "qa with a text", "translate", "keywords", "data", "rewrite"]
)
def test_rows_of_one_prompt_are_one_example_with_all_of_their_references(tmp_path, name):
    task, row = ROWS[name]
    path = write(
        tmp_path / "rows.jsonl", [row(i, j) for j in (0, 1, 2, 1) for i in range(N_PROMPTS)]
    )
    found = by_split(path, task)
    assert [len(e.references) for examples in found.values() for e in examples] == [3] * N_PROMPTS
    report = report_of(path, task)
    assert (report.duplicates, report.merged) == (N_PROMPTS, 2 * N_PROMPTS)
    assert not report.notes or "column 'context'" not in report.notes[0]


def test_rows_that_cannot_be_one_example_stay_on_one_side_and_it_is_said(tmp_path):
    task, row = ROWS["choice"]
    path = write(tmp_path / "rows.jsonl", [row(i, j) for i in range(50) for j in range(2)])
    report = report_of(path, task)
    assert sum(report.sizes.values()) == 100
    assert "the rows of 50 prompts stay several examples" in report.notes[0]


def test_prompts_that_look_the_same_are_one_prompt(tmp_path):
    forms = [
        "Où est le café de Zoë?",
        unicodedata.normalize("NFD", "Où est le café de Zoë?"),
        "  Où est le café de Zoë?\n",
        "Où  est le CAFÉ de Zoë?",
    ]
    rows = [{"question": text, "answer": f"a {i}"} for i, text in enumerate(forms)]
    found = by_split(write(tmp_path / "rows.jsonl", rows), QATask())
    ((_, examples),) = found.items()
    # Two spaces, or capitals, may be what a task is about: these rows are no one example.
    assert [e.references for e in examples] == [("a 0", "a 1", "a 2"), ("a 3",)]


@pytest.mark.parametrize("arguments", [{}, {"unanswerable": "not told"}])
def test_splits_do_not_depend_on_what_the_task_adds_to_the_prompt(tmp_path, arguments):
    rows = [{"question": f"q {i}", "answer": "a"} for i in range(80)]
    found = by_split(write(tmp_path / "rows.jsonl", rows), QATask(**arguments))
    expected = by_split(tmp_path / "rows.jsonl", QATask())
    assert {s: [e.id for e in found[s]] for s in found} == {
        s: [e.id for e in expected[s]] for s in expected
    }


def test_a_row_without_a_group_counts_by_itself(tmp_path):
    rows = [{"question": f"q {i}", "answer": "a", "doc": None} for i in range(80)]
    spec = {"path": write(tmp_path / "rows.jsonl", rows), "group": "doc"}
    assert by_split(spec, QATask()).keys() == set(SPLITS)


def test_of_a_large_set_on_disk_only_what_the_split_needs_is_read(tmp_path, monkeypatch):
    import datasets

    def rows(start, stop):
        return [{"question": f"q {i}", "answer": "a"} for i in range(start, stop)]

    parts = {"train": rows(0, 40), "test": rows(35, 60)}
    saved = {split: datasets.Dataset.from_list(part) for split, part in parts.items()}
    datasets.DatasetDict(saved).save_to_disk(tmp_path / "saved")
    spec = {"path": str(tmp_path / "saved")}
    assert "5 of the 25 prompts of 'test'" in report_of(spec, QATask()).notes[0]
    monkeypatch.setattr("textenv.datasets.loading._COMPARED", 50)
    for split, n_read in (("train", 40), ("test", 25)):
        report = report_of(spec, QATask(), split)
        assert (report.notes, report.rows_read, report.sizes["test"]) == ((), n_read, 25)
    disjoint = report_of({**spec, "disjoint": True}, QATask())
    assert sum(disjoint.skipped.values()) == 5


def test_groups_that_share_a_prompt_share_a_split(tmp_path):
    rows = [{"question": f"q {i}", "answer": "a", "doc": f"doc {i // 2}"} for i in range(120)]
    rows += [
        {"question": f"q {i}", "answer": "b", "doc": f"other {i % 2}"} for i in range(0, 120, 3)
    ]
    # The questions of "other 0" and of their documents are all in one split.
    spec = {"path": write(tmp_path / "rows.jsonl", rows), "group": "doc"}
    found = by_split(spec, QATask())
    split_of = {e.prompt: split for split, examples in found.items() for e in examples}
    assert len(split_of) == sum(map(len, found.values())) == 120
    assert all(split_of[f"q {i}"] == split_of[f"q {i + 1}"] for i in range(0, 120, 2))
    assert len({split_of[f"q {i}"] for i in range(0, 120, 6)}) == 1
    report = report_of(spec, QATask())
    assert report.merged == 40
    assert "40 prompts of 'rows' are in several groups" in report.notes[0]


def test_prompts_of_several_groups_are_counted(tmp_path):
    task, row = ROWS["math"]
    rows = [{**row(i, j), "doc": f"{i} {j}"} for i in range(60) for j in range(2)]
    spec = {"path": write(tmp_path / "rows.jsonl", rows), "group": "doc"}
    found = by_split(spec, task)
    prompts = [{e.prompt for e in examples} for examples in found.values()]
    assert sum(map(len, prompts)) == 60
    assert any(
        "60 prompts of 'rows' are in several groups" in note for note in report_of(spec, task).notes
    )


def test_texts_that_questions_share_are_counted_and_group_is_named(tmp_path):
    rows = [{"context": f"text {i % 40}", "question": f"q {i}", "answer": "a"} for i in range(400)]
    path = write(tmp_path / "rows.jsonl", rows)
    found = by_split(path, QATask())
    texts = [{e.metadata["context"] for e in examples} for examples in found.values()]
    crossing = sum(sum(text in there for there in texts) > 1 for text in set.union(*texts))
    (note,) = report_of(path, QATask()).notes
    assert note == (
        f"The 400 examples share 40 texts in column 'context', and {crossing} of these stand in "
        'more than one split. To keep each in one: {"path": ..., "group": "context"}.'
    )
    assert report_of({"path": path, "group": "context"}, QATask()).notes == ()


@pytest.fixture
def leaking(tmp_path):
    """A folder whose test split asks 12 of the training questions."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    write(folder / "train.jsonl", [{"question": f"q {i}", "answer": "a"} for i in range(100)])
    write(folder / "test.jsonl", [{"question": f" Q {i}", "answer": "b"} for i in range(88, 108)])
    return str(folder)


@pytest.mark.parametrize("split", SPLITS)
def test_declared_test_prompts_that_stand_in_train_are_said(leaking, split):
    (note,) = report_of(leaking, QATask(), split).notes
    assert note.startswith("12 of the 20 prompts of 'test' stand in 'train', too.")
    assert '"disjoint": true' in note


def test_disjoint_leaves_them_out_of_train_and_counts_them(leaking):
    spec = {"path": leaking, "disjoint": True}
    found = by_split(spec, QATask())
    held = {e.prompt.lower() for e in found["test"]}
    assert len(held) == 20
    assert not held & {e.prompt for s in ("train", "validation") for e in found[s]}
    report = report_of(spec, QATask())
    assert report.skipped == {"its prompt stands in a split that is held out": 12}
    assert (report.rows_read, report.kept, sum(report.sizes.values())) == (120, 108, 108)


def test_a_stream_divides_rows_as_the_set_read_whole_does(tmp_path):
    task, row = ROWS["math"]
    rows = [row(i, j) for j in range(2) for i in range(60)]
    path = write(tmp_path / "rows.jsonl", rows)
    whole = by_split(path, task)
    streamed = by_split({"path": path, "streaming": True, "rows": None}, task)
    assert {s: {e.id for e in found} for s, found in streamed.items()} == {
        s: {e.id for e in found} for s, found in whole.items()
    }


def test_the_report_counts_every_row_and_says_where_the_bad_ones_are(tmp_path, caplog):
    lines = [json.dumps({"question": f"q {i}", "answer": "a"}) for i in range(30)]
    lines[3] = lines[2]
    lines[5] = '{"question": "q", "answer": }'
    lines[7] = '{"question": "q 7", "answer": ["a", true]}'
    lines[9] = '{"question": "q 9", "answer": [false]}'
    lines[11] = '{"question": "q 12", "answer": "b"}'
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(lines))
    with caplog.at_level(logging.INFO, logger="textenv.datasets"):
        report = report_of({"path": path, "skip": "unusable"}, QATask())
    assert (report.rows_read, report.kept, report.duplicates, report.merged) == (30, 27, 1, 1)
    assert sum(report.sizes.values()) == 25
    bad, not_json = sorted(report.skipped, key=lambda reason: -report.skipped[reason])
    assert report.skipped[bad], report.skipped[not_json] == (2, 1)
    assert bad == "A row has answers of type bool; it must be a string"
    assert report.places[bad] == ("rows.jsonl, line 8", "rows.jsonl, line 10")
    assert report.places[not_json] == ("rows.jsonl, line 6",)
    assert report.lines()[0] == (
        f"{path}: 30 rows read, 27 kept, 3 skipped, 1 of them duplicates, 1 of them merged into "
        "another row's example."
    )
    assert [record.getMessage() for record in caplog.records] == list(report.lines())


def test_half_of_a_character_is_mended_and_counted(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"id": "\\ud83d", "question": "Q \\ude00?", "answer": ["\\ud83d\\ude00", "a\\ud83d"]}\n'
    )
    found = by_split(path, QATask())
    ((_, (example,)),) = found.items()
    assert (example.id, example.prompt) == ("\ufffd", "Q \ufffd?")
    assert example.references == ("\U0001f600", "a\ufffd")
    (split,) = found
    (note,) = report_of(path, QATask(), split).notes
    assert "became U+FFFD in 1 row of 'rows'" in note
