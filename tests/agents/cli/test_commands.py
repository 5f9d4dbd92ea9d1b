from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
from typer.testing import CliRunner

import textenv
from agents.ppo.ppo import TextPPO
from agents.training.config import SFTOptions, TrainConfig, load_config
from textenv.cli import console, main

ROOT = Path(__file__).resolve().parents[3]
COMMANDS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "entry-points"
][console.COMMANDS_GROUP]
SMOKE = (
    "total_episodes=4",
    "n_episodes=4",
    "n_envs=4",
    "batch_size=2",
    "n_epochs=1",
    "eval_examples=4",
    "validation_every=0",
)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    """A tiny random model with the embedded tokenizer."""
    folder = tmp_path_factory.mktemp("tiny")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=4096,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=1024,
        )
        LlamaForCausalLM(config).save_pretrained(folder)
    assets = Path(textenv.__file__).parent / "assets" / "embedded"
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(assets / name, folder)
    return str(folder)


@pytest.fixture
def run(monkeypatch):
    """Runs a command line with the commands that the project declares, installed or not."""
    points = [EntryPoint(n, value, console.COMMANDS_GROUP) for n, value in COMMANDS.items()]
    for module in (main, console):
        monkeypatch.setattr(module, "entry_points", lambda group: points)
    monkeypatch.setenv("COLUMNS", "100")

    def invoke(*arguments):
        return CliRunner().invoke(main.make_app(), [str(word) for word in arguments])

    return invoke


def _read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_training_shows_its_gain_and_leaves_everything_in_its_folder(run, model, tmp_path):
    out = tmp_path / "run"
    done = run("train", "TextQA-v0", "--model", model, "--out", out, "--seed", "7", *SMOKE)
    assert done.exit_code == 0, done.output
    for text in ("Training on TextQA-v0", "facts", "token_f1", "before, cut to first sentence"):
        assert text in done.stdout
    assert done.stdout.count("Sample facts/test/0/") == 3
    assert "4 episodes in" in done.stdout
    result = _read(out / "result.json")
    assert result["seed"] == 7
    assert f"{result['gain']['mean']:+.3f} [" in done.stdout
    assert f"{result['after']['reward']['mean']:.3f} [" in done.stdout
    assert {path.name for path in out.iterdir()} == {
        "agent.json",
        "agent.safetensors",
        "before.json",
        "config.yaml",
        "metrics.jsonl",
        "model",
        "result.json",
        "samples.jsonl",
    }


def test_a_runs_configuration_repeats_it_and_the_command_line_wins(run, model, tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    run("train", "TextQA-v0", "--model", model, "--out", first, "--dataset", "facts", *SMOKE)
    config = ("--config", first / "config.yaml")
    done = run(
        "train", "TextQA-v0", *config, "--out", second, "--reward", "{chrf: 1}", "n_epochs=2"
    )
    assert done.exit_code == 0, done.output
    old, new = load_config(first / "config.yaml"), load_config(second / "config.yaml")
    assert new == old.model_copy(update={"reward": {"chrf": 1}, "n_epochs": 2})


def test_the_folder_is_named_by_the_environment_and_the_time(run, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("train", "TextQA-v0", "--model", model, *SMOKE).exit_code == 0
    (folder,) = (tmp_path / "runs").iterdir()
    stem, day, clock = folder.name.rsplit("-", 2)
    assert (stem, len(day), len(clock)) == ("TextQA-v0", 8, 6)


def test_stopped_training_says_what_is_saved_and_exits_with_130(run, model, tmp_path, monkeypatch):
    update = TextPPO.train

    def interrupted(self):
        signal.raise_signal(signal.SIGINT)
        update(self)

    monkeypatch.setattr(TextPPO, "train", interrupted)
    out = tmp_path / "run"
    done = run("train", "TextQA-v0", "--model", model, "--out", out, *SMOKE)
    assert done.exit_code == 130
    how = f"textenv train --resume {out} continues from there."
    assert done.stderr.endswith(f"Stopped. The agent after iteration 1 is in {out}; {how}\n")
    assert TextPPO.load(out).n_iterations == 1


def test_interrupted_before_a_checkpoint_it_says_that_nothing_is_saved(
    run, model, tmp_path, monkeypatch
):
    def interrupt(*arguments, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(TextPPO, "train", interrupt)
    done = run("train", "TextQA-v0", "--model", model, "--out", tmp_path / "run", *SMOKE)
    assert done.exit_code == 130
    assert "Stopped before the first checkpoint: no agent is saved" in done.stderr
    assert not (tmp_path / "run" / "agent.json").exists()


def test_evaluating_a_runs_folder_is_evaluating_its_model(run, model, tmp_path):
    out = tmp_path / "run"
    run("train", "TextQA-v0", "--model", model, "--out", out, *SMOKE, "temperature=0.5")
    shown = [
        json.loads(
            run("evaluate", "TextQA-v0", "--model", folder, "--examples", "4", "--json").stdout
        )
        for folder in (out, out / "model")
    ]
    assert shown[0] == shown[1]
    assert shown[0]["model"] == str(out / "model")
    assert shown[0]["reward"] == _read(out / "result.json")["after"]["reward"]


def test_a_run_is_sampled_at_its_own_temperature(run, model, tmp_path):
    cold, warm = tmp_path / "cold", tmp_path / "warm"
    for out, temperature in ((cold, 1e-6), (warm, 1.0)):
        words = (*SMOKE, f"temperature={temperature}", "learning_rate=1e-12")
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
    assert _read(file)["reward"] == {"mean": 1.0, "ci95": [pytest.approx(0.025**0.2), 1.0]}


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
    result = _read(file)
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


def test_a_run_and_its_best_are_two_agents_with_one_setting(run, model, tmp_path):
    out = tmp_path / "run"
    words = ("validation_every=1", "validation_examples=2", "total_episodes=8", "temperature=0.6")
    done = run("train", "TextQA-v0", "--model", model, "--out", out, *SMOKE[1:6], *words,
               "--reward", "chrf", "learning_rate=0.01", "critic_warmup=0")  # fmt: skip
    assert done.exit_code == 0, done.output
    iteration = _read(out / "result.json")["best"]["iteration"]
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


def test_supervised_training_leaves_a_plain_model_and_its_gain(run, model, tmp_path):
    out = tmp_path / "sft"
    words = ("steps=3", "batch_size=4", "env.max_new_tokens=16", "--examples", "4", "--seed", "5")
    done = run("sft", "TextQA-v0", "TextSummarize-v0", "--model", model, "--out", out, *words)
    assert done.exit_code == 0, done.output
    assert "3 steps in" in done.stdout
    result = _read(out / "result.json")
    assert (result["steps"], result["stop_reason"], result["seed"]) == (3, "budget", 5)
    assert list(result["environments"]) == ["TextQA-v0", "TextSummarize-v0"]
    for id, measured in result["environments"].items():
        assert measured["before"]["examples"] == measured["after"]["examples"] == 4
        assert f"{measured['gain']['mean']:+.3f} [" in done.stdout
        assert len((out / f"samples-{id}.jsonl").read_text(encoding="utf-8").splitlines()) == 4
    config = yaml.safe_load((out / "config.yaml").read_text(encoding="utf-8"))
    assert config["ids"] == ["TextQA-v0", "TextSummarize-v0"]
    assert config["options"]["steps"] == 3
    assert config["env"] == {"max_new_tokens": 16}
    trained = AutoModelForCausalLM.from_pretrained(out / "model")
    start = AutoModelForCausalLM.from_pretrained(model)
    assert not torch.equal(trained.lm_head.weight, start.lm_head.weight)
    assert len(AutoTokenizer.from_pretrained(out / "model")) == 4096
    again = run("evaluate", "TextQA-v0", "--model", out, "--examples", "4", "--json")
    assert json.loads(again.stdout)["model"] == str(out / "model")


def test_supervised_training_stops_by_the_clock(run, model, tmp_path):
    words = ("steps=1000000", "batch_size=2", "--examples", "2", "--max-seconds", "0")
    done = run("sft", "TextQA-v0", "--model", model, "--out", tmp_path / "s", *words)
    assert done.exit_code == 0, done.output
    result = _read(tmp_path / "s" / "result.json")
    assert (result["steps"], result["stop_reason"]) == (1, "max_seconds")


def test_interrupted_supervised_training_keeps_the_model(run, model, tmp_path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("agents.training.sft_run.train_supervised", interrupt)
    out = tmp_path / "s"
    done = run("sft", "TextQA-v0", "--model", model, "--out", out, "--examples", "2")
    assert done.exit_code == 130
    assert done.stderr.endswith(f"Stopped. The model is saved in {out / 'model'}.\n")
    AutoModelForCausalLM.from_pretrained(out / "model")


@pytest.mark.parametrize(("command", "record"), [("train", TrainConfig), ("sft", SFTOptions)])
def test_help_lists_every_key_with_its_default(run, command, record):
    shown = run(command, "--help").stdout
    for name, field in record.model_fields.items():
        if name not in ("id", "dataset", "reward", "env"):
            assert re.search(rf"^ {name}=\S+  +\S", shown, re.MULTILINE), name
            assert json.dumps(field.default).strip('"') in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "TextQA"], "There is no environment 'TextQA'. Did you mean 'TextQA-v0'?"),
        (
            ["train", "TextQA-v0", "n_epoch=2"],
            "There is no option 'n_epoch'. Did you mean 'n_epochs'",
        ),
        (
            ["train", "TextQA-v0", "n_epochs=many"],
            "n_epochs='many' is not valid: it should be a valid integer",
        ),
        (["train", "TextQA-v0", "n_epochs"], "'n_epochs' is not of the form key=value"),
        (["train", "TextQA-v0", "--config", "none.yaml"], "'none.yaml' cannot be read"),
        (["train", "TextQA-v0", "--reward", "rouge9"], "There is no reward 'rouge9'. Did you mean"),
        (["train", "TextQA-v0", "--reward", "{rougeL: lots}"], "weight of reward 'rougeL'"),
        (["train", "TextQA-v0", "--dataset", "facs"], "There is no dataset 'facs'. Did you mean"),
        (["train", "TextQA-v0", "--dataset", "./no.jsonl"], "no.jsonl"),
        (["train", "TextQA-v0", "--device", "cuba"], "There is no device 'cuba'"),
        (["train", "TextQA-v0", "--device", "cuda:99"], "has no device 'cuda:99'"),
        (
            ["train", "TextQA-v0", "eval_split=tset"],
            "There is no split 'tset'. Did you mean 'test'?",
        ),
        (["train", "TextQA-v0", "env.max_newtokens=3"], "Did you mean 'max_new_tokens'?"),
        (["evaluate", "TextQB-v0"], "Did you mean 'TextQA-v0'?"),
        (
            ["evaluate", "TextQA-v0", "--agent", "gready"],
            "no agent 'gready'. Did you mean 'greedy'?",
        ),
        (
            ["evaluate", "TextQA-v0", "--agent", "greedy", "--samples", "2"],
            "'greedy' gives the same answer each time",
        ),
        (["evaluate", "TextQA-v0", "--pass-at", "8"], "give --samples 8"),
        (["evaluate", "TextQA-v0", "--samples", "9", "--pass-at", "0"], "from 1 up, such as 1,8"),
        (["evaluate", "TextQA-v0", "--pass-reward", "nan"], "give a number, such as 0.5"),
        (["evaluate", "TextQA-v0", "--temperature", "0"], "should be greater than 0"),
        (
            ["evaluate", "TextQA-v0", "--agent", "lead", "--temperature", "1"],
            "--temperature is for --agent sample",
        ),
        (["evaluate", "TextQA-v0", "--split", "tset"], "There is no split 'tset'"),
        (["evaluate", "TextQA-v0", "steps=3"], "'steps' is not of the form env.KEY=VALUE"),
        (["sft", "steps=3"], "Name at least one environment"),
        (["sft", "TextQA-v0", "TextQB-v0"], "There is no environment 'TextQB-v0'"),
        (["sft", "TextQA-v0", "step=3"], "There is no option 'step'. Did you mean 'steps'?"),
        (
            ["sft", "TextQA-v0", "steps=lots"],
            "steps='lots' is not valid: it should be a valid integer",
        ),
        (["sft", "TextQA-v0", "steps=0"], "steps=0 is not valid: it should be greater than 0"),
        (["sft", "TextQA-v0", "TextSummarize-v0", "--dataset", "news"], "with one environment"),
    ],
)
def test_wrong_input_ends_with_one_message_before_anything_is_written(
    run, model, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    if "--model" not in arguments and arguments[0] != "sft":
        arguments = [*arguments, "--model", model]
    done = run(*arguments)
    assert done.exit_code == 2, done.output
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["train", "evaluate", "sft"])
def test_a_model_that_is_not_there_is_named(run, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    done = run(command, "TextQA-v0", "--model", "./no-such-model")
    assert done.exit_code == 2
    assert "no-such-model" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["train", "sft"])
def test_a_folder_that_holds_something_is_left_alone(run, model, tmp_path, command):
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    done = run(command, "TextQA-v0", "--model", model, "--out", tmp_path)
    assert done.exit_code == 2
    assert "already exists and is not empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_help_lists_the_keys_with_their_defaults_and_loads_nothing_heavy():
    code = (
        "import sys, typer\n"
        "from typer.testing import CliRunner\n"
        "from agents.cli.commands import add_commands\n"
        "from textenv.cli.rewards import GROUP, make_rewards_app\n"
        "app = typer.Typer()\n"
        "app.add_typer(make_rewards_app(), name=GROUP)\n"
        "add_commands(app)\n"
        "for command in ('train', 'evaluate', 'sft', 'rewards best-of-n'):\n"
        "    done = CliRunner().invoke(app, [*command.split(), '--help'])\n"
        "    sys.stdout.write(done.output)\n"
        "heavy = {'torch', 'transformers', 'datasets', 'pandas', 'stable_baselines3'}\n"
        "sys.stderr.write(' '.join(sorted(heavy & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    for text in ("total_episodes=10000", "kl_coef=", "first_sentence", "prompt_weight", "--pool"):
        assert text in done.stdout


def test_evaluate_writes_into_a_file_and_says_so_before_it_starts(run, tmp_path):
    done = run("evaluate", "TextQA-v0", "--agent", "lead", "--examples", "2", "--out", tmp_path)
    assert done.exit_code == 2
    assert "Name a file for --out that ends in .json" in " ".join(done.output.split())


def test_a_failed_start_says_why_and_leaves_no_folder(run, model, tmp_path):
    # The reward works on the ideal and on the empty answer, and fails on the model's.
    reward = tmp_path / "picky.py"
    reward.write_text(
        "def picky(episodes):\n"
        "    known = {e.example.references[0] for e in episodes} | {''}\n"
        "    return [float({True: 1}[e.response in known]) for e in episodes]\n"
    )
    out = tmp_path / "run"
    words = ("train", "TextQA-v0", *SMOKE, "--model", model, "--out", out)
    done = run(*words, "--reward", f"{reward}:picky")
    assert done.exit_code == 2
    told = " ".join(done.stderr.split())
    assert "KeyError: False" in told
    assert "picky.py, line 3, in" in told
    assert not out.exists()
    assert run(*words, "--reward", "token_f1").exit_code == 0


def test_a_reward_is_tried_before_a_model_is_loaded(run, tmp_path):
    reward = tmp_path / "broken.py"
    reward.write_text("def broken(episodes):\n    return [1.0]\n")
    words = ("--model", tmp_path / "no-model", "--reward", f"{reward}:broken")
    for command in ("train", "evaluate"):
        done = run(command, "TextQA-v0", *words, "env.tokenizer=embedded")
        assert done.exit_code == 2
        assert "returned 'total' of shape (1,) for 2 episodes" in " ".join(done.stderr.split())


def test_an_option_that_is_a_key_is_told_as_one(run):
    for words, answer in (
        (("train", "TextQA-v0", "--total_episodes", "100"), "total_episodes=100"),
        (("train", "TextQA-v0", "--total-episodes=100"), "total_episodes=100"),
        (("evaluate", "TextQA-v0", "--max_new_tokens", "9"), "env.max_new_tokens=9"),
    ):
        argv, sys.argv = sys.argv, ["textenv", *words]
        try:
            done = run(*words)
        finally:
            sys.argv = argv
        assert done.exit_code == 2
        assert done.stderr.strip().endswith(answer)
    assert run("train", "TextQA-v0", "--nonsense", "3").exit_code == 2


def test_evaluate_takes_the_setting_of_a_run_unless_told_otherwise(run, model, tmp_path):
    data = tmp_path / "mine.jsonl"
    rows = [{"question": f"Is it {i}?", "answers": "yes"} for i in range(60)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    trained, out = tmp_path / "run", tmp_path / "found" / "eval.json"
    words = ("--model", model, "--dataset", data, "--reward", "chrf", "--out", trained)
    assert run("train", "TextQA-v0", *SMOKE, "env.max_new_tokens=5", *words).exit_code == 0

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


def test_a_training_into_a_file_writes_a_line_an_iteration(run, model, tmp_path):
    words = ("total_episodes=12", *SMOKE[1:], "--model", model, "--out", tmp_path / "run")
    done = run("train", "TextQA-v0", *words)
    lines = [line for line in done.stderr.splitlines() if line.startswith("Training")]
    assert len(lines) == 3
    assert re.match(r"Training  4/12  reward \d\.\d+  KL .* tokens/s  \d+ s$", lines[0])


@pytest.mark.parametrize(
    "words",
    [
        "list",
        "show TextQA-v0",
        "show TextDialogueSelect-v0",
        "rewards list",
        "rewards audit TextQA-v0 --examples 20",
        "rewards best-of-n TextQA-v0 --reward rougeL --gold rouge2,bleu,chrf --prompts 2 --pool 4",
        "evaluate TextQA-v0 --agent lead --examples 4",
        "plan TextQA-v0",
    ],
)
def test_tables_can_be_read_at_80_columns(run, monkeypatch, words):
    monkeypatch.setenv("COLUMNS", "80")
    done = run(*words.split())
    assert done.exit_code == 0, done.output
    assert max(map(len, done.stdout.splitlines())) <= 80
    cut = [line for line in done.stdout.splitlines() if "…" in line and "  prompt" not in line]
    assert [line for line in cut if " … " not in line] == []


def test_the_environment_s_keys_are_named_one_by_one(run):
    for command in ("show", "play", "evaluate"):
        done = run(command, "TextQA-v0", "env=5")
        assert done.exit_code == 2
        assert "env is not 5; name its keys" in done.stderr
    twice = run("show", "TextQA-v0", "--dataset", "facts", "env.dataset=news")
    assert "The dataset is given twice" in twice.stderr


def test_a_run_that_is_not_there_is_told_as_such(run):
    assert "There is no run 'nowhere'" in run("evaluate", "--model", "nowhere").stderr


def test_a_run_from_elsewhere_says_where_its_data_were(run, model, tmp_path, monkeypatch):
    rows = [json.dumps({"question": f"Is it {i}?", "answers": "yes"}) for i in range(60)]
    (tmp_path / "mine.jsonl").write_text("\n".join(rows), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    words = ("--model", model, "--dataset", "mine.jsonl", "--out", "run")
    assert run("train", "TextQA-v0", *SMOKE, *words).exit_code == 0
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
    run, model, tmp_path, reward
):
    words = ("train", "TextQA-v0", *SMOKE, reward, "--model", model, "--out", tmp_path / "run")
    assert run(*words).exit_code == 0
    found = run("evaluate", "--model", tmp_path / "run", "--examples", "2", "--json")
    assert "chrf" in json.dumps(json.loads(found.stdout)["reward_spec"])
    own = ("--model", tmp_path / "run", "--examples", "2", "--json", "--reward", "rougeL")
    assert json.loads(run("evaluate", *own).stdout)["reward_spec"] == "rougeL"
    assert run(*words, "--reward", "rougeL", "--out", tmp_path / "two").exit_code == 2
