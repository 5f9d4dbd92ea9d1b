"""Texts as vectors of a frozen encoder: the states of their tokens, in batches of like length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from textenv.errors import ConfigError
from textenv.rewards.learned.frozen_models import Encoded, FrozenModel

if TYPE_CHECKING:
    from torch import Tensor

Value = TypeVar("Value")


def hidden_states(
    frozen: FrozenModel, sequences: Sequence[Encoded], layer: int | None = None
) -> Iterator[tuple[list[int], Tensor, Tensor]]:
    """Yields what a layer of an encoder says of every token; of an encoder-decoder, its encoder.

    The layer is 0 for the word embeddings, k for the k-th, None for the last one.

    Yields:
        The indices of n sequences, their states (n, time, hidden) in float32, and the mask
        (n, time), 1 where there is a token.

    Raises:
        ConfigError: There is no such layer.
    """
    import torch

    model = frozen.model.get_encoder() if frozen.model.config.is_encoder_decoder else frozen.model
    for rows, inputs in frozen.batches(sequences):
        with torch.inference_mode():
            out = model(**inputs, output_hidden_states=layer is not None)
        yield rows, _layer_of(out, layer).float(), inputs["attention_mask"]


def _layer_of(out: Any, layer: int | None) -> Tensor:
    if layer is None:
        last: Tensor = out.last_hidden_state
        return last
    states: Sequence[Tensor] = out.hidden_states
    if not 0 <= layer < len(states):
        raise ConfigError(f"This encoder has the layers 0 to {len(states) - 1}, and none {layer}.")
    return states[layer]


class RecentTexts(Generic[Value]):
    """What was computed for so many texts seen last: references come back in every batch."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kept: dict[str, Value] = {}

    def look_up(
        self, texts: Sequence[str], compute: Callable[[list[str]], Sequence[Value]]
    ) -> dict[str, Value]:
        """Returns the value of every text; those not remembered are computed in one call."""
        distinct = list(dict.fromkeys(texts))
        missing = [text for text in distinct if text not in self._kept]
        new = dict(zip(missing, compute(missing), strict=True)) if missing else {}
        values = {text: new[text] if text in new else self._kept.pop(text) for text in distinct}
        self._kept |= values  # the newest stand last
        for text in list(self._kept)[: -self.limit]:
            del self._kept[text]
        return values
