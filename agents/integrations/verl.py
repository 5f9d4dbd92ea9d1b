"""Environments as verl takes them: a data set, a score, and what plays whole episodes.

Nothing here imports verl. With one turn an episode, its trainer needs the data and the score:

    export_parquet("TextSummarize-v0", "train.parquet", 2048, tokenizer="path/or/id")
    reward.custom_reward_function.path=pkg://agents.integrations.verl

Where the environment answers, let it play the episodes: `agents.integrations.verl_loop`, named in
the YAML that `agent_loop_yaml` gives. Interfaces as of verl 0.9.1.
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
from textenv.rewards import compute_rewards
from textenv.rollout import CoreSlots, PlayedEpisode, Rollout, play_text
from textenv.vector import make_core

__all__ = ["agent_loop_yaml", "compute_score", "export_parquet", "play_episode"]

AGENT_NAME = "textenv"

# Takes token ids so far and the most tokens to write; gives token ids, and log-probs or None.
Generate = Callable[[list[int], int], Awaitable[tuple[Sequence[int], Sequence[float] | None]]]

# Cores that no episode is playing in, by environment and arguments.
_IDLE: dict[tuple[str, str], list[TextCore]] = {}


def export_parquet(
    id: str, path: str | Path, n: int, *, split: str = "train", **arguments: Any
) -> int:
    """Writes the first examples of a split as verl's RLHFDataset reads them.

    `extra_info` names the example and the environment's arguments, from which `compute_score` and
    the agent loop make the same environment again. Which loop plays a row is left to verl's
    `rollout.agent.default_agent_loop`.

    Args:
        id: The environment.
        path: The file, `.parquet`.
        n: How many rows; fewer if the split has fewer different openings.
        split: "train", "validation" or "test".
        arguments: Further ones of the environment, such as `dataset` and `tokenizer`, as JSON can
            hold them.

    Returns:
        How many rows were written.

    Raises:
        ConfigError: An argument is none that JSON can hold.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        text = json.dumps(arguments, sort_keys=True)
    except TypeError as error:
        raise ConfigError(
            f"Arguments of the environment travel as JSON, and these cannot: {error}. Name the "
            "task, reward or dataset instead of giving the object."
        ) from error
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

    verl calls it in several threads at a time.

    Args:
        data_source: The environment's id.
        solution_str: The response, decoded.
        ground_truth: Not used: the environment has all references.
        extra_info: As `export_parquet` wrote it.
        unused: What verl may pass beside these.

    Returns:
        The total as "score", and each component under its own name.

    Raises:
        ConfigError: The row is not one of `export_parquet`, or its episodes have several turns.
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
    """Plays the example that a row names: the same transition and tokens as `gym.make_vec`'s.

    Sampled tokens are kept as they are, never decoded and encoded again. What a model writes after
    the end of its turn is dropped.

    Args:
        id: The environment.
        extra_info: As `export_parquet` wrote it.
        generate: Lets the model write on.
        decode: What the model reads in token ids, without special tokens. Given, it must agree with
            the environment's tokenizer on the opening.

    Raises:
        ConfigError: The row is not one of `export_parquet`, the model has another tokenizer, or it
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
    """Returns what `actor_rollout_ref.rollout.agent.agent_loop_config_path` should point to."""
    return f"- name: {AGENT_NAME}\n  _target_: agents.integrations.verl_loop.TextEnvAgentLoop\n"


def _borrow(id: str, extra_info: Mapping[str, Any] | None) -> TextCore:
    """Takes a core of its own for an episode, since many are played at a time."""
    text = _arguments(extra_info)
    try:
        # Not asked first whether there is one: another thread may take it in between.
        return _IDLE.setdefault((id, text), []).pop()
    except IndexError:
        return make_core(id, 1, json.loads(text))


def _give_back(id: str, extra_info: Mapping[str, Any] | None, core: TextCore) -> None:
    _IDLE[id, _arguments(extra_info)].append(core)


def _arguments(extra_info: Mapping[str, Any] | None) -> str:
    if extra_info is None or not {"index", "split", "arguments"} <= set(extra_info):
        raise ConfigError(
            "This row does not name an example. Make the data with "
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
