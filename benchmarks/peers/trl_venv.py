"""The virtual environment of TRL 1.12.0, the last release with a PPOTrainer."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from benchmarks.peers.contestants import ContestantError

PINS = ("transformers==5.23.0", "datasets==5.2.0", "accelerate==1.15.0", "trl==1.12.0", "rich")


def requirements() -> tuple[str, ...]:
    """Returns what is installed: the pins, with the torch that runs here."""
    return (f"torch=={version('torch').split('+')[0]}", *PINS)


def trl_python(peers_dir: Path) -> Path:
    """Returns the interpreter of the environment, which is created when it is first needed.

    Raises:
        ContestantError: It cannot be.
    """
    folder = peers_dir / "trl-1.12.0"
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    complete = folder / "requirements.txt"
    wanted = "\n".join(requirements()) + "\n"
    if complete.is_file() and complete.read_text(encoding="utf-8") == wanted:
        return python
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(python), "-m", "pip", "install", *requirements()],
    ):
        # pip shows its own progress.
        if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
            raise ContestantError(
                "The environment of TRL cannot be made: this command failed, and said why above.\n"
                f"    {' '.join(command)}\n"
                "Mend what it complains about, or leave trl out of --against."
            )
    complete.write_text(wanted, encoding="utf-8")
    return python
