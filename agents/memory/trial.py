"""An iteration of TextPPO run without weights, at its largest, to see how many bytes it holds.

The agent is the real one, made as `textenv train` makes it, and does what it does in an iteration,
in the same order. Every episode is as long as the environment allows, so this is the most that a
run can need.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from stable_baselines3.common.logger import Logger

from agents.memory.weightless import Weightless
from agents.ppo.buffer import EpisodeBatch, make_batch
from agents.ppo.ppo import TextPPO
from agents.ppo.vec_env import TextVecEnv
from agents.training.config import TrainConfig
from agents.training.run import environment_arguments, make_agent
from textenv.rollout import PlayedEpisode


@dataclass(frozen=True)
class EpisodeShape:
    """The longest episode of an environment, in tokens.

    Attributes:
        window: All of it.
        prompt: What stands before the agent's first token, at most.
        written: What the agent writes, at most.
    """

    window: int
    prompt: int
    written: int


@dataclass(frozen=True)
class Played:
    """Bytes of a rollout: the most that was held, and the cache that is left."""

    peak: int
    cache: int


@dataclass(frozen=True)
class Learned:
    """The most bytes that were held while episodes were evaluated, and while they were learnt."""

    evaluation_peak: int
    update_peak: int


@contextmanager
def open_trial(config: TrainConfig) -> Iterator[Trial]:
    """Makes the agent of a training run without weights, for as long as the context lasts.

    Raises:
        ModelError: The model does not exist, or does not fit the environment.
        ConfigError: A setting does not fit.
    """
    arguments = environment_arguments(config.model, config.dataset, config.reward, config.env)
    with Weightless() as counter:
        # Where nothing has memory the device is only a name, and there is nothing to compile;
        # compiled layers and fused ones keep less. What a sampler takes beside it is given to it.
        changes = {"device": "cpu", "compile_layers": False, "sampler": None}
        agent = make_agent(config.model_copy(update=changes), arguments)
        yield Trial(agent, counter)


class Trial:
    """An agent without weights, in the state that every update but the first finds it in.

    Args:
        agent: Of a text environment; it was made inside of `counter`.
        counter: Is entered.

    Attributes:
        shape: The episodes.
        reference: Bytes of the reference model, apart from what it shares.
        gradients: Bytes of all gradients.
        optimizer: Bytes of the optimizer's state.
    """

    def __init__(self, agent: TextPPO, counter: Weightless) -> None:
        self.agent = agent
        self.counter = counter
        self.shape = episode_shape(agent)
        agent.set_logger(Logger(None, []))
        # Beyond the warm-up of the critic everything learns.
        agent.n_iterations = agent.options.critic_warmup
        before = self.live_bytes()
        _ = agent.reference
        self.reference = self.live_bytes() - before
        self.gradients, self.optimizer = self._make_steady()

    def live_bytes(self) -> int:
        """Returns what is held now, without what only waits for Python to find it unused."""
        gc.collect()
        return self.counter.live_bytes

    def _make_steady(self) -> tuple[int, int]:
        """Makes gradients and the optimizer's state; returns the bytes of both."""
        before = self.live_bytes()
        optimizer = self.agent.policy.optimizer
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.zeros_like(parameter)
        gradients = self.live_bytes() - before
        optimizer.step()
        return gradients, self.live_bytes() - before - gradients

    def play(self, n_slots: int) -> Played:
        """Has slots read the longest prompts and write the last token."""
        policy, shape = self.agent.policy, self.shape
        policy._decoders = ()
        before = self.live_bytes()
        rows = np.arange(n_slots)
        ids = np.zeros((n_slots, shape.window), np.int32)

        def act(length: int) -> int:
            self.counter.start_peak()
            policy.act(ids, np.full(n_slots, length), rows)
            return self.counter.peak_bytes

        # The last of the window's tokens ends the episode and is never read.
        last = max(shape.window - 1, shape.prompt)
        peak = act(shape.prompt)
        if last > shape.prompt + 1:
            # Many tokens at once, which is not how they are played.
            act(last - 1)
        if last > shape.prompt:
            peak = max(peak, act(last))
        return Played(peak, self.live_bytes() - before)

    def learn(self, max_tokens: int) -> Learned:
        """Evaluates the longest episodes, computes a gradient and has the optimizer step.

        Args:
            max_tokens: Of a pass of the model.
        """
        agent, counter = self.agent, self.counter
        agent.policy.options = agent.policy.options.replace(max_tokens_per_batch=max_tokens)
        batch = self._longest_batch()
        counter.start_peak()
        targets = agent.compute_targets(batch)
        evaluation_peak = counter.peak_bytes
        counter.start_peak()
        agent.accumulate_gradients(batch, targets, self._minibatch(batch))
        agent.policy.optimizer.step()
        return Learned(evaluation_peak, counter.peak_bytes)

    def first_micro_batch(self) -> EpisodeBatch:
        """Returns the episodes of one pass of the update."""
        batch = self._longest_batch()
        max_tokens = self.agent.policy.options.max_tokens_per_batch
        return batch.take(next(iter(batch.micro_batches(self._minibatch(batch), max_tokens))))

    def saved_bytes(self) -> int:
        """Returns what the forward pass of a micro-batch keeps for its backward pass."""
        part = self.first_micro_batch()
        self.agent.policy.set_training_mode(True)
        before = self.counter.live_bytes
        outputs = self.agent.policy.evaluate_sequences(part)
        held = self.counter.live_bytes - before
        del outputs
        return held

    def _longest_batch(self) -> EpisodeBatch:
        """Returns as many of the longest episodes as matter.

        The second micro-batch of a minibatch meets the gradients of the first; all others are like
        it.
        """
        agent, shape = self.agent, self.shape
        a_pass = max(1, agent.policy.options.max_tokens_per_batch // shape.window)
        n_episodes = min(agent.options.n_episodes, max(a_pass, min(agent.batch_size, 2 * a_pass)))
        mask = np.arange(shape.window) >= shape.window - shape.written
        ids = np.zeros(shape.window, np.int32)
        return make_batch([PlayedEpisode(ids, mask, mask.astype(np.float32))] * n_episodes)

    def _minibatch(self, batch: EpisodeBatch) -> torch.Tensor:
        return torch.arange(min(len(batch), self.agent.batch_size))


def episode_shape(agent: TextPPO) -> EpisodeShape:
    """Returns the longest episode of an agent's environment."""
    assert isinstance(agent.env, TextVecEnv)
    core = agent.env.core
    return EpisodeShape(
        window=core.window,
        prompt=min(core.max_prompt_tokens, core.window - 1),
        written=min(core.max_turns * core.max_new_tokens, core.window - 1),
    )
