"""Registry files: what is accepted, what is refused and in which words."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import gymnasium
import pytest

from textenv import registry
from textenv.errors import RegistryError, UnknownNameError
from textenv.rewards import load_reward
from textenv.tasks.base import Task

TASK_FILE = """
from textenv.examples import Example, Turn
from textenv.tasks.base import Field, Task

class EchoTask(Task):
    fields = (Field("text"),)

    def example(self, id, row):
        return Example(id, row["text"], (row["text"],))

    def opening(self, example):
        return (Turn("user", example.prompt),)

class NotATask:
    pass
"""


@pytest.fixture(autouse=True)
def own_registrations(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    before = dict(gymnasium.registry)
    gymnasium.registry.clear()
    yield
    gymnasium.registry.clear()
    gymnasium.registry.update(before)


@pytest.fixture
def write(tmp_path):
    (tmp_path / "echo.py").write_text(TASK_FILE)

    def write(text: str) -> Path:
        path = tmp_path / "mine.yaml"
        path.write_text(textwrap.dedent(text))
        return path

    return write


def row(id="Echo-v0", task="echo.py:EchoTask", extra=""):
    return f"environments:\n  - id: {id}\n    task: {task}\n    description: Echoes.\n{extra}"


def test_every_packaged_task_exists_and_takes_its_arguments():
    for entry in registry.load_registry(registry.registry_path()):
        assert isinstance(registry.resolve_target(entry.task)(**entry.task_kwargs), Task)


def test_the_packaged_rows_hold_the_published_defaults():
    rows = {entry.id: entry for entry in registry.load_registry(registry.registry_path())}
    assert all(re.fullmatch(r"Text[A-Za-z]+-v0", id) for id in rows)
    assert rows["TextDialogue-v0"].make_kwargs() == {
        "task": "textenv.tasks.dialogue:DialogueTask",
        "task_kwargs": {},
        "dataset": "guests",
        "reward": "dialogue",
        "max_prompt_tokens": 96,
        "max_new_tokens": 32,
        "max_turns": 6,
    }


def test_a_registered_spec_survives_json_and_names_both_entry_points(write):
    path = write(row(extra="    kwargs: {dataset: news, reward: {rougeL: 1.0}}\n"))
    assert registry.register_from_yaml(path) == ["Echo-v0"]
    spec = gymnasium.spec("Echo-v0")
    assert spec == type(spec).from_json(spec.to_json())
    assert spec.entry_point == "textenv.env:TextEnv"
    assert spec.vector_entry_point == "textenv.vector:TextVectorEnv"
    assert spec.max_episode_steps is None
    assert spec.kwargs == {
        "task": f"{path.parent / 'echo.py'}:EchoTask",
        "task_kwargs": {},
        "dataset": "news",
        "reward": {"rougeL": 1.0},
    }


def test_what_a_row_names_lies_beside_its_file(write, tmp_path):
    (tmp_path / "pay.py").write_text(
        "import numpy as np\nfrom textenv import RewardResult\n"
        "def one(episodes):\n    return RewardResult(np.ones(len(episodes)))\n"
    )
    (tmp_path / "tok").mkdir()
    kwargs = (
        "{dataset: news, reward: 'pay.py:one', tokenizer: tok, action_level: text,"
        " text_observation: string}"
    )
    (entry,) = registry.load_registry(write(row(extra=f"    kwargs: {kwargs}\n")))
    made = entry.make_kwargs()
    assert made["reward"] == f"{tmp_path / 'pay.py'}:one"
    assert made["tokenizer"] == str(tmp_path / "tok")
    assert made["text_observation"] == "string"
    assert load_reward(made["reward"])([None, None]).total.tolist() == [1, 1]


def test_registering_the_same_rows_twice_changes_nothing(write):
    path = write(row())
    registry.register_from_yaml(path)
    spec = gymnasium.spec("Echo-v0")
    assert registry.register_from_yaml(path) == ["Echo-v0"]
    assert gymnasium.spec("Echo-v0") is spec
    assert registry.registered_ids() == ["Echo-v0"]
    assert registry.environment_row("Echo-v0").description == "Echoes."


def test_an_id_cannot_change_its_meaning_and_nothing_is_registered_then(write):
    path = write(row())
    registry.register_from_yaml(path)
    other = path.with_name("other.yaml")
    other.write_text(
        row("Fresh-v0") + row(extra="    kwargs: {max_turns: 2}\n").removeprefix("environments:\n")
    )
    with pytest.raises(RegistryError, match=r"other.yaml: 'Echo-v0'.*mine.yaml.*'Echo-v1'"):
        registry.register_from_yaml(other)
    assert registry.registered_ids() == ["Echo-v0"]
    assert "Fresh-v0" not in gymnasium.registry


def test_an_id_of_other_code_is_not_overridden(write):
    gymnasium.register("Echo-v0", entry_point="elsewhere:Env")
    with pytest.raises(RegistryError, match="already registered, differently, by other code"):
        registry.register_from_yaml(write(row()))


def test_register_all_reads_the_files_of_the_environment_variable(write, monkeypatch):
    path = write(row())
    second = path.with_name("second.yaml")
    second.write_text(row("Second-v3"))
    monkeypatch.setenv("TEXTENV_REGISTRY", f"{path}:{second}:")
    registry.register_all()
    assert registry.registered_ids()[-2:] == ["Echo-v0", "Second-v3"]
    # Besides, there is what a server plays, which no file lists.
    assert {*registry.registered_ids(), "OpenEnv-v0"} == set(gymnasium.registry)


def test_a_file_of_the_environment_variable_is_checked_without_importing_its_tasks(
    write, monkeypatch
):
    path = write(row())
    (path.parent / "echo.py").write_text("raise SystemExit\n")
    monkeypatch.setenv("TEXTENV_REGISTRY", str(path))
    registry.register_all()
    path.write_text(row("Gone-v0", "gone.py:GoneTask"))
    with pytest.raises(RegistryError, match=r"mine.yaml, Gone-v0: there is no file .*gone.py"):
        registry.register_all()


def test_one_task_file_gives_one_class_and_equally_named_files_different_ones(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "echo.py").write_text(TASK_FILE)
    first = registry.resolve_target(f"{tmp_path}/a/echo.py:EchoTask")
    assert registry.resolve_target(f"{tmp_path}/a/echo.py:EchoTask") is first
    assert registry.resolve_target(f"{tmp_path}/b/echo.py:EchoTask") is not first


def test_data_beside_the_registry_file_is_found_from_any_folder(write):
    path = write(row(extra="    kwargs: {dataset: {path: rows.jsonl, group: doc}}\n"))
    data = path.with_name("rows.jsonl")
    data.write_text("{}")
    (entry,) = registry.load_registry(path)
    assert entry.make_kwargs()["dataset"] == {"path": str(data), "group": "doc"}
    path.write_text(row(extra="    kwargs: {dataset: rows.jsonl}\n"))
    (entry,) = registry.load_registry(path)
    assert entry.make_kwargs()["dataset"] == str(data)


def test_an_unknown_id_is_answered_with_the_nearest(write):
    registry.register_from_yaml(write(row()))
    with pytest.raises(UnknownNameError, match="Did you mean 'Echo-v0'"):
        registry.environment_row("Ecko-v0")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"mine.yaml: the file is empty"),
        ("# only a comment\n", "the file is empty"),
        ("- a\n", "found a list at the top"),
        ("{}\n", "'environments' has no rows"),
        ("environments: []\n", "has no rows"),
        ("enviroments:\n  - id: A-v0\n", "unknown key 'enviroments'. Did you mean 'environments'"),
        ("environments:\n  - id: [\n", r"mine.yaml, line 3: not valid YAML"),
        ("environments:\n  - id: A-v0\n    id: B-v0\n", "line 3: .* 'id' stands twice"),
        ("environments: [3]\n", "row 1: the row: input should be a valid dictionary"),
        ("environments:\n  - id: A-v0\n", "A-v0: the key 'task' is missing.; the key 'descr"),
        (row(extra="    kwarg: {}\n"), "mine.yaml, Echo-v0: unknown key 'kwarg'. .*'kwargs'"),
        (
            row(extra="    kwargs: {max_prompt_token: 8}\n"),
            "Echo-v0: unknown key 'max_prompt_token' in kwargs. Did you mean 'max_prompt_tokens'",
        ),
        (row(extra="    kwargs: {max_turns: two}\n"), "kwargs.max_turns: .*found 'two'"),
        (row(extra="    kwargs: {max_turns: 0}\n"), "kwargs.max_turns: .*greater than 0"),
        (
            row(extra="    task_kwargs: {since: !!timestamp 2020-01-01}\n"),
            "not valid YAML: the tag !!timestamp is not read",
        ),
        (row("Echo"), "Did you mean 'Echo-v0'"),
        (row("'My Echo-v0'"), "Did you mean 'MyEcho-v0'"),
        (row("Echo-v" + "9" * 5000), "is not an id that Gymnasium takes"),
        (row("my:Echo-v0"), "Did you mean 'myEcho-v0'"),
        (row(task="EchoTask"), "write 'module:Class' or 'file.py:Class'"),
        (row(task="eco.py:EchoTask"), "Echo-v0: .*there is no file .*Did you mean 'echo.py'"),
        (row(task="textenv.tasks.bas:X"), "no module 'textenv.tasks.bas'. Did you mean 'base'"),
        (row(task="no_such_module:X"), "no module 'no_such_module'. Is it installed"),
        (row(task="no_such.module:X"), "no module 'no_such.module'. Is it installed"),
        (row(task="echo.py:EcoTask"), "no class 'EcoTask'. Did you mean 'EchoTask'"),
        (row(task="echo.py:NotATask"), "Echo-v0: .*not a subclass of textenv.tasks.base.Task"),
        (row() + row().removeprefix("environments:\n"), "'Echo-v0' is listed twice .*row 2"),
    ],
)
def test_a_mistake_is_refused_with_the_place_and_a_way_out(write, text, message):
    with pytest.raises(RegistryError, match=message):
        registry.register_from_yaml(write(text))
    assert not gymnasium.registry


def test_a_task_that_fails_to_import_says_why(write):
    path = write(row())
    (path.parent / "echo.py").write_text("import no_such_library\n")
    with pytest.raises(RegistryError, match=r"Echo-v0.*ModuleNotFoundError.*no_such_library"):
        registry.register_from_yaml(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(RegistryError, match=r"gone.yaml.*cannot be read: No such file"):
        registry.register_from_yaml(tmp_path / "gone.yaml")
    (tmp_path / "latin.yaml").write_bytes("description: gr\xfcn".encode("latin-1"))
    with pytest.raises(RegistryError, match="not UTF-8"):
        registry.load_registry(tmp_path / "latin.yaml")


def test_code_that_ends_the_program_when_it_is_imported_is_an_error(write, tmp_path, monkeypatch):
    (tmp_path / "ends").mkdir()
    (tmp_path / "ends/__init__.py").write_text("raise SystemExit(0)")
    (tmp_path / "ends.py").write_text("raise SystemExit(0)")
    monkeypatch.syspath_prepend(tmp_path)
    for task in ("ends.task:Task", "ends.py:Task"):
        path = write(row(task=task))
        with pytest.raises(RegistryError, match="fails with SystemExit"):
            registry.register_from_yaml(path)
