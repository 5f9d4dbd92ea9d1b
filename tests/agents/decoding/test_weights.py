"""Changed weights are seen; a twin in autocast's type computes what autocast computes."""

from __future__ import annotations

import pytest
import torch
from stable_baselines3.common.utils import polyak_update
from transformers import PreTrainedModel

from agents.decoding.weights import Precast, WeightsContent, find_owners, weights_version


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


def _swap_rows(weight: torch.Tensor) -> None:
    weight.data[[1, 2]] = weight.data[[2, 1]]


WRITES = {
    "one number": lambda w: w.data[3].view(-1)[5].add_(1e-3),
    "a row of zeros": lambda w: w.data[4].zero_(),
    "two rows swapped": _swap_rows,
    "numpy": lambda w: w.detach().numpy().__setitem__(7, 0.5),
    "storage": lambda w: w.untyped_storage().copy_(w.detach().mul(2).untyped_storage()),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_an_exact_look_sees_what_autograd_does_not_count(write) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(130, 90), torch.nn.Linear(90, 2))
    owners, content = find_owners([module]), WeightsContent([module])
    version = weights_version(owners)
    write(module[0].weight)
    assert weights_version(owners) == version
    assert not content.is_same(exact=True)
    content.renew()
    assert content.is_same(exact=True)


def test_samples_see_an_average_of_weights_and_an_exact_look_sees_buffers() -> None:
    module, other = torch.nn.BatchNorm1d(40), torch.nn.BatchNorm1d(40)
    content = WeightsContent([module])
    with torch.no_grad():
        other.weight.mul_(2)
    polyak_update(other.parameters(), module.parameters(), 0.1)
    assert not content.is_same(exact=False)
    content.renew()
    module.running_mean.data[3] = 1
    assert content.is_same(exact=False)
    assert not content.is_same(exact=True)
