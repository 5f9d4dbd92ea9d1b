"""The reference is exact, however little memory of its own it has."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from agents.models.frozen_layers import find_layers
from agents.models.loading import load_model
from agents.policy.episode_batch import make_batch
from agents.ppo.evaluated_rollout import evaluate_rollout
from agents.ppo.reference import Reference
from agents.ppo.rollout import collect_episodes

# The other families are long forms.
FAMILIES = ["llama", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gpt2", "qwen3"))]
SHARING = {
    "lora": {"lora": {"r": 4}},
    "frozen layer": {"frozen_layers": 1},
    "lora above a frozen layer": {"lora": {"r": 4}, "frozen_layers": 1},
}


def collect(agent: Any, n: int = 8) -> Any:
    episodes = collect_episodes(agent.env, agent.policy, n, lambda *_: True)
    assert episodes is not None
    return make_batch(episodes)


def moved(make_agent: Any, model: str, policy_kwargs: Any, **arguments: Any) -> Any:
    """An agent whose policy has left its reference, by a noise on all that learns."""
    agent = make_agent(None, {"model": model, **policy_kwargs}, **arguments)
    with torch.no_grad():
        for parameter in agent.policy.lm.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return agent


def own_bytes(reference: Reference, policy: nn.Module) -> int:
    """Memory of the reference's parameters that the policy does not have."""
    theirs = {p.data_ptr() for p in policy.parameters()}
    own = {p.data_ptr(): p.nbytes for p in reference.model.parameters()}
    return sum(size for pointer, size in own.items() if pointer not in theirs)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("sharing", SHARING)
def test_a_reference_that_shares_is_the_full_one(save_model, make_agent, family, sharing):
    model = save_model(family, spread=0.3)
    agent = moved(make_agent, model, SHARING[sharing])
    batch = collect(agent)
    full = Reference(make_agent(None, {"model": model}).policy, model).logprobs(batch)
    assert torch.allclose(agent.reference.logprobs(batch), full, atol=1e-5)
    evaluated = evaluate_rollout(agent.policy, agent.reference, batch)
    assert torch.allclose(evaluated.ref_logprobs[batch.action_mask], full, atol=1e-5)
    # The policy is far from it, so a reference that is the policy by mistake would show.
    with torch.no_grad():
        outputs = agent.policy.evaluate_sequences(batch)
    assert (outputs.logprobs - full).abs().max() > 0.01
    assert torch.allclose(evaluated.logprobs[batch.action_mask], outputs.logprobs, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_with_an_adapter_the_reference_adds_no_memory(save_model, make_agent, family):
    agent = make_agent(None, {"model": save_model(family, spread=0.3), "lora": {}})
    assert agent.reference.model is agent.policy.lm
    assert own_bytes(agent.reference, agent.policy) == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_with_frozen_layers_the_reference_adds_what_learns_and_no_more(
    save_model, make_agent, family
):
    agent = make_agent(None, {"model": save_model(family, spread=0.3), "frozen_layers": 1})
    backbone, head = agent.policy.networks.backbone, agent.policy.networks.head
    embeddings = agent.policy.lm.get_input_embeddings()
    upper: list[Any] = [
        *find_layers(backbone)[1][1:],
        backbone.norm if family != "gpt2" else backbone.ln_f,
    ]
    if head.weight is not embeddings.weight:
        upper.append(head)
    wanted = sum(p.nbytes for module in upper for p in module.parameters())
    assert own_bytes(agent.reference, agent.policy) == wanted
    learning = [p for p in agent.policy.lm.parameters() if p.requires_grad]
    assert sum(p.nbytes for p in learning) == wanted


@pytest.mark.parametrize("sharing", ["frozen layer", "lora above a frozen layer"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_frozen_layers_are_computed_once_for_both(save_model, make_agent, family, sharing):
    model = save_model(family, spread=0.3)
    agent = moved(make_agent, model, SHARING[sharing])
    batch = collect(agent)
    policy, reference = agent.policy, agent.reference
    calls: list[str] = []
    for owner, backbone in (
        ("policy", policy.networks.backbone),
        ("reference", reference._parts[0]),
    ):
        for i, layer in enumerate(find_layers(backbone)[1]):
            attention = layer.attn if family == "gpt2" else layer.self_attn
            attention.register_forward_hook(lambda *_, name=f"{owner} {i}": calls.append(name))
    passes = len(list(batch.micro_batches(torch.arange(8), policy.options.max_tokens_per_batch)))
    evaluate_rollout(policy, reference, batch)
    lower = [call for call in calls if call.endswith(" 0")]
    # One module is heard under both names where the reference is the policy without its adapter.
    assert len(lower) == passes * (2 if "lora" in sharing else 1)
    calls.clear()
    reference.logprobs(batch)
    assert any(call.endswith(" 0") for call in calls), "what was recorded is used once"


@pytest.mark.parametrize("sharing", ["nothing", *SHARING])
def test_while_the_policy_is_the_reference_one_pass_gives_both(
    save_model, make_agent, monkeypatch, sharing
):
    agent = make_agent(None, {"model": save_model("llama", spread=0.3), **SHARING.get(sharing, {})})
    batch = collect(agent)
    wanted = agent.reference.logprobs(batch)
    with monkeypatch.context() as patch:
        patch.setattr(Reference, "logprobs", lambda *_: 1 / 0)
        found = evaluate_rollout(agent.policy, agent.reference, batch)
        assert torch.equal(found.ref_logprobs[batch.action_mask], wanted)
        assert not found.log_ratio.any()
        # One weight of those that learn is enough to ask the reference again.
        last = [p for p in agent.policy.lm.parameters() if p.requires_grad][-1]
        with torch.no_grad():
            last.view(-1)[-1] += 0.5
        with pytest.raises(ZeroDivisionError):
            evaluate_rollout(agent.policy, agent.reference, batch)


def test_another_reference_is_a_frozen_copy(save_model, make_agent):
    other = save_model("llama", spread=0.3, seed=5)
    for policy_kwargs in SHARING.values():
        agent = make_agent(
            None, {"model": save_model("llama", spread=0.3), **policy_kwargs}, reference=other
        )
        batch = collect(agent)
        wanted = Reference(make_agent(None, {"model": other}).policy, other).logprobs(batch)
        assert torch.allclose(agent.reference.logprobs(batch), wanted, atol=1e-5)
        evaluated = evaluate_rollout(agent.policy, agent.reference, batch)
        assert torch.allclose(evaluated.ref_logprobs[batch.action_mask], wanted, atol=1e-5)
        assert not any(p.requires_grad for p in agent.reference.model.parameters())


def test_a_path_written_differently_is_the_same_base(save_model, make_agent):
    model = save_model("llama", spread=0.3)
    agent = make_agent(None, {"model": model, "lora": {}}, reference=f"{model}/.")
    assert agent.reference.model is agent.policy.lm


@pytest.mark.parametrize("sharing", SHARING)
def test_a_pass_of_the_reference_leaves_the_policy_and_its_cache_alone(
    save_model, make_agent, sharing
):
    agent = moved(make_agent, save_model("llama", spread=0.3), SHARING[sharing])
    policy = agent.policy
    batch = collect(agent)
    flags = {name: p.requires_grad for name, p in policy.named_parameters()}
    policy.set_training_mode(True)
    observation = {
        "input_ids": batch.input_ids[:, :6].int(),
        "attention_mask": torch.ones(len(batch), 6, dtype=torch.int8),
    }

    def values_and_logits(cached: bool) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            distribution, values = policy._judge(
                observation, cached=policy.cached if cached else None
            )
        return values, distribution.distribution.logits

    before = values_and_logits(cached=True)
    fed = policy.cached.decoders[0].fed_tokens
    evaluate_rollout(policy, agent.reference, batch)
    agent.reference.logprobs(batch)
    after = values_and_logits(cached=True)
    # The cached keys are still those of the policy: only the last token of each row is fed again.
    assert policy.cached.decoders[0].fed_tokens == fed + len(batch)
    for cached, whole in zip(after, values_and_logits(cached=False), strict=True):
        assert torch.allclose(cached, whole, atol=1e-4)
    for one, other in zip(before, after, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    assert {name: p.requires_grad for name, p in policy.named_parameters()} == flags
    assert policy.training
    assert policy.lm.training


def test_an_error_within_a_pass_switches_the_adapter_on_again(save_model, make_agent, monkeypatch):
    agent = moved(make_agent, save_model("llama", spread=0.3), SHARING["lora"])
    batch, reference = collect(agent), agent.reference
    with torch.no_grad():
        wanted = agent.policy.evaluate_sequences(batch).logprobs
        monkeypatch.setattr("agents.ppo.reference.compute_states", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            reference.logprobs(batch)
        assert torch.equal(agent.policy.evaluate_sequences(batch).logprobs, wanted)


def test_the_reference_is_what_was_loaded_not_what_the_policy_has_become(save_model, make_agent):
    """It is made when it is first needed, and by then the policy may have learned."""
    model = save_model("llama", spread=0.3)
    agent = moved(make_agent, model, {"frozen_layers": 1})
    loaded = load_model(model).state_dict()
    for name, tensor in agent.reference.model.state_dict().items():
        assert torch.equal(tensor, loaded[name]), name


@pytest.mark.parametrize("sharing", ["frozen layer", "lora above a frozen layer"])
def test_what_was_recorded_of_other_tokens_is_not_used(save_model, make_agent, sharing):
    agent = moved(make_agent, save_model("llama", spread=0.3), SHARING[sharing])
    batch = collect(agent)
    half = [batch.take(torch.arange(4)), batch.take(torch.arange(4, 8))]
    wanted = [agent.reference.logprobs(part) for part in half]
    with torch.no_grad():
        for seen, asked in ((0, 1), (1, 0)):
            with agent.reference.recording():
                agent.policy.evaluate_sequences(half[seen])
            assert torch.equal(agent.reference.logprobs(half[asked]), wanted[asked])


def test_an_adapter_that_someone_froze_stays_frozen(save_model, make_agent):
    agent = moved(make_agent, save_model("llama", spread=0.3), SHARING["lora"])
    name, parameter = next((n, p) for n, p in agent.policy.named_parameters() if "lora_A" in n)
    parameter.requires_grad_(False)
    agent.reference.logprobs(collect(agent))
    assert not dict(agent.policy.named_parameters())[name].requires_grad


def test_the_reference_is_no_part_of_the_policy_and_stays(make_agent):
    agent = make_agent(learning_rate=1e-2, critic_warmup=0)
    before = {k: v.clone() for k, v in agent.reference.model.state_dict().items()}
    agent.learn(total_episodes=24)
    assert all(torch.equal(before[k], v) for k, v in agent.reference.model.state_dict().items())
    owned = {p.data_ptr() for p in agent.policy.parameters()}
    assert not owned & {p.data_ptr() for p in agent.reference.model.parameters()}
    assert all(not p.requires_grad for p in agent.reference.model.parameters())


def test_another_model_may_be_the_reference(save_model, make_agent):
    agent = make_agent(reference=save_model(spread=0.02))
    agent.learn(total_episodes=12, log_interval=None)
    assert agent.logger.name_to_value["kl/ref"] > 0.1


def test_the_penalty_is_taken_off_each_token(save_model, make_agent):
    agent = make_agent(
        reference=save_model(spread=0.02), kl_coef=0.5, gamma=1.0, gae_lambda=1.0,
        normalize_advantage=False,
    )  # fmt: skip
    batch = collect(agent, 12)
    targets = agent.compute_targets(batch)
    with torch.no_grad():
        log_ratio = agent.policy.evaluate_sequences(batch).logprobs - agent.reference.logprobs(
            batch
        )
    penalties = torch.zeros_like(batch.rewards)
    penalties[batch.action_mask] = 0.5 * log_ratio
    # Values start at zero: the return of a row's first token is all that is still to come.
    for row in range(len(batch)):
        first = int(batch.action_mask[row].nonzero()[0])
        wanted = batch.rewards[row].sum() - penalties[row].sum()
        assert float(targets.returns[row, first]) == pytest.approx(float(wanted), abs=1e-4)
