"""No call of the packages runs what a file brings: pickles, remote code, YAML tags, templates."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import agents
import textenv

ROOTS = [Path(package.__file__).parent for package in (textenv, agents)]
FILES = sorted(path for root in ROOTS for path in root.rglob("*.py"))

# Function -> the files that may call it, and why that runs nothing.
FORBIDDEN: dict[str, dict[str, str]] = {
    "eval": {},
    "exec": {},
    "compile": {},
    "__import__": {},
    "torch.load": {},
    "np.load": {},
    "numpy.load": {},
    "joblib.load": {},
    "marshal.loads": {},
    "shelve.open": {},
    "pickle.load": {},
    "pickle.loads": {"spaces.py": "reads what this process and its workers wrote"},
    "pickle.Unpickler": {},
    "yaml.load": {"strict_yaml.py": "the loader of plain values, after the bounds were checked"},
    "yaml.safe_load": {},
    "yaml.full_load": {},
    "yaml.unsafe_load": {},
    "yaml.load_all": {},
    "Environment": {"page.py": "the templates of the package"},
    "Template": {},
    "jinja2.Environment": {},
    "jinja2.Template": {},
    "importlib.import_module": {"import_paths.py": "what a configuration names, once checked"},
    "import_module": {"__init__.py": "the package's own public names"},
    "load_module": {
        "importing.py": "rewards, which are checked before they are called",
        "catalog.py": "rewards of the package",
        "loading.py": "tasks, which are checked before they are called",
    },
    "os.system": {},
    "subprocess.run": {},
}
# What reads the configuration, tokenizer or weights of a model; the others have no such argument.
WITHOUT_ARGUMENT = ("PeftModel",)


def calls(path: Path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def arguments(call: ast.Call) -> dict[str, str]:
    values = [(keyword.arg, ast.unparse(keyword.value)) for keyword in call.keywords]
    return {value if name is None else name: value for name, value in values}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_that_runs_code_of_a_file_is_called(path):
    for function, call in calls(path):
        allowed = FORBIDDEN.get(function)
        assert allowed is None or path.name in allowed, f"{path}, line {call.lineno}: {function}"
        given = arguments(call)
        assert given.get("trust_remote_code", "False") == "False"
        assert given.get("allow_pickle", "False") == "False"
        assert given.get("shell", "False") == "False"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_remote_code_and_pickled_weights_are_off_wherever_a_model_is_loaded(path):
    source = path.read_text(encoding="utf-8")
    for function, call in calls(path):
        if not function.endswith(".from_pretrained"):
            continue
        place = f"{path}, line {call.lineno}"
        given = arguments(call)
        off = given.get("trust_remote_code") == "False" or "source.arguments()" in given.values()
        assert off or function.startswith(WITHOUT_ARGUMENT), place
        if "Config" in function or "Tokenizer" in function or path.name == "passes.py":
            continue  # no weights, or those that the probe has just written itself
        checked = "use_safetensors" in given or "found(model)" in source
        assert checked, place


def test_the_arguments_of_a_source_have_remote_code_off():
    from agents.models.sources import Source

    for source in (Source("x", None), Source("x", "y.gguf")):
        assert source.arguments()["trust_remote_code"] is False
