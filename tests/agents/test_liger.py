"""Liger's kernels go into one model, without its losses and without a trace in other models."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import MethodType, ModuleType
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM
from transformers.models.llama import modeling_llama

from agents import liger, ppo
from agents.liger import check_liger_device, use_liger
from textenv.errors import ConfigError


class FusedNorm(torch.nn.Module):
    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.full_like(hidden, 3.0)


class FusedMLP(torch.nn.Module):
    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(hidden)


def fused_rotary(q: Any, k: Any, cos: Any, sin: Any, *rest: Any) -> Any:
    return "fused"


def apply_liger_kernel_to_llama(
    rope: bool = True,
    cross_entropy: bool = False,
    fused_linear_cross_entropy: bool = True,
    rms_norm: bool = True,
    swiglu: bool = True,
    model: Any = None,
) -> None:
    """The package's function of this name, with other kernels."""
    assert not (cross_entropy and fused_linear_cross_entropy)
    if rope:
        modeling_llama.apply_rotary_pos_emb = fused_rotary
    if rms_norm:
        modeling_llama.LlamaRMSNorm = FusedNorm
    if swiglu:
        modeling_llama.LlamaMLP = FusedMLP
    if fused_linear_cross_entropy:
        model.forward = MethodType(lambda self, *_, **__: None, model)
    base = getattr(model, model.base_model_prefix, model)
    base.norm.forward = MethodType(FusedNorm.forward, base.norm)
    for layer in base.layers:
        if swiglu:
            layer.mlp.forward = MethodType(FusedMLP.forward, layer.mlp)


def _apply_liger_kernel_to_instance(model: Any, **kwargs: Any) -> None:
    assert set(kwargs) <= set(apply_liger_kernel_to_llama.__annotations__)
    apply_liger_kernel_to_llama(model=model, **kwargs)


@pytest.fixture(autouse=True)
def package(monkeypatch):
    """A package that is laid out as liger-kernel, on a machine with a GPU."""
    names = ("liger_kernel", "liger_kernel.transformers", "liger_kernel.transformers.monkey_patch")
    modules = [ModuleType(name) for name in names]
    for name, module in zip(names, modules, strict=True):
        module.__spec__ = ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, module)
    modules[1]._apply_liger_kernel_to_instance = _apply_liger_kernel_to_instance
    modules[2].MODEL_TYPE_TO_APPLY_LIGER_FN = {"llama": apply_liger_kernel_to_llama}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(liger, "_PLAIN_ROTARIES", {})
    # What use_liger leaves behind is taken back after the test.
    for name in ("apply_rotary_pos_emb", "LlamaRMSNorm", "LlamaMLP"):
        monkeypatch.setattr(modeling_llama, name, getattr(modeling_llama, name))


@pytest.mark.parametrize("whole", [True, False])
def test_one_model_is_changed_and_its_losses_are_not(tiny_models, whole):
    model = tiny_models["llama"]
    names = [name for name, _ in model.named_parameters()]
    use_liger(model if whole else model.base_model)
    assert "forward" not in vars(model)
    assert model(torch.arange(4)[None]).logits.shape == (1, 4, 97)
    hidden = model.base_model(torch.arange(4)[None]).last_hidden_state
    assert (hidden == 3.0).all()
    assert not model.base_model.layers[1].mlp(hidden).any()
    assert [name for name, _ in model.named_parameters()] == names


def test_other_models_compute_as_before(tiny_models):
    model = tiny_models["llama"]
    ids = torch.arange(12).view(2, 6)
    other = LlamaForCausalLM(model.config).eval()
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        expected = other(ids).logits
        use_liger(model)
        use_liger(LlamaForCausalLM(model.config))
        later = LlamaForCausalLM(model.config).eval()
        later.load_state_dict(other.state_dict())
        for each in (other, later):
            torch.testing.assert_close(each(ids).logits, expected, rtol=0, atol=0)


def test_rotary_positions_are_fused_where_the_queries_are_on_a_gpu(tiny_models):
    use_liger(tiny_models["llama"])

    class OnGPU:
        is_cuda = True

    assert modeling_llama.apply_rotary_pos_emb(OnGPU(), None, None, None) == "fused"


def test_another_activation_is_kept(tiny_models):
    model = tiny_models["llama"]
    model.config.hidden_act = "gelu"
    use_liger(model)
    assert "forward" not in vars(model.base_model.layers[0].mlp)
    assert "forward" in vars(model.base_model.norm)


def test_what_it_cannot_do_is_told(tiny_models, monkeypatch):
    with pytest.raises(ConfigError, match="nothing for models of type 'gpt2'"):
        use_liger(tiny_models["gpt2"])
    monkeypatch.setitem(sys.modules, "liger_kernel", None)
    with pytest.raises(ConfigError, match=r"pip install textenv\[liger\]"):
        use_liger(tiny_models["llama"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="needs a CUDA device"):
        use_liger(tiny_models["llama"])
    check_liger_device(torch.device("cuda", 1))
    with pytest.raises(ConfigError, match="not on cpu"):
        check_liger_device(torch.device("cpu"))


def test_the_policy_its_critic_and_the_reference_have_them_alike(make_agent, monkeypatch):
    monkeypatch.setattr(ppo, "check_liger_device", lambda device: None)
    agent = make_agent(None, {"liger": True, "separate_critic": True}, device="cpu")
    for backbone in (agent.policy.lm.base_model, agent.policy.critic, agent.reference.model.model):
        assert "forward" in vars(backbone.layers[0].mlp)


def test_an_agent_with_them_is_not_for_a_cpu(make_agent):
    with pytest.raises(ConfigError, match="not on cpu"):
        make_agent(None, {"liger": True})
