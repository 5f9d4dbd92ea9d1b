"""The contestant `agents.TextPPO`, which plays the real environment.

python -m benchmarks.peers.text_ppo WORK.json OUTCOME.json
"""

from __future__ import annotations

from typing import Any

from agents.ppo.ppo import Metrics, TextPPO
from benchmarks.peers.fixed_work import make_fixed_work, ppo_arguments
from benchmarks.peers.work import Outcome, Stopwatch, Work, run_as_program


def run(work: Work) -> Outcome:
    """Trains for so many updates, and times them.

    Sampling is a part of the rollout, whose rest is the environment; the targets are the passes
    of the old policy and the reference, and the advantages made of them.
    """
    watch = Stopwatch(work.warmup)

    agent = TextPPO(
        "LMPolicy",
        make_fixed_work(work),
        batch_size=work.n_episodes,
        n_episodes=work.n_episodes,
        kl_coef=work.kl_coef,
        value_lr_factor=1.0,
        critic_warmup=0,
        **ppo_arguments(work),
    )
    timed: Any = agent
    timed.policy.act = watch.timed("sampling", agent.policy.act)
    timed.collect_rollouts = watch.timed("rollout", agent.collect_rollouts)
    timed.compute_targets = watch.timed("old, reference", agent.compute_targets)
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
    packages = ("torch", "transformers", "stable-baselines3", "gymnasium")
    return watch.finish(sum(lengths) / len(lengths), *packages)


if __name__ == "__main__":
    run_as_program(run)
