"""The environment of the fixed work: prompts and responses of so many tokens each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from benchmarks.peers.work import Work
from textenv import Episode, Example, Field, RewardResult, Task, Turn
from textenv.vector import TextVectorEnv

ID = "FixedWork-v0"


class FixedWorkTask(Task):
    """The user says a row of words; the episode ends with the agent's one turn."""

    fields: ClassVar[tuple[Field, ...]] = (Field("text"),)

    def example(self, id: str, row: Mapping[str, Any]) -> Example:
        """Builds the example of a row."""
        return Example(id, row["text"], (row["text"],))

    def opening(self, example: Example) -> tuple[Turn, ...]:
        """Returns the words as they are."""
        return (Turn("user", example.prompt),)


def even_share(episodes: Sequence[Episode]) -> RewardResult:
    """Pays the share of even token ids, those of the prompt included."""
    return RewardResult(np.array([float((e.input_ids % 2 == 0).mean()) for e in episodes]))


def make_fixed_work(work: Work) -> TextVectorEnv:
    """Makes a slot for each episode of an update, through Gymnasium's registry."""
    if ID not in gym.registry:
        gym.register(
            ID,
            entry_point="textenv.env:TextEnv",
            vector_entry_point="textenv.vector:TextVectorEnv",
        )
    env = gym.make_vec(
        ID,
        num_envs=work.n_episodes,
        task=FixedWorkTask(),
        dataset=str(Path(work.folder) / "rows.jsonl"),
        reward=even_share,
        tokenizer=work.folder,
        max_prompt_tokens=work.prompt_tokens,
        max_new_tokens=work.response_tokens,
    )
    assert isinstance(env, TextVectorEnv)
    return env
