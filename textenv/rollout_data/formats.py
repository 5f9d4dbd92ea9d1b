"""Rows of training files, in the conversational formats that TRL and other trainers read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from textenv.examples import Turn, to_messages
from textenv.rollout_data.choices import ROUNDING, Pair
from textenv.rollout_data.rows import Rollout

SFTForm = Literal["messages", "prompt-completion"]


def sft_row(rollout: Rollout, form: SFTForm = "messages") -> dict[str, Any]:
    """Returns a row of supervised fine-tuning.

    Args:
        rollout: The answer to learn.
        form: "messages", {"messages": [...]}; or "prompt-completion", {"prompt": [...],
            "completion": [...]}, of which TRL learns the completion alone.
    """
    said = rollout.conversation
    if form == "messages":
        return {"messages": list(to_messages((*said.opening, *said.said)))}
    return {"prompt": _messages(said.opening), "completion": _messages(said.said)}


def dpo_row(pair: Pair) -> dict[str, Any]:
    """Returns a row of preferences: {"prompt": [...], "chosen": [...], "rejected": [...]}."""
    chosen, rejected = pair.chosen.conversation, pair.rejected.conversation
    return {
        "prompt": _messages(chosen.opening),
        "chosen": _messages(chosen.said),
        "rejected": _messages(rejected.said),
    }


def kto_row(rollout: Rollout, threshold: float) -> dict[str, Any]:
    """Returns a row of unpaired preferences: {"prompt", "completion", "label"}.

    The label is true from the threshold on.
    """
    said = rollout.conversation
    return {
        "prompt": _messages(said.opening),
        "completion": _messages(said.said),
        "label": rollout.reward >= threshold - ROUNDING,
    }


def _messages(turns: Sequence[Turn]) -> list[dict[str, str]]:
    return list(to_messages(turns))
