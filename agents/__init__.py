"""Agents for text environments: a language-model policy, and PPO that trains it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.ppo.policy import LMPolicy
    from agents.ppo.ppo import TextPPO

__all__ = ["LMPolicy", "TextPPO"]

_MODULES = {"LMPolicy": "agents.ppo.policy", "TextPPO": "agents.ppo.ppo"}


def __getattr__(name: str) -> Any:
    """Imports a class when it is first asked for: the command line need not wait for torch."""
    if name not in _MODULES:
        raise AttributeError(f"module 'agents' has no attribute '{name}'")
    return getattr(importlib.import_module(_MODULES[name]), name)
