"""What an agent needs to go on exactly as it would have, beside weights and counters.

That is the state of all random numbers: its own, those of its slots, and the global ones of Python
and numpy, which a reward may draw from. Between two iterations nothing else of an environment is
kept, since each begins with new episodes.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

from agents.ppo.sharding import whole
from agents.ppo.vec_env import TextVecEnv

if TYPE_CHECKING:
    from agents.ppo.policy import LMPolicy
    from agents.ppo.ppo import TextPPO

_TWISTER = "MT19937"


def slot_states(agent: TextPPO) -> list[Any]:
    """Returns the random state of every slot of all processes, as plain values.

    None for a slot that has drawn nothing yet, and of environments that are not `make_vec`'s.
    """
    env = agent.env
    own = env.env.random_states if isinstance(env, TextVecEnv) else [None] * agent.n_envs
    return [state for part in agent.ranks.gather(own) for state in part]


def restore_slots(agent: TextPPO, states: list[Any]) -> None:
    """Gives this process's slots their random states; further slots keep those of their seeds."""
    env = agent.env
    if not isinstance(env, TextVecEnv):
        return
    first = agent.ranks.index * env.num_envs
    own = states[first : first + env.num_envs]
    env.env.random_states = [*own, *[None] * (env.num_envs - len(own))]
    # Seeds that were set for the first reset would begin these streams again.
    env._seeds = [
        seed if slot >= len(own) or own[slot] is None else None
        for slot, seed in enumerate(env._seeds)
    ]


def generator_states(agent: TextPPO) -> dict[str, Tensor]:
    """Returns the states of every process's global generators, as bytes.

    By "cpu" and "cuda" for those of torch, "python" and "numpy", and the process: "cpu/0". One of
    numpy that is no longer its Mersenne Twister is left out.
    """
    own = {"cpu": torch.get_rng_state(), "python": _python_state()}
    own |= _numpy_state()
    if agent.device.type == "cuda":
        own["cuda"] = torch.cuda.get_rng_state(agent.device)
    return {
        f"{device}/{rank}": state
        for rank, states in enumerate(agent.ranks.gather(own))
        for device, state in states.items()
    }


def restore_generators(agent: TextPPO, states: dict[str, Tensor]) -> None:
    """Restores this process's generators, if the run had as many processes as now."""
    if len([name for name in states if name.startswith("cpu/")]) != agent.ranks.size:
        return
    own = {
        name.partition("/")[0]: state.cpu()
        for name, state in states.items()
        if name.endswith(f"/{agent.ranks.index}")
    }
    torch.set_rng_state(own["cpu"])
    if "cuda" in own and agent.device.type == "cuda":
        torch.cuda.set_rng_state(own["cuda"], agent.device)
    if "python" in own:
        version, *words, gauss = _from_bytes(own["python"])
        next_gauss = None if np.isnan(gauss) else gauss
        random.setstate((int(version), tuple(int(word) for word in words), next_gauss))
    if "numpy" in own:
        *key, position, has_gauss, gauss = _from_bytes(own["numpy"])
        np.random.set_state(
            (_TWISTER, np.array(key, np.uint32), int(position), int(has_gauss), gauss)
        )


def _python_state() -> Tensor:
    version, words, next_gauss = random.getstate()
    return _to_bytes([version, *words, np.nan if next_gauss is None else next_gauss])


def _numpy_state() -> dict[str, Tensor]:
    state: dict[str, Any] = dict(np.random.get_state(legacy=False))
    if state["bit_generator"] != _TWISTER:
        return {}
    twister = state["state"]
    numbers = [*twister["key"].tolist(), twister["pos"], state["has_gauss"], state["gauss"]]
    return {"numpy": _to_bytes(numbers)}


def _to_bytes(numbers: Sequence[float]) -> Tensor:
    # Words of 32 bits are exact in float64; its bytes go through any device, as torch's states do.
    return torch.from_numpy(np.array(numbers, np.float64).view(np.uint8))


def _from_bytes(state: Tensor) -> list[float]:
    numbers: list[float] = state.numpy().view(np.float64).tolist()
    return numbers


def optimizer_tensors(policy: LMPolicy) -> dict[str, Tensor]:
    """Returns the optimizer's state by parameter name and key, put together from all processes."""
    return {
        f"{name}/{key}": whole(value) if isinstance(value, Tensor) else torch.as_tensor(value)
        for name, parameter in policy.named_parameters()
        for key, value in policy.optimizer.state.get(parameter, {}).items()
    }


def restore_optimizer(
    policy: LMPolicy, tensors: dict[str, Tensor], groups: list[dict[str, Any]]
) -> None:
    """Restores what `optimizer_tensors` gave, and the settings of each group of parameters."""
    parameters = dict(policy.named_parameters())
    for name, tensor in tensors.items():
        name, _, key = name.rpartition("/")
        parameter = parameters[name]
        state = tensor.to("cpu" if key == "step" and not _is_fused(groups) else parameter.device)
        policy.optimizer.state[parameter][key] = _divided_like(parameter, state)
    for group, saved in zip(policy.optimizer.param_groups, groups, strict=True):
        group.update(saved)


def restore_parameters(policy: LMPolicy, tensors: dict[str, Tensor]) -> None:
    """Overwrites parameters by name."""
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
