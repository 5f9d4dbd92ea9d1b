"""Imports the task class that a registry row or an argument names."""

from __future__ import annotations

from textenv.errors import RegistryError, describe_error, did_you_mean
from textenv.import_paths import load_module, missing_module
from textenv.tasks.base import Task


def resolve_target(target: str) -> type[Task]:
    """Imports the task that "module:Class" or "/path/to/file.py:Class" names."""
    module_name, _, class_name = target.rpartition(":")
    if not module_name or not class_name:
        raise RegistryError(f"task '{target}': write 'module:Class' or '/path/to/file.py:Class'.")
    problem = missing_module(module_name)
    if problem:
        raise RegistryError(f"task '{target}': {problem}")
    try:
        module = load_module(module_name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise RegistryError(
            f"task '{target}': importing '{module_name}' fails with {describe_error(error)}"
        ) from error
    found = getattr(module, class_name, None)
    if found is None:
        known = [name for name, value in vars(module).items() if _is_task(value)]
        raise RegistryError(
            f"task '{target}': '{module_name}' has no class '{class_name}'."
            + did_you_mean(class_name, known)
        )
    if not _is_task(found):
        raise RegistryError(
            f"task '{target}': '{class_name}' is not a subclass of textenv.tasks.base.Task."
        )
    task_class: type[Task] = found
    return task_class


def _is_task(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Task) and value is not Task
