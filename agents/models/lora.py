"""Low-rank adapters on a language model, through peft: added, switched off, merged, saved."""

from __future__ import annotations

import copy
import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from agents.models.frozen_layers import find_layers
from agents.models.options import LoraSettings
from textenv.errors import ModelError, UnknownNameError

if TYPE_CHECKING:
    from peft import PeftModel

ADAPTER = "default"


def add_adapter(model: PreTrainedModel, settings: LoraSettings, first_layer: int = 0) -> PeftModel:
    """Puts trainable low-rank adapters beside linear layers of a model, and freezes all else.

    Args:
        model: A causal language model or its decoder; changed in place.
        settings: Which layers, and how.
        first_layer: The lowest layer that gets adapters.

    Returns:
        peft's handle on the model, which is no part of it.

    Raises:
        ModelError: peft is missing, or the layers of this architecture cannot be found.
        UnknownNameError: A target module that the layers do not have.
    """
    if importlib.util.find_spec("peft") is None:
        raise ModelError("lora needs one more package: pip install textenv[lora]")
    from peft import LoraConfig, get_peft_model

    from agents.models.lora_linear import fuse_adapters

    list_name, layers = find_layers(model.base_model)
    paths = {
        f"{list_name}.{i}.{path}": module
        for i, layer in enumerate(layers)
        for path, module in layer.named_modules()
        if i >= first_layer and isinstance(module, nn.Linear | Conv1D)
    }
    linear = {path.rpartition(".")[2]: module for path, module in paths.items()}
    targets = linear if settings.target_modules == "all-linear" else settings.target_modules
    for name in targets:
        if name not in linear:
            raise UnknownNameError("linear layer of the model", name, linear)
    config = LoraConfig(
        r=settings.r,
        lora_alpha=settings.alpha,  # type: ignore[arg-type] # a factor, whatever its annotation
        # Names that stand for all layers, or each path.
        target_modules=sorted(targets)
        if first_layer == 0
        else [path for path in paths if path.rpartition(".")[2] in targets],
        lora_dropout=0.0,
        # GPT-2 keeps its weights transposed.
        fan_in_fan_out=any(isinstance(linear[name], Conv1D) for name in targets),
        task_type="CAUSAL_LM" if model.base_model is not model else None,
    )
    with warnings.catch_warnings():
        # peft asks transformers for gradient checkpointing by a name of before.
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing")
        try:
            adapter = get_peft_model(model, config, adapter_name=ADAPTER)
        except (ValueError, TypeError, NotImplementedError) as error:
            reason = str(error).partition("\n")[0].rstrip(". (")
            raise ModelError(
                f"peft has no adapters for these layers of models of type "
                f"'{model.config.model_type}': {reason}. Name others in lora.target_modules."
            ) from error
    fuse_adapters(adapter)
    return adapter


@contextmanager
def adapter_off(adapter: PeftModel) -> Iterator[None]:
    """Switches an adapter off: the model is its base for so long.

    peft freezes adapters that are off and wakes all that are on; which parameters learn is here as
    it was before. Nothing may be decoded with a cache meanwhile.
    """
    learns = [(parameter, parameter.requires_grad) for parameter in adapter.parameters()]
    tuner: Any = adapter.base_model
    tuner.disable_adapter_layers()
    try:
        yield
    finally:
        tuner.enable_adapter_layers()
        for parameter, flag in learns:
            parameter.requires_grad_(flag)


@torch.no_grad()
def merge_adapter(adapter: PeftModel) -> PreTrainedModel:
    """Returns a plain model on the CPU, the adapter added to its weights: W + alpha / r * B A.

    The model that learns is left as it is, to the last bit. A quantized base is dequantized.
    """
    model = adapter.get_base_model()
    tensors: dict[str, Tensor] = dict(model.state_dict())
    for name, module in model.named_modules():
        base = module.base_layer if hasattr(module, "lora_A") else module
        if name.endswith(".base_layer") or (base is module and not _is_quantized(module)):
            continue
        for key in [key for key in tensors if key.startswith(f"{name}.")]:
            del tensors[key]
        tensors[f"{name}.weight"] = _merged_weight(module, base)
        if base.bias is not None:
            tensors[f"{name}.bias"] = base.bias
    config: Any = copy.deepcopy(model.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with torch.device("meta"):
        plain: Any = type(model)(config)
    # Detached: a parameter that is assigned as it is would be told to learn again.
    plain.load_state_dict(
        {key: tensor.detach().cpu().float() for key, tensor in tensors.items()}, assign=True
    )
    plain.tie_weights()
    # Those that are never saved, such as the frequencies of rotary positions.
    for name, buffer in list(plain.named_buffers()):
        if buffer.is_meta:
            parent, _, leaf = name.rpartition(".")
            setattr(plain.get_submodule(parent), leaf, model.get_buffer(name).cpu())
    plain.generation_config = model.generation_config
    merged: PreTrainedModel = plain.eval()
    return merged


def _is_quantized(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and not weight.is_floating_point()


def _merged_weight(module: Any, base: Any) -> Tensor:
    """Returns the weight that a layer and its adapter, if it has one, amount to."""
    from peft.utils.integrations import dequantize_module_weight

    weight: Tensor = dequantize_module_weight(base).float()
    return weight if module is base else weight + module.get_delta_weight(ADAPTER)


def save_adapter(adapter: PeftModel, folder: Path) -> None:
    """Writes an adapter as peft keeps it; `PeftModel.from_pretrained(base, folder)` reads it."""
    # Without this, peft asks the Hub whether the base model's vocabulary has grown.
    adapter.save_pretrained(str(folder), save_embedding_layers=False)
