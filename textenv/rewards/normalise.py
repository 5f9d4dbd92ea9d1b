"""Puts rewards on one scale: each is divided by its standard deviation on samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from textenv.errors import ConfigError, RewardError
from textenv.examples import Episode
from textenv.rewards.base import RewardResult, compute_rewards
from textenv.rewards.catalog import REWARDS
from textenv.rewards.loading import RewardSpec, load_part
from textenv.rewards.options import ENTRY_OPTIONS, check_number, check_options
from textenv.rewards.parts import Part, combine

NAME = "normalise"


def normalise(of: RewardSpec, std: float | None = None) -> Normalise:
    """Divides a reward by its standard deviation on samples of the initial policy.

    Nothing is shifted: what scored 0 scores 0. `textenv train` finds the deviation before it
    trains, and writes it into the run's `config.yaml`; elsewhere `fit_reward` does.

    Args:
        of: The reward.
        std: The standard deviation; if not given, it has to be found before the reward is used.
    """
    if std is not None and not check_number(NAME, "std", std) > 0:
        raise ConfigError(f"The std of reward '{NAME}' must be above 0, not {std}.")
    return Normalise(load_part(of), None if std is None else float(std))


@dataclass(frozen=True)
class Normalise:
    """A part over its standard deviation."""

    of: Part
    std: float | None
    name: ClassVar[str] = NAME

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        if self.std is None:
            raise RewardError(
                f"'{NAME}' does not know the standard deviation of '{self.of.name}' yet. Find it "
                "on samples of the initial policy, spec = textenv.rewards.fit_reward(spec, "
                "episodes), or give it as the option 'std'. `textenv train` does so by itself."
            )
        result = self.of.score(episodes)
        return combine(result.total / self.std, [(self.of, result)])


def needs_fit(spec: RewardSpec) -> bool:
    """Tells whether a reward's description holds a `normalise` without a standard deviation."""
    found = False

    def see(options: Mapping[str, Any]) -> Mapping[str, Any]:
        nonlocal found
        found = True
        return options

    _map_unfitted(spec, see)
    return found


def with_unit_std(spec: RewardSpec) -> RewardSpec:
    """Gives each unfitted `normalise` the deviation 1: enough to see whether its reward scores."""
    made: RewardSpec = _map_unfitted(spec, lambda options: {**options, "std": 1.0})
    return made


def fit_reward(spec: RewardSpec, episodes: Sequence[Episode]) -> RewardSpec:
    """Gives each `normalise` in a reward's description the standard deviation that it lacks.

    Args:
        spec: Description as for `load_reward`; rewards that are already made are left as they are.
        episodes: Finished ones, samples of the policy that training starts from.

    Returns:
        The description with every `std` set; plain data if `spec` is.

    Raises:
        RewardError: A reward scores all the episodes alike, or could not score one.
    """

    def fit(options: Mapping[str, Any]) -> Mapping[str, Any]:
        own = {key: value for key, value in options.items() if key not in ENTRY_OPTIONS}
        check_options(NAME, normalise, own)
        part = load_part(options["of"])
        totals = compute_rewards(part.reward, episodes).total
        std = float(totals.std()) if len(totals) else 0.0
        # The deviation of n equal floats may be rounding.
        if len(totals) == 0 or totals.max() == totals.min():
            scores = f"all score {totals[0]:g}" if len(totals) else "there are none"
            raise RewardError(
                f"'{NAME}' cannot divide '{part.name}' by its standard deviation on "
                f"{len(totals)} samples: {scores}. A reward that cannot tell the initial policy's "
                "samples apart teaches nothing; choose another one, or set 'std' yourself."
            )
        return {**options, "std": std}

    fitted: RewardSpec = _map_unfitted(spec, fit)
    return fitted


def _map_unfitted(spec: Any, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Any:
    """Returns a description with the options of every unfitted `normalise` changed, inner first."""
    if isinstance(spec, list | tuple):
        return [_map_unfitted(part, change) for part in spec]
    if not isinstance(spec, Mapping):
        return spec
    return {name: _map_entry(name, entry, change) for name, entry in spec.items()}


def _map_entry(
    key: str, entry: Any, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> Any:
    if not isinstance(entry, Mapping):
        return entry
    reward = entry.get("reward", key)
    if not isinstance(reward, str):
        return {**entry, "reward": _map_unfitted(reward, change)}
    if reward not in REWARDS or REWARDS[reward].family != "composition":
        return entry
    # A mapping or a list among an operator's options is the description of a reward.
    options = {option: _map_unfitted(value, change) for option, value in entry.items()}
    if reward == NAME and options.get("std") is None:
        return {**entry, **change(options)}
    return options
