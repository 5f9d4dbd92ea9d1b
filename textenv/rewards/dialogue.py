"""Rewards of whole dialogues: a booking's success, and closeness to recorded turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from textenv.errors import RewardError
from textenv.examples import Episode
from textenv.rewards.answers import token_f1
from textenv.rewards.base import RewardResult


@dataclass(frozen=True)
class DialogueSuccess:
    """How much of what the customer wants the agent booked; in [0, 1].

    The mean of "slots", the share of the goal's slots that are right, and "withheld", that share
    among the slots that had to be asked for: booking at once on a guess gets less than half.
    Further components: "success" (1 if every slot is right) and "turns" (how many it took).
    """

    name: str = "dialogue_success"

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order.

        Raises:
            RewardError: An example has no goal.
        """
        from textenv.tasks.dialogue import booking_success

        outcomes = [booking_success(episode.example, episode.turns) for episode in episodes]
        components = {
            key: np.array([outcome[key] for outcome in outcomes], np.float64)
            for key in ("slots", "success", "withheld")
        }
        components["turns"] = np.array([len(e.responses) for e in episodes], np.float64)
        total = 0.5 * (components["slots"] + components["withheld"])
        return RewardResult(total, components)


@dataclass(frozen=True)
class TurnF1:
    """Mean token F1 of the agent's turns, each against the recorded turn in its place; in [0, 1].

    For recorded dialogues, whose references follow each other rather than being alternatives.
    Components: "turn_f1" (the total) and "turns" (how many the agent took).
    """

    name: str = "turn_f1"

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order.

        Raises:
            RewardError: An example is not a recorded dialogue.
        """
        f1 = token_f1()
        total, turns = np.zeros(len(episodes)), np.zeros(len(episodes))
        for i, episode in enumerate(episodes):
            if "user_turns" not in episode.example.metadata:
                raise RewardError(
                    f"Reward '{self.name}' compares with recorded turns, and example "
                    f"'{episode.example.id}' is no recorded dialogue. Use another reward, such as "
                    "'dialogue_success' or 'token_f1'."
                )
            # A dialogue may end at `max_turns`, before its recording does.
            pairs = zip(episode.responses, episode.example.references, strict=False)
            scores = [f1.compare(f1.split(said), f1.split(recorded)) for said, recorded in pairs]
            total[i] = np.mean(scores) if scores else 0.0
            turns[i] = len(episode.responses)
        return RewardResult(total, {self.name: total, "turns": turns})
