"""Saves the optimizer's state by parameter name, gathered from all processes, and restores it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

from agents.policy.lm_policy import LMPolicy
from agents.ppo.sharding import whole


def optimizer_tensors(policy: LMPolicy) -> dict[str, Tensor]:
    """Returns the optimizer's state by parameter name and key, gathered from all processes."""
    return {
        f"{name}/{key}": whole(value) if isinstance(value, Tensor) else torch.as_tensor(value)
        for name, parameter in policy.named_parameters()
        for key, value in policy.optimizer.state.get(parameter, {}).items()
    }


def restore_optimizer(
    policy: LMPolicy, tensors: dict[str, Tensor], groups: list[dict[str, Any]]
) -> None:
    """Restores the tensors of `optimizer_tensors`, and the settings of each parameter group."""
    parameters = dict(policy.named_parameters())
    for name, tensor in tensors.items():
        name, _, key = name.rpartition("/")
        parameter = parameters[name]
        state = tensor.to("cpu" if key == "step" and not _is_fused(groups) else parameter.device)
        policy.optimizer.state[parameter][key] = _divided_like(parameter, state)
    for group, saved in zip(policy.optimizer.param_groups, groups, strict=True):
        group.update(saved)


def restore_parameters(policy: LMPolicy, tensors: dict[str, Tensor]) -> None:
    """Overwrites parameters, by name."""
    parameters = dict(policy.named_parameters())
    with torch.no_grad():
        for name, tensor in tensors.items():
            parameters[name].copy_(_divided_like(parameters[name], tensor))


def plain_groups(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """Returns each group's settings without its parameters."""
    return [
        {key: value for key, value in group.items() if key != "params"}
        for group in optimizer.param_groups
    ]


def _is_fused(groups: list[dict[str, Any]]) -> bool:
    return bool(groups[0].get("fused"))


def _divided_like(parameter: Tensor, tensor: Tensor) -> Tensor:
    if isinstance(parameter, DTensor) and tensor.shape == parameter.shape:
        return distribute_tensor(tensor, parameter.device_mesh, parameter.placements)
    return tensor
