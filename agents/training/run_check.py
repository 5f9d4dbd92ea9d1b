"""Checks every file of a run's folder against its checksum."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agents.ppo.atomic_replacement import CHECKPOINTS, settle
from agents.ppo.kept_checkpoints import AGENT_FILE, kept_iterations
from agents.training.checked_files import CHECKSUMS, find_damaged_files
from agents.training.looks import BEST
from textenv.errors import ConfigError, DamagedError
from textenv.report import REPORT_NAME
from textenv.storage.checksums import MANIFEST, Checksums, read_checksums
from textenv.storage.faults import storage_faults
from textenv.storage.folder_lock import LOCK_FILE
from textenv.storage.plain_files import RUN_LEVELS, check_plain_files


@dataclass(frozen=True)
class Checked:
    """What a check of a folder found.

    Attributes:
        n_whole: Number of files that are what was written.
        damaged: A text for each other one: its path, and what is wrong with it.
        derived: A text for each file that is made of the others, and not checked.
        unknown: Paths of files that no list knows.
    """

    n_whole: int
    damaged: tuple[str, ...]
    derived: tuple[str, ...]
    unknown: tuple[Path, ...]


def check_run(folder: Path) -> Checked:
    """Compares every file of a run, of its checkpoints and of its best agent with its checksum.

    Raises:
        ConfigError: The folder holds nothing that textenv saved.
    """
    check_plain_files(folder, RUN_LEVELS)
    settle(folder)
    damaged: list[str] = []
    listed: set[Path] = set()
    with storage_faults(folder):
        parts = [folder, folder / BEST]
        parts += [folder / CHECKPOINTS / str(i) for i in kept_iterations(folder)]
        lists = [part / MANIFEST for part in parts if part.is_dir()] + [folder / CHECKSUMS]
        for path in lists:
            try:
                known = read_checksums(path)
            except DamagedError as error:
                damaged.append(str(error))
                listed.add(path)
                continue
            if known is None:
                if (path.parent / AGENT_FILE).exists() or path.parent.name == BEST:
                    damaged.append(f"'{path}' is missing")
                continue
            listed |= {path, *(path.parent / name for name in known.files)}
            damaged += _damage(known, folder)
        if not listed and not damaged:
            raise ConfigError(f"'{folder}' holds nothing that textenv has saved with checksums.")
        found = {p for p in folder.rglob("*") if p.is_file() and p.name != LOCK_FILE}
    page = folder / REPORT_NAME
    derived = [f"'{page}' is not checked: textenv report {folder} makes it anew"]
    unknown = sorted(found - listed - {page})
    return Checked(
        len(listed & found) - len(damaged),
        tuple(damaged),
        tuple(derived if page in found else ()),
        tuple(unknown),
    )


def _damage(known: Checksums, folder: Path) -> list[str]:
    is_of_run = known.path == folder / CHECKSUMS
    return find_damaged_files(folder) if is_of_run else known.find_damage()
