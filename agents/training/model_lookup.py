"""Finds what a name stands for: the language model that acts, and the device that it acts on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textenv.errors import ConfigError, ModelError
from textenv.model_folders import describe_missing, model_folder
from textenv.named_paths import named_path

if TYPE_CHECKING:
    import torch


def find_model(model: str) -> tuple[str, dict[str, Any]]:
    """Finds the language model of a name; a run's folder or its best/ stands for its `model/`.

    Returns:
        Name or path of the model, and the policy's arguments of the run.

    Raises:
        ModelError: It is a path to nowhere.
        DamagedError: A file of the run's agent is damaged.
    """
    found, folder = model_folder(model), named_path(model)
    if not folder.is_dir():
        missing = describe_missing(model)
        if missing is not None:
            raise ModelError(missing)
        return found, {}

    from agents.ppo.kept_checkpoints import check_model
    from agents.training.looks import acting_options

    check_model(folder)
    found = model_folder(model)  # a replacement that was cut short is finished by now
    return found, ({} if found == model else acting_options(folder))


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
