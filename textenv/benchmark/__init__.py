"""Which reward design is right: attacks on rewards, people's judgements, comparisons of runs.

Public are the names listed here, beside `textenv.audit`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textenv.benchmark.adversary.adversary import find_strategy
    from textenv.benchmark.agreement.agreement import agree

__all__ = ["agree", "find_strategy"]

# Imported when asked for, since other modules of this package need neither.
_LATER = {
    "agree": "textenv.benchmark.agreement.agreement",
    "find_strategy": "textenv.benchmark.adversary.adversary",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'textenv.benchmark' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_LATER[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
