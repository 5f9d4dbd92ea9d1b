"""Form that a program can check: a pattern, JSON by a schema, and listed constraints."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from textenv.errors import ConfigError, RewardError
from textenv.examples import Episode
from textenv.rewards.base import RewardResult
from textenv.rewards.options import check_choice
from textenv.rewards.thinking import answer_part
from textenv.rewards.verifiable.constraints import check_all, find_check, without_fence

_MATCHES = ("full", "search")


class Regex:
    r"""1 if the response has the form of a regular expression, else 0.

    White space around the response does not count, nor do thoughts, in `<think>...</think>`.
    Component: "regex" (the total). A pattern with repetitions inside of repetitions can take very
    long on texts that nearly match it.

    Args:
        pattern: Regular expression of Python; flags go inside, as in "(?i)yes|no".
        match: "full" if the pattern must match the whole response, "search" for any part of it.

    Raises:
        ConfigError: The pattern is not a regular expression.
    """

    name = "regex"

    def __init__(self, pattern: str, match: str = "full") -> None:
        check_choice(self.name, "match", match, _MATCHES)
        try:
            compiled = re.compile(pattern)
        except (re.error, TypeError) as error:
            raise ConfigError(
                f"The pattern {pattern!r} of reward '{self.name}' is not a regular expression: "
                f"{error}"
            ) from error
        self._find = compiled.fullmatch if match == "full" else compiled.search

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        total = np.array(
            [self._find(answer_part(one.response).strip()) is not None for one in episodes],
            np.float64,
        )
        return RewardResult(total, {self.name: total})


class Json:
    """1 if the response is JSON with the required keys that fits the schema, less or 0 if not.

    The product of its components: "parses" (1 or 0), "keys" (the share of the required keys that a
    JSON object has) and "valid" (1 if it fits the schema, else 0). JSON may stand in a Markdown
    fence, and behind thoughts in `<think>...</think>`. NaN and Infinity are no JSON; keys that
    come twice count once.

    Not resisted: the right keys with any values. Say in the schema what they may be.

    Args:
        required: Keys that the object has to have; each missing one costs its share.
        schema: A JSON schema (draft 2020-12, unless its "$schema" says another one).
            References lead within it, and nothing is fetched.

    Raises:
        ConfigError: An option is not valid, or jsonschema is missing.
    """

    name = "json"

    def __init__(
        self, required: Sequence[str] = (), schema: Mapping[str, Any] | None = None
    ) -> None:
        is_list = isinstance(required, list | tuple)
        if not is_list or not all(isinstance(key, str) for key in required):
            raise ConfigError(f"'required' of reward '{self.name}' lists keys, not {required!r}.")
        self._required = tuple(required)
        self._validator = None if schema is None else _load_validator(schema)

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order; raises if the schema refers to what is not in it."""
        parts = np.zeros((len(episodes), 3))
        for i, episode in enumerate(episodes):
            parts[i] = self._parts(answer_part(episode.response))
        parses, keys, valid = parts.T
        components = {"parses": parses, "keys": keys, "valid": valid}
        return RewardResult(parses * keys * valid, components)

    def _parts(self, text: str) -> tuple[float, float, float]:
        try:
            value = json.loads(without_fence(text), parse_constant=_refuse)
            valid = self._validator is None or self._is_valid(value)
        except (ValueError, RecursionError):
            return 0.0, 0.0, 0.0
        if not self._required:
            return 1.0, 1.0, float(valid)
        n_there = sum(isinstance(value, dict) and key in value for key in self._required)
        return 1.0, n_there / len(self._required), float(valid)

    def _is_valid(self, value: Any) -> bool:
        from referencing.exceptions import Unresolvable

        assert self._validator is not None
        try:
            return bool(self._validator.is_valid(value))
        except OverflowError:  # 1e999, an infinite float, is a multiple of nothing
            return False
        except Unresolvable as error:
            raise ConfigError(
                f"The schema of reward '{self.name}' refers to '{error.ref}', which is not in it. "
                "Nothing is fetched: put what it means under its '$defs'."
            ) from error


class Constraints:
    """How far the response meets constraints that a program checks; in [0, 1].

    The mean over the constraints of how far each is met, times how far its content is right, where
    it has some; `textenv.rewards.verifiable.constraints` lists them. Component: "satisfied" (1 if
    every one is met in full, else 0). An empty response meets none. Thoughts, in
    `<think>...</think>`, are left out.

    Not resisted: text that meets them and says nothing.

    Args:
        constraints: List such as [{"check": "max_words", "n": 9}]; None for the list in each
            example's metadata "constraints".

    Raises:
        ConfigError: A constraint is not valid.
        UnknownNameError: There is no such check.
    """

    name = "constraints"

    def __init__(self, constraints: Sequence[Mapping[str, Any]] | None = None) -> None:
        if constraints is not None:
            if isinstance(constraints, str | Mapping) or not constraints:
                raise ConfigError(
                    f"'constraints' of reward '{self.name}' is a list such as "
                    f'[{{"check": "max_words", "n": 9}}], not {constraints!r}.'
                )
            for constraint in constraints:
                find_check(constraint)
        self._constraints = constraints

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        total, satisfied = np.zeros(len(episodes)), np.zeros(len(episodes))
        for i, episode in enumerate(episodes):
            constraints = self._constraints or episode.example.metadata.get("constraints")
            if not constraints:
                raise RewardError(
                    f"Reward '{self.name}' checks constraints, and example '{episode.example.id}' "
                    "has none. Give the option 'constraints', or choose another reward."
                )
            answer = answer_part(episode.response)
            if answer.strip():
                checked = check_all(answer, constraints)
                scores = [
                    one.met * (1.0 if one.content is None else one.content) for one in checked
                ]
                total[i] = sum(scores) / len(scores)
                satisfied[i] = min(scores) == 1
        return RewardResult(total, {"satisfied": satisfied})


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _load_validator(schema: Mapping[str, Any]) -> Any:
    """Returns jsonschema's validator of a schema."""
    if not isinstance(schema, Mapping):
        raise ConfigError(f"The schema of reward 'json' is a mapping, not {schema!r}.")
    try:
        import jsonschema
        from jsonschema.validators import validator_for
        from referencing import Registry
    except ImportError as error:
        raise ConfigError(
            "A schema for reward 'json' needs one more package: pip install textenv[style]"
        ) from error
    kind = validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(dict(schema))
    except jsonschema.SchemaError as error:
        raise ConfigError(f"The schema of reward 'json' is not valid: {error.message}") from error
    # A registry of its own, which never fetches what a reference names.
    return kind(dict(schema), registry=Registry())
