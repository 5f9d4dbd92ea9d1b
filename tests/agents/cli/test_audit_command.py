"""The command `rewards audit`: what to do comes first, and everything is in the folder."""

from __future__ import annotations

import csv
import json

import pytest

from textenv.benchmark.results import Audit, load_record


@pytest.fixture
def audited(run, model):
    """Audits with the tiny model, without a search unless a budget is given."""

    def invoke(*arguments):
        more = () if "--policy" in arguments else ("--policy", model)
        more += () if "--budget" in arguments else ("--budget", "0")
        return run("rewards", "audit", *arguments, *more)

    return invoke


def read_csv(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_it_says_what_to_do_and_writes_a_report_json_and_csv(audited, tmp_path):
    out = tmp_path / "audit"
    shown = audited("TextQA-v0", "--examples", "20", "--metrics", "rouge1", "--out", out)
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.startswith("Do not train on it yet: most samples of a prompt earn the same")
    assert "human reference" in shown.stdout
    text = " ".join(shown.stdout.split())
    for word in (
        "kind: lazy needs no skill; wrong says",
        "wins: how often",
        "below: paid clearly less",
    ):
        assert word in text
    saved = load_record(Audit, out / "audit.json")
    assert saved.reward == "token_f1"
    assert saved.n_examples == 20
    assert [part.name for part in saved.parts] == ["lazy", "wrong", "learnable"]
    assert saved.policy.n_samples == 8
    assert saved.policy.dead.mean > 0.9  # a random model answers nothing rightly
    assert {path.name for path in out.iterdir()} == {"report.html", "audit.json", "probes.csv"}
    rows = read_csv(out / "probes.csv")
    assert [row["probe"] for row in rows] == [probe.name for probe in saved.probes]
    assert [row["kind"] for row in rows] == [probe.kind for probe in saved.probes]
    verdicts = {True: "True", False: "False", None: ""}
    assert [row["at_fault"] for row in rows] == [verdicts[p.at_fault] for p in saved.probes]
    assert float(rows[0]["score"]) == saved.probes[0].score.mean


def test_without_a_policy_nothing_is_sampled(audited):
    shown = audited("TextQA-v0", "--examples", "20", "--metrics", "rouge1", "--policy", "none")
    assert shown.exit_code == 0, shown.output
    assert "Sampling" not in shown.stderr
    assert shown.stdout.startswith("Nothing speaks against it so far. Give a policy")


def test_a_task_with_its_data_gives_json(audited, tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = ({"question": f"Who is {i}?", "answers": [f"Ann {i}"]} for i in range(60))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = "textenv.tasks.qa:QATask"
    arguments = ("--dataset", path, "--reward", "{token_f1: 1}", "--split", "all", "--json")
    found = json.loads(audited(task, *arguments).stdout)
    assert found["n_examples"] == 60
    assert found["reward"] == '{"token_f1": 1}'
    assert found["dataset"] == f"{task}, {path}"
    assert found["policy"]["n_samples"] == 8
    failed = audited(task)
    assert failed.exit_code == 2
    assert "needs --dataset and --reward" in failed.stderr


def test_it_searches_for_a_rule(audited, tmp_path):
    out = tmp_path / "audit"
    words = ("TextKeywords-v0", "--examples", "40", "--metrics", "rouge1", "--budget", "130")
    shown = audited(*words, "--out", out)
    assert shown.exit_code == 0, shown.output
    search = load_record(Audit, out / "audit.json").search
    assert search.curve[-1][0] == 130
    lines = shown.stdout.splitlines()
    part = lines[next(i for i, line in enumerate(lines) if line.startswith("lazy")) :]
    said = " ".join(" ".join(line.removeprefix("lazy: warns").split()) for line in part[:8])
    assert search.verdict.split(":")[0].split(",")[0] in said
    assert {"strategy.csv", "probes.csv"} <= {path.name for path in out.iterdir()}
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "What a rule without understanding earns" in page
    assert json.loads(audited(*words, "--json").stdout)["search"]["strategy"] == search.strategy


@pytest.mark.slow
def test_a_slow_reward_is_not_searched_unasked(run, tmp_path, monkeypatch):
    (tmp_path / "slow.py").write_text(
        "import time\n"
        "def slow(episodes):\n"
        "    time.sleep(0.004 * len(episodes))\n"
        "    return [0.5] * len(episodes)\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    words = ("TextKeywords-v0", "--reward", "slow:slow", "--examples", "10", "--metrics", "rouge1")
    shown = run("rewards", "audit", *words, "--policy", "none")
    assert shown.exit_code == 0, shown.output
    assert "No rules were searched for: a score takes" in " ".join(shown.stdout.split())


def test_a_file_of_severities_changes_what_fails(audited, tmp_path):
    words = ("TextQA-v0", "--examples", "20", "--metrics", "rouge1", "--json")
    file = tmp_path / "mine.yaml"
    file.write_text("dead_fails: 1\ndead_warns: 1.0\n")
    found = json.loads(audited(*words, "--severities", file).stdout)
    assert found["passes"]
    assert found["severities"] == "version 1, changed by mine.yaml"
    assert found["parts"][2]["outcome"] == "holds"
    file.write_text("dead_fail: 1.1\n")
    failed = audited(*words, "--severities", file)
    assert failed.exit_code == 2
    assert "There is no severity 'dead_fail'. Did you mean 'dead_fails'?" in failed.stderr
    file.write_text("texts: {empty: never}\n")
    assert "texts.empty: Input should be 'fails', 'warns' or 'notes'" in " ".join(
        audited(*words, "--severities", file).stderr.split()
    )


def test_names_that_do_not_exist_are_told(audited):
    assert "There is no reward 'rougl'" in audited("TextQA-v0", "--reward", "rougl").stderr
    assert (
        "There is no reward 'blue'"
        in audited(*("TextQA-v0", "--examples", "2", "--metrics", "blue")).stderr
    )
