"""Text tasks as Gymnasium environments with token-level states, actions and rewards.

Importing the package registers every environment of `envs_registry.yaml` with Gymnasium, and those
of the files named in the environment variable TEXTENV_REGISTRY.

Public are the names listed here and in these modules; everything else is internal:

- `textenv.rewards`: rewards by name, checked, fitted, or made of plain functions;
- `textenv.benchmark`: rewards beside people's judgements, and a search for lazy rules;
- `textenv.wrappers`: other spaces over the same task, shaping, and recording;
- `textenv.testing`: the contract of an environment, for tasks of your own;
- `textenv.chat`: an agent behind any chat endpoint;
- `textenv.openenv`: environments as OpenEnv's servers, and the other way round;
- `textenv.plots`: curves of runs as matplotlib figures.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from textenv.tasks.candidates import pick_candidates

if TYPE_CHECKING:
    from textenv.benchmark.audit import audit
    from textenv.benchmark.statistics import estimate_gain, estimate_mean

__version__ = "1.0.0"

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
    "audit",
    "estimate_gain",
    "estimate_mean",
    "load_reward",
    "pick_candidates",
    "register_from_yaml",
    "register_reward",
    "registered_ids",
    "score",
]

# What an environment does not need is imported when it is asked for.
_LATER = {
    "audit": "textenv.benchmark.audit",
    "estimate_gain": "textenv.benchmark.statistics",
    "estimate_mean": "textenv.benchmark.statistics",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'textenv' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_LATER[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


try:
    register_all()
except RegistryError:
    # The command line meets the same error again, and shows it in its own way.
    if Path(sys.argv[0]).stem != "textenv":
        raise
