"""Weights divided over the processes of a run by FSDP2, for models that do not fit one device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from agents.models.frozen_layers import find_layers
from agents.ppo.buffer import make_batch
from agents.ppo.distributed import Ranks, join_ranks
from textenv.errors import ConfigError
from textenv.rollout import PlayedEpisode

if TYPE_CHECKING:
    from agents.ppo.policy import LMPolicy


def shard_policy(policy: LMPolicy, ranks: Ranks) -> None:
    """Leaves each process a part of every weight, its gradient and its optimizer's state.

    A layer's weights are put together for the time of its pass and of its backward pass. The
    optimizer is made anew. Must come before the first step.

    Args:
        policy: Equal in all processes.
        ranks: Those processes.

    Raises:
        ConfigError: The policy shares frozen weights between models.
    """
    if policy.options.lora is not None or policy.options.frozen_layers:
        raise ConfigError(
            "parallel='fsdp' divides weights that learn; with lora or frozen_layers few do, and "
            "frozen ones are shared by several models. Use parallel='ddp' with them."
        )
    mesh = init_device_mesh(policy.device.type, (ranks.size,))
    for model in policy._models():
        for layer in find_layers(model.base_model)[1]:
            fully_shard(layer, mesh=mesh)
    # The rest of the weights, tied ones among them, are one group of the policy's own.
    fully_shard(policy, mesh=mesh)
    register_fsdp_forward_method(policy, "evaluate_sequences")
    policy.optimizer = policy.make_optimizer(policy.optimizer.param_groups[0]["lr"])
    # Which parts belong together is settled by the first pass, and decoding may come before it.
    ids, written = np.zeros(2, np.int32), np.array([False, True])
    with torch.no_grad():
        policy.evaluate_sequences(
            make_batch([PlayedEpisode(ids, written, np.zeros(2, np.float32))], policy.device)
        )
    policy.reshard()  # type: ignore[operator] # fully_shard made it an FSDPModule


def shard_frozen(backbone: nn.Module, ranks: Ranks) -> None:
    """Divides the layers of a model that only computes, such as the reference."""
    device = next(backbone.parameters()).device
    mesh = init_device_mesh(device.type, (ranks.size,))
    for layer in find_layers(backbone)[1]:
        fully_shard(layer, mesh=mesh)


def is_sharded(policy: nn.Module) -> bool:
    """Tells whether the weights are divided."""
    return isinstance(policy, FSDPModule)


def in_step(passes: list[Tensor], policy: LMPolicy) -> Iterator[tuple[Tensor, int]]:
    """Yields passes, and how often each counts, as many in every process if weights are divided.

    All processes must take part in putting weights together, so one with fewer passes than another
    goes through its first episode again, which then counts 0 times.

    Args:
        passes: Row numbers of each pass of this process.
        policy: Divided or not.
    """
    missing = join_ranks().most(len(passes)) - len(passes) if is_sharded(policy) else 0
    for rows in passes:
        yield rows, 1
    for _ in range(missing):
        yield torch.zeros(1, dtype=torch.long, device=policy.device), 0


@contextmanager
def gathered(policy: nn.Module) -> Iterator[None]:
    """Keeps all weights together in every process, for the many short passes of decoding."""
    if not isinstance(policy, FSDPModule):
        yield
        return
    parts = [module for module in policy.modules() if isinstance(module, FSDPModule)]
    for part in parts:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.set_reshard_after_forward(True, recurse=False)
            part.reshard()


def whole(tensor: Any) -> Tensor:
    """Returns a tensor with all its parts; a meeting of all processes if it is divided."""
    result: Tensor = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return result
