"""The command `textenv openenv`: what it prints, writes and refuses."""

from __future__ import annotations

import builtins

import pytest
from typer.testing import CliRunner

from textenv.cli.main import make_app
from textenv.errors import TextEnvError

ID = "TextDialogue-v0"


@pytest.fixture
def run():
    """Runs the command line, and returns its output; errors are shown as they are there."""

    def call(*arguments):
        result = CliRunner().invoke(make_app(), ["openenv", *map(str, arguments)])
        if isinstance(result.exception, TextEnvError):
            raise result.exception
        return result.exit_code, " ".join(result.output.split())

    return call


def test_a_package_is_written_without_openenv(run, tmp_path):
    code, said = run(ID, "env.max_turns=3", "--out", tmp_path / "new")
    assert code == 0, said
    assert "Check it with: openenv validate" in said
    assert "max_turns: 3" in (tmp_path / "new" / "openenv.yaml").read_text(encoding="utf-8")


def test_a_package_that_is_missing_is_named_with_the_remedy(run, monkeypatch):
    real = builtins.__import__

    def refuse(name, *arguments, **more):
        if name == "openenv":
            raise ModuleNotFoundError("no", name=name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    code, said = run(ID)
    assert code == 2
    assert "pip install 'textenv[openenv]'" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("TextDialog-v0", "--out", "new"), "Did you mean 'TextDialogue-v0'"),
        ((ID, "max_turns=3", "--out", "new"), "Did you mean 'env.max_turns'"),
        ((ID, "env.turns=3", "--out", "new"), "unexpected keyword argument 'turns'"),
    ],
)
def test_a_slip_is_refused_in_words(run, arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, said = run(*arguments)
    assert code == 2
    assert words in said


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of FastAPI, at OpenEnv
def test_the_address_is_printed_and_is_of_this_machine(run, openenv, monkeypatch):
    import uvicorn

    served = []
    monkeypatch.setattr(
        uvicorn.Server, "run", lambda self, sockets: served.extend(s.getsockname() for s in sockets)
    )
    code, said = run(ID, "--port", 0, "--sessions", 2)
    assert code == 0, said
    assert said.startswith(f"OpenEnv: {ID} at http://127.0.0.1:")
    assert served[0][0] == "127.0.0.1"
