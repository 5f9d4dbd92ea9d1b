"""Finds the agents that a folder keeps, and checks that they are whole.

Whatever reads an agent or its model asks here: what --resume sees, evaluations see.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agents.ppo.atomic_replacement import CHECKPOINTS, ITERATION, settle
from textenv.errors import ConfigError, DamagedError, ModelError
from textenv.storage.checksums import MANIFEST, read_checksums
from textenv.storage.faults import storage_faults
from textenv.storage.plain_files import RUN_LEVELS, check_plain_files
from textenv.storage.whole_files import remove_entry

AGENT_FILE = "agent.json"
BEST_FILE = "best.json"  # of the best model of a run
FORMAT = 6  # goes up with what an agent's files hold
_MODEL = "model"


def saved_iteration(folder: Path) -> int | None:
    """Returns the iteration after which the agent in a folder was saved; None if there is none.

    Raises:
        DamagedError: There is one, but its manifest is damaged or missing.
        ModelError: It was saved in another format.
    """
    settle(folder)
    if not any((folder / name).exists() for name in (AGENT_FILE, MANIFEST)):
        return None
    with storage_faults(folder):
        _check_format(folder)
        manifest = read_checksums(folder / MANIFEST)
    if manifest is None:
        raise DamagedError(f"'{folder / MANIFEST}' is missing. {describe_way_out(folder)}")
    iteration = manifest.notes.get(ITERATION)
    return None if iteration is None else int(iteration)


def latest_iteration(folder: Path) -> int | None:
    """Returns what `saved_iteration` does, but None for an agent that is damaged."""
    try:
        return saved_iteration(folder)
    except (DamagedError, ModelError):
        return None


def kept_iterations(folder: Path) -> list[int]:
    """Returns the iterations of the earlier agents that a folder keeps, the latest first."""
    kept = folder / CHECKPOINTS
    with storage_faults(kept):
        found = [p.name for p in kept.iterdir() if p.is_dir()] if kept.is_dir() else []
    return sorted((int(name) for name in found if name.isdecimal()), reverse=True)


def find_checkpoint(folder: Path, iteration: int | None = None) -> Path:
    """Returns the folder of the latest agent that a folder keeps, or of an earlier one.

    Raises:
        ConfigError: There is none of this iteration.
    """
    if iteration is None or iteration == latest_iteration(folder):
        return folder
    if iteration not in kept_iterations(folder):
        known = [*filter(None, [latest_iteration(folder)]), *kept_iterations(folder)]
        told = f"It has those of {', '.join(map(str, known))}." if known else "It has none."
        raise ConfigError(f"'{folder}' has no checkpoint of iteration {iteration}. {told}")
    return folder / CHECKPOINTS / str(iteration)


def run_of(checkpoint: Path) -> Path:
    """Returns the folder that keeps an agent: its own, or the run's for an earlier agent."""
    is_earlier = checkpoint.parent.name == CHECKPOINTS and checkpoint.name.isdecimal()
    return checkpoint.parent.parent if is_earlier else checkpoint


def check_whole(folder: Path) -> None:
    """Checks the files of the agent, or of the best model, in a folder against their checksums.

    A folder that textenv did not save has no checksums, and passes.

    Raises:
        DamagedError: Files are damaged; they are named, and what can be done.
        ModelError: It was saved by a newer or older version.
    """
    check_plain_files(folder, RUN_LEVELS)
    settle(folder)
    with storage_faults(folder):
        _check_format(folder)
        manifest = read_checksums(folder / MANIFEST)
        if manifest is None:
            if any((folder / name).exists() for name in (AGENT_FILE, BEST_FILE)):
                raise DamagedError(f"'{folder / MANIFEST}' is missing. {describe_way_out(folder)}")
            return
        wrong = manifest.find_damage()
    if wrong:
        raise DamagedError(f"{'; '.join(wrong)}. {describe_way_out(folder)}")


def check_model(model: str | Path) -> None:
    """Checks the files of a saved model; names of other models pass.

    Args:
        model: Folder of an agent, of a best model, or the `model/` in one; or another name.

    Raises:
        DamagedError: Files are damaged.
    """
    path = Path(model)
    if path.name == _MODEL and not (path / MANIFEST).exists():
        path = path.parent
    if path.is_dir():
        check_whole(path)


def drop_old(folder: Path, keep: int) -> None:
    """Removes all but the latest of the earlier agents that a folder keeps."""
    with storage_faults(folder):
        for iteration in kept_iterations(folder)[keep:] if keep else ():
            remove_entry(folder / CHECKPOINTS / str(iteration))


def go_back(folder: Path, iteration: int | None) -> None:
    """Makes an earlier agent the latest, if one is named; those after it are removed."""
    earlier = find_checkpoint(folder, iteration)
    if earlier == folder:
        return
    assert iteration is not None
    with storage_faults(folder):
        for later in kept_iterations(folder):
            if later > iteration:
                remove_entry(folder / CHECKPOINTS / str(later))
        # From here on `settle` finishes it.
        earlier.rename(folder / ".saved")
    settle(folder)


def _check_format(folder: Path) -> None:
    """Checks the format of an agent, as far as its file can be read."""
    path = folder / AGENT_FILE
    try:
        data: Any = json.loads(path.read_bytes())
        found = data["format"]
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError, RecursionError):
        return  # its checksum tells that it is damaged
    if found == FORMAT:
        return
    manifest = read_checksums(folder / MANIFEST)
    damage = manifest.find_damage([AGENT_FILE]) if manifest is not None else []
    if damage and not (isinstance(found, int) and found > FORMAT):
        return
    if isinstance(found, int) and found > FORMAT:
        perhaps = " Or the file is damaged: its checksum differs." if damage else ""
        raise ModelError(
            f"'{path}' has format {found}, and this version reads {FORMAT}: it was saved by a "
            f"newer textenv. Upgrade textenv to read it.{perhaps}"
        )
    raise ModelError(
        f"'{path}' has format {found}, and this version reads {FORMAT}: it was saved by an older "
        "textenv. Load it with that version."
    )


def describe_way_out(folder: Path) -> str:
    """Says what can be done about a damaged agent."""
    run = run_of(folder)
    earlier = [i for i in kept_iterations(run) if run / CHECKPOINTS / str(i) != folder]
    restore = "Restore what is damaged from a copy"
    if earlier:
        return (
            f"{restore}, or go on from an earlier checkpoint: textenv train --resume {run} --from "
            f"{earlier[0]} (kept: {', '.join(map(str, earlier))})."
        )
    if (run / AGENT_FILE).exists() or (run / MANIFEST).exists():
        return f"{restore}; '{run}' keeps no earlier checkpoint."
    return f"{restore}."
