"""A twin computes what its module computes: cast, packed, and with adapters merged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import PreTrainedModel

import agents.decoding.twin
from agents.decoding.twin import Twin, wants_twin
from agents.models.loading import load_model
from agents.models.lora import adapter_off, add_adapter
from agents.models.options import LoraSettings
from agents.policy.episode_batch import make_batch
from agents.ppo.ppo import TextPPO
from agents.ppo.rollout import collect_episodes

IDS = torch.arange(12).view(2, 6)


@pytest.fixture(params=["packed", "plain"])
def weights(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Packed weights as on a CPU of x86, and plain ones as everywhere else."""
    if request.param == "plain":
        monkeypatch.setattr(agents.decoding.twin, "can_pack", lambda dtype: False)
    return str(request.param)


def passes(model: Any, twin: nn.Module, bf16: bool) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        whole, own = (m(input_ids=IDS).last_hidden_state for m in (model.base_model, twin))
    return whole.float(), own.float()


def agree(model: Any, twin: nn.Module, bf16: bool) -> bool:
    whole, own = passes(model, twin, bf16)
    return float((whole - own).norm() / whole.norm()) < (0.02 if bf16 else 1e-6)


@pytest.mark.parametrize("bf16", [False, True])
def test_a_twin_shares_all_parameters_and_follows_them(
    tiny_model: PreTrainedModel, weights: str, bf16: bool
) -> None:
    backbone = tiny_model.base_model
    twin = Twin(backbone, torch.bfloat16 if bf16 else None)
    assert agree(tiny_model, twin.module, bf16)
    shared = {id(p) for p in backbone.parameters()}
    assert {id(p) for p in twin.module.parameters()} == shared
    assert all("forward" not in vars(module) for module in backbone.modules())
    with torch.no_grad():
        for parameter in tiny_model.parameters():
            parameter.mul_(1.5)
    assert not agree(tiny_model, twin.module, bf16)
    twin.refresh()
    assert agree(tiny_model, twin.module, bf16)


def test_plain_weights_stay_where_a_captured_graph_reads_them(
    tiny_model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents.decoding.twin, "can_pack", lambda dtype: False)
    assert not wants_twin(tiny_model.base_model, is_autocast=False)
    twin = Twin(tiny_model.base_model, torch.bfloat16)
    # Without packing they are bit for bit what autocast computes with.
    assert torch.equal(*passes(tiny_model, twin.module, bf16=True))
    kept = [product._weight for product in twin._products]
    twin.refresh()
    assert all(one is product._weight for one, product in zip(kept, twin._products, strict=True))


def wake(model: nn.Module, std: float = 0.3) -> Iterator[nn.Parameter]:
    """Gives an adapter something to say."""
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if ".lora_B." in name:
            nn.init.normal_(parameter, std=std)
            yield parameter


@pytest.mark.parametrize("r", [1, 5])
@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3"])
def test_an_adapter_is_in_the_twin(
    save_model, weights: str, family: str, bf16: bool, r: int
) -> None:
    model = load_model(save_model(family, spread=0.3))
    adapter = add_adapter(model, LoraSettings(r=r, alpha=3 * r))
    learned = list(wake(model))
    dtype = torch.bfloat16 if bf16 else None
    twin = Twin(model.base_model, dtype)
    assert agree(model, twin.module, bf16)
    with torch.no_grad():
        for parameter in learned:
            parameter.mul_(-1)
    assert not agree(model, twin.module, bf16)
    twin.refresh()
    assert agree(model, twin.module, bf16)
    with adapter_off(adapter):
        assert not agree(model, twin.module, bf16)
        assert agree(model, Twin(model.base_model, dtype).module, bf16)
    adapter.merge_adapter()
    assert agree(model, Twin(model.base_model, dtype).module, bf16)


@pytest.mark.parametrize(
    "settings",
    [
        {"use_dora": True},
        {"use_rslora": True, "lora_dropout": 0.5},
        {"lora_bias": True},
        {"target_modules": ["q_proj", "embed_tokens"]},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:.*(is_gradient_checkpointing|lora_bias)")
@pytest.mark.parametrize("bf16", [False, True])
def test_adapters_of_other_kinds_compute_as_peft_does(save_model, settings, bf16: bool) -> None:
    model = load_model(save_model("llama", spread=0.3))
    config = LoraConfig(**{"r": 4, "target_modules": ["q_proj", "up_proj"]} | settings)
    peft_model = get_peft_model(model, config).eval()
    for name, parameter in peft_model.named_parameters():
        if ".lora_" in name and "lora_A" not in name:
            nn.init.normal_(parameter, std=0.3)
    twin = Twin(model.base_model, torch.bfloat16 if bf16 else None)
    assert agree(model, twin.module, bf16)
    with torch.no_grad(), peft_model.disable_adapter():
        assert not agree(model, twin.module, bf16)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing")
def test_two_adapters_at_work_compute_as_peft_does(save_model) -> None:
    model = load_model(save_model("llama", spread=0.3))
    config = LoraConfig(r=4, target_modules=["q_proj", "up_proj"])
    peft_model: Any = get_peft_model(model, config, adapter_name="one")
    peft_model.add_adapter("two", LoraConfig(r=2, target_modules=["q_proj", "o_proj"]))
    peft_model.base_model.set_adapter(["one", "two"])
    list(wake(model))
    assert agree(model, Twin(model.base_model, None).module, bf16=False)


@pytest.mark.parametrize("dtype", [torch.bfloat16, None])
def test_a_change_below_half_a_step_of_the_weights_is_kept(weights: str, dtype) -> None:
    # Each weight is 1, whose neighbours in bfloat16 are 1 - 1/256 and 1 + 1/128. The adapter adds
    # 1/1024 with alternating signs, which rounding would undo.
    signs = torch.tensor([1.0, -1.0]).repeat(256)
    model = nn.Sequential(nn.Linear(512, 8, bias=False))
    nn.init.ones_(model[0].weight)
    get_peft_model(model, LoraConfig(r=1, lora_alpha=1, target_modules=["0"]))
    adapted: Any = model[0]
    with torch.no_grad():
        adapted.lora_A["default"].weight.copy_(signs[None] / 32)
        adapted.lora_B["default"].weight.fill_(1 / 32)
        found = Twin(model, dtype).module(signs[None].to(dtype or torch.float32))
    assert torch.equal(found.float(), torch.full((1, 8), 512 / 1024))


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("separate_critic", [False, True])
def test_rollouts_agree_with_whole_passes_after_updates_and_after_loading(
    save_model, make_agent, make_env, tmp_path, bf16: bool, separate_critic: bool
) -> None:
    policy_kwargs = {
        "model": save_model("llama", spread=0.3),
        "lora": {"r": 4, "alpha": 8},
        "bf16": bf16,
        "separate_critic": separate_critic,
    }
    agent = make_agent(None, policy_kwargs, critic_warmup=0, learning_rate=3e-2)
    agent.learn(total_episodes=24)
    agent.save(tmp_path)
    for one in (agent, TextPPO.load(tmp_path, env=make_env(), device="cpu")):
        episodes = collect_episodes(one.env, one.policy, 8)
        assert episodes is not None
        batch = make_batch(episodes)
        assert batch.logprobs is not None
        with torch.no_grad():
            found = one.policy.evaluate_sequences(batch).logprobs
            with adapter_off(one.policy.adapter):
                base = one.policy.evaluate_sequences(batch).logprobs
        difference = (found - batch.logprobs[batch.written]).abs().numpy()
        assert np.max(difference) < (0.15 if bf16 else 3e-5)
        assert np.mean(difference) < 0.02
        assert (found - base).abs().mean() > 0.1, "the adapter has learned something"
