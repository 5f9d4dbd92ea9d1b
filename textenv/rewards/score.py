"""Scores texts without an environment: given in lists, or in rows of JSON Lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import replace
from typing import Any, get_args

from textenv.conversations import has_conversation, read_conversation
from textenv.errors import ConfigError, did_you_mean
from textenv.examples import Episode, Example, StopReason, Turn
from textenv.json_lines import read_objects
from textenv.rewards.base import RewardResult, compute_rewards
from textenv.rewards.loading import RewardSpec, load_reward

_ROW_KEYS = ("response", "references", "prompt", "metadata", "id")
_SUCH_AS = '{"response": "...", "references": ["..."]}'


def score(
    reward: RewardSpec,
    responses: Iterable[str],
    references: Iterable[str | Iterable[str]] | None = None,
    prompts: Iterable[str] | None = None,
    metadata: Iterable[Mapping[str, Any]] | None = None,
) -> RewardResult:
    """Scores responses as an environment would score the episodes in which they were given.

        >>> result = textenv.score("rougeL", ["a cat sat"], ["the cat sat"])
        >>> result.total, result.components["rougeL"]
        (array([0.66666667]), array([0.66666667]))

    Args:
        reward: Description as for `load_reward`: a name, weights, an import path or a callable.
        responses: The texts to score: a list, an array, a column of a table, ...
        references: Reference of each response, or several of them. None for rewards that
            compare with none.
        prompts: Prompt of each response; by default empty.
        metadata: Further fields of each example, for rewards that read them.

    Returns:
        `total`, a float64 array (n,), and `components`, such arrays by name, in the order of the
        responses.

    Raises:
        ConfigError: The arguments differ in length, or are no texts.
        RewardError: A score is missing or not finite.
    """
    episodes = make_episodes(responses, references, prompts, metadata)
    return compute_rewards(load_reward(reward), episodes)


def make_episodes(
    responses: Iterable[str],
    references: Iterable[str | Iterable[str]] | None = None,
    prompts: Iterable[str] | None = None,
    metadata: Iterable[Mapping[str, Any]] | None = None,
    ids: Iterable[str] | None = None,
) -> list[Episode]:
    """Returns one finished episode for each response; arguments are as for `score`.

    An example's id is by default its place, from 0.

    Raises:
        ConfigError: The arguments differ in length, or are no texts.
    """
    texts = _column("responses", responses)
    n = len(texts)
    columns = {
        "references": [()] * n if references is None else _column("references", references),
        "prompts": [""] * n if prompts is None else _column("prompts", prompts),
        "metadata": [{}] * n if metadata is None else _column("metadata", metadata),
        "ids": list(map(str, range(n))) if ids is None else _column("ids", ids),
    }
    for name, values in columns.items():
        if len(values) != n:
            raise ConfigError(
                f"'{name}' has {len(values)} entries for {n} responses; give one for each."
            )
    return [_episode(*row) for row in zip(texts, *columns.values(), strict=True)]


def _column(name: str, values: Any) -> list[Any]:
    # Going through a set gives no order, and through a table the names of its columns.
    is_other = isinstance(values, str | bytes | Mapping | Set) or hasattr(values, "columns")
    if is_other or not isinstance(values, Iterable):
        kind = "one text" if isinstance(values, str) else type(values).__name__
        raise ConfigError(f"'{name}' is {kind}; give a list with one entry for each response.")
    return list(values)


def _episode(response: Any, references: Any, prompt: Any, metadata: Any, id: str) -> Episode:
    for name, text in (("response", response), ("prompt", prompt)):
        if not isinstance(text, str):
            raise ConfigError(f"The {name} of example '{id}' is {text!r}; it has to be a text.")
    if isinstance(references, str):
        references = (references,)
    if not isinstance(references, Iterable) or isinstance(references, bytes | Mapping):
        raise ConfigError(
            f"The references of example '{id}' are {references!r}; give a text, or a list of them."
        )
    references = tuple(references)
    for text in references:
        if not isinstance(text, str):
            raise ConfigError(f"A reference of example '{id}' is {text!r}; it has to be a text.")
    if not isinstance(metadata, Mapping):
        raise ConfigError(
            f"The metadata of example '{id}' is {metadata!r}; it has to be a mapping."
        )
    example = Example(id, prompt, references, metadata)
    return Episode(example, (Turn("user", prompt), Turn("assistant", response)))


def read_rows(lines: Iterable[bytes], source: str) -> list[Episode]:
    """Reads one finished episode a row of a file of JSON lines.

    A row is a JSON object with `response`, and with `references` (a text or a list of them),
    `prompt`, `id` and `metadata` (an object) as the reward needs them. Further keys are metadata,
    too. Empty lines are left out. Messages call the file `source`.

    A row of `textenv rollouts` is the whole conversation: of its `messages` the first `n_opening`
    are the opening. Its `stop_reason` and `prompt_cut` are read, and `metadata` is all of it.

    Raises:
        ConfigError: There are no rows, or one is not of this form; the message has its line.
    """
    episodes = [_read_row(row, where) for where, row in read_objects(lines, source, _SUCH_AS)]
    if not episodes:
        raise ConfigError(f"{source} has no rows. Each is a JSON object with a 'response'.")
    return episodes


def _read_row(row: dict[str, Any], where: str) -> Episode:
    if "response" not in row:
        raise ConfigError(f"{where} has no 'response'.{did_you_mean('response', row)}")
    if "references" not in row and "reference" in row:
        raise ConfigError(f"{where} has a 'reference'; call it 'references'.")
    metadata = row.get("metadata", {})
    if not isinstance(metadata, dict):
        raise ConfigError(f"{where}: the metadata is {metadata!r}; it has to be an object.")
    is_conversation = has_conversation(row)
    further = {k: v for k, v in row.items() if k not in _ROW_KEYS and not is_conversation}
    try:
        (episode,) = make_episodes(
            [row["response"]],
            [row.get("references", ())],
            [row.get("prompt", "")],
            [{**further, **metadata}],
            [str(row.get("id", where.partition(" of ")[0].lower()))],
        )
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    if not is_conversation:
        return episode
    conversation = read_conversation(row, where)
    stop_reason = row.get("stop_reason", "end_of_turn")
    if stop_reason not in get_args(StopReason):
        raise ConfigError(
            f"{where}: the stop_reason is {stop_reason!r}, not {' or '.join(get_args(StopReason))}."
        )
    episode = replace(
        episode,
        turns=(*conversation.opening, *conversation.said),
        n_opening=len(conversation.opening),
        stop_reason=stop_reason,
        prompt_cut=row.get("prompt_cut") is True,
    )
    if episode.response != row["response"]:
        raise ConfigError(
            f"{where}: the 'response' is not what the assistant says in 'messages'. Change both, "
            "or leave out 'messages' and 'n_opening'."
        )
    return episode
