"""The contestant `agents.TextPPO`, which plays the real environment.

python -m benchmarks.peers.text_ppo WORK.json OUTCOME.json
"""

from __future__ import annotations

import time
from typing import Any

from agents.ppo.policy import LMPolicy
from agents.ppo.ppo import Metrics, TextPPO
from benchmarks.peers.fixed_work import make_fixed_work, ppo_arguments
from benchmarks.peers.work import Outcome, Stopwatch, Work, run_as_program, versions_of


def run(work: Work) -> Outcome:
    """Trains for so many updates, and times them.

    Sampling is a part of the rollout, whose rest is the environment; the targets are the passes
    of the old policy and the reference, and the advantages made of them.
    """
    watch = Stopwatch(work.warmup)

    class TimedPolicy(LMPolicy):
        def act(self, *args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            chosen = super().act(*args, **kwargs)
            watch.add_phase("sampling", began)
            return chosen

    class TimedPPO(TextPPO):
        def collect_rollouts(self, *args: Any, **kwargs: Any) -> bool:
            began = time.perf_counter()
            goes_on = super().collect_rollouts(*args, **kwargs)
            watch.add_phase("rollout", began)
            return goes_on

        def compute_targets(self, *args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            targets = super().compute_targets(*args, **kwargs)
            watch.add_phase("old, reference", began)
            return targets

    agent = TimedPPO(
        TimedPolicy,
        make_fixed_work(work),
        batch_size=work.n_episodes,
        n_episodes=work.n_episodes,
        kl_coef=work.kl_coef,
        value_lr_factor=1.0,
        critic_warmup=0,
        **ppo_arguments(work),
    )
    lengths: list[float] = []

    def after_iteration(metrics: Metrics) -> bool:
        watch.end_update()
        lengths.append(metrics["rollout/response_tokens"])
        return True

    _ = agent.reference  # loaded before the clock starts
    watch.start()
    agent.learn(
        total_episodes=work.n_episodes * (work.warmup + work.updates),
        after_iteration=after_iteration,
    )
    outcome = watch.outcome
    outcome.response_tokens = sum(lengths) / len(lengths)
    outcome.versions = versions_of("torch", "transformers", "stable-baselines3", "gymnasium")
    return outcome


if __name__ == "__main__":
    run_as_program(run)
