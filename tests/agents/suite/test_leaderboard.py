"""Leaderboards: what is refused, what is shown, and texts of strangers as text."""

from __future__ import annotations

import csv
import json
import os

import numpy as np
import pytest
from datasets import load_dataset

from agents.suite.definition import load_definition
from agents.suite.leaderboard import make_leaderboard, read_leaderboard
from agents.suite.leaderboard_files import write_leaderboard
from agents.suite.leaderboard_page import describe_ranking, render_leaderboard, render_markdown
from agents.suite.players import ScriptedPlayer
from agents.suite.playing import play_suite
from agents.suite.results import SuiteResult, read_result
from agents.suite.suite import hash_content, make_suite
from textenv.errors import ConfigError, DamagedError

HOSTILE = "<script>window.pwned = 1</script> | [x](javascript:1) ~~y~~ {{ 7 * 7 }} \u202eabc"


@pytest.fixture
def make_result(tiny):
    """Makes the result of an agent whose rewards are all equal, or given."""

    def make(name, rewards, **agent):
        table = np.broadcast_to(np.asarray(rewards, float), (2, 4)).copy()
        facts = {
            task.id: {"prompts_cut": 0.0, "response_tokens": 3.0, "ended_by_agent": 1.0}
            for task in tiny.tasks
        }
        kind = {"kind": "scripted", "agent": name, **agent}
        return SuiteResult(name, kind, tiny.to_json(), table, facts, 1.5)

    return make


@pytest.fixture
def saved(make_result, tmp_path):
    """Writes the result of an agent, changed by a function; returns the folder."""

    def save(name, change=lambda data: None, rewards=0.5):
        data = make_result(name, rewards).to_json()
        change(data)
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(json.dumps(data), encoding="utf-8")
        return tmp_path / name

    return save


def test_the_command_plays_and_ranks_and_refuses_another_suite(run, write_suite, tmp_path):
    file, out = write_suite(), tmp_path / "found"
    for agent in ("gold", "random"):
        done = run("suite", agent, "--suite", file, "--out", out / agent)
        assert done.exit_code == 0, done.output
    assert "tiny-1.0, hash" in done.stdout
    shown = run("leaderboard", out / "random", out / "gold", "--out", tmp_path / "board")
    assert shown.exit_code == 0, shown.output
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert [line[:2] for line in lines[2:4]] == [["1", "gold"], ["2", "random"]]
    assert (tmp_path / "board" / "report.html").is_file()
    printed = json.loads(run("leaderboard", out / "random", out / "gold", "--json").stdout)
    assert [agent["rank"] for agent in printed["agents"]] == [[1, 1], [2, 2]]

    other = write_suite("other.yaml", examples=3)
    assert run("suite", "gold", "--suite", other, "--out", out / "other").exit_code == 0
    refused = run("leaderboard", out / "gold", out / "other")
    assert refused.exit_code == 2
    said = " ".join(refused.stderr.split())
    assert "They differ in 'examples': 4 and 3" in said
    assert "cannot be compared" in said
    nothing = run("leaderboard", tmp_path)
    assert "holds no result of a suite" in " ".join(nothing.stderr.split())


def test_a_chat_model_plays_by_the_command(run, server, write_suite, tmp_path):
    server.answer = lambda body: server.completion("Yes.")
    words = ("suite", "it", "--suite", write_suite(), "--out", tmp_path / "it")
    asked = ("--base-url", server.url, "--cache", tmp_path / "kept")
    done = run(*words, "--agent", "chat", *asked)
    assert done.exit_code == 0, done.output
    assert read_result(tmp_path / "it").agent["kind"] == "chat"
    assert {body["temperature"] for body in server.bodies} == {0}
    assert "for --agent chat" in " ".join(run(*words, *asked).stderr.split())
    assert "no agent of a suite 'sample'" in run(*words, "--agent", "sample").stderr
    here = run(*words, "--agent", "chat", "--device", "cpu")
    assert "loaded here" in " ".join(here.stderr.split())


def test_agents_are_ordered_by_score_and_named_apart(make_result):
    board = make_leaderboard(
        [make_result("a", 0.4), make_result("b", 0.9), make_result("a", 0.4)], ["x/a", "x/b", "y/a"]
    )
    assert [one.name for one in board.entries] == ["b", "a (x/a)", "a (y/a)"]
    assert [str(one.place) for one in board.entries] == ["1", "2–3", "2–3"]
    assert "b is shown to be the best of 3 agents. 1 of 3 ranks are certain" in (
        describe_ranking(board)
    )
    tied = make_leaderboard([make_result("a", 0.4), make_result("b", 0.4)], ["a", "b"])
    assert "nothing shows which of a and b is the best" in describe_ranking(tied)


def set_reward(value):
    def change(data):
        data["tasks"]["TextQA-v0"]["rewards"][0] = value

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (set_reward(float("nan")), "'nan' is no finite number"),
        (set_reward("1"), "'1' is no finite number"),
        (set_reward(True), "'True' is no finite number"),
        (set_reward(1e308), r"1e\+308 is too large a number"),
        (set_reward(10**400), "is too large a number"),
        (lambda d: d["agent"].update(top_p=float("inf")), "a number that is not finite"),
        (lambda d: d["tasks"]["TextQA-v0"]["rewards"].pop(), "does not have 4 rewards"),
        (lambda d: d["tasks"].pop("TextQA-v0"), "its tasks are not those of its suite"),
        (lambda d: d["suite"]["tasks"][0].update(lazy=-9.0), "the hash of the suite is not that"),
        (lambda d: d.update(name="x" * 101), "1 to 100 characters"),
        (lambda d: d.update(name=["x"]), "1 to 100 characters"),
        (lambda d: d.update(format=2), "its format is 2"),
        (lambda d: d.pop("agent"), "it lacks 'agent'"),
        (lambda d: d.update(suite=[1]), "is no result of textenv suite"),
    ],
)
def test_a_result_that_no_suite_wrote_is_refused_in_words(saved, change, told):
    with pytest.raises(ConfigError, match=told):
        read_result(saved("a", change))


def test_results_under_a_published_name_are_of_that_suite(write_suite, tmp_path):
    other = make_suite(load_definition(write_suite(name="textenv-1.0")))
    play_suite(other, ScriptedPlayer(other, "gold"), tmp_path / "a")
    with pytest.raises(ConfigError, match=f"has the hash {other.hash}. That suite has the hash"):
        read_leaderboard([tmp_path / "a"])


def test_a_name_stays_on_its_line_and_in_its_order(saved):
    name = "a\nb \u202ecba\x1b[2J"
    read = read_result(saved("a", lambda data: data.update(name=name))).name
    assert read == "a b \N{REPLACEMENT CHARACTER}cba\N{SYMBOL FOR ESCAPE}[2J"


def test_scores_are_those_of_the_rewards_whatever_a_result_claims(saved):
    def claim(data):
        data["score"]["mean"] = 9.0
        data["tasks"]["TextQA-v0"]["normalised"] = 9.0

    found, honest = read_result(saved("a", claim)), read_result(saved("b"))
    assert found.score() == honest.score()


def test_a_damaged_result_is_named(tiny, tmp_path):
    play_suite(tiny, ScriptedPlayer(tiny, "gold"), tmp_path / "a")
    path = tmp_path / "a" / "result.json"
    path.write_text(path.read_text().replace("1.0", "0.9"), encoding="utf-8")
    with pytest.raises(DamagedError, match=r"result\.json"):
        read_leaderboard([tmp_path / "a"])


def test_hostile_names_are_text_on_the_page_and_in_markdown(make_result, tmp_path):
    results = [make_result(HOSTILE, 0.9, model=HOSTILE), make_result("=1+1", 0.4)]
    board = make_leaderboard(results, ["a", "b"])
    page = render_leaderboard(board)
    assert "<script>window" not in page
    assert "&lt;script&gt;" in page
    assert "{{ 7 * 7 }}" in page
    assert "49" not in render_markdown(board)
    row = next(line for line in render_markdown(board).splitlines() if "pwned" in line)
    # As many columns as every row, and no markup of its own.
    assert row.replace("\\|", "").count("|") == 3 + len(board.ids) + 1
    assert r"\<script\>" in row
    assert r"\[x\](javascript\:1)" in row
    write_leaderboard(board, tmp_path / "board")
    with (tmp_path / "board/leaderboard.csv").open(encoding="utf-8", newline="") as file:
        assert [row["agent"] for row in csv.DictReader(file)] == [HOSTILE, "'=1+1"]


def test_the_data_set_of_a_leaderboard_loads_as_the_hub_loads_it(make_result, tmp_path):
    board = make_leaderboard([make_result("a", 0.9), make_result("b", 0.4)], ["a", "b"])
    write_leaderboard(board, tmp_path / "board")
    folder, cache = str(tmp_path / "board" / "dataset"), str(tmp_path / "cache")
    agents = load_dataset(folder, "leaderboard", split="train", cache_dir=cache)
    assert agents["agent"] == ["a", "b"]
    assert agents["score"] == pytest.approx([one.score.mean for one in board.entries])
    episodes = load_dataset(folder, "episodes", split="train", cache_dir=cache)
    assert len(episodes) == 2 * 2 * 4
    assert set(episodes[0]) == {"agent", "task", "example", "reward", "normalised"}
    assert episodes["reward"] == [0.9] * 8 + [0.4] * 8


def test_a_scale_without_room_is_refused(saved):
    def narrow(data):
        data["suite"]["tasks"][0].update(lazy=0.0, gold=5e-324)
        data["suite_hash"] = hash_content(data["suite"])

    with pytest.raises(ConfigError, match="earn hardly more than lazy ones"):
        read_result(saved("a", narrow))


def test_a_time_that_is_none_is_not_told(saved):
    folder = saved("a")
    (folder / "about.json").write_text('{"seconds": 1' + "0" * 400 + "}", encoding="utf-8")
    assert read_result(folder).seconds is None


def test_the_id_of_a_task_from_elsewhere_is_no_formula_and_no_control(saved, tmp_path):
    def rename(data):
        data["suite"]["tasks"][0]["id"] = "=1+1\x1b[2J"
        data["tasks"]["=1+1\x1b[2J"] = data["tasks"].pop("TextQA-v0")
        data["suite_hash"] = hash_content(data["suite"])

    board = read_leaderboard([saved("a", rename)])
    write_leaderboard(board, tmp_path / "board")
    with (tmp_path / "board/leaderboard.csv").open(encoding="utf-8", newline="") as file:
        heads = next(csv.reader(file))
    assert [head for head in heads if "1+1" in head and not head.startswith("'=")] == []
    assert len(heads) == 10 + 2 * 2
    assert "\x1b" not in render_markdown(board)


def test_folders_that_tell_names_apart_may_be_called_anything(make_result, tmp_path):
    places = ["x\n\x1b[2J", os.fsdecode(b"y\xff")]
    board = make_leaderboard([make_result("a", 0.9), make_result("a", 0.4)], places)
    assert [one.name for one in board.entries] == [
        "a (x \N{SYMBOL FOR ESCAPE}[2J)",
        "a (y\N{REPLACEMENT CHARACTER})",
    ]
    write_leaderboard(board, tmp_path / "board")
