"""sb3-contrib's TRPO and MaskablePPO train an LMPolicy; others of it are refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sb3_contrib import ARS, QRDQN, TRPO, MaskablePPO, RecurrentPPO
from stable_baselines3 import DQN

from agents.policy.lm_policy import LMPolicy
from agents.ppo.vec_env import TextVecEnv
from textenv import ConfigError


@pytest.fixture
def make_model(make_env, make_choice_env, save_model):
    def make(algorithm, level="token", **settings):
        env = TextVecEnv(make_choice_env(4) if level == "select" else make_env(4))
        kwargs = {"model": save_model(spread=0.3), "bf16": False}
        return algorithm(LMPolicy, env, seed=0, device="cpu", policy_kwargs=kwargs, **settings)

    return make


@pytest.mark.parametrize("level", ["token", "select"])
@pytest.mark.parametrize("algorithm", [TRPO, MaskablePPO])
def test_an_algorithm_of_sb3_contrib_updates_the_model(make_model, algorithm, level):
    model = make_model(algorithm, level, n_steps=4, batch_size=16)
    # Else all advantages may be equal, and nothing is to be learned.
    torch.nn.init.normal_(model.policy.value_head.weight)
    before = model.policy.lm.state_dict()["model.layers.0.mlp.up_proj.weight"].clone()
    model.learn(16)
    assert not torch.equal(
        before, model.policy.lm.state_dict()["model.layers.0.mlp.up_proj.weight"]
    )
    observation, _ = model.policy.obs_to_tensor(model.env.reset())
    with torch.no_grad():
        values = model.policy.forward(observation)[1]
        assert torch.allclose(values, model.policy.predict_values(observation), atol=1e-4)
    if algorithm is TRPO:
        assert model.logger.name_to_value["train/is_line_search_success"] == 1


@pytest.mark.parametrize("level", ["token", "select"])
def test_a_distribution_can_be_differentiated_twice(make_model, level):
    """The Hessian of log p along a direction is the difference of two gradients."""
    model = make_model(TRPO, level, n_steps=4, batch_size=16)
    policy = model.policy
    observation, _ = policy.obs_to_tensor(model.env.reset())
    weight = policy.lm.model.layers[0].self_attn.q_proj.weight
    actions = torch.zeros(4, dtype=torch.long)

    def gradient() -> torch.Tensor:
        logprobs = policy.get_distribution(observation).log_prob(actions)
        return torch.autograd.grad(logprobs.sum(), weight, create_graph=True)[0]

    torch.manual_seed(0)
    direction = torch.randn_like(weight)
    (product,) = torch.autograd.grad((gradient() * direction).sum(), weight)
    ends = []
    for step in (1e-3, -2e-3):
        with torch.no_grad():
            weight.add_(direction, alpha=step)
        ends.append(gradient().detach())
    wanted = (ends[0] - ends[1]) / 2e-3
    assert float((product - wanted).norm() / wanted.norm()) < 0.02


@pytest.mark.parametrize("level", ["token", "select"])
def test_closed_actions_are_never_chosen(make_model, level):
    model = make_model(MaskablePPO, level, n_steps=4, batch_size=16)
    observation = model.env.reset()
    masks = np.zeros((4, model.action_space.n), bool)
    masks[:, 1] = True
    assert model.predict(observation, action_masks=masks)[0].tolist() == [1] * 4
    tensors, _ = model.policy.obs_to_tensor(observation)
    ones = torch.ones(4, dtype=torch.long)
    _, logprobs, entropy = model.policy.evaluate_actions(tensors, ones, action_masks=masks)
    assert torch.allclose(logprobs, torch.zeros(4))
    assert torch.allclose(entropy, torch.zeros(4))
    # Masks count for one call.
    assert model.policy._action_masks is None


@pytest.mark.parametrize(
    ("algorithm", "settings", "reason"),
    [
        (DQN, {"buffer_size": 8}, "DQN learns the value of every action"),
        (QRDQN, {"buffer_size": 8}, "QR-DQN learns the value of every action"),
        (RecurrentPPO, {"n_steps": 4, "batch_size": 16}, "carries an LSTM's state"),
        (ARS, {}, "ARS searches at random"),
    ],
    ids=["DQN", "QRDQN", "RecurrentPPO", "ARS"],
)
def test_an_algorithm_of_other_networks_is_refused(make_model, algorithm, settings, reason):
    with pytest.raises(ConfigError, match=reason):
        make_model(algorithm, "select", **settings)


def test_a_missing_network_is_a_missing_attribute_too(make_model):
    policy = make_model(TRPO, n_steps=4, batch_size=16).policy
    assert not hasattr(policy, "q_net")
