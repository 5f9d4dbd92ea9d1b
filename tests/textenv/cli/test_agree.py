import json

import pytest
from typer.testing import CliRunner

from textenv.benchmark.agreement.records import Agreement
from textenv.benchmark.results import load_record
from textenv.cli.main import make_app

ROWS = [
    {
        "item": i,
        "system": f"s{s}",
        "prompt": f"say {i}",
        "response": " ".join(["one", "two", "three", "four", "five", "six"][: s + 1 + i % 2]),
        "references": "one two three four five six",
        "quality": s + (i + s) % 2,
        "style": (i * s) % 3,
    }
    for i in range(8)
    for s in range(5)
]


@pytest.fixture
def ratings(tmp_path):
    path = tmp_path / "ratings.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return path


def run(*words):
    return CliRunner().invoke(make_app(), ["rewards", "agree", *map(str, words)])


def test_the_table_fits_a_terminal(ratings):
    done = run(ratings, "--human", "quality", "--human", "style", "--reward", "rougeL,chrf")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "ratings.jsonl: 40 texts, 8 items, 5 systems" in lines
    assert "Kendall's tau with quality" in lines
    header = next(line for line in lines if line.startswith("reward"))
    assert header.split() == [
        "reward",
        "within",
        "items",
        "all",
        "texts",
        "systems",
        "no",
        "length",
        "pairs",
    ]
    assert any(line.startswith("quality: ") for line in lines)


def test_the_report_can_be_rendered_again(ratings, tmp_path):
    out = tmp_path / "out"
    done = run(ratings, "--human", "quality", "--reward", "rougeL,chrf", "--out", out)
    assert done.exit_code == 0, done.output
    assert {path.name for path in out.iterdir()} == {
        "agreement.csv",
        "agreement.json",
        "report.html",
        "reward_comparisons.csv",
    }
    record = load_record(Agreement, out / "agreement.json")
    assert record.rewards == {"rougeL": "rougeL", "chrf": "chrf"}
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Between systems" in page
    assert record.verdict.split("(")[0] in page.replace("&#39;", "'")
    (out / "report.html").unlink()
    again = CliRunner().invoke(make_app(), ["rewards", "report", str(out)])
    assert again.exit_code == 0, again.output
    assert (out / "report.html").read_text(encoding="utf-8") == page


def test_json_is_the_record(ratings):
    done = run(ratings, "--human", "quality", "--reward", "rougeL", "--json")
    assert json.loads(done.stdout)["ratings"][0]["rating"] == "quality"


def test_preferences_need_no_column(tmp_path):
    path = tmp_path / "pairs.jsonl"
    rows = [
        {"prompt": str(i), "chosen": "one two", "rejected": "one", "references": ["one two three"]}
        for i in range(12)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = run(path, "--reward", "rougeL", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "rougeL pays the preferred text more in 100 %" in done.stdout
    assert (tmp_path / "out" / "preferences.csv").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--reward", "rougeL"], "Name the columns with people's ratings"),
        (["--reward", "rougel", "--human", "quality"], "Did you mean 'rougeL'"),
        (["--reward", "rougeL", "--human", "qualty"], "Did you mean 'quality'"),
        (["--reward", "rougeL", "--human", "quality", "--level", "x"], "There is no level 'x'"),
    ],
)
def test_what_is_wrong_is_said(ratings, words, message):
    done = run(ratings, *words)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())
