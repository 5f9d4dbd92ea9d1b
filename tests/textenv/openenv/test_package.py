"""The package that `textenv openenv ID --out FOLDER` writes, and the audit as OpenEnv's graders."""

from __future__ import annotations

import importlib.util
import threading
import tomllib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import yaml

import textenv
from textenv import registry
from textenv.errors import ConfigError
from textenv.listening import LOOPBACK, listen
from textenv.openenv.package import write_package
from textenv.registry import environment_row

ID = "TextDialogue-v0"
ROOT = Path(__file__).resolve().parents[3]

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of uvicorn and FastAPI
    pytest.mark.usefixtures("openenv"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("package") / ID
    write_package(path, ID, {"max_turns": 4}, sessions=3)
    return path


@pytest.fixture
def few(monkeypatch):
    """Audits on few examples."""
    from textenv.openenv import graders

    monkeypatch.setattr(graders, "_N_EXAMPLES", 40)


class LocalProvider:
    """Runs a package in this process, where OpenEnv's own provider asks for Docker."""

    name = "local"
    supported_network_modes = frozenset({"public"})

    def __init__(self):
        from openenv.validation.types import ProviderCapability

        self.capabilities = frozenset({ProviderCapability.IMAGE_BUILD})

    def build(self, root, execution):
        self._root = root
        return "sha256:" + "0" * 64

    def start(self, spec):
        from textenv.openenv.server import make_server

        path = self._root / "server" / "app.py"
        module = importlib.util.module_from_spec(
            importlib.util.spec_from_file_location("served_package", path)
        )
        module.__spec__.loader.exec_module(module)
        self._server = make_server(module.app)
        self._listening = listen(LOOPBACK, 0)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listening]}
        )
        self._thread.start()
        self.base_url = f"http://{LOOPBACK}:{self._listening.getsockname()[1]}"
        return self

    def inspect(self):
        return {}

    def stop(self):
        self._server.should_exit = True
        self._thread.join()
        self._listening.close()


def by_id(results):
    return {result.check_id: result for result in results}


def test_openenvs_validator_passes_it_as_it_is_written(folder):
    from openenv.validation import Level, run_validation

    report = run_validation(folder, max_level=Level.STATIC)
    assert report.verdict.value == "pass", report.results


def test_openenvs_validator_passes_what_it_serves(folder):
    from openenv.validation import Level, run_validation

    report = run_validation(folder, max_level=Level.RUNTIME, provider=LocalProvider())
    found = by_id(report.results)
    for name in ("startup", "reward_well_formed", "observation_schema", "state_contract"):
        assert found[f"runtime.{name}"].status.value == "pass", found[f"runtime.{name}"]
    assert not [r for r in report.results if r.status.value in ("fail", "error")]


def test_it_names_the_environment_and_its_arguments(folder):
    manifest = yaml.safe_load((folder / "openenv.yaml").read_text(encoding="utf-8"))
    assert manifest["textenv"] == {"id": ID, "arguments": {"max_turns": 4}}
    assert manifest["app"] == "server.app:app"
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"]["server"] == "server.app:main"
    assert textenv.__version__ in (folder / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"reward": "mine.py:reward"}, "code of your own"),
        ({"dataset": {"path": __file__}}, "on this machine alone"),
        ({"reward": {"judge": {"api_key": "sk-12345678901234567890"}}}, "key"),
        ({"action_level": "token"}, "leave action_level out"),
        ({"max_turns": np.int64(3)}, "int64 is not JSON"),
        ({"dataset": Path(__file__)}, "PosixPath is not JSON"),
    ],
)
def test_what_is_here_alone_has_no_place_in_it(tmp_path, arguments, said):
    with pytest.raises(ConfigError, match=said):
        write_package(tmp_path / "new", ID, arguments)
    assert not (tmp_path / "new").exists()


def test_a_path_below_the_users_folder_is_refused_and_a_long_text_is_no_path(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.csv").write_text("text,summary\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"'~/mine\.csv' is on this machine alone"):
        write_package(tmp_path / "new", "TextSummarize-v0", {"dataset": "~/mine.csv"})
    with pytest.raises(ConfigError, match="cannot be built"):
        write_package(tmp_path / "new", ID, {"task_kwargs": {"question": "x" * 400}})


def test_an_environment_of_a_registry_file_here_is_refused(tmp_path, monkeypatch):
    row = environment_row(ID)
    monkeypatch.setitem(registry._registered, "Mine-v0", (tmp_path / "mine.yaml", row))
    with pytest.raises(ConfigError, match="'Mine-v0' is listed in a registry file"):
        write_package(tmp_path / "new", "Mine-v0")


def test_a_folder_of_a_splits_name_hides_no_split(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test").mkdir()
    write_package(tmp_path / "new", ID, {"split": "test"})
    assert (tmp_path / "new" / "openenv.yaml").is_file()


def test_a_folder_that_holds_something_is_not_written_into(tmp_path):
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="is not empty"):
        write_package(tmp_path, ID)


def test_the_graders_pass_a_reward_that_wants_what_it_says(folder, few):
    from textenv.openenv import grade

    assert {name: r.status.value for name, r in by_id(grade(folder)).items()} == {
        "semantic.oracle_max": "pass",
        "semantic.floor_gap": "pass",
        "statistical.adversarial_floor": "pass",
        "statistical.gameability_gap": "pass",
    }


def test_the_graders_fail_a_reward_that_pays_for_anything(tmp_path, few):
    from textenv.openenv import grade

    write_package(tmp_path / "lazy", "TextSummarize-v0", {"reward": "random"})
    found = by_id(grade(tmp_path / "lazy"))
    assert found["statistical.adversarial_floor"].status.value == "fail"
    assert found["statistical.gameability_gap"].status.value == "fail"
    assert found["semantic.oracle_max"].status.value == "fail"
    assert found["statistical.adversarial_floor"].evidence[0]


def test_what_is_no_package_is_refused_in_words(tmp_path):
    from textenv.openenv import grade

    with pytest.raises(ConfigError, match="is no package of OpenEnv"):
        grade(tmp_path)
    (tmp_path / "openenv.yaml").write_bytes(b"\x80")
    with pytest.raises(ConfigError, match="is no package of OpenEnv"):
        grade(tmp_path)


def test_openenvs_registry_takes_the_graders_that_are_declared(folder):
    from openenv.validation.graders import ENTRY_POINT_GROUP, GraderRegistry
    from openenv.validation.parsers.openenv_yaml import OpenEnvYamlParser
    from openenv.validation.types import Level

    from textenv.openenv.graders import GRADERS

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = project["entry-points"][ENTRY_POINT_GROUP].values()
    assert set(declared) == {f"textenv.openenv.graders:{grader.__name__}" for grader in GRADERS}
    registry = GraderRegistry()
    for grader in GRADERS:
        registry.register(grader())
    manifest = OpenEnvYamlParser().parse(folder)
    assert {g.check_id for g in registry.select(manifest, Level.SEMANTIC)} == {
        "semantic.oracle_max",
        "semantic.floor_gap",
    }
    assert len(registry.select(manifest, Level.STATISTICAL)) == 4


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("textenv: {id: TextQA-v0, arguments: {reward: 'evil.py:reward'}}", "names code"),
        ("textenv: {arguments: {}}", "which environment it is"),
        ("name: other", "which environment it is"),
        ("textenv: &a [*a]", "which environment it is"),
    ],
)
def test_a_package_from_elsewhere_runs_no_code_and_must_say_what_it_is(tmp_path, block, said):
    from textenv.openenv.graders import audit_package

    (tmp_path / "openenv.yaml").write_text(block, encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        audit_package(tmp_path)
    with suppress(OSError):
        (tmp_path / "openenv.yaml").unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        audit_package(tmp_path)
