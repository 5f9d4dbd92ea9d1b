"""Adapters, frozen layers and gradient checkpointing keep the laws of the update."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger
from transformers import AutoModelForCausalLM

from agents.models.frozen_layers import find_layers, freeze_trunk
from agents.models.loading import load_model
from agents.policy.episode_batch import EpisodeBatch, make_batch
from agents.ppo.ppo import TextPPO
from agents.ppo.rollout import collect_episodes
from textenv import ConfigError, ModelError

# The other families are long forms.
FAMILIES = ["llama", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gpt2", "qwen3"))]
OPTIONS = {
    "lora": {"lora": {"r": 4}},
    "frozen layer": {"frozen_layers": 1},
    "lora above a frozen layer": {"lora": {"r": 4}, "frozen_layers": 1},
    "frozen layer, separate critic": {"frozen_layers": 1, "separate_critic": True},
    "lora, separate critic": {"lora": {"r": 4}, "separate_critic": True},
}


def collect(agent: Any, n: int) -> EpisodeBatch:
    episodes = collect_episodes(agent.env, agent.policy, n, lambda *_: True)
    assert episodes is not None
    return make_batch(episodes)


def gradient(agent: Any) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in agent.policy.parameters() if p.grad is not None])


def relative_difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm())


def make(make_agent: Any, model: str, policy_kwargs: Any) -> Any:
    """An agent away from its reference, whose value head says something."""
    agent = make_agent(
        None, {"model": model, **policy_kwargs}, critic_warmup=0, ent_coef=0.02, kl_coef=0.1
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in agent.policy.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return agent


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_law_5_ratio_is_one_and_kl_is_zero(save_model, make_env, make_agent, family, option):
    agent = make_agent(
        make_env(max_turns=2),
        {"model": save_model(family, spread=0.3, extra_rows=13), "temperature": 0.7}
        | OPTIONS[option],
        learning_rate=1e-2,
    )
    policy = agent.policy
    forward = policy.forward

    def act(ids: Any, lengths: Any, rows: Any, deterministic: bool = False) -> Any:
        mask = (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int8)
        observation = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        actions, _, logprobs = forward(observation)
        return actions.numpy(), logprobs.numpy()

    policy.act = act
    batch = collect(agent, 4)
    del policy.act
    targets = agent.compute_targets(batch)
    torch.testing.assert_close(batch.logprobs, targets.old_logprobs, rtol=0, atol=1e-4)
    stats = agent.accumulate_gradients(batch, targets, torch.arange(len(batch)))
    assert stats["ratio"] == pytest.approx(1.0, abs=1e-4)
    recorded: dict[str, float] = {}
    agent.learn(total_episodes=1, after_iteration=lambda metrics: recorded.update(metrics) or True)
    assert recorded["train/first_ratio"] == pytest.approx(1.0, abs=1e-4)
    assert recorded["kl/ref"] == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_law_8_micro_batches_and_order_leave_the_gradient(save_model, make_agent, family, option):
    agent = make(make_agent, save_model(family, spread=0.3), OPTIONS[option])
    batch = collect(agent, 12)
    assert len(set(batch.lengths.tolist())) > 3
    targets, rows = agent.compute_targets(batch), torch.arange(12)
    agent.accumulate_gradients(batch, targets, rows)
    wanted = gradient(agent)
    for max_tokens in (1, 40):
        agent.policy.options = agent.policy.options.replace(max_tokens_per_batch=max_tokens)
        again = agent.compute_targets(batch)
        assert torch.allclose(again.old_logprobs, targets.old_logprobs, atol=1e-5)
        assert torch.allclose(again.returns, targets.returns, atol=1e-4)
        agent.accumulate_gradients(batch, targets, torch.randperm(12))
        assert relative_difference(gradient(agent), wanted) < 1e-4


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_gradient_checkpointing_leaves_the_gradient(save_model, make_agent, family, option):
    model = save_model(family, spread=0.3)
    agent = make(make_agent, model, OPTIONS[option])
    again = make(make_agent, model, OPTIONS[option] | {"gradient_checkpointing": True})
    batch, rows = collect(agent, 8), torch.arange(8)
    targets = agent.compute_targets(batch)
    for one in (agent, again):
        one.accumulate_gradients(batch, targets, rows)
    assert relative_difference(gradient(again), gradient(agent)) < 1e-6


@pytest.mark.parametrize("family", FAMILIES)
def test_gradient_checkpointing_computes_what_learns_twice(save_model, make_agent, family):
    """Neither the passes without gradient nor frozen layers need to."""
    agent = make_agent(
        None,
        {"model": save_model(family, spread=0.3), "gradient_checkpointing": True},
        critic_warmup=0,
    )
    calls: list[int] = []
    for i, layer in enumerate(find_layers(agent.policy.networks.backbone)[1]):
        attention = layer.attn if family == "gpt2" else layer.self_attn
        attention.register_forward_hook(lambda *_, i=i: calls.append(i))
    batch = collect(agent, 4)
    agent.policy.set_training_mode(True)
    calls.clear()
    targets = agent.compute_targets(batch)
    assert calls.count(0) == calls.count(1) == 1
    calls.clear()
    agent.accumulate_gradients(batch, targets, torch.arange(4))
    assert calls.count(0) == calls.count(1) == 2


def test_decoding_keeps_its_cache_under_gradient_checkpointing(save_model, make_agent):
    found = []
    for gradient_checkpointing in (False, True):
        agent = make_agent(
            None,
            {"model": save_model(spread=0.3), "gradient_checkpointing": gradient_checkpointing},
        )
        agent.policy.set_training_mode(True)
        torch.manual_seed(3)
        texts = collect(agent, 8).input_ids
        found.append((agent.policy.cached.decoders[0].fed_tokens, texts))
    assert found[0][0] == found[1][0]
    assert torch.equal(found[0][1], found[1][1])


@pytest.mark.parametrize("family", FAMILIES)
def test_law_7_with_an_adapter_the_update_is_sb3s(save_model, make_env, make_agent, family):
    """One step of SB3's own `train` on the same single transition each gives the same gradient."""
    settings = {
        "gamma": 1.0, "gae_lambda": 1.0, "ent_coef": 0.03, "vf_coef": 0.7, "n_epochs": 1,
        "normalize_advantage": False, "max_grad_norm": 1e9,
    }  # fmt: skip
    policy_kwargs = {"model": save_model(family, spread=0.3), "lora": {"r": 4}}
    env = make_env(max_new_tokens=1)
    agent = make_agent(env, policy_kwargs, kl_coef=0.0, critic_warmup=0, **settings)
    with torch.no_grad():
        for parameter in agent.policy.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    batch = collect(agent, 8)
    assert (batch.action_mask.sum(1) == 1).all()
    targets = agent.compute_targets(batch)
    stats = agent.accumulate_gradients(batch, targets, torch.arange(8))

    stock = PPO(
        type(agent.policy), agent.env, n_steps=2, batch_size=8, device="cpu",
        policy_kwargs=policy_kwargs, **settings,
    )  # fmt: skip
    stock.policy.load_state_dict(agent.policy.state_dict())
    buffer = stock.rollout_buffer
    window = stock.observation_space["input_ids"].shape[0]
    last = batch.lengths - 1
    for step in range(2):
        rows = torch.arange(4 * step, 4 * step + 4)
        ids, mask = np.zeros((4, window), np.int32), np.zeros((4, window), np.int8)
        for i, row in enumerate(rows.tolist()):
            ids[i, : last[row]] = batch.input_ids[row, : last[row]]
            mask[i, : last[row]] = 1
        at = rows, last[rows]
        observation = {"input_ids": ids, "attention_mask": mask, "remaining": np.ones((4, 1))}
        buffer.add(
            observation, batch.input_ids[at].view(4, 1).numpy(), batch.rewards[at].numpy(),
            np.ones(4), targets.values[at], targets.old_logprobs[at],
        )  # fmt: skip
    buffer.compute_returns_and_advantage(torch.zeros(4), np.ones(4))
    taken: list[torch.Tensor] = []
    stock.policy.optimizer.step = lambda: taken.append(gradient(stock))
    stock.set_logger(Logger(None, []))
    stock.train()
    assert stats["loss"] == pytest.approx(stock.logger.name_to_value["train/loss"], rel=1e-4)
    assert relative_difference(gradient(agent), taken[0]) < 1e-4


@pytest.mark.parametrize("separate_critic", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_frozen_layers_stay_and_the_rest_learns(save_model, make_agent, family, separate_critic):
    model = save_model(family, spread=0.3)
    agent = make_agent(
        None,
        {"model": model, "frozen_layers": 1, "separate_critic": separate_critic},
        critic_warmup=0, learning_rate=1e-2, ent_coef=0.1,
    )  # fmt: skip
    policy = agent.policy
    in_optimizer = {id(p) for group in policy.optimizer.param_groups for p in group["params"]}
    assert in_optimizer == {id(p) for p in policy.parameters() if p.requires_grad}
    agent.learn(total_episodes=24)
    before = load_model(model).state_dict()
    is_tied = "lm_head.weight" in before and family != "llama"
    trunk = ("model.embed_tokens.", "model.layers.0.", "transformer.wte.", "transformer.wpe.",
             "transformer.h.0.", *(["lm_head."] if is_tied else []))  # fmt: skip
    for name, tensor in policy.lm.state_dict().items():
        assert torch.equal(tensor, before[name]) == name.startswith(trunk), name
    if separate_critic:
        frozen = {p.data_ptr() for p in policy.lm.parameters() if not p.requires_grad}
        assert {p.data_ptr() for p in policy.critic.parameters() if not p.requires_grad} == frozen
        assert any(p.requires_grad for p in policy.critic.parameters())


def test_nothing_of_a_frozen_layer_is_kept_for_the_backward_pass(save_model, make_agent):
    batch_ids = torch.randint(3, 20, (4, 32))

    def kept_bytes(policy: Any) -> int:
        sizes: dict[int, int] = {}
        weights = {p.data_ptr() for p in policy.parameters()}

        def note(tensor: torch.Tensor) -> torch.Tensor:
            if tensor.data_ptr() not in weights:
                sizes[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            hidden = policy.networks.backbone(input_ids=batch_ids).last_hidden_state
        assert hidden.requires_grad
        return sum(sizes.values())

    model = save_model("gpt2", spread=0.3)  # three layers
    sizes = {}
    for k in (0, 1, 2):
        policy = make_agent(None, {"model": model, "frozen_layers": k}).policy
        sizes[k] = kept_bytes(policy)
    assert sizes[1] - sizes[2] == pytest.approx(sizes[0] - sizes[1], rel=0.1)
    assert sizes[2] < 0.45 * sizes[0]


def test_a_saved_agent_with_frozen_layers_goes_on_exactly(
    save_model, make_env, make_agent, tmp_path, assert_they_learn_alike
):
    model = save_model("llama", spread=0.3)
    agent = make_agent(
        None, {"model": model, "frozen_layers": 1, "separate_critic": True}, critic_warmup=0,
        learning_rate=1e-2, ent_coef=0.1,
    ).learn(total_episodes=12)  # fmt: skip
    agent.save(tmp_path)
    loaded = TextPPO.load(tmp_path, env=make_env(), device="cpu")
    assert_they_learn_alike(agent, loaded)
    # The reference still shares the trunk, which is the same numbers under another name.
    assert loaded.reference_name != loaded.policy.options.model
    own = {p.data_ptr() for p in loaded.policy.lm.parameters()}
    shared = [p for p in loaded.reference.model.parameters() if p.data_ptr() in own]
    assert len(shared) == sum(not p.requires_grad for p in loaded.policy.lm.parameters())


def test_frozen_layers_are_checked_in_words(save_model, make_agent):
    with pytest.raises(ConfigError, match="from 0 to 1 for this model of 2 layers, not 2"):
        make_agent(None, {"model": save_model(), "frozen_layers": 2})
    with pytest.raises(ConfigError, match="frozen_layers=-1 is not valid"):
        make_agent(None, {"model": save_model(), "lora": {}, "frozen_layers": -1})
    with pytest.raises(ModelError, match="Llama, Qwen or GPT-2"):
        freeze_trunk(torch.nn.Linear(2, 2), 1)


# Linear layers that do not learn are held in bfloat16 where autocast rounds them anyway


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_holding_frozen_weights_in_bf16_changes_no_number(
    save_model, make_agent, monkeypatch, family, option
):
    model = save_model(family, spread=0.3)
    policy_kwargs = OPTIONS[option] | {"bf16": True}
    held = make(make_agent, model, policy_kwargs)
    with monkeypatch.context() as patch:
        patch.setattr("agents.policy.networks.hold_frozen", lambda *_: None)
        patch.setattr("agents.ppo.reference.hold_frozen", lambda *_: None)
        rounded = make(make_agent, model, policy_kwargs)
        _ = rounded.reference
    batch, rows = collect(held, 8), torch.arange(8)
    targets = held.compute_targets(batch)
    others = rounded.compute_targets(batch)
    for name in ("old_logprobs", "values", "advantages", "returns"):
        assert torch.equal(getattr(targets, name), getattr(others, name)), name
    for agent in (held, rounded):
        agent.accumulate_gradients(batch, targets, rows)
    assert torch.equal(gradient(held), gradient(rounded))
    types = {p.dtype for agent in (held,) for p in agent.policy.parameters() if p.requires_grad}
    assert types == {torch.float32}
    of_linear = [
        p.dtype for p in held.policy.lm.parameters() if not p.requires_grad and p.ndim == 2
    ]
    assert torch.bfloat16 in of_linear


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("option", ["lora", "frozen layer"])
def test_an_agent_in_bf16_is_saved_for_plain_transformers(
    save_model, make_env, make_agent, tmp_path, family, option
):
    agent = make(make_agent, save_model(family, spread=0.3), OPTIONS[option] | {"bf16": True})
    agent.save(tmp_path)
    batch = collect(agent, 4)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    assert {p.dtype for p in plain.parameters()} == {torch.float32}
    with torch.no_grad():
        with agent.policy.networks.autocast():
            wanted = agent.policy.lm(input_ids=batch.input_ids).logits
        found = plain(input_ids=batch.input_ids).logits
    assert (found - wanted).abs().mean() < 0.02 * wanted.abs().mean()
    loaded = TextPPO.load(tmp_path, env=make_env(), device="cpu")
    for name, tensor in agent.policy.state_dict().items():
        assert torch.equal(loaded.policy.state_dict()[name], tensor), name
