"""One run of the benchmark, in its own process: train, and sample held-out prompts.

    python -m agents.reward_bench.worker JOB.json

The job file holds the fields of `Job`. An error is printed as the last line on standard error.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents.ppo.ppo import TextPPO
from agents.reward_bench.best_of_n import pay_nothing
from agents.reward_bench.config import BenchConfig, parse_bench_config
from agents.reward_bench.records import Look, Run, save_run
from agents.training.held_out import kl_per_episode, play_policy_on_split
from agents.training.run import make_agent
from textenv.episode import TextCore
from textenv.errors import TextEnvError
from textenv.secrets import mask_tracebacks
from textenv.storage.whole_files import write_whole
from textenv.vector import environment_arguments, make_core

# Looks of runs with the same seed draw the same random numbers, which makes differences between
# designs less noisy.
_LOOK_SEED = 1_000_003


@dataclass(frozen=True)
class Job:
    """One run to make."""

    config: dict[str, Any]  # Configuration of the benchmark, as plain values
    reward: Any  # Reward to train on; None to sample the untrained policy
    seed: int  # Seed of everything random
    digest: str  # Digest to save with the result
    folder: str  # Folder of the result
    parent: int  # Id of the parent process; the run ends when that has ended

    def save(self, path: Path) -> None:
        """Writes the job file."""
        write_whole(path, json.dumps(asdict(self), ensure_ascii=False))


def run_job(job: Job) -> None:
    """Makes a run and saves it."""
    started_at = time.perf_counter()
    config = parse_bench_config(job.config)
    torch.set_num_threads(config.threads)
    settings = config.train_config(job.reward, job.seed)
    # Looks are scored afterwards, by all metrics together.
    unscored = environment_arguments(config.model, config.dataset, pay_nothing, dict(config.env))
    paid = unscored if job.reward is None else {**unscored, "reward": job.reward}
    agent = make_agent(settings, paid)
    core = make_core(config.id, settings.n_envs, unscored)
    if job.reward is None:
        looks = [_look(agent, core, config, job.seed, config.samples_per_seed())]
    else:
        looks = _train(agent, core, config, job)
    save_run(Run(job.digest, tuple(looks), time.perf_counter() - started_at), Path(job.folder))


def _train(agent: TextPPO, core: TextCore, config: BenchConfig, job: Job) -> list[Look]:
    looks: list[Look] = []
    # At equal shares of the budget; an iteration that crosses several gives one look.
    due = [config.budget * (i + 1) / config.looks for i in range(config.looks)]

    def after_iteration(metrics: Mapping[str, float]) -> bool:
        if os.getppid() != job.parent:
            raise TextEnvError("The benchmark that started this run has ended.")
        if due and agent.n_episodes_done >= due[0]:
            while due and agent.n_episodes_done >= due[0]:
                due.pop(0)
            looks.append(_look(agent, core, config, job.seed))
        return True

    agent.learn(total_episodes=config.budget, after_iteration=after_iteration, log_interval=None)
    return looks


def _look(
    agent: TextPPO, core: TextCore, config: BenchConfig, seed: int, n_samples: int = 1
) -> Look:
    with torch.random.fork_rng():
        torch.manual_seed(_LOOK_SEED + seed)
        episodes = play_policy_on_split(
            agent.policy,
            core,
            config.split,
            config.prompts,
            deterministic=False,
            n_samples=n_samples,
        )
    kl = kl_per_episode(agent.policy, agent.reference, episodes)
    n_actions = np.array([int(episode.action_mask.sum()) for episode in episodes])
    return Look(agent.n_episodes_done, n_samples, kl, n_actions, tuple(episodes))


def main() -> None:
    """Makes the run of the job file that is given."""
    mask_tracebacks()
    try:
        run_job(Job(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
    except TextEnvError as error:
        print(" ".join(str(error).split()), file=sys.stderr)  # noqa: T201 - read by the parent
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
