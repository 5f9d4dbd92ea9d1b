"""Imports code by name: "module:Class", or "/path/to/file.py:Class"."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import pkgutil
import sys
from pathlib import Path
from types import ModuleType

from textenv.errors import describe_error, did_you_mean
from textenv.named_paths import named_path


def load_module(module_name: str) -> ModuleType:
    """Imports a module by its name, or a Python file by its path, once."""
    if is_file(module_name):
        return _load_file(Path(module_name))
    return importlib.import_module(module_name)


def is_file(module_name: str) -> bool:
    """Tells whether the part before the colon is a Python file's path."""
    return module_name.endswith(".py")


def missing_module(module_name: str, attribute: str = "NAME") -> str | None:
    """Says why a module, of which a name is wanted, cannot be found; imports nothing."""
    if is_file(module_name):
        path = named_path(module_name)
        if path.is_file():
            return None
        nearby = [entry.name for entry in path.parent.glob("*.py")]
        return f"there is no file '{path}'." + did_you_mean(path.name, nearby)
    top = module_name.partition(".")[0]
    if top in sys.stdlib_module_names and top != "__main__":
        return (
            f"'{top}' is a module of Python itself, which is not loaded for that. A file of yours "
            f"by that name is written '{top}.py:NAME'."
        )
    if module_name in sys.modules:
        return None
    try:
        if importlib.util.find_spec(module_name) is not None:
            return None
    except (ModuleNotFoundError, ValueError):
        pass
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a package above the module is imported by the search
        return f"looking for '{module_name}' fails with {describe_error(error)}"
    message = f"there is no module '{module_name}'."
    file = f"{module_name.replace('.', '/')}.py"
    if named_path(file).is_file():
        return f"{message} Did you mean '{file}:{attribute}'?"
    package, _, name = module_name.rpartition(".")
    if package in sys.modules:
        folders = getattr(sys.modules[package], "__path__", [])
        return message + did_you_mean(name, [found.name for found in pkgutil.iter_modules(folders)])
    return message + " Is it installed, or on PYTHONPATH? A file is written 'my_task.py:MyTask'."


def _load_file(path: Path) -> ModuleType:
    """Imports a file once; a name made from its path keeps equally named files apart."""
    digest = hashlib.blake2b(str(path.resolve()).encode(), digest_size=6).hexdigest()
    name = f"textenv_task_{path.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look the module up while it runs
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
