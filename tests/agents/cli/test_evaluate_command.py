"""textenv evaluate: agents, samples, and the settings of a run."""

from __future__ import annotations

import json

import pytest


def test_evaluating_a_runs_folder_is_evaluating_its_model(run, smoke, model, tmp_path):
    out = tmp_path / "run"
    run("train", "TextQA-v0", "--model", model, "--out", out, *smoke, "temperature=0.5")
    shown = [
        json.loads(
            run("evaluate", "TextQA-v0", "--model", folder, "--examples", "4", "--json").stdout
        )
        for folder in (out, out / "model")
    ]
    assert shown[0] == shown[1]
    assert shown[0]["model"] == str(out / "model")
    assert shown[0]["reward"] == json.loads((out / "result.json").read_bytes())["after"]["reward"]


def test_a_run_is_sampled_at_its_own_temperature(run, smoke, model, tmp_path):
    cold, warm = tmp_path / "cold", tmp_path / "warm"
    for out, temperature in ((cold, 1e-6), (warm, 1.0)):
        words = (*smoke, f"temperature={temperature}", "learning_rate=1e-12")
        assert run("train", "TextQA-v0", "--model", model, "--out", out, *words).exit_code == 0

    def metrics(folder, agent):
        words = ("--agent", agent, "--examples", "8", "--json")
        return json.loads(run("evaluate", "TextQA-v0", "--model", folder, *words).stdout)["metrics"]

    assert metrics(cold, "sample") == metrics(cold, "greedy")
    assert metrics(warm, "sample") != metrics(warm, "greedy")


@pytest.mark.parametrize("agent", ["greedy", "sample", "first_sentence", "random", "lead"])
def test_every_agent_is_scored_on_as_many_examples_as_asked_for(run, model, agent):
    words = ("--model", model, "--agent", agent, "--examples", "6", "--split", "validation")
    result = json.loads(run("evaluate", "TextSummarize-v0", *words, "--json").stdout)
    assert (result["agent"], result["split"], result["examples"]) == (agent, "validation", 6)
    assert result["model"] == (None if agent in ("random", "lead") else model)
    assert 0 <= result["reward"]["mean"] < 1


def test_the_first_sentence_agent_is_scored_by_what_is_left(run, model, monkeypatch):
    monkeypatch.setattr("agents.training.speakers.first_sentence", lambda text: "")
    words = ("--model", model, "--agent", "first_sentence", "--examples", "4", "--json")
    result = json.loads(run("evaluate", "TextQA-v0", *words).stdout)
    assert result["metrics"]["response_tokens"]["mean"] == 1.0  # only the end of the turn


@pytest.mark.parametrize("id", ["TextQA-v0", "TextDialogue-v0"])
def test_the_gold_agent_earns_the_full_reward_without_a_model(run, tmp_path, id):
    file = tmp_path / "new" / "gold.json"
    done = run("evaluate", id, "--agent", "gold", "--examples", "5", "--out", file)
    assert done.exit_code == 0, done.output
    # Five of five: at worst a share whose five in a row have a chance of 2.5 %.
    assert "1.000 [0.478, 1.000]" in done.stdout
    assert json.loads(file.read_bytes())["reward"] == {
        "mean": 1.0,
        "ci95": [pytest.approx(0.025**0.2), 1.0],
    }


def test_evaluation_repeats_itself_with_the_same_seed_only(run, model):
    def sample(seed):
        words = ("--agent", "sample", "--examples", "8", "--seed", seed, "--json")
        result = json.loads(run("evaluate", "TextQA-v0", "--model", model, *words).stdout)
        return result["metrics"]

    assert sample(1) == sample(1)
    assert sample(1) != sample(2)


def test_several_answers_to_each_example_are_kept_and_counted(run, model, tmp_path):
    file = tmp_path / "answers.json"
    words = ("--samples", "4", "--pass-at", "1,4", "--pass-reward", "0.05", "--reward", "chrf")
    drawn = ("--temperature", "0.9", "--examples", "3", "--model", model, "--out", file)
    shown = run("evaluate", "TextQA-v0", *words, *drawn)
    assert shown.exit_code == 0, shown.output
    result = json.loads(file.read_bytes())
    assert (result["agent"], result["examples"], result["samples"]) == ("sample", 3, 4)
    assert (result["temperature"], result["pass_reward"]) == (0.9, 0.05)
    rows = [json.loads(line) for line in file.with_suffix(".jsonl").read_text().splitlines()]
    assert [row["sample"] for row in rows] == [0, 1, 2, 3] * 3
    assert len({row["id"] for row in rows}) == 3
    assert len({row["response"] for row in rows}) > 3
    passed = [[r["reward"] >= 0.05 for r in rows[i : i + 4]] for i in (0, 4, 8)]
    assert result["pass_at"]["1"]["mean"] == pytest.approx(sum(map(sum, passed)) / 12)
    assert result["pass_at"]["4"]["mean"] == pytest.approx(sum(map(any, passed)) / 3)
    assert "pass@4" in shown.stdout
    assert "4 of each example at temperature 0.9" in shown.stdout
    drawn = run("evaluate", "TextQA-v0", "--agent", "random", "--samples", "2", "--examples", "2",
                "--json")  # fmt: skip
    assert json.loads(drawn.stdout)["samples"] == 2


def test_a_run_and_its_best_are_two_agents_with_one_setting(run, smoke, model, tmp_path):
    out = tmp_path / "run"
    words = ("validation_every=1", "validation_examples=2", "total_episodes=8", "temperature=0.6")
    done = run("train", "TextQA-v0", "--model", model, "--out", out, *smoke[1:6], *words,
               "--reward", "chrf", "learning_rate=0.01", "critic_warmup=0")  # fmt: skip
    assert done.exit_code == 0, done.output
    iteration = json.loads((out / "result.json").read_bytes())["best"]["iteration"]
    assert f"(iteration {iteration})" in done.stdout
    assert "The best agent is in" in done.stdout
    last = run("evaluate", "--model", out, "--examples", "2")
    assert "(the last agent; the best is" in " ".join(last.stdout.split())
    best = run("evaluate", "--model", out / "best", "--examples", "2", "--agent", "sample",
               "--json")  # fmt: skip
    found = json.loads(best.stdout)
    assert found["model"] == str(out / "best/model")
    assert (found["reward_spec"], found["temperature"]) == ("chrf", 0.6)


def test_environment_arguments_reach_the_environment(run, model):
    words = ("--model", model, "--examples", "4", "--json")
    result = json.loads(run("evaluate", "TextQA-v0", *words, "env.max_new_tokens=3").stdout)
    assert result["metrics"]["response_tokens"]["mean"] <= 3


def test_evaluate_writes_into_a_file_and_says_so_before_it_starts(run, tmp_path):
    done = run("evaluate", "TextQA-v0", "--agent", "lead", "--examples", "2", "--out", tmp_path)
    assert done.exit_code == 2
    assert "Name a file for --out that ends in .json" in " ".join(done.output.split())


def test_evaluate_takes_the_setting_of_a_run_unless_told_otherwise(run, smoke, model, tmp_path):
    data = tmp_path / "mine.jsonl"
    rows = [{"question": f"Is it {i}?", "answers": "yes"} for i in range(60)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    trained, out = tmp_path / "run", tmp_path / "found" / "eval.json"
    words = ("--model", model, "--dataset", data, "--reward", "chrf", "--out", trained)
    assert run("train", "TextQA-v0", *smoke, "env.max_new_tokens=5", *words).exit_code == 0

    done = run("evaluate", "--model", trained, "--examples", "3", "--out", out)
    assert done.exit_code == 0, done.output
    result = json.loads(out.read_text())
    assert (result["id"], result["dataset"]) == ("TextQA-v0", str(data))
    assert (result["reward_spec"], result["examples"]) == ("chrf", 3)
    assert "(the run's)" in done.stdout
    answers = [json.loads(line) for line in out.with_suffix(".jsonl").read_text().splitlines()]
    assert [row["references"] for row in answers] == [["yes"]] * 3
    assert max(row["metrics"]["response_tokens"] for row in answers) <= 5
    assert answers[0]["id"] in done.stdout
    assert "knows the generated data sets alone" not in done.stdout
    assert "fewer than 30" in " ".join(done.stdout.split())

    told = run("evaluate", "TextQA-v0", "--model", trained, "--examples", "3", "--json",
               "--dataset", "facts", "--reward", "token_f1", "env.max_new_tokens=6")  # fmt: skip
    other = json.loads(told.stdout)
    assert (other["dataset"], other["reward_spec"]) == ("facts", "token_f1")
    another = json.loads(
        run("evaluate", "TextSummarize-v0", "--model", trained, "--examples", "2", "--json").stdout
    )
    assert (another["dataset"], another["reward_spec"]) == ("news", "rougeL")
    assert run("evaluate", "--model", model).exit_code == 2


def test_a_run_that_is_not_there_is_told_as_such(run):
    assert "There is no run 'nowhere'" in run("evaluate", "--model", "nowhere").stderr


def test_files_that_are_written_over_are_told(run, tmp_path):
    words = ("evaluate", "TextQA-v0", "--agent", "gold", "--examples", "2", "--out")
    first, second = (run(*words, tmp_path / "a.json").stdout for _ in range(2))
    assert "replaced" not in first
    assert "The files of before were replaced." in " ".join(second.split())


def test_a_run_from_elsewhere_says_where_its_data_were(run, smoke, model, tmp_path, monkeypatch):
    rows = [json.dumps({"question": f"Is it {i}?", "answers": "yes"}) for i in range(60)]
    (tmp_path / "mine.jsonl").write_text("\n".join(rows), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    words = ("--model", model, "--dataset", "mine.jsonl", "--out", "run")
    assert run("train", "TextQA-v0", *smoke, *words).exit_code == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    told = " ".join(run("evaluate", "--model", "../run", "--examples", "2").stderr.split())
    assert "There is no file mine.jsonl" in told
    assert "named from the folder where textenv train was called" in told


def test_a_reward_that_ends_the_process_is_an_error(run, tmp_path):
    reward = tmp_path / "quits.py"
    reward.write_text("import sys\ndef quits(episodes):\n    sys.exit(0)\n")
    words = ("evaluate", "TextQA-v0", "--agent", "lead", "--reward")
    done = run(*words, f"{reward}:quits")
    assert done.exit_code == 2
    assert "raised SystemExit: 0" in " ".join(done.stderr.split())
    assert f"{reward}:NAME" in "".join(run(*words, reward).stderr.split())


@pytest.mark.parametrize("reward", ["env.reward=chrf", "env.reward={normalise: {of: chrf}}"])
def test_a_reward_among_the_keys_of_the_environment_trains_and_is_the_run_s_own(
    run, smoke, model, tmp_path, reward
):
    words = ("train", "TextQA-v0", *smoke, reward, "--model", model, "--out", tmp_path / "run")
    assert run(*words).exit_code == 0
    found = run("evaluate", "--model", tmp_path / "run", "--examples", "2", "--json")
    assert "chrf" in json.dumps(json.loads(found.stdout)["reward_spec"])
    own = ("--model", tmp_path / "run", "--examples", "2", "--json", "--reward", "rougeL")
    assert json.loads(run("evaluate", *own).stdout)["reward_spec"] == "rougeL"
    assert run(*words, "--reward", "rougeL", "--out", tmp_path / "two").exit_code == 2


@pytest.mark.parametrize("option", ["--seed", "--seeds"])
def test_a_seed_that_is_too_large_is_told_before_anything_is_played(run, option):
    done = run("evaluate", "TextQA-v0", "--agent", "sample", option, 2**64)
    assert done.exit_code == 2
    assert f"{option} {2**64}: give a number up to" in " ".join(done.stderr.split())


@pytest.mark.parametrize("form", ["{}", "{{path: {}}}"])
def test_a_data_set_is_not_written_over(run, tmp_path, form):
    data = tmp_path / "rows.jsonl"
    lines = [json.dumps({"document": f"Text {i}.", "summary": f"{i}"}) + "\n" for i in range(9)]
    data.write_text("".join(lines), encoding="utf-8")
    words = ("--agent", "gold", "--split", "train", "--examples", "2")
    spec, out = form.format(data), tmp_path / "rows.json"
    done = run("evaluate", "TextSummarize-v0", *words, "--dataset", spec, "--out", out)
    assert done.exit_code == 2
    assert "would be written over the data set" in " ".join(done.stderr.split())
    assert data.read_text(encoding="utf-8") == "".join(lines)
