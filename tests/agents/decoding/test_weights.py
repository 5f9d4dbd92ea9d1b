"""A twin with weights in autocast's type computes what autocast computes."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from agents.decoding.weights import Precast


def passes(model: PreTrainedModel, twin: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.arange(12).view(2, 6)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        whole, own = (m(input_ids=ids).last_hidden_state for m in (model.base_model, twin))
    return whole, own


def test_a_twin_gives_the_same_bits_and_shares_all_but_linear_weights(
    tiny_model: PreTrainedModel,
) -> None:
    backbone = tiny_model.base_model
    precast = Precast(backbone, torch.bfloat16)
    assert torch.equal(*passes(tiny_model, precast.twin))
    shared = {id(p) for p in backbone.parameters()}
    for name, parameter in precast.twin.named_parameters():
        is_shared = id(parameter) in shared
        assert is_shared == ("norm" in name or "embed" in name or "wte" in name
                             or "wpe" in name or "ln_" in name)  # fmt: skip
        assert is_shared or parameter.dtype == torch.bfloat16
        assert is_shared or not parameter.requires_grad


def test_a_twin_follows_its_module_in_place(tiny_model: PreTrainedModel) -> None:
    precast = Precast(tiny_model.base_model, torch.bfloat16)
    addresses = [p.data_ptr() for p in precast.twin.parameters()]
    with torch.no_grad():
        for parameter in tiny_model.parameters():
            parameter.mul_(1.1)
    assert not torch.equal(*passes(tiny_model, precast.twin))
    precast.refresh()
    assert torch.equal(*passes(tiny_model, precast.twin))
    assert [p.data_ptr() for p in precast.twin.parameters()] == addresses
