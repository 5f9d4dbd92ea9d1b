"""Files as people have them: delimiters, encodings, layouts of JSON, and values as written."""

from __future__ import annotations

import datetime
import gzip
import json
import os

import pytest

from textenv.datasets import SPLITS, load_dataset
from textenv.datasets.reading import quiet_datasets
from textenv.errors import DatasetError, TextEnvError
from textenv.tasks.continuation import ContinueTask
from textenv.tasks.dialogue import DialogueTask
from textenv.tasks.keywords import KeywordsTask
from textenv.tasks.math import MathTask
from textenv.tasks.qa import QATask
from textenv.tasks.qa_choice import QAChoiceTask
from textenv.tasks.summarize import SummarizeTask


def read(spec, task=None):
    """Returns every example of a set, in the order of its rows."""
    return [e for e, _ in _all(spec, task or QATask())]


def notes(spec, task=None):
    return _all(spec, task or QATask())[0][1].notes


def _all(spec, task):
    found = []
    for split in SPLITS:
        try:
            dataset = load_dataset(spec, task, split)
        except DatasetError as error:
            if "is empty: none of" not in str(error):
                raise
            continue
        order = [int(dataset.indices[start]) for start in dataset.starts[:-1]]
        found += [(row, dataset[i], dataset.report) for i, row in enumerate(order)]
    return [(e, report) for _, e, report in sorted(found, key=lambda item: item[0])]


def pairs(spec, task=None):
    return [(e.prompt, e.references) for e in read(spec, task)]


def error(spec, task=None):
    with pytest.raises(TextEnvError) as caught:
        load_dataset(spec, task or QATask(), "train")
    return str(caught.value)


def save(path, content, encoding="utf-8"):
    data = content if isinstance(content, bytes) else content.encode(encoding)
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return str(path)


TABLE = [("question", "answer"), ("Who, what?", "a; b"), ("Où?", "deux\nlignes"), ("q", 'say "x"')]
EXPECTED = [(q, (a,)) for q, a in TABLE[1:]]


def table(delimiter, end="\n"):
    def cell(text):
        quoted = text.replace('"', '""')
        return f'"{quoted}"' if set(text) & {delimiter, "\n", '"'} else text

    return "".join(delimiter.join(map(cell, row)) + end for row in TABLE)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("name", "delimiter"),
    [("a.csv", ","), ("a.csv", ";"), ("a.csv", "\t"), ("a.csv", "|"), ("a.tsv", "\t")],
)
def test_the_delimiter_the_mark_and_the_line_ends_are_found_out(
    tmp_path, name, delimiter, end, encoding
):
    assert pairs(save(tmp_path / name, table(delimiter, end), encoding)) == EXPECTED


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        ("sep=;\nquestion;answer\nWho;a, b\n", {}),
        ('sep=,\nquestion,answer\nWho,"a, b"\n', {}),
        ("question~answer\nWho~a, b\n", {"delimiter": "~"}),
        (" question ; answer ;;\nWho;a, b;;\n;;;\n\n", {}),
        (";question;answer\n0;Who;a, b\n", {}),
        ("Question;ANSWER\nWho;a, b\n", {}),
        ("question;answer;note, if any\nWho;a, b;x\n", {}),
        ("question;answer;;\nWho;a, b\n", {}),
        ("Who;a\n", {"header": ["question", "answer"]}),
        ('question\tanswer\nWho\ta, b\n"Say" it\tx\n', {"quotes": False}),
    ],
)
def test_tables_of_spreadsheets_are_read_as_they_are(tmp_path, content, keys):
    (question, (answer,)), *_ = pairs({"path": save(tmp_path / "a.csv", content), **keys})
    assert (question, answer.partition(",")[0]) == ("Who", "a")


def test_blank_lines_are_counted(tmp_path):
    path = save(tmp_path / "a.csv", "question,answer\n,\nWho,a\n \n")
    report = _all(path, QATask())[0][1]
    assert (report.rows_read, report.kept, report.skipped) == (3, 1, {"the line is blank": 2})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("question,answer,answer\nq,a,b\n", "several are named 'answer'"),
        ("question,answer, answer \nq,a,b\n", "several are named 'answer'"),
        ("question,answer,Id,ID\nq,a,1,2\n", "'Id' and 'ID' differ in capitals alone"),
        ("Question,QUESTION,answer\nq,r,a\n", '{"question": "Question"}'),
        ("Who?,me\nWhere?,here\n", 'if the first line is a row: {"header": [...]}'),
        ("question,answer\nq,a\nq,b,c\n", "line 3: the row has another number of cells than the"),
        ('question,answer\nq,a\n"q\n', "line 3: a quote in this row is never closed"),
        ('question,answer\n"a" b,c\n', "line 2: not valid CSV"),
        ('question\tanswer\n"q\ta\nr"\tb\n', "line 2: a quoted cell spans several rows"),
        ("question;answer|x\nq;a|b\n", "separated by a semicolon or a bar. Say which it is"),
        ("question,answer\nq,['a' 'b']\n", "looks like a list, but cannot be read as one"),
        ("question,answer\nq,{'text': array(['a'])}\n", "looks like a list, but cannot be read"),
        ("question,answer\nq,a\n\ufeffquestion, answer\nr,b\n", "line 3: the row is the header"),
        ("question,answer,\nq,a,\nquestion,answer\n", "line 3: the row is the header again"),
        ('question,answer\nq,"b"\nr, "a" b\n', "line 3: a blank stands before the quote"),
        ('question,answer\nq, "a\nr, b"\ns,c\n', "line 2: a blank stands before the quote"),
        ('question,answer\nq,\t"a"\n', "line 2: a blank stands before the quote"),
        ('question, "answer\nq,a\n', "line 1: a blank stands before the quote"),
    ],
)
def test_a_table_that_may_be_read_in_two_ways_is_refused(tmp_path, content, message):
    assert message in error(save(tmp_path / "a.csv", content))


@pytest.mark.parametrize(
    ("content", "answers"),
    [
        ('question,answer\nq, "a, b"\nr, "c"\n', ["a, b", "c"]),
        ('question, "answer"\nq,a\nr,"\n""b"" c"\n', ["a", '"b" c']),
        ('question,answer\nq, "a"\nr,"b\nb"\n', ["a", "b\nb"]),
        ('question,answer\nq," ""a"" b"\nr,b "c" d\n', ['"a" b', 'b "c" d']),
    ],
)
def test_blanks_before_quotes_are_skipped_where_all_are_so(tmp_path, content, answers):
    assert [a for _, (a,) in pairs(save(tmp_path / "a.csv", content))] == answers


@pytest.mark.parametrize("delimiter", [",", ";", "|"])
def test_rows_within_a_quoted_cell_are_noted(tmp_path, delimiter):
    content = 'question,answer\nq,"6 inch\nr,b\ns,5"\nt,"O, you\nand, I\nwent\nup"\n'
    (note,) = notes(save(tmp_path / "a.csv", content.replace(",", delimiter)))
    assert "a.csv, line 2: a quoted cell spans lines that look like rows" in note


def test_rows_that_cannot_be_read_are_left_out_on_request_and_counted(tmp_path):
    path = save(tmp_path / "a.csv", "question,answer\nq,a\nr,a,b,c\ns\nt,b\n")
    report = _all({"path": path, "skip": "unusable"}, QATask())[0][1]
    assert (report.rows_read, report.kept) == (4, 2)
    assert list(report.places.values()) == [("a.csv, line 3", "a.csv, line 4")]
    assert "line 3" in error(path)
    assert "In all, 2 rows cannot be read." in error(path)


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Größe der Straße “heute”: 5 €"),
        ("cp850", "Größe der Straße in Büchen"),
        ("shift_jis", "これは日本語の文章です。今日は天気がいいですね。" * 4),
        ("gb18030", "这是一个中文句子。今天天气很好,我们去公园吧。" * 4),
        ("cp1251", "Это русское предложение. Сегодня хорошая погода." * 4),
    ],
)
def test_another_encoding_is_named_and_read_when_it_is_given(tmp_path, encoding, text):
    path = save(tmp_path / "a.csv", f"question;answer\n{text};a\n", encoding)
    aliases = {"shift_jis": "cp932"}
    message = error(path)
    assert f'"encoding": "{aliases.get(encoding, encoding)}"' in message
    assert pairs({"path": path, "encoding": encoding}) == [(text, ("a",))]


def test_wrong_encodings_are_refused(tmp_path):
    path = save(tmp_path / "a.csv", "question,answer\nGröße,a\n", "cp1252")
    assert "not text in the encoding 'ascii'" in error({"path": path, "encoding": "ascii"})
    assert "'encoding' must be the name of" in error({"path": path, "encoding": "cp-nothing"})
    assert "'encoding' must be the name of" in error({"path": path, "encoding": "base64"})
    bare = save(tmp_path / "b.csv", "question,answer\nq,a\n".encode("utf-16-le"))
    assert '"encoding": "utf-16-le"' in error(bare)
    assert pairs({"path": bare, "encoding": "utf-16-le"}) == [("q", ("a",))]


LISTS = [
    ('["a", "b"]', ("a", "b")),
    ("['a', 'b']", ("a", "b")),
    ("['it''s', \"b\"]", None),
    ("[1, 2]", ("[1, 2]",)),
    ("[a] b [c]", ("[a] b [c]",)),
    ("['a', \"it's\"]", ("a", "it's")),
    ("{'text': ['a', 'b'], 'answer_start': [1, 2]}", ("a", "b")),
]


@pytest.mark.parametrize(("cell", "references"), LISTS)
def test_a_list_in_a_cell_is_a_list(tmp_path, cell, references):
    quoted = cell.replace('"', '""')
    path = save(tmp_path / "a.csv", f'question,answer\nq,"{quoted}"\n')
    if references is None:
        assert "looks like a list" in error(path)
    else:
        assert pairs(path) == [("q", references)]
        told = any("Cells of 'answers'" in note for note in notes(path))
        assert told == (len(references) > 1)


def test_a_list_that_is_a_text_in_json_stays_a_text(tmp_path):
    path = save(tmp_path / "a.json", json.dumps([{"question": "q", "answer": '["a", "b"]'}]))
    assert pairs(path) == [("q", ('["a", "b"]',))]


QA = {"question": "q", "answer": "a"}
QB = {"question": "r", "answer": "b"}
SQUAD = {
    "version": "v2.0",
    "data": [
        {
            "title": "T",
            "paragraphs": [
                {
                    "context": "c",
                    "qas": [
                        {"id": "7", "question": "q", "answers": [{"text": "a", "answer_start": 0}]},
                        {"id": "8", "question": "r", "answers": [{"text": "b"}, {"text": "c"}]},
                    ],
                }
            ],
        }
    ],
}


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([QA, QB], indent=2),
        json.dumps(QA) + "\n" + json.dumps(QB),
        json.dumps(QA, indent=2) + "\n" + json.dumps(QB, indent=2),
        json.dumps(QA) + json.dumps(QB),
        json.dumps({"data": [QA, QB]}),
        json.dumps({"version": 1, "meta": {"a": "b"}, "rows": [QA, QB]}, indent=1),
        json.dumps({"data": {"rows": [QA, QB]}}),
        json.dumps({"x": QA, "y": QB}),
        json.dumps({"question": ["q", "r"], "answer": ["a", "b"]}),
        json.dumps({"question": {"0": "q", "1": "r"}, "answer": {"0": "a", "1": "b"}}),
        json.dumps({"columns": ["question", "answer"], "data": [["q", "a"], ["r", "b"]]}),
        json.dumps({"schema": {"fields": []}, "data": [QA, QB]}),
        json.dumps([{"context": "c", "qas": [QA, QB]}]),
        "\ufeff" + json.dumps([QA, QB]),
    ],
)
@pytest.mark.parametrize("suffix", ["json", "jsonl", "json.gz"])
def test_rows_are_found_in_json_wherever_they_stand(tmp_path, content, suffix):
    path = save(tmp_path / f"a.{suffix}", content)
    assert pairs(path) == [("q", ("a",)), ("r", ("b",))]


def test_squads_nesting_is_unfolded(tmp_path):
    first, second = read(save(tmp_path / "a.json", json.dumps(SQUAD)))
    assert (first.id, first.metadata["context"], first.references) == ("7", "c", ("a",))
    assert (second.id, second.prompt, second.references) == ("8", "r", ("b", "c"))


def test_a_question_without_an_answer_is_refused_or_answered_as_the_task_says(tmp_path):
    row = {"context": "c", "qas": [{"question": "q", "is_impossible": True, "answers": []}]}
    path = save(tmp_path / "a.json", json.dumps(row))
    assert "set the task's argument unanswerable" in error(path)
    assert pairs(path, QATask(unanswerable="none")) == [("q", ("none",))]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '{"question": "q", "answer": "a", "answer": "b"}',
            "the key 'answer' stands in one object",
        ),
        ('{"train": [{"a": 1}], "test": [{"a": 1}]}', "rows may stand under 2 keys: 'train' (1 ob"),
        ("[" * 100_000, "nested too deeply"),
        ('{"question": "q", "answer": ' + "1" * 5000 + "}", "line 1"),
        ('{"question": "q", "answer": Infinity}', "answers of type float"),
        ('{"question": "q", "answer": NaN}', "has no value for 'answers'"),
        ('"text"', "found a text"),
        ("3\n4\n", "found a number"),
    ],
)
def test_json_that_cannot_be_read_rightly_is_refused(tmp_path, content, message):
    assert message in error(save(tmp_path / "a.json", content))


def test_one_object_that_may_be_a_row_or_columns_is_refused(tmp_path):
    content = json.dumps({"concepts": ["a", "b"], "references": ["a b", "b a"]})
    assert "may be a row whose values are lists, or 2 rows" in error(
        save(tmp_path / "a.json", content), KeywordsTask()
    )


def test_numbers_and_days_are_the_texts_that_they_were_written_as(tmp_path):
    import pyarrow.parquet

    written = ["7", "7.0", "1.10", "1e3", "-0.5", "12345678901234567890"]
    rows = ",".join(f'{{"question": "q {i}", "answer": {n}}}' for i, n in enumerate(written))
    path = save(tmp_path / "a.json", f"[{rows}]")
    assert [e.references[0] for e in read(path)] == written

    def parquet(values):
        rows = [{"question": f"q {i}", "answer": value} for i, value in enumerate(values)]
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
        return str(tmp_path / "a.parquet")

    assert [e.references[0] for e in read(parquet([7, 8]))] == ["7", "8"]
    day = datetime.date(2020, 1, 31)
    assert [e.references[0] for e in read(parquet([day]))] == ["2020-01-31"]
    for value in (1e-7, 2.0**53, datetime.datetime(2020, 1, 31)):
        assert "write the column as text" in error(parquet([value]))
    assert "labels" in error(parquet([True]))


@pytest.mark.parametrize("saved", [False, True], ids=["parquet", "saved by datasets"])
@pytest.mark.parametrize(
    ("kind", "values", "texts"),
    [
        ("float64", [3.5, 3.0, -2.25], ["3.5", "3", "-2.25"]),
        ("float32", [19.99, 0.1, 7.0], ["19.99", "0.1", "7"]),
        ("float16", [0.1, 2.0], ["0.1", "2"]),
        ("float32", [float(2**24 + 2)], None),  # as near to 16777219
    ],
)
def test_floats_are_the_shortest_texts_of_their_precision(tmp_path, kind, values, texts, saved):
    import datasets
    import numpy as np

    answer = datasets.Value(kind)
    types = datasets.Features({"question": datasets.Value("string"), "answer": answer})
    rows = [{"question": f"q {i}", "answer": np.dtype(kind).type(v)} for i, v in enumerate(values)]
    with quiet_datasets():
        made = datasets.Dataset.from_list(rows, features=types)
        path = str(tmp_path / ("a" if saved else "a.parquet"))
        made.save_to_disk(path) if saved else made.to_parquet(path)
    if texts is None:
        assert "is not known: write the column as text" in error(path)
        return
    assert [e.references[0] for e in read(path)] == texts
    assert "without a point: 7, not 7.0" in notes(path)[0]
    assert [e.metadata["answer"] for e in read(path, MathTask())] == [float(t) for t in texts]


@pytest.mark.parametrize(
    ("values", "labels", "targets"),
    [
        (["0", "1"], ["pos", "neg"], ["positive", "negative"]),
        (["0.0", "1.0"], ["pos", "neg"], ["positive", "negative"]),
        (["False", "True"], ["pos", "neg"], ["positive", "negative"]),
        (["false", "TRUE"], {"true": "neg", "false": "pos"}, ["positive", "negative"]),
        (["2", "4"], {2: "neg", "4": "pos"}, ["negative", "positive"]),
        (["neg", "1"], ["neg", "pos"], ["negative", "positive"]),
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_labels_of_every_spelling_get_their_names(tmp_path, values, labels, targets, suffix):
    texts = [f"{word} long text" for word in ("one", "two")]
    if suffix == "csv":
        rows = "".join(f"{text},{value}\n" for text, value in zip(texts, values, strict=True))
        path = save(tmp_path / "a.csv", f"text,label\n{rows}")
    else:
        typed = [json.loads(v.lower()) if v.lower() in ("true", "false") else v for v in values]
        rows = [{"text": t, "label": v} for t, v in zip(texts, typed, strict=True)]
        path = save(tmp_path / "a.json", json.dumps(rows))
    spec = {"path": path, "labels": {"label": labels}}
    assert [e.metadata["target"] for e in read(spec, ContinueTask())] == targets


@pytest.mark.parametrize("odd", [None, "text", 3, {"qas": [1]}])
def test_what_is_no_row_in_a_list_is_left_out_on_request(tmp_path, odd):
    path = save(tmp_path / "a.json", json.dumps([QA, odd, QB, {"question": "s"}]))
    assert "a.json, row 2: " in error(path)
    _, report = _all({"path": path, "skip": "unusable"}, QATask())[0]
    assert (report.rows_read, report.kept) == (4, 2)
    assert list(report.places.values()) == [("a.json, row 2",), ("a.json, row 4",)]


@pytest.mark.parametrize("path", ["", " ", "\ud800.csv", "a\0.csv"])
def test_a_path_that_names_nothing_is_refused(path):
    for spec in (path, {"path": path}):
        assert "names nothing" in error(spec)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    assert "is a pipe or a device" in error(tmp_path / "a.csv")


def test_an_error_that_quotes_half_of_a_character_can_be_printed(tmp_path):
    path = save(tmp_path / "a.jsonl", '{"question": "q", "answer": "a\\ud800"}\n')
    message = error({"path": path, "labels": {"answer": {"b": "c"}}})
    assert "has the value 'a\\ud800'" in message.encode().decode()


@pytest.mark.parametrize("labels", [["neg", "pos"], {"0": "neg"}])
def test_a_label_without_a_name_is_refused(tmp_path, labels):
    path = save(tmp_path / "a.csv", "text,label\none two,0\nthree four,2\n")
    for skip in (None, "missing"):
        spec = {"path": path, "labels": {"label": labels}, "skip": skip}
        message = error(spec, ContinueTask())
        assert "a.csv, line 3" in message
    assert "column 'label' has the value '2', which 'labels' does not name" in message


def test_several_columns_are_references_or_are_joined_to_one_prompt(tmp_path):
    content = "Body,Question,r1,r2,r3\nIt rained.,Why?,a,,b\n,Who?,c,d,c\n"
    columns = {"question": ["Body", "Question"], "answers": ["r1", "r2", "r3"]}
    spec = {"path": save(tmp_path / "a.csv", content), "columns": columns}
    assert pairs({**spec, "join": {"question": " "}}) == [
        ("It rained. Why?", ("a", "b")),
        ("Who?", ("c", "d")),
    ]
    assert '"join": {"question": " "}' in error(spec)
    unknown = {**spec, "columns": {**columns, "answers": ["r1", "r4"]}}
    assert "no column in 'a' 'r4'. Did you mean 'r" in error(unknown)


DIALOGUES = {
    "multiwoz": {
        "PMUL1.json": {
            "goal": {"taxi": {}},
            "log": [{"text": "Hello.", "metadata": {}}, {"text": "Hi!"}, {"text": "Bye."}],
        }
    },
    "topical": {
        "t_1": {
            "config": "C",
            "content": [
                {"message": ["Hello."], "agent": "agent_1", "sentiment": "Happy"},
                {"message": ["Hi!"], "agent": "agent_2"},
            ],
        }
    },
}


@pytest.mark.parametrize(("name", "id"), [("multiwoz", "PMUL1.json"), ("topical", "t_1")])
def test_dictionaries_of_dialogues_are_rows_with_ids(tmp_path, name, id):
    path = save(tmp_path / "data.json", json.dumps(DIALOGUES[name]))
    (example,) = read(path, DialogueTask())
    assert (example.id, example.prompt, example.references) == (id, "Hello.", ("Hi!",))


@pytest.mark.parametrize(
    "document",
    [
        {"turns": ["Hello.", "Hi!"]},
        {"a": [{"speaker": "user", "text": "Hello."}, {"speaker": "bot", "text": "Hi!"}]},
        [["Hello.", "Hi!"]],
        [[{"role": "human", "value": "Hello."}, {"role": "gpt", "value": "Hi!"}]],
    ],
)
def test_a_list_of_turns_is_one_dialogue(tmp_path, document):
    path = save(tmp_path / "a.json", json.dumps(document))
    assert pairs(path, DialogueTask()) == [("Hello.", ("Hi!",))]


def test_lettered_choices_keep_their_letters_or_are_refused(tmp_path):
    content = "question,A,B,C,answer\nq,one,two,,B\n"
    columns = {"choices": ["A", "B", "C"]}
    spec = {"path": save(tmp_path / "a.csv", content), "columns": columns}
    assert pairs(spec, QAChoiceTask()) == [("q", ("B) two",))]
    save(tmp_path / "a.csv", content.replace("two,,B", ",three,C"))
    assert "column 'B' has no value for 'choices', but one after" in error(spec, QAChoiceTask())


def test_choices_may_be_records_below_the_question(tmp_path):
    choices = [{"label": "A", "text": "one"}, {"label": "B", "text": "two"}]
    row = {"answerKey": "B", "question": {"stem": "Which?", "choices": choices}}
    spec = {
        "path": save(tmp_path / "a.jsonl", json.dumps(row)),
        "columns": {"question": "question.stem", "choices": "question.choices"},
    }
    assert pairs(spec, QAChoiceTask()) == [("Which?", ("B) two",))]


XML = """<?xml version="1.0" encoding="UTF-8"?>
<File><Set><Query ID="x1" Grade="2"><Question>Q &amp; A?</Question><Answer>9</Answer></Query>
<Query ID="x2"><Question>r</Question><Answer>8</Answer><Answer>eight</Answer></Query>
</Set></File>"""


def test_elements_of_xml_are_rows(tmp_path):
    first, second = read(save(tmp_path / "a.xml", XML))
    assert (first.id, first.prompt, first.references) == ("x1", "Q & A?", ("9",))
    assert second.references == ("8", "eight")


def test_the_only_element_of_xml_is_a_row(tmp_path):
    content = "<M><S><P ID='1'><question>q</question><answer>a</answer></P></S></M>"
    assert pairs(save(tmp_path / "a.xml", content)) == [("q", ("a",))]


ROW = "<r><question>q</question><answer>a</answer></r>"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"<d>{ROW}<r><question>r</question>, lost<answer>b</answer></r></d>", "<r> holds the"),
        (f"<d>{ROW}<r question='r' answer='b'>lost</r></d>", "<r> holds the text '"),
        (f"<d>{ROW}<r><question>r</question><answer><i>b</i>, lost</answer></r></d>", "mixes"),
        (f"<d><r question='r' answer='b'/>lost{ROW}</d>", "stands behind a row"),
        (f"<d>lost{ROW}{ROW}</d>", None),
        (f"<d><e>{ROW}{ROW}</e>lost</d>", None),
    ],
)
def test_no_text_of_xml_is_lost_in_silence(tmp_path, content, said):
    path = save(tmp_path / "a.xml", content)
    if said is None:
        assert "'lost' stands in <d> outside the rows" in error(path)
        return
    assert said in error(path)
    assert pairs({"path": path, "skip": "unusable"}) == [("q", ("a",))]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('<!DOCTYPE x [<!ENTITY a "b">]><x><r q="1"/></x>', "it declares entities"),
        ("<x><a>1</a><b>2</b></x>", "<x> holds a, b"),
        ("<x><r>", "not valid XML"),
        ("<a>" * 5000 + "</a>" * 5000, "no column for 'question'"),
        ("<x><r><a><b>1</b> c</a></r><r><a>1</a></r></x>", "no column for 'question'"),
    ],
)
def test_xml_that_holds_no_rows_is_refused(tmp_path, content, message):
    spec = {"path": save(tmp_path / "a.xml", content), "skip": "unusable"}
    assert message in error(spec)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv.gz", b"question,answer\nq,a\n", None),
        ("a.jsonl.gz", gzip.compress(b'{"question": "q"}\n' * 99, mtime=0)[:40], "cannot be read"),
        ("a.csv", "\ufeff\ufeffquestion,answer\nq,a\n", None),
        ("a.csv", "question,answer\nq\0,a\n", None),
    ],
)
def test_packed_and_doubly_marked_files_are_read_or_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if name == "a.csv.gz":
        assert "Not a gzipped file" in error(str(path))
    elif message:
        assert message in error(str(path))
    else:
        assert [e.references for e in read(str(path))] == [("a",)]


def test_more_than_two_speakers_of_their_own_names_are_refused(tmp_path):
    turns = [{"speaker": name, "text": name} for name in ("Ann", "Bob", "Cy")]
    path = save(tmp_path / "a.json", json.dumps([{"turns": turns}]))
    assert "the speaker 'Ann'" in error(path, DialogueTask())


def test_a_document_of_sentences_in_a_cell_stays_the_text_that_it_is(tmp_path):
    path = save(tmp_path / "a.csv", 'document,summary\n"[""a"", ""b""]","[""x"", ""y""]"\n')
    assert pairs(path, SummarizeTask()) == [('["a", "b"]', ("x", "y"))]
