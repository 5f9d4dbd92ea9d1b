"""Command-line options that several commands share, and how their texts are read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agents.training.config import apply_overrides
from textenv.errors import ConfigError

if TYPE_CHECKING:
    import torch

_MODEL_HELP = "'embedded', a folder, a run's folder, a Hugging Face id or a .gguf file."
_SPEC_HELP = "to use instead of the environment's own: a name, a path, or a mapping as YAML."

Model = Annotated[str | None, typer.Option(help=_MODEL_HELP, show_default="embedded")]
Dataset = Annotated[str | None, typer.Option(help=f"A data set {_SPEC_HELP}")]
RewardText = Annotated[str | None, typer.Option("--reward", help=f"A reward {_SPEC_HELP}")]
Out = Annotated[Path | None, typer.Option(help="New folder.", show_default="runs/ID-DATE-TIME")]
Seed = Annotated[
    int | None, typer.Option(min=0, help="Seed of everything random.", show_default="0")
]
Device = Annotated[
    str | None, typer.Option(help="auto, cpu, cuda, cuda:1, ...", show_default="auto")
]
EnvKeys = Annotated[
    list[str] | None,
    typer.Argument(metavar="env.KEY=VALUE", help="Further arguments of the environment."),
]


def find_model(model: str) -> tuple[str, dict[str, Any]]:
    """Finds the language model of a name; a run's folder stands for the `model/` in it.

    Returns:
        Name or path of the model, and the policy's arguments of the run.
    """
    folder = Path(model)
    if (folder / "config.json").is_file() or not (folder / "model" / "config.json").is_file():
        return model, {}
    arguments: dict[str, Any] = {}
    if (folder / "agent.json").is_file():
        saved = json.loads((folder / "agent.json").read_text(encoding="utf-8"))
        names = ("temperature", "bf16", "max_tokens_per_batch")
        arguments = {name: saved["policy_options"][name] for name in names}
    return str(folder / "model"), arguments


def pick_device(name: str) -> torch.device:
    """Returns the device of a name; "auto" is the accelerator if there is one."""
    import torch
    from stable_baselines3.common.utils import get_device

    try:
        device = get_device(name)
    except RuntimeError as error:
        raise ConfigError(f"There is no device '{name}'. Use auto, cpu or cuda.") from error
    if name.startswith("cuda") and (
        device.type != "cuda" or (device.index or 0) >= torch.cuda.device_count()
    ):
        raise ConfigError(f"This machine has no device '{name}' that torch can use. Use cpu.")
    return device


def environment_keys(overrides: Sequence[str]) -> dict[str, Any]:
    """Reads "env.KEY=VALUE" arguments; raises for any other."""
    values: dict[str, Any] = {}
    apply_overrides(values, overrides)
    for key in values:
        if key != "env":
            raise ConfigError(
                f"'{key}' is not of the form env.KEY=VALUE, such as env.max_new_tokens=64."
            )
    env: dict[str, Any] = values.get("env", {})
    return env
