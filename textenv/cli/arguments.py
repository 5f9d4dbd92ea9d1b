"""Command-line options that several commands share, and how their texts are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from textenv.cli.overrides import apply_overrides
from textenv.errors import ConfigError
from textenv.registry import EnvironmentKwargs

_MODEL_HELP = "'embedded', a folder, a run's folder, a Hugging Face id or a .gguf file."
_SPEC_HELP = "to use instead of the environment's own: a name, a path, or a mapping as YAML."

Id = Annotated[str, typer.Argument(metavar="ID", help="Environment id; 'textenv list' shows them.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for another program.")]
Split = Annotated[
    str | None, typer.Option(help="train, validation or test.", show_default="the environment's")
]
Model = Annotated[str | None, typer.Option(help=_MODEL_HELP, show_default="embedded")]
Dataset = Annotated[str | None, typer.Option(help=f"A data set {_SPEC_HELP}")]
RewardText = Annotated[str | None, typer.Option("--reward", help=f"A reward {_SPEC_HELP}")]
EnvKeys = Annotated[
    list[str] | None,
    typer.Argument(metavar="env.KEY=VALUE", help="Further arguments of the environment."),
]


def environment_keys(overrides: Sequence[str]) -> dict[str, Any]:
    """Reads "env.KEY=VALUE" arguments; raises for any other."""
    values: dict[str, Any] = {}
    apply_overrides(values, overrides)
    for key in values:
        if key != "env":
            known = key in EnvironmentKwargs.model_fields
            hint = f". Did you mean 'env.{key}'?" if known else ", such as env.max_new_tokens=64."
            raise ConfigError(f"'{key}' is not of the form env.KEY=VALUE{hint}")
    env: dict[str, Any] = values.get("env", {})
    if not isinstance(env, dict):
        raise ConfigError(f"env is not {env!r}; name its keys, as in env.max_new_tokens=64.")
    return env
