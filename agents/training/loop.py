"""The iterations of a training run: metrics, held-out reward, checkpoints, and when to stop."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agents.ppo.kept_checkpoints import kept_iterations, latest_iteration
from agents.ppo.ppo import TextPPO
from agents.ppo.progress import describe_iteration, record_metrics
from agents.ppo.steps import DivergedError
from agents.training.checked_files import GrowingFile, mark_checkpoint, read_grown_rows
from agents.training.config import TrainConfig
from agents.training.guard_rules import GuardSettings
from agents.training.guards import GuardWatch, stop_reason_of
from agents.training.interrupts import StopRequest
from agents.training.kept_texts import (
    LOOKS_FILE,
    ROLLOUTS_FILE,
    TextLog,
    spread_over_rewards,
)
from agents.training.looks import (
    Look,
    answer_first,
    load_gold,
    read_best,
    save_best,
    share_best,
    take_look,
)
from agents.training.run_folder import METRICS_FILE, read_result
from textenv.cli.progress import track
from textenv.episode import TextCore
from textenv.errors import DamagedError

_LOOK = "validation/reward"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ending:
    """How a training ended."""

    # "converged" if held-out reward stopped rising, "max_seconds" if the time is up, "guard:NAME"
    # if a guard of `stop_on` warned, else "budget"
    stop_reason: str
    best: Look | None  # the look of the agent that is kept as the best; None if there was no look
    last_is_best: bool  # whether the last agent is that one
    is_saved: bool  # whether the last agent is the one that was saved last


def train_in_folder(
    agent: TextPPO, core: TextCore, config: TrainConfig, out: Path, request: StopRequest
) -> Ending:
    """Trains until the budget is spent, held-out reward stops rising, a guard or a signal stops it.

    Args:
        agent: Agent, new or loaded.
        core: Core in which held-out examples are played.
        config: Configuration of the run.
        out: The run's folder. New rows are appended to its `metrics.jsonl`, and texts to the files
            of `agents.training.kept_texts`; the agent of the best look is kept in its `best/`.
        request: Request to stop, checked after each iteration.
    """
    iteration, stop_reason, saved = agent.n_iterations, "budget", -1
    path = out / METRICS_FILE
    looks = _Looks(config.patience)
    rows = read_grown_rows(path, iteration)
    if not agent.ranks.index and len(rows) != iteration:
        raise DamagedError(
            f"'{path}' has {len(rows)} rows of the {iteration} iterations before the checkpoint. "
            "Restore it from a copy."
        )
    metrics_file = GrowingFile(path)
    metrics_file.replace([json.dumps(row) for row in rows])
    watch = GuardWatch(config.stop_on, GuardSettings.of(dict(config)))
    for row in rows:
        watch.see(row)
        if _LOOK in row:
            looks.add(row[_LOOK])
    best, last_is_best = share_best(read_best(out), agent.ranks), False
    if best is None and looks.any:
        _log.warning(
            f"'{out}' has lost its best agent so far; the best of the looks from here on is kept."
        )
    ended = read_result(out)
    is_extended = ended is not None and ended["episodes"] == agent.n_episodes_done
    # Only the first process has read the rows; all processes stop, or none.
    if agent.ranks.any(looks.stopped_rising and not is_extended):
        return Ending("converged", best, last_is_best, is_saved=False)
    (stopped_by, *_) = agent.ranks.gather(None if is_extended else watch.stopped_by)
    if stopped_by is not None:
        return Ending(stop_reason_of(stopped_by), best, last_is_best, is_saved=False)
    gold = load_gold(config)
    rollouts = TextLog(out / ROLLOUTS_FILE, iteration)
    answers = TextLog(out / LOOKS_FILE, iteration, first=0, every=config.validation_every or 1)
    if config.validation_every and not iteration:
        answers.add(0, answer_first(agent, core, config))
    with track("Training", config.total_episodes) as report:

        def after_iteration(metrics: Mapping[str, float]) -> bool:
            nonlocal iteration, stop_reason, best, last_is_best, saved
            iteration += 1
            note, last_is_best = describe_iteration(metrics), False
            # JSON has no NaN, such as the explained share of a variance of 0.
            finite = {k: v if math.isfinite(v) else None for k, v in metrics.items()}
            row: dict[str, float | None] = {"iteration": iteration, **finite}
            rollouts.add(iteration, spread_over_rewards(agent.episodes, core))
            if config.validation_every and iteration % config.validation_every == 0:
                look = take_look(agent, core, config, gold)
                row |= look.metrics()
                answers.add(iteration, look.answers)
                looks.add(look.reward.mean)
                last_is_best = look.beats(best)
                if last_is_best:
                    save_best(agent, look, out)
                    best = look
                _log_look(agent, look)
                note = _describe_look(metrics, look, last_is_best)
                if looks.stopped_rising:
                    stop_reason = "converged"
            metrics_file.append([json.dumps(row, allow_nan=False)])
            # The first process has the rows from before a resumption, and stops all of them.
            if not agent.ranks.index and not watch(row) and stop_reason == "budget":
                assert watch.stopped_by is not None
                stop_reason = stop_reason_of(watch.stopped_by)
            if config.save_every and iteration % config.save_every == 0:
                save_checkpoint(agent, config, out)
                saved = iteration
            report(min(agent.n_episodes_done, config.total_episodes), note)
            return stop_reason == "budget" and not request.is_made

        try:
            agent.learn(
                total_episodes=config.total_episodes,
                max_seconds=config.max_seconds,
                after_iteration=after_iteration,
                resume=True,
            )
        except DivergedError as error:
            last = agent.ranks.gather(latest_iteration(out))[0]
            if not agent.n_iterations and last is None:
                raise
            if last is None:
                # Steps that were not finite were skipped, so the weights are the last good ones.
                save_checkpoint(agent, config, out)
                kept = f"The agent is kept in '{out}' as it was before them"
            else:
                # Who diverges has often been on a bad way for some iterations.
                kept = f"The checkpoint of iteration {last} is kept in '{out}'"
            raise DivergedError(
                f"{error} {kept}: change what is wrong, then go on with --resume."
            ) from error
    (stop_reason, *_) = agent.ranks.gather(stop_reason)
    is_short = agent.n_episodes_done < config.total_episodes
    if stop_reason == "budget" and config.max_seconds is not None and is_short:
        stop_reason = "max_seconds"
    return Ending(stop_reason, best, last_is_best, saved == iteration)


def save_checkpoint(agent: TextPPO, config: TrainConfig, out: Path) -> None:
    """Saves the agent to its run's folder; all processes of a run must call it."""
    if not agent.ranks.index:
        kept = [*kept_iterations(out), *filter(None, [latest_iteration(out)])]
        mark_checkpoint(out, agent.n_iterations, kept)
    agent.save(out, keep=config.keep_checkpoints - 1)


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
    def any(self) -> bool:
        """Whether there was a look."""
        return self._best > float("-inf")

    @property
    def stopped_rising(self) -> bool:
        """Whether the last `patience` looks brought no new best."""
        return self._since_best >= self._patience


def _log_look(agent: TextPPO, look: Look) -> None:
    """Writes a look to the agent's logger and trackers, beside the iteration's numbers."""
    record_metrics(agent.logger, look.metrics())
    agent.logger.dump(agent.num_timesteps)
    rows = [(answer["prompt"], answer["response"], answer["reward"]) for answer in look.answers]
    agent.trackers.log_texts("validation/texts", rows, agent.num_timesteps)


def _describe_look(metrics: Mapping[str, float], look: Look, is_best: bool) -> str:
    """Describes an iteration with a look in as few words as one without."""
    return (
        f"reward {metrics['rollout/reward_mean']:.3f}  KL {metrics['kl/ref']:.2f}  "
        f"{'best ' if is_best else ''}held-out {look.reward.mean:.3f}"
    )
