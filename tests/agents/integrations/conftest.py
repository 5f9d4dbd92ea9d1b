"""Episodes as verl would have them."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from textenv.rollout import PlayedEpisode


@pytest.fixture
def as_lists() -> Callable[[PlayedEpisode], SimpleNamespace]:
    """Returns an episode's parts as the lists that verl holds."""

    def convert(played: PlayedEpisode) -> SimpleNamespace:
        n = played.n_prompt
        logprobs = played.logprobs
        return SimpleNamespace(
            prompt_ids=played.input_ids[:n].tolist(),
            response_ids=played.input_ids[n:].tolist(),
            response_mask=played.action_mask[n:].astype(int).tolist(),
            logprobs=None if logprobs is None else logprobs[n:].tolist(),
            reward=played.reward,
            n_turns=len(played.conversation.responses),
            components=played.components,
        )

    return convert
