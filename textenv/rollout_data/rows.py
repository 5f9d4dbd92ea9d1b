"""The rows of `textenv rollouts`: an episode a line, with all that scoring it again needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textenv.conversations import Conversation, read_conversation
from textenv.errors import ConfigError, did_you_mean
from textenv.examples import Episode, Turn, to_messages
from textenv.json_lines import read_objects
from textenv.rewards import RewardResult

_LARGEST = 1e150  # of a reward, whose squares are averaged
_SUCH_AS = '{"id": "...", "messages": [...], "n_opening": 1, "reward": 0.5}'


@dataclass(frozen=True)
class Rollout:
    """One sampled episode of a file.

    Attributes:
        id: Id of its example.
        conversation: All that was said.
        reward: What it earned.
        cut: Whether the agent's last turn was cut off by its budget.
    """

    id: str
    conversation: Conversation
    reward: float
    cut: bool = False

    @property
    def prompt(self) -> tuple[str, tuple[Turn, ...]]:
        """What rollouts that answer the same have in common."""
        return self.id, self.conversation.opening


@dataclass(frozen=True)
class RolloutFile:
    """What a file of rollouts holds.

    Attributes:
        rollouts: Those with a reward, in order.
        n_unscored: Number of those that no reward could be given.
    """

    rollouts: tuple[Rollout, ...]
    n_unscored: int = 0


def rollout_row(
    episode: Episode, result: RewardResult, i: int, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns an episode as a row, from which `textenv rewards score` makes the same episode.

    Args:
        episode: Finished episode.
        result: Scores of a batch.
        i: Place of the episode in the batch.
        facts: What else the row tells, such as the model.
    """
    example = episode.example
    is_valid = result.valid is None or bool(result.valid[i])
    scores = {name: float(values[i]) for name, values in result.components.items()}
    reason = {} if is_valid else {"invalid": result.reasons.get(i, "The reward gave no reason.")}
    return {
        "id": example.id,
        **facts,
        "messages": list(to_messages(episode.turns)),
        "n_opening": episode.n_opening,
        "response": episode.response,
        "reward": float(result.total[i]) if is_valid else None,
        "components": scores if is_valid else {},
        **reason,
        "tokens": int(episode.action_mask.sum()),
        "stop_reason": episode.stop_reason,
        "prompt_cut": bool(episode.prompt_cut),
        "prompt": example.prompt,
        "references": list(example.references),
        "metadata": dict(example.metadata),
    }


def read_rollouts(path: Path, *, ended_only: bool = False) -> RolloutFile:
    """Reads a file of rollouts.

    Args:
        path: File of JSON lines.
        ended_only: Leave out those whose last answer was cut off by its budget.

    Raises:
        ConfigError: It cannot be read, holds no rollouts, or a line is none.
    """
    source = f"'{path}'"
    rollouts, n_unscored, n_rows = [], 0, 0
    try:
        with path.open("rb") as lines:
            for where, row in read_objects(lines, source, _SUCH_AS):
                n_rows += 1
                rollout = _read_rollout(row, where)
                if rollout is None:
                    n_unscored += 1
                elif not (ended_only and rollout.cut):
                    rollouts.append(rollout)
    except OSError as error:
        raise ConfigError(f"{source} cannot be read: {error.strerror}.") from error
    if not rollouts:
        why = "has no rows" if not n_rows else "has no row that could be used"
        if ended_only and n_rows > n_unscored:
            why = "has only answers that were cut off by max_new_tokens"
        raise ConfigError(f"{source} {why}; 'textenv rollouts' makes such files.")
    return RolloutFile(tuple(rollouts), n_unscored)


def by_prompt(rollouts: Sequence[Rollout]) -> list[list[Rollout]]:
    """Returns the rollouts of each prompt, in the order in which prompts come first."""
    groups: dict[Any, list[Rollout]] = {}
    for rollout in rollouts:
        groups.setdefault(rollout.prompt, []).append(rollout)
    return list(groups.values())


def _read_rollout(row: Mapping[str, Any], where: str) -> Rollout | None:
    for key in ("id", "reward"):
        if key not in row:
            raise ConfigError(f"{where} has no '{key}'.{did_you_mean(key, row)}")
    conversation, reward = read_conversation(row, where), row["reward"]
    if reward is None:
        return None
    is_number = isinstance(reward, int | float) and not isinstance(reward, bool)
    if not is_number or not -_LARGEST <= reward <= _LARGEST:
        raise ConfigError(f"{where}: the reward is {reward!r}; it has to be a number, or null.")
    cut = row.get("stop_reason") == "max_new_tokens"
    return Rollout(str(row["id"]), conversation, float(reward), cut)
