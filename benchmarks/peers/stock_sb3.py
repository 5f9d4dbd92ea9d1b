"""The contestant `stable_baselines3.PPO`, unchanged, with `agents.LMPolicy` on the environment.

The same tokens and epochs, but an update of its own kind: each token is a transition whose whole
text is read again. It has no penalty to a reference, so it needs no pass of one. Its minibatches
are of 256 transitions, since the texts of a whole rollout in one would take gigabytes.

    python -m benchmarks.peers.stock_sb3 WORK.json OUTCOME.json
"""

from __future__ import annotations

from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback

from agents.policy.lm_policy import LMPolicy
from agents.ppo.vec_env import TextVecEnv
from benchmarks.peers.fixed_work import make_fixed_work, ppo_arguments
from benchmarks.peers.work import Outcome, Stopwatch, Work, run_as_program

MINIBATCH = 256


class _Clock(BaseCallback):
    """Ends an update where the next rollout starts."""

    def __init__(self, watch: Stopwatch) -> None:
        super().__init__()
        self._watch = watch
        self._started = False
        self.lengths: list[int] = []

    def _on_rollout_start(self) -> None:
        if self._started:
            self._watch.end_update()
        else:
            self._watch.start()
        self._started = True

    def _on_step(self) -> bool:
        self.lengths += [info["episode"]["l"] for info in self.locals["infos"] if "episode" in info]
        return True

    def _on_training_end(self) -> None:
        self._watch.end_update()


def run(work: Work) -> Outcome:
    """Trains for so many updates, and times them."""
    watch = Stopwatch(work.warmup)
    clock = _Clock(watch)
    n_tokens = work.n_episodes * work.response_tokens
    agent = PPO(
        LMPolicy,
        TextVecEnv(make_fixed_work(work)),
        n_steps=work.response_tokens,
        batch_size=min(MINIBATCH, n_tokens),
        **ppo_arguments(work),
    )
    agent.learn(n_tokens * (work.warmup + work.updates), callback=clock)
    packages = ("torch", "transformers", "stable-baselines3", "gymnasium")
    return watch.finish(sum(clock.lengths) / len(clock.lengths), *packages)


if __name__ == "__main__":
    run_as_program(run)
