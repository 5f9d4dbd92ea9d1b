"""Text tasks as Gymnasium environments with token-level states, actions and rewards.

Importing the package registers every environment of `envs_registry.yaml` with Gymnasium, and those
of the files named in the environment variable TEXTENV_REGISTRY.
"""

import sys
from pathlib import Path

from textenv.errors import (
    ConfigError,
    DatasetError,
    ModelError,
    PromptTooLongError,
    RegistryError,
    RewardError,
    TextEnvError,
    TokenizerError,
    UnknownArgumentError,
    UnknownNameError,
)
from textenv.examples import Episode, Example, Turn
from textenv.registry import register_all, register_from_yaml, registered_ids
from textenv.rewards import Reward, RewardResult, load_reward, register_reward, score
from textenv.tasks.base import Field, Task

__version__ = "0.1.0"

__all__ = [
    "ConfigError",
    "DatasetError",
    "Episode",
    "Example",
    "Field",
    "ModelError",
    "PromptTooLongError",
    "RegistryError",
    "Reward",
    "RewardError",
    "RewardResult",
    "Task",
    "TextEnvError",
    "TokenizerError",
    "Turn",
    "UnknownArgumentError",
    "UnknownNameError",
    "load_reward",
    "register_all",
    "register_from_yaml",
    "register_reward",
    "registered_ids",
    "score",
]

try:
    register_all()
except RegistryError:
    # The command line meets the same error again, and shows it in its own way.
    if Path(sys.argv[0]).stem != "textenv":
        raise
