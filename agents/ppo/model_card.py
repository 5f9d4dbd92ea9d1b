"""The card of a saved model: README.md beside its weights, with the Hub's metadata.

It says what is known and nothing else: the licence is the base model's where that says one, paths
and keys are left out, and a gain is told once it has been measured.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

import textenv
from textenv.benchmark.statistics import Estimate
from textenv.errors import RegistryError, UnknownNameError
from textenv.named_paths import named_path
from textenv.registry import environment_row
from textenv.report.numbers import format_interval, format_number
from textenv.secrets import mask_secrets
from textenv.strict_yaml import load_yaml
from textenv.tokenization import EMBEDDED

CARD = "README.md"
UNKNOWN = "unknown"
_DECIMALS = 3
# What a card of the base says of its licence.
_LICENSE = ("license", "license_name", "license_link")


@dataclass(frozen=True)
class Measured:
    """What a model earned on held-out examples, and before its training."""

    id: str  # environment
    split: str
    examples: int
    before: Estimate  # mean reward
    after: Estimate  # mean reward
    gain: Estimate  # mean of the paired differences


@dataclass(frozen=True)
class ModelFacts:
    """What a card tells of a model.

    Attributes:
        base: Name or folder of the model that the training started from.
        method: How it was trained, in a few words.
        goal: What it was optimized for, where that is no reward.
        ids: Environments that it was trained on.
        reward: Description of the reward; None for the environment's own.
        dataset: Description of the data; None for the environment's own.
        data: For each split the number of its examples and their hash.
        seed: Seed of the training.
        episodes: Number of episodes that it was trained on.
        kl: Mean KL to the start, in nats a response.
        measured: What it earned on held-out examples.
        versions: Versions by package.
    """

    base: str
    method: str
    goal: str = ""
    ids: Sequence[str] = ()
    reward: Any = None
    dataset: Any = None
    data: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seed: int | None = None
    episodes: int | None = None
    kl: float | None = None
    measured: Sequence[Measured] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


def render_card(facts: ModelFacts) -> str:
    """Returns the card of a model, as Markdown with YAML metadata."""
    known = read_license(facts.base)
    metadata = yaml.safe_dump(_metadata(facts, known), sort_keys=False, allow_unicode=True)
    title = ", ".join(facts.ids) or "text environments"
    parts = [
        f"---\n{metadata}---",
        f"# {name_of_base(facts.base)}, trained on {title}",
        f"{facts.method} with textenv.",
        "## Results",
        *(_results(facts) or ["It has not been measured on held-out examples."]),
        "## Intended use and limits",
        _describe_use(facts),
        "## Training",
        _table(_training_rows(facts, known["license"])),
        "## How to load it",
        "```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        'model = AutoModelForCausalLM.from_pretrained("path/to/this/folder")\n'
        'tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")\n```',
    ]
    return "\n\n".join(parts) + "\n"


def versions() -> dict[str, str]:
    """Returns the versions that a model depends on, by package."""
    packages = ("torch", "transformers", "gymnasium", "stable-baselines3", "numpy")
    ours = {"python": platform.python_version(), "textenv": textenv.__version__}
    return ours | {name: version(name) for name in packages}


def read_license(base: str) -> dict[str, str]:
    """Returns what the card of a base model says of its licence, without asking a network.

    Returns:
        "license", which is "unknown" where nothing says it, and the Hub's "license_name" and
        "license_link" where the card has them.
    """
    if base == EMBEDDED:
        return {"license": "apache-2.0"}  # it is a part of this package
    said = _read_metadata(base)
    found = {key: said[key] for key in _LICENSE if isinstance(said.get(key), str) and said[key]}
    return found if "license" in found else {"license": UNKNOWN}


def name_of_base(base: str) -> str:
    """Returns the name of a base model; of a local one without the folders above it."""
    if base == EMBEDDED:
        return "the embedded model of textenv"
    return named_path(base).resolve().name if _is_local(base) else base


def without_paths(value: Any) -> Any:
    """Returns plain values in which a path is only its last name, and keys are hidden."""
    value = mask_secrets(value)
    if isinstance(value, Mapping):
        return {key: without_paths(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(item) for item in value]
    if isinstance(value, str):
        path, colon, name = value.partition(":")
        if path.startswith(("~/", "./", "../")) or os.path.isabs(path):
            return f"{Path(path).name}{colon}{name}"
    return value


def _metadata(facts: ModelFacts, known: Mapping[str, str]) -> dict[str, Any]:
    data: dict[str, Any] = {"library_name": "transformers", "pipeline_tag": "text-generation"}
    data |= known
    lineage = _hub_base(facts.base)
    if lineage is not None:
        data["base_model"] = lineage
    data["tags"] = ["textenv", "reinforcement-learning", *facts.ids]
    results = [
        {
            "task": {"type": "text-generation"},
            "dataset": {"type": one.id, "name": one.id, "split": one.split},
            "metrics": [
                {"type": "reward", "name": "mean reward", "value": round(one.after.mean, 4)},
                {"type": "gain", "name": "gain in mean reward", "value": round(one.gain.mean, 4)},
            ],
        }
        for one in facts.measured
    ]
    if results:
        data["model-index"] = [{"name": "-".join(["textenv", *facts.ids]), "results": results}]
    return data


def _results(facts: ModelFacts) -> list[str]:
    if not facts.measured:
        return []
    seed = "one training" if facts.seed is None else f"one training, seed {facts.seed}"
    rows = [
        (
            f"{one.id}, {one.split}",
            str(one.examples),
            _estimate(one.before),
            _estimate(one.after),
            _estimate(one.gain, signed=True),
        )
        for one in facts.measured
    ]
    heads = ("held-out examples of", "number", "reward before", "reward after", "gain")
    return [
        _table(rows, heads),
        "Answers are greedy. Intervals are at 95 %, over examples: another seed may differ by "
        f"more ({seed}).",
    ]


def _describe_use(facts: ModelFacts) -> str:
    tasks = [_description(id) for id in facts.ids]
    does = "; ".join(task for task in tasks if task) or "answer prompts of its environment"
    reward = "the environment's own reward" if facts.reward is None else "the reward named below"
    aim = facts.goal or reward
    measured = f"{sum(one.examples for one in facts.measured)} held-out examples of the same data"
    tested = f"measured on {measured} only" if facts.measured else "not measured on held-out data"
    return (
        f"Its use is the task that it was trained on: {does}. It was optimized for {aim} and "
        f"{tested}, so neither the truth nor the safety of what it writes has been tested, and on "
        "other prompts it may do worse than its base."
    )


def _training_rows(facts: ModelFacts, license: str) -> list[tuple[str, str]]:
    reward = "the environment's own" if facts.reward is None else _code(facts.reward)
    rows: list[tuple[str, Any]] = [
        ("base model", name_of_base(facts.base)),
        ("licence of the base", license),
        ("environment", ", ".join(facts.ids) or UNKNOWN),
        ("reward", "none" if facts.goal else reward),
        ("data", "the environment's own" if facts.dataset is None else _code(facts.dataset)),
    ]
    rows += [
        (f"split {split}", f"{found['examples']} examples, hash {found['hash']}")
        for split, found in facts.data.items()
    ]
    rows += [
        ("seed", UNKNOWN if facts.seed is None else facts.seed),
        ("training episodes", UNKNOWN if facts.episodes is None else facts.episodes),
        (
            "KL to the base",
            "not measured"
            if facts.kl is None
            else f"{format_number(facts.kl, _DECIMALS)} nats a response",
        ),
        ("versions", ", ".join(f"{name} {v}" for name, v in facts.versions.items()) or UNKNOWN),
    ]
    return [(name, str(value)) for name, value in rows]


def _read_metadata(base: str) -> dict[str, Any]:
    """Returns the metadata of a base model's card, if there is one on this machine."""
    folder = named_path(base)
    if _is_local(base):
        path: Any = (folder if folder.is_dir() else folder.parent) / CARD
    else:
        from huggingface_hub import try_to_load_from_cache

        path = try_to_load_from_cache(base, CARD)
    try:
        text = Path(path).read_text(encoding="utf-8")
        begin, _, rest = text.partition("---\n")
        found = load_yaml(rest.partition("\n---")[0], fast=True) if not begin.strip() else None
    except (OSError, TypeError, ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def _hub_base(base: str) -> str | None:
    """Returns the Hub's id of a base model; of a local one what its own card names."""
    if base == EMBEDDED:
        return None
    if not _is_local(base):
        return base
    said = _read_metadata(base).get("base_model")
    return said if isinstance(said, str) else None


def _is_local(base: str) -> bool:
    return named_path(base).exists() or os.path.isabs(base) or base.count("/") > 1


def _description(id: str) -> str:
    try:
        text = environment_row(id).description.rstrip(".")
    except (RegistryError, UnknownNameError):
        return ""
    return f"{text[:1].lower()}{text[1:]}"


def _code(value: Any) -> str:
    return f"`{json.dumps(without_paths(value), ensure_ascii=False).replace('`', '')}`"


def _estimate(estimate: Estimate, signed: bool = False) -> str:
    number = format_number(estimate.mean, _DECIMALS, signed)
    return f"{number} {format_interval(estimate, _DECIMALS)}"


def _table(rows: Sequence[Sequence[str]], heads: Sequence[str] = ("", "")) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    cells = [[cell.replace("|", r"\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
