"""What rewards are called in tables and reports."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from textenv.rewards.base import name_of
from textenv.rewards.loading import RewardSpec, load_reward
from textenv.rewards.parts import WeightedSum


def describe_reward(spec: RewardSpec) -> str:
    """Returns a reward's description as text: a name or path, a mapping as JSON, or its name."""
    if isinstance(spec, str):
        return spec
    if isinstance(spec, Mapping):
        return json.dumps(spec, ensure_ascii=False, default=repr)
    return name_of(spec)


def name_rewards(specs: Iterable[RewardSpec]) -> dict[str, RewardSpec]:
    """Gives each of several rewards a short name of its own.

    An import path is named after the imported object, a mapping after what it makes. If two names
    were equal, the second reward is named by its whole description.
    """
    named: dict[str, RewardSpec] = {}
    for spec in specs:
        name = _short_name(spec)
        named[describe_reward(spec) if name in named else name] = spec
    return named


def _short_name(spec: RewardSpec) -> str:
    if isinstance(spec, str):
        return spec.rpartition(":")[2]
    reward = load_reward(spec)
    if isinstance(reward, WeightedSum) and len(reward.parts) == 1 and reward.parts[0][1] == 1:
        return reward.parts[0][0]
    return name_of(reward)
