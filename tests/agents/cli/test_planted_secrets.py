"""A planted key and a planted password: in no file, page, line or error of any command."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from agents.reward_bench import runs as bench_runs
from agents.reward_bench.worker import run_job
from agents.serve.watched_runs import WatchedRuns
from agents.training.checked_files import CHECKSUMS
from textenv.secrets import MASK

KEY, PASSWORD = "planted-key-K3x9Q7", "planted-pw-P8w2Z5"


def silence_is_gold(episodes: Any) -> Any:
    return [1 / (1 + len(e.response)) for e in episodes]


GOLD = f"{__file__}:silence_is_gold"


def check_clean(done: Any, folder: Path, exit_code: int) -> str:
    """Checks what a command has said and written; returns what it said."""
    said = f"{done.stdout}{done.stderr}{done.exception!r}"
    assert done.exit_code == exit_code, said
    for planted in (KEY, PASSWORD):
        assert planted not in said
        for file in folder.rglob("*"):
            assert not file.is_file() or planted.encode() not in file.read_bytes(), file
    return said


@pytest.fixture
def judge(server, monkeypatch, tmp_path):
    """A judge that grades the words it is shown, and tells everybody its key."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def answer(body: dict[str, Any]) -> Any:
        asked = body["messages"][-1]["content"]
        if len(asked) % 7 == 0:
            return 400, json.dumps({"error": {"message": f"Your key {KEY} may not ask that."}})
        score = 1 + len(asked) % 10
        return server.completion(json.dumps({"reason": f"Thanks, {KEY}!", "score": score}))

    server.answer = answer
    spec = {"model": "m", "base_url": server.url, "max_retries": 0, "timeout_s": 20}
    return {"judge": spec}


# Ways to put a secret into the options of a judge.
PLANTS = [
    {"api_key": KEY},
    {"base_url": f"http://user:{PASSWORD}@127.0.0.1:1/v1"},
    {"base_url": f"http://127.0.0.1:1/v1?api_key={KEY}"},
    {"api_key_env": KEY},
    {"request": {"Authorization": f"Bearer {KEY}"}},
]


def commands(reward: Any, model: str, out: Path, smoke: Any) -> dict[str, list[Any]]:
    """Returns a short command line of each command that takes a reward."""
    text = json.dumps(reward)
    rows = out.parent / "rows.jsonl"
    row = {"prompt": "p", "response": "a b c", "references": ["a"]}
    rows.write_text(json.dumps(row) + "\n", encoding="utf-8")
    few = ("--model", model, "--examples", "4", "--out", out)
    return {
        "train": ["train", "TextQA-v0", "--model", model, "--reward", text, "--out", out, *smoke,
                  "max_invalid_share=1.0"],
        "train, by key": ["train", "TextQA-v0", "--model", model, f"env.reward={text}", "--out",
                          out, *smoke],
        "evaluate": ["evaluate", "TextQA-v0", "--reward", text, *few[:-1], f"{out}.json"],
        "sft": ["sft", "TextQA-v0", f"env.reward={text}", "steps=1", "batch_size=2", *few],
        "score": ["rewards", "score", rows, "--reward", text, "--out", out],
        "audit": ["rewards", "audit", "TextQA-v0", "--reward", text, "--budget", "0", "--policy",
                  model, "--examples", "4", "--out", out],
    }  # fmt: skip


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: next(iter(plant)))
def test_a_secret_in_a_configuration_is_refused_by_every_command(
    run, smoke, model, tmp_path, plant, monkeypatch
):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    reward = {"judge": {"model": "m", "base_url": "http://127.0.0.1:1/v1", **plant}}
    out = tmp_path / "out"
    for words in commands(reward, model, out, smoke).values():
        said = check_clean(run(*words), tmp_path, 2)
        assert "environment variable" in said or "api_key_env" in said
        assert not list(out.rglob("*"))  # an audit has made its folder
    file = tmp_path.with_name(f"{tmp_path.name}.yaml")
    file.write_text(yaml.safe_dump({"id": "TextQA-v0", "reward": reward}), encoding="utf-8")
    check_clean(run("train", "--config", file, "--out", out), tmp_path, 2)
    designs = {
        "designs": {"judged": reward},
        "gold": {"letters": GOLD},
        "seeds": 1,
        "id": "TextQA-v0",
    }
    file.write_text(yaml.safe_dump(designs), encoding="utf-8")
    check_clean(run("rewards", "bench", file, "--out", out), tmp_path, 2)
    # Text that is no YAML is quoted by the error.
    spoilt = f"{{judge: {{api_key: {KEY}, base_url: 'http://u:{PASSWORD}@h'}}"
    check_clean(run("rewards", "score", tmp_path / "rows.jsonl", "--reward", spoilt), tmp_path, 2)


def test_a_judge_that_repeats_its_key_does_not_have_it_written(
    run, smoke, model, tmp_path, judge, server
):
    for name, words in commands(judge, model, tmp_path / "out", smoke).items():
        if name == "train, by key":
            continue
        words = [tmp_path / name if word == tmp_path / "out" else word for word in words]
        done = run(*words)
        # Where a score is missing, measuring ends with its reason, and the key is not in that.
        check_clean(done, tmp_path, done.exit_code)
        assert done.exit_code in (0, 1, 2), done.output
    assert len(server.bodies) > 10


def test_a_judge_that_refuses_the_key_does_not_have_it_told(
    run, smoke, model, tmp_path, judge, server
):
    server.answer = lambda body: (401, f"Wrong key {KEY}, sent as Bearer {KEY}.")
    for words in commands(judge, model, tmp_path / "out", smoke).values():
        said = check_clean(run(*words), tmp_path, 2)
        assert "refused with status 401" in said
        assert "Wrong key ***" in said


def test_a_benchmark_writes_no_key(run, model, tmp_path, judge, server, monkeypatch):
    def make_run(wanted: Any, config: Any, device: str, running: Any) -> str:
        from agents.reward_bench.worker import Job

        values = config.model_dump(mode="json")
        job = Job(
            values, wanted.reward, wanted.seed, wanted.digest, str(wanted.folder), os.getppid()
        )
        job.save(tmp_path / f"job-{wanted.name}.json")
        run_job(job)
        return "done"

    monkeypatch.setattr(bench_runs, "_make_run", make_run)
    server.answer = lambda body: server.completion(
        json.dumps({"reason": KEY, "score": 1 + len(body["messages"][-1]["content"]) % 10})
    )
    values = {
        "id": "TextQA-v0", "model": model, "designs": {"judged": judge}, "gold": {"letters": GOLD},
        "controls": [], "seeds": 1, "budget": 8, "looks": 2, "prompts": 4, "audit": 0,
        "env": {"max_new_tokens": 4}, "device": "cpu", "samples": 2, "pool": 4, "jobs": 1,
        "train": {"n_episodes": 4, "n_envs": 4, "batch_size": 4, "critic_warmup": 0},
    }  # fmt: skip
    (tmp_path / "bench.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    done = run("rewards", "bench", tmp_path / "bench.yaml", "--out", tmp_path / "bench")
    check_clean(done, tmp_path, 0)
    assert (tmp_path / "bench" / "report.html").is_file()


def test_pages_of_a_folder_from_elsewhere_show_no_secret(run, smoke, model, tmp_path):
    """Its config.yaml and result.json may hold what ours never do."""
    folder = tmp_path / "elsewhere"
    run("train", "TextQA-v0", "--model", model, "--out", folder, *smoke)
    reward = {"judge": {"model": "m", **PLANTS[0], **PLANTS[1]}}
    for name, load, dump in (
        ("config.yaml", yaml.safe_load, yaml.safe_dump), ("result.json", json.loads, json.dumps)
    ):  # fmt: skip
        content = load((folder / name).read_text(encoding="utf-8")) | {"reward": reward}
        (folder / name).write_text(dump(content), encoding="utf-8")
    (folder / CHECKSUMS).unlink()
    shown = tmp_path / "shown"
    shown.mkdir()
    for words, code in (
        (("report", folder), 0),
        (("compare", folder, folder, "--out", shown / "comparison"), None),
        (("compare", folder, folder, "--json"), None),
        (("train", "--resume", folder), 2),
        (("evaluate", "TextQA-v0", "--model", folder, "--examples", "2"), 2),
    ):
        done = run(*words)
        check_clean(done, shown, done.exit_code if code is None else code)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert KEY not in page
    assert PASSWORD not in page
    assert MASK in page
    runs = WatchedRuns([folder])
    runs.refresh()
    (watched,) = runs
    assert MASK in repr([watched.config, watched.result])
    assert KEY not in repr([watched.config, watched.result, watched.record()])
