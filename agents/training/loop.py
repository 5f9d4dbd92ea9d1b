"""The iterations of a training run: metrics, held-out reward, checkpoints, and when to stop."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path

from agents.ppo.ppo import TextPPO, describe_iteration
from agents.training.config import TrainConfig
from agents.training.evaluation import evaluate_policy_on_split
from agents.training.interrupts import StopRequest
from agents.training.run_folder import keep_rows, read_result
from textenv.cli.progress import track
from textenv.episode import TextCore

METRICS_FILE = "metrics.jsonl"
_LOOK = "eval/reward_mean"


def train_in_folder(
    agent: TextPPO, core: TextCore, config: TrainConfig, out: Path, request: StopRequest
) -> str:
    """Trains until the budget or time is spent, held-out reward stops rising, or a signal comes.

    Args:
        agent: Agent, new or loaded.
        core: Core in which held-out examples are played.
        config: Configuration of the run.
        out: The run's folder. New rows are appended to its `metrics.jsonl`.
        request: Request to stop, checked after each iteration.

    Returns:
        "converged" if held-out reward stopped rising, "max_seconds" if the time is up, else
        "budget".
    """
    until = math.inf if config.max_seconds is None else time.perf_counter() + config.max_seconds
    iteration, stop_reason = agent.n_iterations, "budget"
    path = out / METRICS_FILE
    looks = _Looks(config.patience)
    for row in keep_rows(path, iteration):
        if _LOOK in row:
            looks.add(row[_LOOK])
    ended = read_result(out)
    is_extended = ended is not None and ended["episodes"] == agent.n_episodes_done
    # Only the first process has read the rows; all processes stop, or none.
    if agent.ranks.any(looks.stopped_rising and not is_extended):
        return "converged"
    with (
        path.open("a", encoding="utf-8") as file,
        track("Training", config.total_episodes) as report,
    ):

        def after_iteration(metrics: Mapping[str, float]) -> bool:
            nonlocal iteration, stop_reason
            iteration += 1
            # JSON has no NaN, such as the explained share of a variance of 0.
            finite = {k: v if math.isfinite(v) else None for k, v in metrics.items()}
            row: dict[str, float | None] = {"iteration": iteration, **finite}
            if config.validation_every and iteration % config.validation_every == 0:
                looked = evaluate_policy_on_split(
                    agent.policy,
                    core,
                    "validation",
                    config.validation_examples,
                    ranks=agent.ranks,
                )
                # A resumed run has no cached keys here, so this one may not have any either.
                agent.policy.forget()
                reward = float(looked.rewards.mean())
                row[_LOOK] = reward
                looks.add(reward)
                if looks.stopped_rising:
                    stop_reason = "converged"
            # All processes stop, or none.
            if stop_reason == "budget" and agent.ranks.any(time.perf_counter() >= until):
                stop_reason = "max_seconds"
            file.write(json.dumps(row, allow_nan=False) + "\n")
            file.flush()
            if config.save_every and iteration % config.save_every == 0:
                agent.save(out)
            report(
                min(agent.n_episodes_done, config.total_episodes),
                describe_iteration(metrics),
            )
            return stop_reason == "budget" and not request.is_made

        agent.learn(
            total_episodes=config.total_episodes, after_iteration=after_iteration, resume=True
        )
    return stop_reason


class _Looks:
    """Held-out rewards of a run, and whether they have stopped rising."""

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._best = float("-inf")
        self._since_best = 0

    def add(self, reward: float) -> None:
        """Adds a reward. One more after the stop restarts the count: the run was extended."""
        if self.stopped_rising:
            self._since_best = 0
        self._since_best = 0 if reward > self._best else self._since_best + 1
        self._best = max(self._best, reward)

    @property
    def stopped_rising(self) -> bool:
        """Whether the last `patience` looks brought no new best."""
        return self._since_best >= self._patience
