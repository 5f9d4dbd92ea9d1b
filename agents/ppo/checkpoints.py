"""Saves and loads a TextPPO agent as safetensors and JSON, without pickle.

FOLDER/agent.json           options, counters, KL coefficient, optimizer settings,
                            the random state of each slot
FOLDER/agent.safetensors    value head, adapters, a separate critic's weights that learn, optimizer
                            state, the random state of each process
FOLDER/model/               the language model and its tokenizer, as transformers saves them, and
                            its card; an adapter is merged into it
FOLDER/adapter/             the adapter as peft saves it, if there is one
FOLDER/textenv-manifest.json
                            sizes and checksums of all these, by which damage is found
FOLDER/checkpoints/50/      the same of an earlier agent, here the one after iteration 50, if asked
                            for

An agent with an adapter continues from its base model, which is saved by name, and the adapter.

An agent that was saved between two iterations continues as if it had never been stopped, bit for
bit on a CPU, if it has as many slots and processes as before. With other numbers of them it
continues with the same weights, optimizer, counters and random states of the old slots.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from agents.models.loading import load_model_tokenizer, without_progress_bars
from agents.models.lora import merge_adapter, save_adapter
from agents.policy.lm_policy import LMPolicy
from agents.ppo.agent_file import read_agent_file
from agents.ppo.atomic_replacement import replacing_entries
from agents.ppo.kept_checkpoints import (
    AGENT_FILE,
    FORMAT,
    check_whole,
    drop_old,
    latest_iteration,
    saved_iteration,
)
from agents.ppo.model_card import CARD
from agents.ppo.optimizer_states import (
    optimizer_tensors,
    plain_groups,
    restore_optimizer,
    restore_parameters,
)
from agents.ppo.sharding import whole
from textenv.errors import ConfigError, ModelError
from textenv.named_paths import named_path
from textenv.tokenization import EMBEDDED

# The optimizer's state belongs to the parameters that learn, so these decide what can be loaded.
_FIXED_POLICY_OPTIONS = ("lora", "frozen_layers")


@dataclass(frozen=True)
class SavedAgent:
    """Everything that a folder holds of an agent, except its language model."""

    options: dict[str, Any]  # PPO's options, as JSON
    policy_kwargs: dict[str, Any]  # Arguments of the policy, including its language model
    spaces: dict[str, int]  # Arguments of `textenv.levels.token_spaces`
    # Counters, the KL coefficient, the moments of returns, the random state of each slot
    state: dict[str, Any]
    policy: dict[str, Tensor]  # Parameters of the policy by name
    optimizer: dict[str, Tensor]  # Tensors of the optimizer, by parameter and key
    # Settings of each of the optimizer's groups of parameters
    optimizer_groups: list[dict[str, Any]]
    generators: dict[str, Tensor]  # States of each process's random generators


def save_agent(
    folder: Path,
    policy: LMPolicy,
    *,
    options: Mapping[str, Any],
    reference: str,
    state: Mapping[str, Any],
    generators: Mapping[str, Tensor],
    card: str = "",
    keep: int = 0,
    writes: bool = True,
) -> None:
    """Writes an agent to a folder. An agent that is there stays whole until everything is written.

    Args:
        folder: Folder to write to.
        policy: Policy, with its weights and optimizer.
        options: PPO's options, as JSON.
        reference: Name of the reference model.
        state: Counters and other state, as in `SavedAgent`.
        generators: Random states, as in `SavedAgent`.
        card: Card of the language model, as Markdown; empty for none.
        keep: Number of earlier agents to keep in `checkpoints/`.
        writes: Whether this process writes; all processes of a run gather the weights.

    Raises:
        ConfigError: The optimizer is not AdamW, or the folder holds a model that the agent needs.
        ModelError: A weight or a number of the optimizer is not finite; nothing is written.
        StorageError: Something cannot be written; what was saved before is kept.
    """
    needed = {"the KL penalty": reference}
    if policy.adapter is not None:
        needed["the adapter"] = policy.options.model
    _check_overwriting(folder, needed)
    if policy.optimizer_class is not torch.optim.AdamW:
        raise ConfigError("Only agents with the AdamW optimizer can be saved.")
    # A loaded agent has no cached keys; a saved one has none either, so their digits agree.
    policy.forget()
    policy_options = policy.options.to_json()
    if policy.adapter is None:
        del policy_options["model"]  # the trained model is in `model/`
    else:
        policy_options["model"] = _absolute_model(policy.options.model)
    data = {
        "format": FORMAT,
        "options": {**options, "reference": _absolute_model(reference)},
        "policy_options": policy_options | {"optimizer_kwargs": policy.optimizer_kwargs},
        "spaces": {
            "window": policy.window,
            "vocab_size": policy.vocab_size,
            "max_new_tokens": int(policy.observation_space["remaining"].high[0]),  # type: ignore[index] # a Dict space, by the policy's own check
        },
        "state": state,
        "optimizer_groups": plain_groups(policy.optimizer),
    }
    # Made before anything is written, since it may refuse.
    text = json.dumps(data, indent=2)
    tensors: dict[str, Tensor] = {
        f"policy/{name}": whole(parameter.detach())
        for name, parameter in policy.named_parameters()
        # A language model without an adapter is in `model/` already.
        if parameter.requires_grad and (policy.adapter is not None or not name.startswith("lm."))
    }
    tensors |= {f"optimizer/{name}": t for name, t in optimizer_tensors(policy).items()}
    tensors |= {f"random/{name}": state for name, state in generators.items()}
    weights = {name: whole(tensor) for name, tensor in policy.lm.state_dict().items()}
    # All processes find it, or none.
    check_finite({**weights, **tensors})
    if not writes:
        return
    iteration = int(state["n_iterations"])
    # The same agent, saved again, is not an earlier one.
    keeps = keep > 0 and latest_iteration(folder) not in (None, iteration)
    with replacing_entries(folder, keep=keeps, iteration=iteration) as new:
        save_language_model(policy, new / "model", weights, card)
        if policy.adapter is not None:
            save_adapter(policy.adapter, new / "adapter")
        save_file(
            {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()},
            new / "agent.safetensors",
        )
        (new / AGENT_FILE).write_text(text, encoding="utf-8")
    drop_old(folder, keep)


def check_finite(tensors: Mapping[str, Tensor]) -> None:
    """Checks that no number of an agent is NaN or infinite.

    Raises:
        ModelError: One is.
    """
    for name, tensor in tensors.items():
        # NaN and infinity survive a sum, which is cheaper than a test of each number.
        if tensor.is_floating_point() and not tensor.sum().isfinite():
            n_bad = int((~tensor.isfinite()).sum())
            if n_bad:
                raise ModelError(
                    f"{n_bad} of the {tensor.numel()} numbers of '{name}' are not finite, so the "
                    "agent was not saved. What was saved before is kept."
                )


def save_language_model(
    policy: LMPolicy, folder: Path, weights: dict[str, Tensor] | None = None, card: str = ""
) -> None:
    """Writes the policy's language model and tokenizer as plain transformers reads them.

    An adapter is merged into a copy, so the model that learns does not change.

    Args:
        policy: Policy whose model to write.
        folder: Folder to write to.
        weights: Whole weights of the model, where this process has only a part of them.
        card: Card of the model, as Markdown; empty for none.

    Raises:
        ModelError: A weight is not finite; nothing is written.
    """
    check_finite(policy.lm.state_dict() if weights is None else weights)
    lm = policy.lm if policy.adapter is None else merge_adapter(policy.adapter)
    with without_progress_bars():
        lm.save_pretrained(folder, state_dict=weights if policy.adapter is None else None)
    load_model_tokenizer(policy.options.model).save_pretrained(folder)
    if card:
        (folder / CARD).write_text(card, encoding="utf-8")


def read_agent(folder: Path, changes: Mapping[str, Any]) -> SavedAgent:
    """Reads what `save_agent` wrote.

    Raises:
        ModelError: The folder holds no agent, or one of another format.
        DamagedError: A file of it is damaged.
    """
    if saved_iteration(folder) is None:
        raise ModelError(
            f"There is no saved agent in '{folder}': {AGENT_FILE} is missing. A folder that holds "
            "only a language model is loaded by policy_kwargs={'model': folder} or --model."
        )
    check_whole(folder)
    data = read_agent_file(folder / AGENT_FILE, FORMAT)
    policy_kwargs = {"model": str(folder / "model")} | data["policy_options"]
    for name in _FIXED_POLICY_OPTIONS:
        if name in changes and changes[name] != policy_kwargs[name]:
            raise ConfigError(
                f"{name} is {policy_kwargs[name]} for the agent in '{folder}' and cannot be "
                "changed. To start from its language model with another, make an agent with "
                f"policy_kwargs={{'model': '{folder / 'model'}'}}."
            )
    parts: dict[str, dict[str, Tensor]] = {"policy": {}, "optimizer": {}, "random": {}}
    for name, tensor in load_file(folder / "agent.safetensors").items():
        kind, _, rest = name.partition("/")
        parts[kind][rest] = tensor
    return SavedAgent(
        options=data["options"],
        policy_kwargs=policy_kwargs | dict(changes),
        spaces=data["spaces"],
        state=data["state"],
        policy=parts["policy"],
        optimizer=parts["optimizer"],
        optimizer_groups=data["optimizer_groups"],
        generators=parts["random"],
    )


def restore_policy(policy: LMPolicy, saved: SavedAgent) -> None:
    """Restores the saved parameters and optimizer state of a policy."""
    restore_parameters(policy, saved.policy)
    restore_optimizer(policy, saved.optimizer, saved.optimizer_groups)


def _check_overwriting(folder: Path, needed: Mapping[str, str]) -> None:
    """Checks that saving to a folder does not overwrite a model that the agent needs."""
    for what, name in needed.items():
        path = named_path(name)
        if path.exists() and path.resolve() == (folder / "model").resolve():
            raise ConfigError(
                f"Saving to '{folder}' would overwrite '{path}', which {what} refers to. "
                "Choose another folder."
            )


def _absolute_model(model: str) -> str:
    """Returns a model's name, with local paths absolute: the next run may start elsewhere."""
    path = named_path(model)
    return str(path.resolve()) if model != EMBEDDED and path.exists() else model
