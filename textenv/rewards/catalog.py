"""The rewards by name: where each is made, what it reads, its range, and what it agrees with.

The rows stand in rewards.yaml. One costs nothing until its reward is made: what it needs is
imported then. `docs/rewards.md` is generated from them and the docstrings of what they name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from textenv.import_paths import load_module
from textenv.rewards.base import Reward
from textenv.strict_yaml import load_yaml_file

RewardFactory: TypeAlias = Callable[..., Reward]
Family = Literal[
    "lexical",
    "semantic",
    "learned",
    "style",
    "verifiable",
    "judge",
    "task",
    "composition",
    "control",
    "own",
]
Input = Literal["references", "prompt", "metadata"]


@dataclass(frozen=True)
class NamedReward:
    """One reward of the library, or one that a user registered."""

    # Makes the reward from its options; "module:attribute" is imported when it is made
    factory: str | RewardFactory
    family: Family = "own"  # The section of the generated page
    reads: tuple[Input, ...] = ()  # Parts of an example that it needs besides the response
    # The least and the greatest total; None where it has none
    bounds: tuple[float | None, float | None] = (0.0, 1.0)
    # The package whose scores it repeats, and how closely; empty for one of our own
    agrees_with: str = ""
    # The optional dependencies of this package that it needs, as in `textenv[extra]`
    extra: str | None = None

    def load_factory(self) -> RewardFactory:
        """Imports what makes the reward."""
        if not isinstance(self.factory, str):
            return self.factory
        module, _, attribute = self.factory.partition(":")
        factory: RewardFactory = getattr(load_module(module), attribute)
        return factory


def _read_rows() -> dict[str, NamedReward]:
    families = load_yaml_file(
        Path(__file__).with_name("rewards.yaml"), dict[Family, dict[str, NamedReward]]
    )
    return {
        name: replace(row, factory=f"textenv.rewards.{row.factory}", family=family)
        for family, rows in families.items()
        for name, row in rows.items()
    }


REWARDS = _read_rows()
