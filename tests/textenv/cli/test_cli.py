from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import textenv
from textenv.cli import console, main

ROOT = Path(__file__).resolve().parents[3]


def _use_entry_points(monkeypatch, *points):
    for module in (main, console):
        monkeypatch.setattr(module, "entry_points", lambda group: list(points))


@pytest.fixture
def run(monkeypatch):
    """Runs a command line without the commands of other packages."""
    _use_entry_points(monkeypatch)
    monkeypatch.setenv("COLUMNS", "100")

    def invoke(*arguments, input=None):
        return CliRunner().invoke(main.make_app(), list(arguments), input=input)

    return invoke


def test_help_names_every_command_and_version_is_the_packages(run):
    shown = run("--help")
    assert shown.exit_code == 0
    for command in ("list", "show", "play"):
        assert f" {command} " in shown.stdout
    assert run("--version").stdout == f"textenv {textenv.__version__}\n"


def test_list_shows_every_environment(run):
    shown = run("list").stdout
    words = " ".join(shown.split())
    for id in textenv.registered_ids():
        assert f"{id} {textenv.registry.environment_row(id).description[:20]}" in words


def test_list_as_json_gives_an_object_for_each_environment(run):
    rows = json.loads(run("list", "--json").stdout)
    assert [row["id"] for row in rows] == textenv.registered_ids()
    by_id = {row["id"]: row for row in rows}
    assert by_id["TextDialogueSelectHard-v0"] == {
        "id": "TextDialogueSelectHard-v0",
        "description": textenv.registry.environment_row("TextDialogueSelectHard-v0").description,
        "dataset": {"path": "replies", "difficulty": "hard"},
        "reward": "selection",
        "action_level": "select",
        "max_turns": 1,
    }


def test_show_as_json_holds_an_example_whose_gold_answer_earns_the_reward(run):
    shown = json.loads(run("show", "TextQA-v0", "--index", "2", "--split", "test", "--json").stdout)
    example = shown["example"]
    assert example["id"] == "facts/test/0/2"
    assert "Question:" in example["opening"][-1]["text"]
    assert example["gold"] == example["references"][:1]
    assert example["gold_reward"] == example["gold_reward_components"]["token_f1"] == 1.0
    assert 0 < example["prompt_tokens"] <= shown["arguments"]["max_prompt_tokens"] == 128
    assert shown["arguments"]["max_new_tokens"] == 8
    assert shown["arguments"]["autoreset_mode"] == "next_step"
    assert shown["action_space"].startswith("Discrete(4096)")
    assert "input_ids int32 (136,)" in shown["observation_space"]


def test_show_prints_the_opening_the_gold_answer_and_its_reward(run):
    shown = run("show", "TextQA-v0", "--split", "test")
    data = json.loads(run("show", "TextQA-v0", "--split", "test", "--json").stdout)
    assert data["example"]["references"][0] in shown.stdout
    assert "reward 1.000" in shown.stdout
    assert "of this environment" in shown.stdout


def test_show_prints_the_whole_ideal_conversation_of_a_dialogue(run):
    shown = run("show", "TextDialogue-v0", "--split", "test", "--index", "3").stdout
    ideal = shown.partition("Ideal conversation")[2]
    assert ideal.count("agent ") == 2
    assert "Booked:" in ideal


def test_the_gold_answer_played_by_hand_earns_the_full_reward(run):
    data = json.loads(run("show", "TextQA-v0", "--index", "5", "--json").stdout)
    answer = data["example"]["references"][0]
    played = run("play", "TextQA-v0", "--index", "5", input=f"{answer}\nn\n")
    assert played.exit_code == 0
    assert "reward 1.000" in played.stdout
    assert "Goodbye" not in played.stdout


def test_an_empty_line_is_an_empty_reply_and_the_next_example_follows(run):
    played = run("play", "TextQA-v0", "--index", "5", input="\ny\n\n")
    assert played.stdout.count("reward 0.000") == 2
    assert "facts/train/0/5" in played.stdout
    assert "facts/train/0/6" in played.stdout


def test_a_dialogue_goes_on_for_several_turns(run):
    # The guest bears two turns that neither ask nor book, and leaves at the third.
    played = run("play", "TextDialogueEasy-v0", "--index", "0", input="\n\n\n\nn\n")
    assert played.exit_code == 0
    assert played.stdout.count("you> ") == 4
    assert played.stdout.count("Ideal conversation") == 1


def test_where_there_are_replies_to_choose_from_a_number_is_asked_for(run):
    data = json.loads(run("show", "TextDialogueSelect-v0", "--index", "5", "--json").stdout)
    (gold,) = data["example"]["gold"]
    played = run("play", "TextDialogueSelect-v0", "--index", "5", input="\n9\n0\nn\n")
    assert played.exit_code == 0
    assert played.stdout.count("Type a number from 0 to 3.") == 2
    listed = dict(re.findall(r"^(\d)  (.*(?:\n   \S.*)*)$", played.stdout, re.MULTILINE))
    assert sorted(listed) == ["0", "1", "2", "3"]
    (right,) = [n for n, text in listed.items() if " ".join(text.split()) == gold]
    played = run("play", "TextDialogueSelect-v0", "--index", "5", input=f"{right}\nn\n")
    assert "reward 1.000" in played.stdout


@pytest.mark.parametrize("typed", ["9" * 5000, "-1", "1e0", "\u00b2", "0x0"])
def test_what_is_no_number_of_a_reply_is_asked_again(run, typed):
    played = run("play", "TextDialogueSelect-v0", "--index", "5", input=f"{typed}\n0\nn\n")
    assert played.exit_code == 0
    assert played.stdout.count("Type a number from 0 to 3.") == 1


def test_bytes_that_are_no_text_are_said_to_be_none(run):
    played = run("play", "TextQA-v0", "--index", "0", input=b"caf\xe9\n")
    assert played.exit_code == 2
    assert "no text in utf-8, the encoding of this terminal: it has the byte 0xe9" in " ".join(
        played.stderr.split()
    )


@pytest.mark.parametrize("input", ["", "one turn\n", "one turn\ntwo\nthree\nfour\n"])
def test_the_end_of_input_ends_the_game_politely_wherever_it_comes(run, input):
    played = run("play", "TextDialogue-v0", "--index", "0", input=input)
    assert played.exit_code == 0
    assert played.stdout.endswith("Goodbye.\n")
    assert played.stderr == ""


def test_a_reply_beyond_the_budget_is_shown_as_it_was_taken(run):
    played = run("play", "TextQA-v0", "--index", "0", input=f"{'one two three four ' * 9}\nn\n")
    assert "Of this was taken: one two" in played.stdout


def test_play_takes_another_reward_by_name_or_as_a_mapping(run):
    mapping = "{exact_match: 0.5, token_f1: {weight: 1}}"
    data = json.loads(run("show", "TextQA-v0", "--index", "5", "--json").stdout)
    answer = f"{data['example']['references'][0]}\nn\n"
    played = run("play", "TextQA-v0", "--index", "5", "--reward", mapping, input=answer)
    assert "reward 1.500" in played.stdout
    assert "exact_match 1.000" in played.stdout


def test_play_reads_a_persons_own_data(run, tmp_path):
    rows = [{"question": f"Who is {i}?", "context": f"It is Ann {i}.", "answer": f"Ann {i}"}
            for i in range(40)]  # fmt: skip
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    played = run("play", "TextQA-v0", "--dataset", f"{{path: {path}}}", input="Ann\nn\n")
    assert played.exit_code == 0
    assert played.stderr.startswith(f"{path}: 40 rows read, 40 kept.\nExamples: train ")
    assert "It is Ann" in played.stdout


def test_text_that_looks_like_markup_is_printed_as_it_is(capsys):
    from rich.console import Console

    console.print_turns(Console(), [textenv.Turn("user", "[bold]x[/bold] [/nothing]")])
    console.print_error("[red]y[/red] [/nothing]")
    shown = capsys.readouterr()
    assert "[bold]x[/bold] [/nothing]" in shown.out
    assert "[red]y[/red] [/nothing]" in shown.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "TextQA"], "There is no environment 'TextQA'. Did you mean 'TextQA-v0'?"),
        (["show", "CartPole-v1"], "There is no environment 'CartPole-v1'."),
        (
            ["show", "TextQA-v0", "--split", "tset"],
            "There is no split 'tset'. Did you mean 'test'?",
        ),
        (["show", "TextQA-v0", "--index", "-1"], "There is no example -1"),
        (["play", "TextQA-v0", "--reward", "token_f2"], "Did you mean 'token_f1'?"),
        (["play", "TextQA-v0", "--reward", "{a: ["], "is not a valid YAML mapping"),
        (["play", "TextQA-v0", "--reward", "{ter: 1, ter: 2}"], "the key 'ter' stands twice"),
        (["play", "TextQA-v0", "--dataset", "factz"], "Did you mean 'facts'?"),
    ],
)
def test_wrong_input_ends_with_one_message_and_no_traceback(run, arguments, message):
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.output
    assert isinstance(done.exception, SystemExit)


def test_training_commands_that_are_not_installed_say_how_to_get_them(run):
    done = run("train", "TextQA-v0")
    assert done.exit_code == 2
    assert "pip install -e ." in done.stderr


def test_other_packages_add_commands_and_their_interrupt_exits_with_130(monkeypatch):
    def add_commands(app: typer.Typer) -> None:
        @app.command("wait")
        def wait() -> None:
            """Wait."""
            raise KeyboardInterrupt

    module = type(sys)("extra_commands")
    module.add_commands = add_commands
    monkeypatch.setitem(sys.modules, "extra_commands", module)
    point = EntryPoint("extra", "extra_commands:add_commands", console.COMMANDS_GROUP)
    _use_entry_points(monkeypatch, point)
    done = CliRunner().invoke(main.make_app(), ["wait"])
    assert (done.exit_code, done.stderr) == (130, "Stopped.\n")
    wrong = CliRunner().invoke(main.make_app(), ["wiat"])
    assert wrong.exit_code == 2
    assert "Did you mean 'wait'?" in wrong.stderr


def test_a_package_that_cannot_be_imported_leaves_the_other_commands(monkeypatch):
    point = EntryPoint("gone", "no_such_module_here:add", console.COMMANDS_GROUP)
    _use_entry_points(monkeypatch, point)
    done = CliRunner().invoke(main.make_app(), ["--version"])
    assert done.exit_code == 0


def test_a_broken_registry_file_is_one_message_of_the_command_and_an_error_of_the_import(tmp_path):
    registry = tmp_path / "mine.yaml"
    registry.write_text("environments: []\n")
    script = tmp_path / "textenv"
    script.write_text("from textenv.cli.main import main\n\nmain()\n")
    env = {**os.environ, "TEXTENV_REGISTRY": str(registry), "PYTHONPATH": str(ROOT)}

    def run_python(*arguments):
        return subprocess.run(
            [sys.executable, *arguments], env=env, cwd=tmp_path, capture_output=True, text=True
        )

    message = f"{registry}: 'environments' has no rows."
    shown = run_python(str(script), "--help")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr.startswith(message)
    assert shown.stderr.count("\n") == 1
    imported = run_python("-c", "import textenv").stderr.splitlines()[-1]
    assert imported.startswith(f"textenv.errors.RegistryError: {message}")


def test_listing_loads_nothing_heavy():
    code = (
        "import sys\n"
        "from textenv.cli.main import main\n"
        "sys.argv = ['textenv', 'list', '--json']\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "heavy = {'torch', 'transformers', 'datasets', 'pandas', 'stable_baselines3'}\n"
        "sys.stderr.write(' '.join(sorted(heavy & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(json.loads(done.stdout)) == len(textenv.registered_ids())


def write_rows(path, n):
    lines = [f"The cook number {i} makes a soup of carrots.,Cook {i} makes soup." for i in range(n)]
    path.write_text("\n".join(["document,summary", *lines]))
    return str(path)


def test_show_says_of_ones_own_rows_what_training_would(run, tmp_path):
    rows = write_rows(tmp_path / "few.csv", 5)
    few = " ".join(run("show", "TextSummarize-v0", "--dataset", rows).stdout.split())
    assert "The test split has 1 example" in few
    assert "Split 'validation' of dataset" in few
    assert "is empty" in few
    assert "The embedded model knows the generated data sets alone" in few
    assert "need document (or article," in few
    assert "may have title" in few


def test_show_says_that_all_is_well(run, tmp_path):
    rows = write_rows(tmp_path / "rows.csv", 159)
    shown = run("show", "TextSummarize-v0", "--dataset", rows).stdout
    assert "All 159 prompts and ideal answers fit." in shown
    tight = ("show", "TextSummarize-v0", "--dataset", rows, "env.max_new_tokens=2")
    assert "ideal answers fit." not in run(*tight).stdout
    assert "fit (the first 200 of a split are measured)." in run("show", "TextQA-v0").stdout
