"""Fused kernels of the package liger-kernel in a model's layers, on CUDA devices."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from textenv.errors import ConfigError

_ROTARY = "apply_rotary_pos_emb"
# What rotated positions before any model was changed, by transformers' module.
_PLAIN_ROTARIES: dict[str, Any] = {}


def use_liger(model: PreTrainedModel) -> None:
    """Has a model's norms, rotary positions and gated layers computed by one kernel each.

    They are Liger's (arXiv 2410.10989); its losses are left out, since log-probabilities are
    computed elsewhere. Parameters and their names stay, and the model computes on CUDA devices
    alone. Rotary positions are a function that all models of a family share: others of them in this
    process rotate by the kernel, too, as far as they are on CUDA devices.

    Args:
        model: A causal language model or its decoder, wherever it is now; changed in place.

    Raises:
        ConfigError: There is no CUDA device, no package, or no kernels for this kind of model.
    """
    if not torch.cuda.is_available():
        raise ConfigError("liger=True needs a CUDA device, and torch finds none. Leave it out.")
    if importlib.util.find_spec("liger_kernel") is None:
        raise ConfigError("liger=True needs one more package: pip install textenv[liger]")
    from liger_kernel.transformers import _apply_liger_kernel_to_instance
    from liger_kernel.transformers.monkey_patch import MODEL_TYPE_TO_APPLY_LIGER_FN

    config: Any = model.config
    if config.model_type not in MODEL_TYPE_TO_APPLY_LIGER_FN:
        raise ConfigError(
            f"liger-kernel has nothing for models of type '{config.model_type}'. Leave liger out."
        )
    modeling = sys.modules[type(model).__module__]
    before = dict(vars(modeling))
    _apply_liger_kernel_to_instance(
        model=model,
        cross_entropy=False,
        fused_linear_cross_entropy=False,
        # Its kernel has this activation built in, whatever the model's is.
        swiglu=getattr(config, "hidden_act", None) in ("silu", "swish"),
    )
    # It also replaces the classes, of which models are made that this one has nothing to do with.
    for name, value in before.items():
        if isinstance(value, type):
            setattr(modeling, name, value)
    if _ROTARY in before:
        plain = _PLAIN_ROTARIES.setdefault(modeling.__name__, before[_ROTARY])
        setattr(modeling, _ROTARY, _on_cuda(getattr(modeling, _ROTARY), plain))


def check_liger_device(device: torch.device) -> None:
    """Checks that a policy with these kernels is where they run.

    Raises:
        ConfigError: It is not.
    """
    if device.type != "cuda":
        raise ConfigError(f"liger=True computes on CUDA devices, not on {device}. Leave it out.")


def _on_cuda(fused: Any, plain: Any) -> Any:
    def rotate(q: Tensor, *args: Any, **kwargs: Any) -> Any:
        return (fused if q.is_cuda else plain)(q, *args, **kwargs)

    return rotate
