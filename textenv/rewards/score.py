"""Scores plain texts with a reward, without an environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textenv.errors import ConfigError
from textenv.examples import Episode, Example, Turn
from textenv.rewards.base import RewardResult, compute_rewards
from textenv.rewards.loading import RewardSpec, load_reward


def score(
    reward: RewardSpec,
    responses: Sequence[str],
    references: Sequence[str | Sequence[str]],
    prompts: Sequence[str] | None = None,
    metadata: Sequence[Mapping[str, Any]] | None = None,
) -> RewardResult:
    """Scores responses as an environment would score the episodes in which they were given.

    Args:
        reward: What `load_reward` takes: a name, weights, an import path or a callable.
        responses: The texts to score.
        references: For each response its reference, or several of them.
        prompts: What each responds to; by default empty.
        metadata: Each example's further fields, for rewards that read them.

    Returns:
        One total and one number of every component for each response, in order.

    Raises:
        ConfigError: The arguments differ in length.
        RewardError: A score is missing or not finite.
    """
    n = len(responses)
    prompts = [""] * n if prompts is None else prompts
    metadata = [{}] * n if metadata is None else metadata
    given = {
        "responses": responses,
        "references": references,
        "prompts": prompts,
        "metadata": metadata,
    }
    for key, values in given.items():
        if isinstance(values, str):
            raise ConfigError(f"'{key}' is one text; give a list with one entry for each response.")
        if len(values) != n:
            raise ConfigError(
                f"'{key}' has {len(values)} entries for {n} responses; give one for each."
            )
    episodes = []
    for i, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        reference = references[i]
        texts = (reference,) if isinstance(reference, str) else tuple(reference)
        example = Example(str(i), prompt, texts, metadata[i])
        episodes.append(Episode(example, (Turn("user", prompt), Turn("assistant", response))))
    return compute_rewards(load_reward(reward), episodes)
