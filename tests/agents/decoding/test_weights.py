"""Changed weights are seen, however they were written."""

from __future__ import annotations

import pytest
import torch
from stable_baselines3.common.utils import polyak_update

from agents.decoding.weights import WeightsContent, find_owners, weights_version


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
