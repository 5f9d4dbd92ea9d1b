"""How long a text a model can read, and whether it can go on from cached keys and values."""

from __future__ import annotations

from typing import Any

from torch import nn

from agents.models.attention import NAME as OWN_ATTENTION
from textenv.errors import ModelError

# Layers of these kinds keep a running state instead of keys and values, so no prefix of it can be
# kept when a slot starts again.
_CACHEABLE_LAYERS = {"full_attention", "sliding_attention", "chunked_attention"}


def check_window(backbone: nn.Module, window: int) -> None:
    """Checks that the model has a position for every token of the window, whatever follows it.

    Args:
        backbone: the language model, or its decoder.
        window: the most tokens of one sequence.

    Raises:
        ModelError: it has not.
    """
    text = backbone.config.get_text_config()  # type: ignore[union-attr,operator] # a configuration
    sparse = [kind for kind in getattr(text, "layer_types", None) or [] if "compressed" in kind]
    if sparse:
        # DeepSeek-V4 ranks blocks of the whole text, and masks later ones after the choice.
        raise ModelError(
            f"Models of type '{text.model_type}' have layers of kind {sparse[0]}: which blocks of "
            "a text they attend to depends on later ones, so no token has one probability. Use a "
            "model with plain causal attention."
        )
    limits = {"positions": getattr(text, "max_position_embeddings", None)}
    for rope in rotary_forms(text):
        if rope.get("rope_type") == "longrope":
            # Longer texts switch to other frequencies, by which their beginning is read anew.
            limits["positions of its short rotary form"] = rope.get(
                "original_max_position_embeddings",
                getattr(text, "original_max_position_embeddings", None),
            )
    _check_limits(limits, window)


def check_cacheable(backbone: nn.Module, window: int) -> None:
    """Checks that the configuration allows decoding from keys and values of single slots.

    Args:
        backbone: the language model, or its decoder.
        window: the most tokens of one sequence.

    Raises:
        ModelError: it does not.
    """
    config: Any = backbone.config
    text = config.get_text_config()
    kinds = set(getattr(text, "layer_types", None) or ["full_attention"])
    if not kinds <= _CACHEABLE_LAYERS:
        raise ModelError(
            f"Models of type '{text.model_type}' have layers of kind "
            f"{', '.join(sorted(kinds - _CACHEABLE_LAYERS))}, which cannot be decoded slot by "
            "slot. Use a model with plain causal attention."
        )
    if config._attn_implementation not in (OWN_ATTENTION, "sdpa", "eager"):
        raise ModelError(
            f"Attention implementation '{config._attn_implementation}' takes no mask for each row. "
            "Load the model with attn_implementation='sdpa'."
        )
    if kinds != {"full_attention"} or getattr(text, "layer_types", None) is None:
        sliding = getattr(text, "sliding_window", None)
        _check_limits({"tokens of sliding attention": sliding}, window)


def _check_limits(limits: dict[str, int | None], window: int) -> None:
    for what, limit in limits.items():
        if limit is not None and window > limit:
            raise ModelError(
                f"The window of {window} tokens is longer than this model's {limit} {what}. "
                "Lower max_prompt_tokens or max_new_tokens."
            )


def rotary_forms(config: Any) -> list[dict[str, Any]]:
    """Returns the parameters of each form of rotary positions, of which kinds of layers differ."""
    rope = getattr(config, "rope_parameters", None) or {}
    inner = [value for value in rope.values() if isinstance(value, dict)]
    return inner or [rope]
