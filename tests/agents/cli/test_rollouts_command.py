"""textenv rollouts and export: sampled answers as files to score again and to train on."""

from __future__ import annotations

import json
import os

import pytest

from textenv.json_lines import to_line


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def sample(run, model, tmp_path):
    """Samples answers of a tiny model into a file, and returns it."""

    def sample(id="TextQA-v0", name="answers.jsonl", *words):
        out = tmp_path / name
        defaults = ("--model", model, "--examples", "3", "--n", "4", "--reward", "chrf")
        done = run("rollouts", id, *defaults, "--out", out, *words)
        assert done.exit_code == 0, done.output
        return out

    return sample


@pytest.mark.parametrize("id", ["TextQA-v0", "TextDialogue-v0"])
def test_every_answer_is_a_row_that_scores_again_as_it_was_scored(run, sample, model, tmp_path, id):
    out = sample(id, "answers.jsonl", "--temperature", "0.8")
    rows = read(out)
    assert [(row["index"], row["sample"]) for row in rows] == [
        (index, number) for index in range(3) for number in range(4)
    ]
    assert len({row["response"] for row in rows}) > 6
    for row in rows:
        assert (row["environment"], row["split"], row["model"]) == (id, "train", model)
        said = [m["content"] for m in row["messages"][row["n_opening"] :: 2]]
        assert "\n".join(said) == row["response"]
        assert set(row["components"]) == {"chrf"}
        assert row["tokens"] >= len(said)
    assert (len(rows[0]["messages"]) > 2) == (id == "TextDialogue-v0")
    scores = tmp_path / "scores.jsonl"
    done = run("rewards", "score", out, "--reward", "chrf", "--out", scores)
    assert done.exit_code == 0, done.output
    assert [row["total"] for row in read(scores)] == [row["reward"] for row in rows]

    header = json.loads(out.with_suffix(".json").read_bytes())
    assert (header["id"], header["samples"], header["episodes"]) == (id, 4, 12)
    assert (header["temperature"], header["reward"]) == (0.8, "chrf")
    rewards = [row["reward"] for row in rows]
    best = [max(rewards[i : i + 4]) for i in (0, 4, 8)]
    assert header["best_of_n"]["1"]["mean"] == pytest.approx(sum(rewards) / 12)
    assert header["best_of_n"]["4"]["mean"] == pytest.approx(sum(best) / 3)
    assert header["rows"]["size"] == out.stat().st_size
    assert not out.with_name("answers.jsonl.partial").exists()


def test_what_was_stopped_goes_on_to_the_same_file(run, sample, model, monkeypatch):
    monkeypatch.setattr("agents.training.rollouts._EPISODES_AT_A_TIME", 4)
    whole = sample(name="whole.jsonl")
    from agents.training import rollouts

    calls, call = [], rollouts.call_reward

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return call(*arguments)

    out = whole.with_name("parts.jsonl")
    words = ("rollouts", "TextQA-v0", "--model", model, "--examples", "3", "--n", "4",
             "--out", out, "--reward", "chrf")  # fmt: skip
    monkeypatch.setattr(rollouts, "call_reward", interrupted)
    done = run(*words)
    assert done.exit_code == 130
    assert "the same command goes on" in " ".join(done.stderr.split())
    assert not out.exists()
    partial = out.with_name("parts.jsonl.partial") / "rows.jsonl"
    assert len(read(partial)) == 4
    with partial.open("a") as file:
        file.write('{"id": "a row of a part that was not')

    other = run(*words, "--temperature", "0.5")
    assert other.exit_code == 2
    assert "begun with other settings: temperature=1.0" in " ".join(other.stderr.split())
    done = run(*words)
    assert done.exit_code == 0, done.output
    assert len(calls) == 4  # the part that was whole is not sampled again
    assert out.read_bytes() == whole.read_bytes()
    assert not partial.parent.exists()


def test_a_damaged_part_is_named(run, model, tmp_path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    out = tmp_path / "answers.jsonl"
    words = ("rollouts", "TextQA-v0", "--model", model, "--examples", "2", "--n", "2")
    monkeypatch.setattr("agents.training.rollouts.versions", interrupt)
    assert run(*words, "--out", out).exit_code == 130
    monkeypatch.undo()
    rows = out.with_name("answers.jsonl.partial") / "rows.jsonl"
    rows.write_bytes(rows.read_bytes()[:-9])
    done = run(*words, "--out", out)
    assert done.exit_code == 4
    assert "is cut: it has" in " ".join(done.stderr.split())
    assert "to begin anew" in " ".join(done.stderr.split())
    assert not out.exists()


def test_no_file_is_written_over(run, sample, model):
    out = sample()
    before = out.read_bytes()
    words = ("rollouts", "TextQA-v0", "--model", model, "--examples", "2")
    done = run(*words, "--out", out)
    assert done.exit_code == 2
    assert "already exists" in done.stderr
    assert out.read_bytes() == before
    beside = out.with_name("eval.json")
    beside.write_text("{}")
    assert "already exists" in run(*words, "--out", beside.with_suffix(".jsonl")).stderr
    assert "ends in .jsonl" in " ".join(run(*words, "--out", out.parent / "a.json").stderr.split())


def test_another_seed_draws_other_answers(sample):
    one, same, other = (
        sample("TextQA-v0", f"{i}.jsonl", "--seed", seed) for i, seed in enumerate((1, 1, 2))
    )
    assert one.read_bytes() == same.read_bytes()
    assert [r["response"] for r in read(one)] != [r["response"] for r in read(other)]


def test_a_run_brings_its_own_setting(run, smoke, model, tmp_path):
    trained, out = tmp_path / "run", tmp_path / "answers.jsonl"
    words = ("--model", model, "--reward", "chrf", "--out", trained, "temperature=0.6")
    assert run("train", "TextQA-v0", *smoke, "env.max_new_tokens=5", *words).exit_code == 0
    done = run("rollouts", "--model", trained, "--n", "2", "--examples", "2", "--out", out,
               "--json")  # fmt: skip
    assert done.exit_code == 0, done.output
    header = json.loads(done.stdout)
    assert (header["id"], header["reward"], header["temperature"]) == ("TextQA-v0", "chrf", 0.6)
    assert header["env"] == {"max_new_tokens": 5}
    assert max(row["tokens"] for row in read(out)) <= 5


def test_an_answer_without_a_score_is_kept_and_not_learned_from(run, sample, tmp_path):
    reward = tmp_path / "half.py"
    reward.write_text(
        "import numpy as np\n"
        "from textenv import RewardResult\n"
        "def half(episodes):\n"
        "    ok = np.arange(len(episodes)) % 2 == 0\n"
        "    ok |= len(episodes) < 12\n"  # the look at the reward before it all starts
        "    return RewardResult(np.where(ok, 0.5, np.nan), valid=ok)\n"
    )
    out = sample("TextQA-v0", "a.jsonl", "--reward", f"{reward}:half")
    rows = read(out)
    assert [row["reward"] for row in rows] == [0.5, None] * 6
    assert "invalid" in rows[1]
    assert json.loads(out.with_suffix(".json").read_bytes())["unscored"] == 6
    done = run("export", "sft", out, "--out", tmp_path / "b.jsonl", "--json")
    facts = json.loads(done.stdout)
    assert (facts["rollouts"], facts["unscored"], facts["rows"]) == (6, 6, 3)


def rollout(prompt, answer, reward, **further):
    messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    return {"id": prompt, "messages": messages, "n_opening": 1, "reward": reward, **further}


ROWS = [
    rollout("A?", "a1", 0.2),
    rollout("A?", "a2", 0.8),
    rollout("B?", "b1", 0.5, stop_reason="max_new_tokens"),
    rollout("B?", "b2", 0.5),
]
SAID = {
    key: [{"role": role, "content": key}]
    for role, keys in (("user", ("A?", "B?")), ("assistant", ("a1", "a2", "b1", "b2")))
    for key in keys
}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["sft"], [{"messages": SAID["A?"] + SAID["a2"]}, {"messages": SAID["B?"] + SAID["b1"]}]),
        (["sft", "--ended", "--min-reward", "0.5", "--form", "prompt-completion"],
         [{"prompt": SAID["A?"], "completion": SAID["a2"]},
          {"prompt": SAID["B?"], "completion": SAID["b2"]}]),
        (["sft", "--best", "2", "--top", "0.25"], [{"messages": SAID["A?"] + SAID["a2"]}]),
        (["dpo"], [{"prompt": SAID["A?"], "chosen": SAID["a2"], "rejected": SAID["a1"]}]),
        (["kto", "--threshold", "0.6"],
         [{"prompt": SAID[prompt], "completion": SAID[answer], "label": answer == "a2"}
          for prompt, answer in (("A?", "a1"), ("B?", "b1"), ("A?", "a2"), ("B?", "b2"))]),
        (["kto"],
         [{"prompt": SAID[prompt], "completion": SAID[answer], "label": answer != "a1"}
          for prompt, answer in (("A?", "a1"), ("B?", "b1"), ("A?", "a2"), ("B?", "b2"))]),
    ],
)  # fmt: skip
def test_exports_are_the_rows_that_trainers_read(run, tmp_path, words, expected):
    source, out = tmp_path / "rows.jsonl", tmp_path / "deep" / "out.jsonl"
    source.write_text("".join(map(to_line, ROWS)), encoding="utf-8")
    kind, *options = words
    done = run("export", kind, source, "--out", out, *options)
    assert done.exit_code == 0, done.output
    assert read(out) == expected
    assert "Written to" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sft", "--min-reward", "0.9"], "No answer earns --min-reward 0.9: the highest"),
        (["sft", "--top", "0"], "give a share above 0"),
        (["dpo", "--margin", "0.7"], "No two answers to a prompt differ by 0.7"),
        (["kto", "--threshold", "2"], "With --threshold 2 no answer is good"),
        (["kto", "--threshold", "0"], "With --threshold 0 every answer is good"),
        (["kto", "--quantile", "1"], "give a share between 0 and 1"),
    ],
)
def test_an_export_of_nothing_says_why(run, tmp_path, words, message):
    source, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(map(to_line, ROWS)), encoding="utf-8")
    done = run("export", *words, source, "--out", out)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())
    assert not out.exists()
    same = run("export", "sft", source, "--out", source)
    assert "would write over" in " ".join(same.stderr.split())


def test_our_own_fine_tuning_reads_what_was_exported(run, sample, model, tmp_path):
    best, out = tmp_path / "best.jsonl", tmp_path / "sft"
    assert run("export", "sft", sample(), "--out", best).exit_code == 0
    words = ("--conversations", best, "--out", out, "--examples", "4", "steps=2", "batch_size=4")
    done = run("sft", "TextQA-v0", "--model", model, *words)
    assert done.exit_code == 0, done.output
    assert "conversations" in done.stdout
    assert json.loads((out / "result.json").read_bytes())["steps"] == 2
    two = run("sft", "TextQA-v0", "TextSummarize-v0", *words[:2])
    assert "--conversations goes with one environment" in " ".join(two.stderr.split())


def test_a_file_of_data_whose_name_is_no_utf8_is_told_as_it_can_be(run, model, tmp_path):
    rows = tmp_path / os.fsdecode(b"rows\xff.jsonl")
    lines = [{"document": f"Text {i}.", "summary": str(i)} for i in range(200)]
    rows.write_text("".join(map(to_line, lines)), encoding="utf-8")
    out = tmp_path / "out.jsonl"
    words = ("--dataset", rows, "--n", "2", "--examples", "2", "--model", model, "--out", out)
    done = run("rollouts", "TextSummarize-v0", *words, "--split", "test")
    assert done.exit_code == 0, done.output
    header = json.loads(out.with_suffix(".json").read_bytes())
    assert header["dataset"].endswith("rows\N{REPLACEMENT CHARACTER}.jsonl")
