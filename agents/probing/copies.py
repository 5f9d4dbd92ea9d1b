"""Small random copies of a model: few layers, sharp weights, and limits that short texts cross."""

from __future__ import annotations

import copy
import logging
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from transformers import PretrainedConfig, PreTrainedModel

logger = logging.getLogger(__name__)

# Names of lengths that a text may cross: sliding windows, chunks, limits of rotary forms.
_LIMIT = re.compile(r"window|chunk|local|block_size|original_max|context|max_distance|floor_scale")
_LAYER_COUNTS = (
    *("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers"),
    *("num_decoder_layers", "num_blocks"),
)
_WIDTHS = (
    *("intermediate_size", "moe_intermediate_size", "ffn_dim", "decoder_ffn_dim", "n_inner"),
    *("ffn_hidden_size", "d_ff", "shared_expert_intermediate_size"),
)
_FEWEST_LAYERS, _MOST_LAYERS = 2, 6
_VOCABULARY, _WIDTH = 64, 256
# A copy with more weights would take longer than it is worth.
_MOST_WEIGHTS = 300_000_000


class SmallCopy(NamedTuple):
    """A random copy, and what was changed to make it."""

    model: PreTrainedModel  # As transformers makes it
    crossed: dict[str, int]  # Limits that the texts of the environment cross, by name


def make_copy(model: PreTrainedModel, window: int, length: int) -> SmallCopy | None:
    """Makes a small copy of a model with random weights; None if its configuration allows none.

    Args:
        model: Model to copy; only its type and configuration count.
        window: Longest text of the environment.
        length: Longest text that the copy will read. Limits between both are made shorter than
            this, so that the copy crosses what the model will.
    """
    ways: tuple[Callable[[PretrainedConfig], None], ...] = (_shrink, _shrink_depth, lambda _: None)
    for shrink in ways:
        config = copy.deepcopy(model.config)
        for name in ("quantization_config", "_pre_quantization_dtype"):
            if hasattr(config, name):
                delattr(config, name)
        # Whatever a checkpoint's configuration asks for may be out of reach of a smaller model.
        try:
            crossed = dict(_cross_limits(config, window, length))
            shrink(config)
            with torch.device("meta"):
                size = sum(p.numel() for p in _build(model, config).parameters())
            if size <= _MOST_WEIGHTS:
                return SmallCopy(_sharpen(_build(model, config)), crossed)
        except Exception as error:
            logger.debug("No copy of '%s' by %s: %r", config.model_type, shrink, error)
    return None


def _build(model: PreTrainedModel, config: PretrainedConfig) -> PreTrainedModel:
    kind: Any = type(model)
    built: PreTrainedModel = kind._from_config(copy.deepcopy(config), dtype=torch.float32)
    return built.eval()  # type: ignore[no-any-return, no-untyped-call] # has no types


@torch.no_grad()
def _sharpen(model: PreTrainedModel) -> PreTrainedModel:
    """Draws wide weights, so that a wrong mask or position shows in the results."""
    for name, parameter in model.named_parameters():
        # The state matrices of recurrent layers are logarithms.
        if parameter.dim() >= 2 and parameter.is_floating_point() and "A_log" not in name:
            parameter.normal_(0.0, 1.5 / math.sqrt(parameter.shape[-1]))
    model.tie_weights()
    return model


def _shrink(config: PretrainedConfig) -> None:
    _shrink_depth(config)
    text = config.get_text_config()
    for name in _WIDTHS:
        value = getattr(text, name, None)
        if isinstance(value, int) and value > _WIDTH:
            setattr(text, name, _WIDTH)
    for part in {id(c): c for c in (config, text)}.values():
        for name, value in list(vars(part).items()):
            if not isinstance(value, int) or isinstance(value, bool):
                continue
            if name.endswith(("token_id", "token_index")) and value >= _VOCABULARY:
                setattr(part, name, _VOCABULARY - 1)
            elif name in ("vocab_size", "vocab_size_per_layer_input", "decoder_vocab_size"):
                setattr(part, name, min(value, _VOCABULARY))


def _shrink_depth(config: PretrainedConfig) -> None:
    """Keeps the first layer of each kind, at least two and at most six in all."""
    text: Any = config.get_text_config()
    depth = int(text.num_hidden_layers)
    lists = {
        name: value
        for name, value in vars(text).items()
        if isinstance(value, list) and len(value) == depth and not name.startswith("_")
    }
    kinds = [str([value[i] for value in lists.values()]) for i in range(depth)]
    first = {kinds.index(kind) for kind in kinds}
    kept = sorted(first | set(range(min(_FEWEST_LAYERS, depth))))[:_MOST_LAYERS]
    for name in _LAYER_COUNTS:
        if name in vars(text):
            setattr(text, name, min(getattr(text, name), len(kept)))
    for name, value in lists.items():
        setattr(text, name, [value[i] for i in kept])


def _cross_limits(config: PretrainedConfig, window: int, length: int) -> Iterator[tuple[str, int]]:
    """Shortens the limits that texts of the environment cross; yields each with its value."""
    text = config.get_text_config()
    for holder in {id(c): vars(c) for c in (config, text)}.values():
        yield from _cross(holder, window, length)


def _cross(values: dict[str, Any], window: int, length: int) -> Iterator[tuple[str, int]]:
    for name, value in list(values.items()):
        if isinstance(value, dict):
            yield from _cross(value, window, length)
        elif isinstance(name, str) and _LIMIT.search(name) and _is_crossed(value, window, length):
            values[name] = max(2, length // 2)
            yield name, value


def _is_crossed(value: Any, window: int, length: int) -> bool:
    """Tells whether a number is a limit that the environment's texts cross, and short ones not."""
    return isinstance(value, int) and length <= value < window
