"""One distribution, however it is asked for: acting, per token, and whole episodes agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from agents.buffer import CollectedEpisode, make_batch
from agents.policy import LMPolicy


@pytest.fixture
def make_policy(save_model, make_env):
    def make(family: str = "llama", **arguments: Any) -> LMPolicy:
        core = make_env().core
        settings = {"model": save_model(family, spread=0.3, extra_rows=5), **arguments}
        policy = LMPolicy(
            core.single_observation_space, core.single_action_space, lambda _: 1e-2, **settings
        )
        torch.nn.init.normal_(policy.value_head.weight, generator=torch.Generator().manual_seed(1))
        return policy

    return make


def observation_of(rows: list[list[int]], window: int = 22) -> dict[str, torch.Tensor]:
    ids = torch.zeros((len(rows), window), dtype=torch.int32)
    mask = torch.zeros((len(rows), window), dtype=torch.int8)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    return {
        "input_ids": ids, "attention_mask": mask,
        "remaining": torch.ones((len(rows), 1), dtype=torch.int32),
    }  # fmt: skip


ROWS = [[3, 5, 6, 2, 4], [3, 5, 7, 9, 11, 2, 4, 8, 8], [3, 2, 4, 6]]


@pytest.mark.parametrize("separate_critic", [False, True])
@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3"])
def test_acting_and_evaluating_agree(make_policy, family, separate_critic):
    policy = make_policy(family, temperature=0.6, separate_critic=separate_critic)
    observation = observation_of(ROWS)
    actions, values, logprobs = policy.forward(observation)
    assert actions.shape == logprobs.shape == (3,)
    assert values.shape == (3, 1)
    # Train mode has no dropout either: GPT-2's configuration asks for some.
    policy.set_training_mode(True)
    per_token = policy.evaluate_actions(observation, actions)
    assert torch.allclose(per_token[0], values, atol=1e-4)
    assert torch.allclose(per_token[1], logprobs, atol=1e-4)
    assert torch.allclose(policy.predict_values(observation), values, atol=1e-4)
    distribution = policy.get_distribution(observation)
    assert torch.allclose(distribution.log_prob(actions), logprobs, atol=1e-4)
    assert torch.allclose(distribution.entropy(), per_token[2])
    greedy = policy.forward(observation, deterministic=True)[0]
    assert torch.equal(greedy, distribution.distribution.probs.argmax(1))


@pytest.mark.parametrize("separate_critic", [False, True])
def test_whole_episodes_agree_with_their_prefixes(make_policy, separate_critic):
    """Also where the environment spoke in between."""
    policy = make_policy(temperature=0.6, separate_critic=separate_critic)
    masks = [[0, 0, 0, 0, 1], [0, 0, 0, 1, 1, 0, 0, 1, 1], [0, 0, 1, 1]]
    batch = make_batch(
        [
            CollectedEpisode(
                np.array(ids, np.int32), np.array(mask, bool), np.zeros(len(ids), np.float32)
            )
            for ids, mask in zip(ROWS, masks, strict=True)
        ]
    )
    with torch.no_grad():
        outputs = policy.evaluate_sequences(batch, with_entropy=True)
        at = [(r, t) for r, mask in enumerate(masks) for t, own in enumerate(mask) if own]
        prefixes = observation_of([ROWS[r][:t] for r, t in at])
        written = torch.tensor([ROWS[r][t] for r, t in at])
        values, logprobs, entropy = policy.evaluate_actions(prefixes, written)
        final = policy.predict_values(observation_of(ROWS))
    assert torch.allclose(outputs.logprobs, logprobs, atol=1e-4)
    assert torch.allclose(outputs.values, values[:, 0], atol=1e-4)
    assert torch.allclose(outputs.entropy, entropy, atol=1e-4)
    assert torch.allclose(outputs.final_values, final[:, 0], atol=1e-4)


def test_only_the_critics_own_weights_learn_from_values_alone(make_policy):
    for separate_critic in (False, True):
        policy = make_policy("qwen3", separate_critic=separate_critic)
        batch = make_batch(
            [CollectedEpisode(np.array([3, 4, 5, 6], np.int32), np.arange(4) > 1, np.zeros(4))]
        )
        outputs = policy.evaluate_sequences(batch, with_entropy=True, critic_only=True)
        assert not outputs.logprobs.requires_grad
        assert not outputs.entropy.requires_grad
        outputs.values.sum().backward()
        learning = {id(p) for p in policy.parameters() if p.grad is not None}
        assert learning
        assert learning <= {id(p) for p in policy.critic_parameters()}


def test_the_optimizer_has_every_weight_once(make_policy):
    for family in ("llama", "qwen3"):
        policy = make_policy(family, separate_critic=True)
        held = [p for group in policy.optimizer.param_groups for p in group["params"]]
        assert len(held) == len({id(p) for p in held})
        assert {id(p) for p in held} == {id(p) for p in policy.parameters()}
        assert [group["params"] for group in policy.optimizer.param_groups][1] == (
            policy.critic_parameters()
        )


def test_values_begin_at_zero(save_model, make_env):
    core = make_env().core
    policy = LMPolicy(
        core.single_observation_space, core.single_action_space, lambda _: 1e-2,
        model=save_model(spread=0.3),
    )  # fmt: skip
    assert not policy.predict_values(observation_of(ROWS)).any()


def test_new_weights_are_seen_while_acting(make_policy):
    policy = make_policy()
    observation = observation_of(ROWS)
    before = policy.forward(observation)[1]
    policy.get_distribution(observation).log_prob(torch.tensor([1, 2, 3])).sum().backward()
    policy.optimizer.step()
    actions, values, logprobs = policy.forward(observation)
    assert not torch.allclose(values, before, atol=1e-3)
    _, wanted, _ = policy.evaluate_actions(observation, actions)
    assert torch.allclose(logprobs, wanted, atol=1e-4)


def test_any_number_of_rows_may_follow_another(make_policy):
    policy = make_policy()
    for rows in (ROWS[:1], ROWS + ROWS, ROWS[1:], ROWS[::-1]):
        observation = observation_of(rows)
        _, values, _ = policy.forward(observation)
        assert torch.allclose(values, policy.predict_values(observation), atol=1e-4)


def test_predict_takes_one_observation_or_many(make_policy):
    policy = make_policy()
    observation = {key: value.numpy() for key, value in observation_of(ROWS).items()}
    many, state = policy.predict(observation, deterministic=True)
    assert state is None
    assert many.shape == (3,)
    for i in range(3):
        one, _ = policy.predict({k: v[i] for k, v in observation.items()}, deterministic=True)
        assert one == many[i]


def test_sampling_follows_the_temperature(make_policy):
    observation = observation_of(ROWS[:1])
    warm, cold = make_policy(temperature=1.0), make_policy(temperature=0.25)
    wanted = torch.softmax(4 * warm.get_distribution(observation).distribution.logits, -1)
    found = cold.get_distribution(observation).distribution.probs
    assert torch.allclose(found, wanted, atol=1e-5)
    torch.manual_seed(0)
    many = observation_of(ROWS[:1] * 4000)
    counts = torch.bincount(cold.forward(many)[0], minlength=20) / 4000
    assert torch.allclose(counts, found[0], atol=0.03)


def test_a_policy_that_fits_no_model_says_so(save_model, make_env):
    from textenv import ModelError

    core = make_env(max_prompt_tokens=300).core
    with pytest.raises(ModelError, match="window"):
        LMPolicy(
            core.single_observation_space, core.single_action_space, lambda _: 0.0,
            model=save_model(),
        )  # fmt: skip
