"""What README, the pages and the examples import is public: exported, listed, and there."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Package -> its public modules: the names in their `__all__` are public, and no others.
PUBLIC = {
    "textenv": (
        "textenv",
        "textenv.benchmark",
        "textenv.chat",
        "textenv.openenv",
        "textenv.plots",
        "textenv.rewards",
        "textenv.testing",
        "textenv.wrappers",
    ),
    "agents": (
        "agents",
        "agents.integrations.nemo_gym",
        "agents.integrations.sb3_evaluation",
        "agents.integrations.sb3_features",
        "agents.integrations.trl",
        "agents.integrations.trl_tools",
        "agents.integrations.verl",
        "agents.training.agent_evaluation",
        "agents.training.guards",
    ),
}
MODULES = [module for modules in PUBLIC.values() for module in modules]


def documented_code():
    """Yields (file, syntax tree) of each example and tutorial, and of each block in a page."""
    for path in sorted([*ROOT.glob("examples/*.py"), *ROOT.glob("docs/tutorials/*.py")]):
        yield path.name, ast.parse(path.read_text(encoding="utf-8"))
    for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))):
        for block in re.findall(r"^```python\n(.*?)^```", path.read_text("utf-8"), re.M | re.S):
            yield path.name, ast.parse(block)


def used_names():
    """Returns (file, module, name) of everything that documented code takes from our packages."""
    used = set()
    for file, tree in documented_code():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in PUBLIC:
                used |= {(file, node.module, name.name) for name in node.names}
            elif isinstance(node, ast.Import):
                used |= {
                    (file, name.name, None)
                    for name in node.names
                    if name.name.partition(".")[0] in PUBLIC
                }
            elif isinstance(node, ast.Attribute):
                owner = ast.unparse(node.value)
                if owner in MODULES and f"{owner}.{node.attr}" not in MODULES:
                    used.add((file, owner, node.attr))
    return sorted(used, key=str)


@pytest.mark.parametrize("name", MODULES)
def test_all_lists_what_is_there_once(name):
    module = importlib.import_module(name)
    assert len(set(module.__all__)) == len(module.__all__)
    assert all(getattr(module, exported) is not None for exported in module.__all__)
    assert set(module.__all__) <= set(dir(module))


@pytest.mark.parametrize("package", PUBLIC)
def test_a_package_shows_its_public_names_and_no_others(package):
    module = importlib.import_module(package)
    shown = [name for name in dir(module) if not name.startswith("_")]
    assert shown == sorted(module.__all__)
    assert not hasattr(module, "no_such_name")


def test_documented_code_takes_public_names_only():
    internal = []
    for file, module, name in used_names():
        if module not in MODULES:
            internal.append(f"{file}: {module} is no public module")
        elif name is not None and name not in importlib.import_module(module).__all__:
            internal.append(f"{file}: {name} is no public name of {module}")
    assert internal == []
    assert ("using-environments.md", "textenv.wrappers", "SmallVocabulary") in used_names()


def test_there_are_few_public_names():
    assert sum(len(importlib.import_module(package).__all__) for package in PUBLIC) <= 40
