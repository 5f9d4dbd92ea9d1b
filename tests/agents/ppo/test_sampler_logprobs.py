"""What the sampler said of its tokens is kept, compared with the update's and made up for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from agents.policy.episode_batch import make_batch
from agents.ppo.rollout import collect_episodes
from textenv.errors import ConfigError


def make_off(policy: Any, factor_of: Any) -> None:
    """Makes a sampler that says of each token so many times its probability."""
    exact = policy.act

    def act(*args: Any) -> Any:
        tokens, logprobs = exact(*args)
        return tokens, logprobs + np.log(factor_of(tokens)).astype(np.float32)

    policy.act = act


def collect(agent: Any) -> Any:
    """Plays more episodes than there are slots."""
    episodes = collect_episodes(agent.env, agent.policy, agent.n_episodes, lambda *_: True)
    batch = make_batch(episodes)
    assert not batch.logprobs[~batch.action_mask].any()
    return batch


def gradient(agent: Any, batch: Any, cap: float | None) -> tuple[torch.Tensor, Any]:
    agent.importance_cap = cap
    targets = agent.compute_targets(batch)
    agent.accumulate_gradients(batch, targets, torch.arange(len(batch)))
    parameters = agent.policy.lm.parameters()
    return torch.cat([p.grad.flatten() for p in parameters if p.grad is not None]), targets


@pytest.mark.parametrize(("bf16", "least", "most"), [(False, 0.0, 1e-5), (True, 1e-4, 0.1)])
def test_sampler_and_update_agree_as_far_as_their_precision(make_agent, bf16, least, most):
    found: dict[str, float] = {}
    agent = make_agent(None, {"bf16": bf16})
    agent.learn(total_episodes=1, after_iteration=lambda metrics: found.update(metrics) or True)
    mean, largest = (found[f"rollout/logprob_mismatch{end}"] for end in ("", "_max"))
    assert least <= mean < most
    assert mean <= largest < 10 * most
    # The old log-probabilities are the update's own in either case.
    assert found["train/first_ratio"] == pytest.approx(1.0, abs=1e-6)


def test_a_sampler_that_is_off_is_seen(make_agent):
    found: dict[str, float] = {}
    agent = make_agent()
    make_off(agent.policy, lambda tokens: np.where(tokens % 2 == 0, 4.0, 0.5))
    agent.learn(total_episodes=1, after_iteration=lambda metrics: found.update(metrics) or True)
    written = np.concatenate([e.input_ids[e.action_mask] for e in agent.episodes])
    share = float((written % 2 == 0).mean())
    assert 0 < share < 1
    expected = share * math.log(4) + (1 - share) * math.log(2)
    assert found["rollout/logprob_mismatch"] == pytest.approx(expected, abs=1e-4)
    assert found["rollout/logprob_mismatch_max"] == pytest.approx(math.log(4), abs=1e-4)


@pytest.mark.parametrize(("cap", "weight"), [(3.0, 2.0), (1.5, 1.5), (None, 1.0)])
def test_tokens_twice_as_likely_as_said_count_twice_up_to_the_cap(make_agent, cap, weight):
    agent = make_agent(critic_warmup=0, vf_coef=0.0, max_grad_norm=1e9)
    make_off(agent.policy, lambda tokens: 0.5)
    batch = collect(agent)
    plain, _ = gradient(agent, batch, None)
    weighed, _ = gradient(agent, batch, cap)
    assert plain.norm() > 0
    torch.testing.assert_close(weighed, weight * plain, rtol=1e-3, atol=1e-6)


def test_each_token_has_its_own_weight_in_every_split_of_a_minibatch(make_agent):
    agent = make_agent(critic_warmup=0, vf_coef=0.0)
    make_off(agent.policy, lambda tokens: np.where(tokens % 2 == 0, 4.0, 0.5))
    batch = collect(agent)
    whole, targets = gradient(agent, batch, 10.0)
    weights = targets.importance_weights[batch.action_mask]
    even = batch.input_ids[batch.action_mask] % 2 == 0
    torch.testing.assert_close(weights, torch.where(even, 0.25, 2.0), rtol=1e-3, atol=0)
    agent.policy.options = agent.policy.options.replace(max_tokens_per_batch=40)
    torch.testing.assert_close(gradient(agent, batch, 10.0)[0], whole, rtol=1e-3, atol=1e-6)


def test_a_cap_is_above_zero(make_agent):
    with pytest.raises(ConfigError, match=r"importance_cap=-1\.0 is not valid"):
        make_agent(importance_cap=-1.0)
