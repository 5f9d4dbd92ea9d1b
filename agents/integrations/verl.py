"""Environments for verl: a data set, a score function, and a player of whole episodes.

This module does not import verl. For episodes of one turn its trainer needs the data and the score:

    export_parquet("TextSummarize-v0", "train.parquet", 2048, tokenizer="path/or/id")
    reward.custom_reward_function.path=pkg://agents.integrations.verl

Where the environment answers, let it play the episodes: `agents.integrations.verl_loop`, which the
YAML of `agent_loop_yaml` names. The interfaces are those of verl 0.9.1.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.integrations.trl import prompt_rows
from textenv.episode import TextCore
from textenv.errors import ConfigError, UnknownNameError
from textenv.examples import Example
from textenv.keys import refuse_secrets
from textenv.plain_json import load_json
from textenv.rewards import compute_rewards
from textenv.rollout import CoreSlots, PlayedEpisode, Rollout, play_text
from textenv.vector import make_core

__all__ = ["agent_loop_yaml", "compute_score", "export_parquet", "play_episode"]

AGENT_NAME = "textenv"

# Takes token ids so far and the largest number to write; gives token ids, and log-probs or None.
Generate = Callable[[list[int], int], Awaitable[tuple[Sequence[int], Sequence[float] | None]]]

# Idle cores, by environment and arguments.
_IDLE: dict[tuple[str, str], list[TextCore]] = {}


def export_parquet(
    id: str, path: str | Path, n: int, *, split: str = "train", **arguments: Any
) -> int:
    """Writes the first examples of a split as a file that verl's RLHFDataset reads.

    `extra_info` identifies the example and holds the environment's arguments, from which
    `compute_score` and the agent loop make the same environment. verl's setting
    `rollout.agent.default_agent_loop` decides which loop plays a row.

    Args:
        id: Id of the environment.
        path: Path of the `.parquet` file.
        n: Number of rows; fewer if the split has fewer different openings.
        split: "train", "validation" or "test".
        arguments: Further arguments of the environment, such as `dataset` and `tokenizer`; values
            must be JSON.

    Returns:
        Number of rows that were written.

    Raises:
        ConfigError: An argument is not a JSON value, or holds a key.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        text = json.dumps(arguments, sort_keys=True)
    except TypeError as error:
        raise ConfigError(
            f"Arguments of the environment are saved as JSON, and these cannot be: {error}. Name "
            "the task, reward or dataset instead of giving the object."
        ) from error
    refuse_secrets(arguments)
    core = make_core(id, 1, arguments)
    rows = []
    for row in prompt_rows(id, n, split=split, **arguments):
        references = core.dataset(split)[row["index"]].references
        rows.append(
            {
                "data_source": id,
                "prompt": row["prompt"],
                "ability": "text",
                "reward_model": {
                    "style": "rule",
                    "ground_truth": references[0] if references else "",
                },
                "extra_info": {"index": row["index"], "split": split, "arguments": text},
            }
        )
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), str(path))
    return len(rows)


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    **unused: Any,
) -> dict[str, float]:
    """Scores a response as the environment scores an episode: verl's custom reward function.

    verl calls it from several threads.

    Args:
        data_source: Id of the environment.
        solution_str: Decoded response.
        ground_truth: Not used, since the environment has all references.
        extra_info: Column of this name, written by `export_parquet`.
        unused: Further arguments that verl may pass.

    Returns:
        The total as "score", and each component under its own name.

    Raises:
        ConfigError: The row is not from `export_parquet`, or its episodes have several turns.
    """
    core = _borrow(data_source, extra_info)
    try:
        if core.max_turns > 1:
            raise ConfigError(
                f"An episode of '{data_source}' has up to {core.max_turns} turns, and a response "
                "is only the first. Let the environment play: see agent_loop_yaml."
            )

        episode = play_text(core, _example(core, extra_info), lambda *_: solution_str)
        result = compute_rewards(core.reward, [episode])
    finally:
        _give_back(data_source, extra_info, core)
    components = {name: float(values[0]) for name, values in result.components.items()}
    return components | {"score": float(result.total[0])}


async def play_episode(
    id: str,
    extra_info: Mapping[str, Any] | None,
    generate: Generate,
    decode: Callable[[list[int]], str] | None = None,
) -> PlayedEpisode:
    """Plays the example of a row, with the same transition and tokens as in `gym.make_vec`.

    Tokens are kept as they were sampled, never decoded and encoded again. Tokens after the end of a
    turn are dropped.

    Args:
        id: Id of the environment.
        extra_info: Column of this name, written by `export_parquet`.
        generate: Function by which the model continues a text.
        decode: The model's decoder of token ids, which leaves out special tokens. If given, it must
            agree with the environment's tokenizer on the opening.

    Raises:
        ConfigError: The row is not from `export_parquet`, the model has another tokenizer, or it
            wrote nothing.
    """
    core = _borrow(id, extra_info)
    slots = CoreSlots(core, [_example(core, extra_info)], scored=True)
    rollout = Rollout(slots, 1)
    opening = core.input_ids[0, : core.lengths[0]].tolist()
    if decode is not None and decode(opening) != core.tokenizer.decode(opening):
        raise ConfigError(
            f"The rows of '{id}' were made with the tokenizer '{core.tokenizer.name}', whose ids "
            "the model reads as another text. Give export_parquet the model's: "
            'tokenizer="path/or/id".'
        )
    while len(rows := rollout.rows()):
        text = core.input_ids[0, : core.lengths[0]].tolist()
        tokens, logprobs = await generate(text, int(core.remaining[0]))
        if not len(tokens):
            raise ConfigError(f"The model wrote nothing in an episode of '{id}'.")
        for i, token in enumerate(tokens):
            length = int(core.lengths[0])
            logprob = None if logprobs is None else np.array([logprobs[i]], np.float32)
            rollout.advance(rows, np.array([token]), logprob)
            # The environment has answered, or the episode is over.
            if rollout.episodes or int(core.lengths[0]) != length + 1:
                break
    _give_back(id, extra_info, core)
    return rollout.episodes[0]


def agent_loop_yaml() -> str:
    """Returns the file for `actor_rollout_ref.rollout.agent.agent_loop_config_path`, as text."""
    return f"- name: {AGENT_NAME}\n  _target_: agents.integrations.verl_loop.TextEnvAgentLoop\n"


def _borrow(id: str, extra_info: Mapping[str, Any] | None) -> TextCore:
    """Returns a core for one episode, since many episodes are played at a time."""
    text = _arguments(extra_info)
    try:
        # Without a check before: another thread might take the core in between.
        return _IDLE.setdefault((id, text), []).pop()
    except IndexError:
        return make_core(id, 1, load_json(text))


def _give_back(id: str, extra_info: Mapping[str, Any] | None, core: TextCore) -> None:
    _IDLE[id, _arguments(extra_info)].append(core)


def _arguments(extra_info: Mapping[str, Any] | None) -> str:
    if extra_info is None or not {"index", "split", "arguments"} <= set(extra_info):
        raise ConfigError(
            "This row does not identify an example. Make the data with "
            "agents.integrations.verl.export_parquet."
        )
    return str(extra_info["arguments"])


def _example(core: TextCore, extra_info: Mapping[str, Any] | None) -> Example:
    assert extra_info is not None
    dataset, index = core.dataset(extra_info["split"]), int(extra_info["index"])
    if not 0 <= index < len(dataset):
        raise UnknownNameError("example", index, ())
    example: Example = dataset[index]
    return example
