"""What the commands that need a model have in common: help, tables, wrong input."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agents.training.config import SFTOptions, TrainConfig

ROOT = Path(__file__).resolve().parents[3]


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
        (["train", "TextQA-v0", "max_new_tokens=5"], "Did you mean 'env.max_new_tokens'?"),
        (["sft", "TextQA-v0", "max_new_tokens=5"], "Did you mean 'env.max_new_tokens'?"),
        (["show", "TextQA-v0", "max_new_tokens=5"], "Did you mean 'env.max_new_tokens'?"),
        (["sft", "TextQA-v0", "dataset=facts"], "Did you mean '--dataset'?"),
        (
            ["train", "TextQA-v0", "episodes=5"],
            "'total_episodes' (training budget in episodes) or 'n_episodes' (episodes of one",
        ),
        (["train", "TextQA-v0", "lr=1"], "Did you mean 'learning_rate'?"),
        (
            ["train", "TextQA-v0", "--dataset", "{path:rows.csv}"],
            "YAML wants a blank after the colon: {path: rows.csv}",
        ),
        (
            ["train", "TextQA-v0", "--dataset", "{path: a.csv, columns: {question:q}}"],
            "YAML wants a blank after the colon: {question: q}",
        ),
        (
            ["train", "TextQA-v0", "env.dataset={path:rows.csv}"],
            "YAML wants a blank after the colon: {path: rows.csv}",
        ),
        (["train", "TextQA-v0", "--reward", "titled"], "Your own: 'my_reward.py:titled'."),
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
    assert done.stdout == ""  # no header of a run that does not begin
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


def test_a_reward_is_tried_before_a_model_is_loaded(run, tmp_path):
    reward = tmp_path / "broken.py"
    reward.write_text("def broken(episodes):\n    return [1.0]\n")
    (tmp_path / "no-model").mkdir()
    (tmp_path / "no-model" / "config.json").write_text("{}")
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


@pytest.mark.parametrize(
    "words",
    [
        "list",
        "show TextQA-v0",
        "show TextDialogueSelect-v0",
        "rewards list",
        "rewards audit TextQA-v0 --examples 20 --budget 100",
        "rewards best-of-n TextQA-v0 --reward rougeL --gold rouge2,bleu,chrf --prompts 2 --pool 4",
        "evaluate TextQA-v0 --agent lead --examples 4",
        pytest.param("plan TextQA-v0", marks=pytest.mark.slow),
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


def test_a_name_that_leads_nowhere_is_met_with_what_is_there(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("d", "other"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "config.yaml").touch()
    assert run("train", "--resume", "runs/dd").stderr == (
        "'runs/dd' holds no run: there is no config.yaml. Did you mean 'runs/d'?\n"
    )
    assert "Did you mean 'runs/d'?" in run("report", "runs/dd").stderr
    assert "Name the folder that textenv train wrote" in run("report", "runs/zzz").stderr
    for command in ("train", "evaluate", "sft", "show"):
        told = run(command, "TextQA-v0", "--model", "runs/nope").stderr
        assert "at 'runs/nope'. Use a local folder, or the model that comes with" in told, command
        assert told.count("\n") == 1
    (tmp_path / "my_reward.py").write_text("def titled(episodes): return [0.0] * len(episodes)")
    told = run("train", "TextQA-v0", "--reward", "my_reward:titled").stderr
    assert "Did you mean 'my_reward.py:titled'?" in told
