"""Which environments a command plays: those that it names, or those of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textenv.errors import ConfigError
from textenv.model_folders import describe_missing

if TYPE_CHECKING:
    from agents.training.run_folder import Setting


def choose_environments(
    named: Sequence[str], model: str | None, allow_code: bool
) -> tuple[Sequence[str], Setting | None]:
    """Chooses the environments that a command plays.

    Args:
        named: Ids that the command line names.
        model: The option --model; the folder of a run brings the run's own environments.
        allow_code: Whether the code that such a folder names may be loaded.

    Returns:
        Their ids, and the setting of the run if one of them is the run's own.

    Raises:
        ConfigError: Nothing names an environment.
    """
    from agents.training.run_folder import read_setting

    run = None if model is None else read_setting(Path(model), allow_code)
    if named:
        return list(dict.fromkeys(named)), run if run and set(named) & set(run.ids) else None
    if run is not None:
        return run.ids, run
    if model is not None and not Path(model).exists():
        near = describe_missing(model) or f"There is no run '{model}'."
        raise ConfigError(f"{near} For a model that is no run, name an environment, too.")
    raise ConfigError(
        "Name an environment ('textenv list' shows them), or give the folder of a run as --model."
    )
