"""Says in one line why a run could not go on, and from which checkpoint it can."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agents.ppo.kept_checkpoints import latest_iteration
from agents.training.run_folder import CONFIG_FILE
from textenv.errors import ResourceError, StorageError, TextEnvError
from textenv.resource_faults import describe_resource_fault
from textenv.storage.faults import describe_fault


@contextmanager
def telling_what_is_kept(out: Path) -> Iterator[None]:
    """Turns errors of disks, memory and GPUs into one line that names the last checkpoint.

    Raises:
        StorageError: A file or folder failed.
        ResourceError: Memory is spent, the GPU is lost, or a worker process has ended.
    """
    try:
        yield
    except (StorageError, ResourceError) as error:
        raise type(error)(f"{error} {_kept(out)}".rstrip()) from error
    except TextEnvError:
        raise
    except Exception as error:
        resource = describe_resource_fault(error)
        if resource is not None:
            raise ResourceError(f"{resource}. {_kept(out)}".rstrip()) from error
        fault = describe_fault(error) if isinstance(error, OSError) else None
        if fault is None:
            raise
        raise StorageError(f"{fault}. {_kept(out)}".rstrip()) from error


def _kept(out: Path) -> str:
    try:
        iteration = latest_iteration(out)
        begun = (out / CONFIG_FILE).is_file()
    except (OSError, TextEnvError):
        return ""
    if iteration is not None:
        return (
            f"The checkpoint of iteration {iteration} is kept: textenv train --resume {out} goes "
            "on from there."
        )
    return f"No agent was saved: textenv train --resume {out} begins anew." if begun else ""
