"""Saves and restores the random states of a run, which an exact resume needs beside the weights.

These are the states of torch, of the slots, and of the global generators of Python and numpy,
which a reward may draw from. Nothing else of an environment is saved, since each iteration begins
with new episodes.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from agents.ppo.distributed import Ranks
from agents.ppo.vec_env import find_text_env

_TWISTER = "MT19937"


def slot_states(env: VecEnv | None, n_slots: int, ranks: Ranks) -> list[Any]:
    """Returns the random state of every slot of all processes, as plain values.

    It is None for a slot that has drawn nothing yet, and in environments not made by `make_vec`.
    """
    text_env = find_text_env(env)
    own = [None] * n_slots if text_env is None else text_env.env.random_states
    return [state for part in ranks.gather(own) for state in part]


def restore_slots(env: VecEnv | None, states: list[Any], ranks: Ranks) -> None:
    """Restores the random states of this process's slots; additional slots keep their seeds."""
    text_env = find_text_env(env)
    if text_env is None:
        return
    first = ranks.index * text_env.num_envs
    own = states[first : first + text_env.num_envs]
    text_env.env.random_states = [*own, *[None] * (text_env.num_envs - len(own))]
    # Seeds that were set for the first reset would restart these streams.
    text_env._seeds = [
        seed if slot >= len(own) or own[slot] is None else None
        for slot, seed in enumerate(text_env._seeds)
    ]


def generator_states(device: torch.device, ranks: Ranks) -> dict[str, Tensor]:
    """Returns the states of every process's global generators, as bytes.

    Keys are the generator ("cpu" and "cuda" for torch, "python", "numpy") and the process: "cpu/0".
    If numpy's generator has been replaced by another kind, it is left out.
    """
    own = {"cpu": torch.get_rng_state(), "python": _python_state()}
    own |= _numpy_state()
    if device.type == "cuda":
        own["cuda"] = torch.cuda.get_rng_state(device)
    return {
        f"{kind}/{rank}": state
        for rank, states in enumerate(ranks.gather(own))
        for kind, state in states.items()
    }


def restore_generators(states: Mapping[str, Tensor], device: torch.device, ranks: Ranks) -> None:
    """Restores this process's generators, if the run had the same number of processes."""
    if len([name for name in states if name.startswith("cpu/")]) != ranks.size:
        return
    own = {
        name.partition("/")[0]: state.cpu()
        for name, state in states.items()
        if name.endswith(f"/{ranks.index}")
    }
    torch.set_rng_state(own["cpu"])
    if "cuda" in own and device.type == "cuda":
        torch.cuda.set_rng_state(own["cuda"], device)
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
    # Words of 32 bits are exact in float64; bytes can be saved like torch's states.
    return torch.from_numpy(np.array(numbers, np.float64).view(np.uint8))


def _from_bytes(state: Tensor) -> list[float]:
    numbers: list[float] = state.numpy().view(np.float64).tolist()
    return numbers
