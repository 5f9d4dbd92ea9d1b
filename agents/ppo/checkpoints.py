"""Saves and loads a TextPPO agent as safetensors and JSON: nothing that is run when it is read.

FOLDER/agent.json           constructor arguments, counters, KL coefficient, optimizer settings,
                            the random state of each slot
FOLDER/agent.safetensors    value head, adapters, what learns of a separate critic, optimizer state,
                            the random state of each process
FOLDER/model/               the language model and its tokenizer, as transformers saves them; with
                            an adapter, the two merged
FOLDER/adapter/             the adapter as peft saves it, if there is one

An agent with an adapter goes on from its base model, which is referred to by name, and the adapter.

What was saved between two iterations goes on as if it had never been stopped, bit for bit on a CPU,
with as many slots and processes as before. With other numbers of them it goes on, too: weights,
optimizer, counters and the random state of the slots that there were are the same.
"""

from __future__ import annotations

import inspect
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from stable_baselines3.common.utils import FloatSchedule, LinearSchedule
from torch import Tensor

from agents.models.loading import EMBEDDED, load_model_tokenizer, without_progress_bars
from agents.models.lora import merge_adapter, save_adapter
from agents.ppo.policy import LMPolicy
from agents.ppo.random_states import (
    generator_states,
    optimizer_tensors,
    plain_groups,
    restore_generators,
    restore_optimizer,
    restore_parameters,
    restore_slots,
    slot_states,
)
from agents.ppo.sharding import whole
from textenv.errors import ConfigError, ModelError, UnknownNameError
from textenv.levels import token_spaces

if TYPE_CHECKING:
    from agents.ppo.ppo import TextPPO

FORMAT = 2
_ARGUMENTS = (
    *("batch_size", "n_epochs", "gamma", "gae_lambda", "normalize_advantage", "ent_coef"),
    *("vf_coef", "max_grad_norm", "target_kl", "seed", "n_episodes", "kl_coef", "kl_target"),
    *("kl_horizon", "scale_rewards", "value_lr_factor", "critic_warmup", "max_invalid_share"),
    *("advantage", "group_size", "clip_range_high", "dual_clip"),
    *("importance_cap", "max_grad_norm_critic", "sampler", "sampler_kwargs"),
)
_SCHEDULES = ("learning_rate", "clip_range", "clip_range_vf")
_POLICY_ARGUMENTS = (
    *("temperature", "separate_critic", "bf16", "max_tokens_per_batch"),
    *("lora", "quantize", "frozen_layers", "gradient_checkpointing", "compile_layers"),
)
# The optimizer's state belongs to the parameters that learn, so these decide what can be loaded.
_FIXED_POLICY_ARGUMENTS = ("lora", "frozen_layers")


def save_agent(agent: TextPPO, folder: Path) -> None:
    """Writes an agent to a folder, of which the agent that it held before stays whole until then.

    In a run of several processes all of them must call it, and the first one writes.

    Raises:
        ConfigError: A learning rate or clip range is a function that JSON cannot hold.
    """
    policy = agent.policy
    if policy.optimizer_class is not torch.optim.AdamW:
        raise ConfigError("Only agents with the AdamW optimizer can be saved.")
    needed = {"the KL penalty": agent.reference_name}
    if policy.adapter is not None:
        needed["the adapter"] = policy.model_name
    for what, name in needed.items():
        path = Path(name).expanduser()
        if path.exists() and path.resolve() == (folder / "model").resolve():
            raise ConfigError(
                f"Saving to '{folder}' would overwrite '{path}', which {what} refers to. "
                "Choose another folder."
            )
    # Who goes on has no cached keys; who was saved has none either, so that their digits agree.
    policy.forget()
    space = agent.observation_space
    assert isinstance(space, gym.spaces.Dict)
    data = {
        "format": FORMAT,
        "arguments": {name: getattr(agent, name) for name in _ARGUMENTS}
        | {name: _schedule_to_json(name, getattr(agent, name)) for name in _SCHEDULES}
        | {"reference": _absolute(agent.reference_name)},
        "policy_arguments": {name: getattr(policy, name) for name in _POLICY_ARGUMENTS}
        | {"optimizer_kwargs": policy.optimizer_kwargs}
        | ({} if policy.adapter is None else {"model": _absolute(policy.model_name)}),
        "spaces": {
            "window": policy.window,
            "vocab_size": policy.vocab_size,
            "max_new_tokens": int(space["remaining"].high[0]),  # type: ignore[attr-defined] # a Dict space, by the policy's own check
        },
        "state": {
            "num_timesteps": agent.num_timesteps,
            "n_episodes_done": agent.n_episodes_done,
            "n_updates": agent._n_updates,
            "n_iterations": agent.n_iterations,
            "kl_controller": agent.kl_controller.state_dict(),
            "return_moments": {
                "mean": float(agent.return_moments.mean),
                "var": float(agent.return_moments.var),
                "count": float(agent.return_moments.count),
            },
            "optimizer_groups": plain_groups(policy.optimizer),
            "slots": slot_states(agent),
        },
    }
    # Made before anything is written, since it may refuse.
    text = json.dumps(data, indent=2)
    tensors: dict[str, Tensor] = {
        f"policy/{name}": whole(parameter.detach())
        for name, parameter in policy.named_parameters()
        # All of a plain language model lies in `model/` already.
        if parameter.requires_grad and (policy.adapter is not None or not name.startswith("lm."))
    }
    tensors |= {f"optimizer/{name}": t for name, t in optimizer_tensors(policy).items()}
    tensors |= {f"random/{name}": state for name, state in generator_states(agent).items()}
    weights = {name: whole(tensor) for name, tensor in policy.lm.state_dict().items()}
    if agent.ranks.index > 0:
        return
    with replacing_entries(folder) as new:
        save_language_model(policy, new / "model", weights)
        if policy.adapter is not None:
            save_adapter(policy.adapter, new / "adapter")
        save_file(
            {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()},
            new / "agent.safetensors",
        )
        (new / "agent.json").write_text(text, encoding="utf-8")


def save_language_model(
    policy: LMPolicy, folder: Path, weights: dict[str, Tensor] | None = None
) -> None:
    """Writes the policy's language model and tokenizer as plain transformers reads them.

    An adapter is merged into a copy, so the model that learns stays what it is.

    Args:
        policy: Whose model.
        folder: Where to.
        weights: Those of the model, where it has only a part of them.
    """
    lm = policy.lm if policy.adapter is None else merge_adapter(policy.adapter)
    with without_progress_bars():
        lm.save_pretrained(folder, state_dict=weights if policy.adapter is None else None)
    load_model_tokenizer(policy.model_name).save_pretrained(folder)


def load_agent(
    cls: type[TextPPO],
    folder: Path,
    env: Any,
    device: torch.device | str,
    overrides: dict[str, Any],
) -> TextPPO:
    """Reads an agent from a folder.

    Args:
        cls: `TextPPO` or a subclass.
        folder: What `save_agent` wrote.
        env: To go on training in; None to predict only, or to give one later by `set_env`.
        device: Where to put it.
        overrides: Constructor arguments to change; those in `policy_kwargs` are changed one by one.

    Raises:
        ModelError: There is no agent in the folder.
        ConfigError: It was trained for an environment of another size.
    """
    settle(folder)
    path = folder / "agent.json"
    if not path.is_file():
        raise ModelError(
            f"There is no saved agent in '{folder}': agent.json is missing. A folder that holds "
            "only a language model is loaded by policy_kwargs={'model': folder} or --model."
        )
    data = json.loads(path.read_text(encoding="utf-8"))
    if data.get("format") != FORMAT:
        raise ModelError(f"'{path}' has format {data.get('format')}; this version reads {FORMAT}.")
    arguments = dict(data["arguments"])
    for name in _SCHEDULES:
        arguments[name] = _schedule_from_json(arguments[name])
    overrides = dict(overrides)
    policy_kwargs = {"model": str(folder / "model")} | data["policy_arguments"]
    changed = overrides.pop("policy_kwargs", {})
    for name in _FIXED_POLICY_ARGUMENTS:
        if name in changed and changed[name] != policy_kwargs.get(name):
            raise ConfigError(
                f"{name} is {policy_kwargs.get(name)} for the agent in '{folder}' and cannot be "
                "changed. To start from its language model with another, make an agent with "
                f"policy_kwargs={{'model': '{folder / 'model'}'}}."
            )
    policy_kwargs |= changed
    known = inspect.signature(cls).parameters
    for name in overrides:
        if name not in known:
            raise UnknownNameError("argument of TextPPO", name, known)
    arguments |= overrides
    agent = cls(
        "LMPolicy",
        env,
        policy_kwargs=policy_kwargs,
        device=device,
        _init_setup_model=env is not None,
        **arguments,
    )
    vocab_size = data["spaces"]["vocab_size"]
    if env is None:
        agent.observation_space, agent.action_space = token_spaces(**data["spaces"])
        agent.n_envs = 1
        agent._setup_model()
    elif agent.policy.vocab_size != vocab_size:
        raise ConfigError(
            f"This agent writes {vocab_size} different tokens, the environment takes "
            f"{agent.policy.vocab_size}: make it with the tokenizer in '{folder / 'model'}'."
        )
    _restore(agent, folder, data["state"])
    return agent


def _restore(agent: TextPPO, folder: Path, state: dict[str, Any]) -> None:
    parts: dict[str, dict[str, Tensor]] = {"policy": {}, "optimizer": {}, "random": {}}
    for name, tensor in load_file(folder / "agent.safetensors", device=str(agent.device)).items():
        kind, _, rest = name.partition("/")
        parts[kind][rest] = tensor
    restore_parameters(agent.policy, parts["policy"])
    restore_optimizer(agent.policy, parts["optimizer"], state["optimizer_groups"])
    restore_slots(agent, state["slots"])
    restore_generators(agent, parts["random"])
    agent.num_timesteps = state["num_timesteps"]
    agent.n_episodes_done = state["n_episodes_done"]
    agent._n_updates = state["n_updates"]
    agent.n_iterations = state["n_iterations"]
    agent.kl_controller.load_state_dict(state["kl_controller"])
    for key, value in state["return_moments"].items():
        setattr(agent.return_moments, key, np.float64(value) if key != "count" else value)


def _absolute(model: str) -> str:
    """A local path is kept absolute, since the next run may stand in another folder."""
    is_local = model != EMBEDDED and Path(model).exists()
    return str(Path(model).resolve()) if is_local else model


def _schedule_to_json(name: str, schedule: Any) -> Any:
    if isinstance(schedule, FloatSchedule):
        schedule = schedule.value_schedule
        schedule = getattr(schedule, "val", schedule)
    if schedule is None or isinstance(schedule, int | float):
        return schedule
    if isinstance(schedule, LinearSchedule):
        return {
            "start": schedule.start,
            "end": schedule.end,
            "end_fraction": schedule.end_fraction,
        }
    raise ConfigError(
        f"{name} is a function and cannot be saved. Use a number or "
        "stable_baselines3.common.utils.LinearSchedule."
    )


def _schedule_from_json(value: Any) -> Any:
    return LinearSchedule(**value) if isinstance(value, dict) else value


_WRITING, _READY = ".saving", ".saved"


@contextmanager
def replacing_entries(folder: Path) -> Iterator[Path]:
    """Yields an empty folder; what is put there replaces the entries of the same names.

    Until everything is written nothing is replaced; from then on `settle` brings what is missing to
    its place, should the process die in between. Other entries stay as they are.

    Args:
        folder: Made if it does not exist.
    """
    settle(folder)
    writing = folder / _WRITING
    shutil.rmtree(writing, ignore_errors=True)
    writing.mkdir(parents=True)
    yield writing
    writing.rename(folder / _READY)
    settle(folder)


def settle(folder: Path) -> None:
    """Finishes a replacement that was cut short after everything was written."""
    ready = folder / _READY
    if not ready.is_dir():
        return
    for entry in sorted(ready.iterdir()):
        old = folder / entry.name
        if old.is_dir():
            shutil.rmtree(old)
        entry.replace(old)
    ready.rmdir()
