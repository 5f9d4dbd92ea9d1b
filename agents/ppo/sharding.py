"""Divides weights over the processes of a run by FSDP2, for models that do not fit one device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from agents.models.frozen_layers import find_layers
from agents.policy.episode_batch import make_batch
from agents.ppo.distributed import Ranks, join_ranks
from textenv.errors import ConfigError
from textenv.rollout import PlayedEpisode

if TYPE_CHECKING:
    from agents.policy.lm_policy import LMPolicy


def shard_policy(policy: LMPolicy, ranks: Ranks) -> None:
    """Leaves each process a part of every weight, its gradient and its optimizer's state.

    A layer's weights are gathered for its forward pass and its backward pass. The optimizer is
    replaced by a new one, so this must come before the first step.
    """
    if policy.options.lora is not None or policy.options.frozen_layers:
        raise ConfigError(
            "parallel='fsdp' divides weights that learn; with lora or frozen_layers few do, and "
            "frozen ones are shared by several models. Use parallel='ddp' with them."
        )
    mesh = init_device_mesh(policy.device.type, (ranks.size,))
    for model in policy.networks.models:
        for layer in find_layers(model.base_model)[1]:
            fully_shard(layer, mesh=mesh)
    # All other weights, including tied ones, form one group.
    fully_shard(policy, mesh=mesh)
    for name in ("evaluate_sequences", "evaluate_values"):
        register_fsdp_forward_method(policy, name)
    policy.optimizer = policy.make_optimizer(policy.optimizer.param_groups[0]["lr"])
    # The first pass decides which parts belong together, and decoding may come before it.
    ids, written = np.zeros(2, np.int32), np.array([False, True])
    with torch.no_grad():
        policy.evaluate_sequences(
            make_batch([PlayedEpisode(ids, written, np.zeros(2, np.float32))], policy.device)
        )
    policy.reshard()


def shard_frozen(backbone: nn.Module, ranks: Ranks) -> None:
    """Divides the layers of a model that does not learn, such as the reference."""
    device = next(backbone.parameters()).device
    mesh = init_device_mesh(device.type, (ranks.size,))
    for layer in find_layers(backbone)[1]:
        fully_shard(layer, mesh=mesh)


def is_sharded(policy: nn.Module) -> bool:
    """Returns whether the weights are divided."""
    return isinstance(policy, FSDPModule)


def in_step(passes: list[Tensor], policy: LMPolicy) -> Iterator[tuple[Tensor, int]]:
    """Yields passes with their counts; if weights are divided, equally many in every process.

    All processes must take part in gathering weights. So a process with fewer passes than another
    repeats its first episode, with a count of 0.
    """
    missing = join_ranks().most(len(passes)) - len(passes) if is_sharded(policy) else 0
    for rows in passes:
        yield rows, 1
    for _ in range(missing):
        yield torch.zeros(1, dtype=torch.long, device=policy.device), 0


@contextmanager
def gathered(policy: nn.Module) -> Iterator[None]:
    """Gathers all weights in every process, for the many short passes of decoding."""
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
    """Returns a whole tensor; if it is divided, all processes must call this."""
    result: Tensor = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return result


def divide_run(
    policy: LMPolicy, env: VecEnv | None, seed: int | None, parallel: str | None, ranks: Ranks
) -> None:
    """Gives all processes of a run the same policy, and each its own random numbers and slots."""
    if ranks.size == 1:
        return
    ranks.copy_from_first(policy.parameters())
    if parallel == "fsdp":
        shard_policy(policy, ranks)
    shared = ranks.gather(int(np.random.SeedSequence().generate_state(1)[0]))[0]
    shared = shared if seed is None else seed
    torch.manual_seed(int(np.random.SeedSequence([shared, ranks.index]).generate_state(1)[0]))
    if env is not None and seed is not None:
        # Slots are numbered over all processes; slot i is seeded with seed + i.
        env.seed(seed + ranks.index * env.num_envs)
