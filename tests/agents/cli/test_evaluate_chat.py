"""textenv evaluate: chat models, and several environments and seeds in one call."""

from __future__ import annotations

import json
import threading

import pytest

from benchmarks.chat_server import ChatServer, GreedyModel


def _rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def ask(run, server, tmp_path, monkeypatch):
    """Evaluates the test's own server."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))

    def evaluate(*words):
        return run("evaluate", *words, "--agent", "chat", "--model", "m", "--base-url", server.url)

    return evaluate


def test_a_stopped_evaluation_goes_on_and_equals_the_local_one(run, tmp_path):
    server = ChatServer(GreedyModel("embedded"))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    words = ("evaluate", "TextQA-v0", "--examples", "6", "--out")
    chat = ("--agent", "chat", "--model", "it", "--base-url", server.url, "--cache",
            tmp_path / "kept", "--concurrency", "2")  # fmt: skip
    try:
        stopped = run(*words, tmp_path / "chat.json", *chat, "--max-calls", "3")
        assert stopped.exit_code == 2
        assert "max_calls = 3" in " ".join(stopped.stderr.split())
        assert not (tmp_path / "chat.json").exists()
        done = run(*words, tmp_path / "chat.json", *chat)
        assert done.exit_code == 0, done.output
        assert server.n_answers == 6
    finally:
        server.shutdown()
        server.server_close()
    assert "3 sent now; 3 answers were kept from before" in " ".join(done.stdout.split())
    run(*words, tmp_path / "local.json")
    assert _rows(tmp_path / "chat.jsonl") == _rows(tmp_path / "local.jsonl")


def test_what_a_chat_model_cost_is_told(ask, server):
    def answer(body):
        status, text = server.completion("In Paris.")
        usage = {"prompt_tokens": 100, "completion_tokens": 5}
        return status, json.dumps(json.loads(text) | {"usage": usage})

    server.answer = answer
    done = ask("TextQA-v0", "--examples", "2", "--prices", "1,100")
    assert done.exit_code == 0, done.output
    text = " ".join(done.stdout.split())
    assert f"chat, m at {server.url}" in text
    assert "200 in, 10 out" in text
    assert "0.0012, kept answers included" in text


def test_options_of_the_endpoint_reach_it(ask, server, monkeypatch, tmp_path):
    monkeypatch.setenv("MY_API_KEY", "k-123456789")
    cache = tmp_path / "elsewhere"
    done = ask("TextQA-v0", "--examples", "1", "--api-key-env", "MY_API_KEY", "--cache", cache,
               "--request", "{top_p: 0.5}", "--temperature", "0.3", "--json")  # fmt: skip
    result = json.loads(done.stdout)
    (body,) = server.bodies
    assert {**body, "messages": None} == {
        "model": "m",
        "messages": None,
        "temperature": 0.3,
        "max_tokens": 8,
        "top_p": 0.5,
    }
    assert result["chat"]["request"] == {"temperature": 0.3, "max_tokens": 8, "top_p": 0.5}
    assert "k-123456789" not in done.stdout
    assert len(list(cache.rglob("*.json"))) == 1
    assert not (tmp_path / "caches").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--agent", "greedy", "--base-url", "http://x/v1"), "for --agent chat"),
        (("--agent", "chat", "--base-url", "http://x/v1"), "--model"),
        (("--agent", "chat", "--model", "m", "--prices", "1"), "prices"),
        (("--agent", "chat", "--model", "m", "--prices", "a,b"), "0.15,0.6"),
        (("--agent", "chat", "--model", "m", "--base-url", "there"), "http"),
        (("--seeds", "0,1"), "same answer with each seed"),
        (("--agent", "random", "--seeds", "0,x"), "such as 0,1,2"),
        (("--agent", "random", "--seeds", "0,1", "--seed", "1"), "not both"),
        (("--agent", "random", "--seeds", "0,1", "--out", "a.json"), "a folder"),
    ],
)
def test_options_that_do_not_go_together_are_refused(run, words, said):
    done = run("evaluate", "TextQA-v0", "--examples", "1", *words)
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.split())


def test_several_ids_and_seeds_have_a_file_each_and_a_summary(run, tmp_path):
    out = tmp_path / "found"
    words = ("--agent", "random", "--examples", "3", "--samples", "2", "--reward", "chrf")
    ids, budget = ("TextQA-v0", "TextSummarize-v0"), "env.max_new_tokens=6"
    done = run("evaluate", *ids, *words, "--seeds", "0,2", "--out", out, budget)
    assert done.exit_code == 0, done.output
    names = [f"{id}-seed{seed}" for id in ids for seed in (0, 2)]
    files = {f"{name}.{kind}" for name in names for kind in ("json", "jsonl")}
    assert {path.name for path in out.iterdir()} == files | {"summary.json"}
    alone = run("evaluate", ids[1], *words, "--seed", "2", budget, "--json")
    assert json.loads((out / "TextSummarize-v0-seed2.json").read_bytes()) == json.loads(
        alone.stdout
    )

    summary = json.loads((out / "summary.json").read_bytes())
    assert (summary["agent"], summary["seeds"]) == ("random", [0, 2])
    qa = summary["evaluations"][0]
    rows = [row for seed in (0, 2) for row in _rows(out / f"TextQA-v0-seed{seed}.jsonl")]
    assert (qa["id"], qa["examples"], qa["samples"]) == ("TextQA-v0", 3, 4)
    assert qa["reward"]["mean"] == pytest.approx(sum(row["reward"] for row in rows) / 12)
    by_seed = [estimate["mean"] for estimate in qa["by_seed"].values()]
    assert sum(by_seed) / 2 == pytest.approx(qa["reward"]["mean"])
    shown = " ".join(done.stdout.split())
    assert "2 environments" in shown
    assert "TextSummarize-v0, seed 2" in shown


def test_several_ids_of_a_chat_model_are_paid_together(ask, server, tmp_path):
    done = ask("TextQA-v0", "TextMath-v0", "--examples", "2", "--json")
    summary = json.loads(done.stdout)
    assert [entry["id"] for entry in summary["evaluations"]] == ["TextQA-v0", "TextMath-v0"]
    assert (summary["model"], summary["chat"]["answers"]) == ("m", 4)
    assert len(server.bodies) == 4


def test_an_invalid_episode_is_shown_as_such(ask, server):
    server.in_turn((400, "{}"), server.completion("Yes."))
    done = ask("TextQA-v0", "--examples", "2", "--concurrency", "1")
    assert done.exit_code == 0, done.output
    assert "1 of 2 episodes have no answer" in " ".join(done.stdout.split())
    assert "invalid" in done.stdout
