"""The command `textenv serve`: its errors, and the address that it prints."""

from __future__ import annotations

import builtins
import socket

import pytest

from textenv.errors import ConfigError
from textenv.listening import LOOPBACK, listen


def test_it_listens_on_this_machine_alone():
    with listen(LOOPBACK, 0) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"
        assert listening.getsockname()[1] > 0


def test_a_port_that_is_taken_is_named_with_the_remedy():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"Port {port} cannot be used .* --port 0"):
            listen(LOOPBACK, port)


def test_a_package_that_is_missing_is_named_with_the_remedy(run, make_run, monkeypatch):
    real = builtins.__import__

    def refuse(name, *arguments, **more):
        if name == "uvicorn":
            raise ModuleNotFoundError("no", name=name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    result = run("serve", make_run())
    assert result.exit_code == 2
    assert "pip install 'textenv[serve]'" in " ".join(result.output.split())


def test_a_folder_that_is_missing_is_an_error_not_an_empty_page(run, tmp_path, monkeypatch):
    pytest.importorskip("uvicorn", reason="the extra serve is not installed")
    monkeypatch.chdir(tmp_path)
    result = run("serve")
    assert result.exit_code == 2
    assert "There is no folder 'runs'" in result.output


def test_the_address_is_printed(run, make_run, monkeypatch):
    uvicorn = pytest.importorskip("uvicorn", reason="the extra serve is not installed")
    served = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: served.extend(sockets))
    monkeypatch.setattr("os.nice", lambda more: 0)
    result = run("serve", make_run(), "--port", 0)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("Runs: http://127.0.0.1:")
    assert len(served) == 1
