"""Rewards by name, by weights, from an import path, or from a function of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, TypeAlias

import numpy as np

from textenv.errors import ConfigError, RewardError, UnknownNameError
from textenv.examples import Episode
from textenv.rewards.answers import exact_match, token_f1
from textenv.rewards.base import FloatArray, Reward, RewardResult
from textenv.rewards.bleu import Bleu, ChrF
from textenv.rewards.choice import Choice
from textenv.rewards.continuation import Sentiment, Topic
from textenv.rewards.data_to_text import DataToText
from textenv.rewards.dialogue import DialogueQuality, DialogueSuccess, TurnF1, selection
from textenv.rewards.keywords import Coverage, KeywordSentence
from textenv.rewards.numeric import Numeric
from textenv.rewards.rewrite import Rewrite
from textenv.rewards.rouge import rouge1, rouge2, rouge_l
from textenv.targets import load_module

RewardFactory: TypeAlias = Callable[..., Reward]
RewardSpec: TypeAlias = str | Reward | Mapping[str, float | Mapping[str, Any]]

REWARDS: dict[str, RewardFactory] = {
    "rouge1": rouge1,
    "rouge2": rouge2,
    "rougeL": rouge_l,
    "bleu": Bleu,
    "chrf": ChrF,
    "exact_match": exact_match,
    "token_f1": token_f1,
    "numeric": Numeric,
    "choice": Choice,
    "dialogue": DialogueQuality,
    "dialogue_success": DialogueSuccess,
    "turn_f1": TurnF1,
    "selection": selection,
    "coverage": Coverage,
    "keyword_sentence": KeywordSentence,
    "data_to_text": DataToText,
    "sentiment": Sentiment,
    "topic": Topic,
    "rewrite": Rewrite,
}


def register_reward(name: str, factory: RewardFactory) -> None:
    """Adds a reward, so that `load_reward`, YAML and the command line know it by name.

    Args:
        name: A new name, without a colon.
        factory: Makes the reward; its keyword arguments are the reward's options.

    Raises:
        ConfigError: The name is taken or has a colon, or `factory` cannot be called.
    """
    if name in REWARDS:
        raise ConfigError(f"There is a reward '{name}' already; register yours by another name.")
    if not name or ":" in name:
        raise ConfigError(f"'{name}' cannot name a reward: a colon marks an import path.")
    if not callable(factory):
        raise ConfigError(f"The factory of reward '{name}' is not callable: {factory!r}.")
    REWARDS[name] = factory


def load_reward(spec: RewardSpec) -> Reward:
    """Makes a reward from its description.

    Args:
        spec: One of:
            - a name in `REWARDS`, such as "rougeL";
            - "module:attribute" or "path/to/file.py:attribute", a reward to import (a class is
              called to make it);
            - a mapping from names or import paths to weights, for a weighted sum: {"rougeL": 1,
              "bleu": 0.5}. {"weight": 0.5, ...} in the place of a weight passes options to the
              factory. A weight of 0 reports a reward without paying it;
            - a reward, returned as it is.

    Raises:
        UnknownNameError: No reward has that name.
        ConfigError: An import path, a weight or an option is not valid.
    """
    if isinstance(spec, str):
        return _make(spec, {})
    if isinstance(spec, Mapping):
        return _weighted_sum(spec)
    if isinstance(spec, type) or not callable(spec):
        raise ConfigError(
            f"{spec!r} is no reward: give a name, 'module:attribute', a mapping from names to "
            "weights, or a callable on episodes."
        )
    return spec


def from_function(
    function: Callable[[Sequence[Episode]], Iterable[float]], name: str | None = None
) -> Reward:
    """Makes a reward from a function that gives one number an episode.

    Args:
        function: Takes a batch of finished episodes, returns their scores, in order.
        name: Names the reward and its component; by default the function's name.
    """
    return _FunctionReward(name or str(getattr(function, "__name__", "reward")), function)


@dataclass(frozen=True)
class _FunctionReward:
    name: str
    function: Callable[[Sequence[Episode]], Iterable[float]] = field(repr=False)

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        scores = self.function(episodes)
        try:
            array = scores if isinstance(scores, np.ndarray) else np.array(list(scores))
            total = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise RewardError(
                f"Reward '{self.name}' returned {type(scores).__name__}; return a list or an array "
                "with one number an episode."
            ) from error
        return RewardResult(total, {self.name: total})


@dataclass(frozen=True)
class WeightedSum:
    """The sum of rewards times their weights.

    Its components are each part's unweighted total, by the part's name, and "part/component" for
    what else a part reports. An episode is valid where all parts are.

    Attributes:
        parts: Name, weight and reward of each part.
    """

    parts: tuple[tuple[str, float, Reward], ...]

    @property
    def name(self) -> str:
        """The sum, written out."""
        return " + ".join(f"{weight:g} {name}" for name, weight, _ in self.parts)

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        total = np.zeros(len(episodes))
        valid = np.ones(len(episodes), np.bool_)
        components: dict[str, FloatArray] = {}
        for name, weight, reward in self.parts:
            result = reward(episodes)
            if not isinstance(result, RewardResult):
                raise RewardError(
                    f"Reward '{name}' returned {type(result).__name__}; return a RewardResult, or "
                    "wrap a function that gives plain numbers in textenv.rewards.from_function."
                )
            if np.shape(result.total) != total.shape:
                # Numpy would broadcast a single number over all episodes.
                raise RewardError(
                    f"Reward '{name}' returned 'total' of shape {np.shape(result.total)} for "
                    f"{len(episodes)} episodes; it must hold one number an episode, in order."
                )
            total += weight * np.asarray(result.total, np.float64)
            if result.valid is not None:
                valid &= result.valid
            components[name] = result.total
            for key, value in result.components.items():
                if key != name:
                    components[f"{name}/{key}"] = value
        return RewardResult(total, components, valid)


def _weighted_sum(spec: Mapping[str, Any]) -> WeightedSum:
    if not spec:
        raise ConfigError("A sum of rewards needs at least one, such as {'rougeL': 1.0}.")
    parts = []
    for name, entry in spec.items():
        options = dict(entry) if isinstance(entry, Mapping) else {"weight": entry}
        weight = options.pop("weight", 1.0)
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not isfinite(weight):
            raise ConfigError(f"The weight of reward '{name}' must be a number, not {weight!r}.")
        parts.append((name, float(weight), _make(name, options)))
    return WeightedSum(tuple(parts))


def _make(name: str, options: Mapping[str, Any]) -> Reward:
    if name in REWARDS:
        return _call(name, REWARDS[name], options)
    if ":" not in name:
        raise UnknownNameError("reward", name, REWARDS)
    module, _, attribute = name.rpartition(":")
    try:
        found = getattr(load_module(module), attribute)
    except (ImportError, AttributeError, ValueError, OSError) as error:
        raise ConfigError(f"Cannot import reward '{name}': {error}.") from error
    if not callable(found):
        raise ConfigError(f"'{name}' is no reward: {found!r} is not callable.")
    made: Reward = _call(name, found, options) if options or isinstance(found, type) else found
    return made


def _call(name: str, factory: RewardFactory, options: Mapping[str, Any]) -> Reward:
    try:
        return factory(**options)
    except TypeError as error:
        if not options:
            raise ConfigError(
                f"Reward '{name}' cannot be made: {error}. What is registered is a function "
                f"without arguments that makes it: register_reward('{name}', lambda: reward)."
            ) from error
        given = ", ".join(f"'{key}'" for key in options)
        raise ConfigError(f"Reward '{name}' does not take {given} so: {error}.") from error
