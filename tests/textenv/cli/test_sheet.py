import csv
import json

import pytest
from typer.testing import CliRunner

from textenv.cli.main import make_app

N = 30


@pytest.fixture
def runs(tmp_path):
    folders = []
    for name, good in (("short", "one"), ("long", "one two three")):
        folder = tmp_path / name
        folder.mkdir()
        rows = [
            {
                "id": f"example {i}",
                "prompt": f"=SUM({i})",
                "references": ["one two three four"],
                "before": {"response": "nothing"},
                "after": {"response": good},
            }
            for i in range(N)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "samples.jsonl").write_text(text, encoding="utf-8")
        folders.append(folder)
    return folders


def run(*words):
    return CliRunner().invoke(make_app(), ["rewards", *map(str, words)])


def read(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def judge(path, choose):
    rows = read(path)
    for row in rows:
        row["preferred"] = choose(row["response_a"], row["response_b"])
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_a_sheet_does_not_say_who_wrote_what(runs, tmp_path):
    out = tmp_path / "sheet.csv"
    done = run("sheet", *runs, "--out", out, "--pairs", 80)
    assert done.exit_code == 0, done.output
    assert "80 pairs" in done.stdout
    rows = read(out)
    assert list(rows[0]) == ["id", "prompt", "response_a", "response_b", "preferred"]
    assert {row["preferred"] for row in rows} == {""}
    assert "short" not in out.read_text()
    assert "start" not in out.read_text()
    key = json.loads((tmp_path / "sheet.key.json").read_text())
    writers = [(pair["system_a"], pair["system_b"]) for pair in key.values()]
    assert {frozenset(pair) for pair in writers} == {
        frozenset(pair) for pair in (("start", "short"), ("start", "long"), ("short", "long"))
    }
    # Either stands first in about half of the pairs.
    first = sum(a == "start" for a, b in writers if "start" in (a, b))
    assert 0.25 < first / sum("start" in pair for pair in writers) < 0.75


def test_cells_are_no_formulas(runs, tmp_path):
    out = tmp_path / "sheet.csv"
    run("sheet", *runs, "--out", out)
    assert all(row["prompt"].startswith("'=SUM") for row in read(out))
    key = json.loads((tmp_path / "sheet.key.json").read_text())
    assert all(pair["prompt"].startswith("=SUM") for pair in key.values())


def test_a_judged_sheet_ranks_the_systems(runs, tmp_path):
    out = tmp_path / "sheet.csv"
    run("sheet", *runs, "--out", out, "--pairs", 90)
    order = ["nothing", "one", "one two three"]
    judge(out, lambda a, b: "a" if order.index(a) > order.index(b) else "b")
    words = ("agree", out, "--human", "preferred", "--reward", "rougeL")
    done = run(*words, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [one["system"] for one in found["strengths"]] == ["long", "short", "start"]
    assert found["strengths"][0]["chance"]["mean"] > 0.8
    first = next(row for row in found["preferences"] if row["reward"] == "rougeL")
    assert first["accuracy"]["mean"] == 1
    assert first["systems_kendall"]["mean"] == pytest.approx(1)
    assert "People like long best" in found["verdict"]
    shown = run(*words, "--out", tmp_path / "report")
    assert "people prefer it to an average one" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert "Which system people prefer" in (tmp_path / "report" / "report.html").read_text()


def test_a_half_filled_sheet_counts_what_is_filled(runs, tmp_path):
    out = tmp_path / "sheet.csv"
    run("sheet", *runs, "--out", out, "--pairs", 40)
    rows = iter(range(40))
    judge(out, lambda a, b: "tie" if next(rows) % 2 else "")
    done = run("agree", out, "--human", "preferred", "--reward", "rougeL")
    assert done.exit_code == 2
    assert "In no pair was one text preferred" in " ".join(done.stderr.split())
    rows = iter(range(40))
    judge(out, lambda a, b: "a" if next(rows) % 2 else "")
    done = run("agree", out, "--human", "preferred", "--reward", "rougeL", "--json")
    assert json.loads(done.stdout)["left_out"] == 20


def test_what_is_wrong_is_said(runs, tmp_path):
    out = tmp_path / "sheet.csv"
    for words, message in (
        (("sheet", tmp_path, "--out", out), "has no outputs"),
        (("sheet", *runs, "--out", tmp_path / "sheet.txt"), "let --out end in .csv"),
    ):
        done = run(*words)
        assert done.exit_code == 2
        assert message in " ".join(done.stderr.split())
    run("sheet", *runs, "--out", out)
    again = run("sheet", *runs, "--out", out)
    assert "already exists, perhaps with judgements" in " ".join(again.stderr.split())
    text = out.read_text(encoding="utf-8-sig").replace("pair 1,", "pair one,")
    out.write_text(text, encoding="utf-8")
    done = run("agree", out, "--human", "preferred", "--reward", "rougeL")
    assert "does not know the row 'pair one'" in " ".join(done.stderr.split())
