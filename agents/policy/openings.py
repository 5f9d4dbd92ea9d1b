"""Episodes with equal openings, which a pass reads once: what follows stands side by side.

The episodes of a group answer one prompt. In a row for each of them the prompt is passed over as
often as it was answered. Here it is passed over once, in the layout of
`agents.models.reply_logprobs`. Known as prefix grouping (Liu et al. 2025, arXiv 2506.05433).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from agents.models.reply_logprobs import Choices

if TYPE_CHECKING:
    from agents.policy.episode_batch import EpisodeBatch


@dataclass(frozen=True)
class SideBySide:
    """Episodes with each opening once.

    Attributes:
        choices: The openings as texts, and what follows as their replies.
        text: (batch,) which text each episode has.
        reply: (batch,) which of that text's replies it is.
    """

    choices: Choices
    text: Tensor
    reply: Tensor


def lay_side_by_side(batch: EpisodeBatch) -> SideBySide | None:
    """Returns the episodes with each opening once, or None where that is not shorter."""
    if batch.openings is None:
        return None
    text = torch.unique(batch.openings, return_inverse=True)[1]
    sizes = torch.bincount(text)
    # Episodes with one opening are numbered in their order.
    order = torch.argsort(text, stable=True)
    starts = sizes.cumsum(0) - sizes
    reply = torch.empty_like(text)
    reply[order] = torch.arange(len(text), device=text.device) - starts[text[order]]
    rest = batch.lengths - batch.opening_lengths
    widths = torch.stack([batch.opening_lengths.max(), sizes.max(), rest.max()])
    text_width, n_replies, reply_width = (int(n) for n in widths)
    n_texts, n_times = len(sizes), batch.input_ids.shape[1]
    if n_texts * (text_width + n_replies * reply_width) >= batch.input_ids.numel():
        return None
    ids, counts = batch.input_ids, batch.lengths
    text_ids, text_lengths = ids.new_zeros(n_texts, text_width), counts.new_zeros(n_texts)
    text_ids[text] = ids[:, :text_width]
    text_lengths[text] = batch.opening_lengths
    at = batch.opening_lengths[:, None] + torch.arange(reply_width, device=text.device)
    reply_ids = ids.new_zeros(n_texts, n_replies, reply_width)
    reply_ids[text, reply] = ids.gather(1, at.clamp(max=n_times - 1))
    reply_lengths = counts.new_zeros(n_texts, n_replies)
    reply_lengths[text, reply] = rest
    return SideBySide(Choices(text_ids, text_lengths, reply_ids, reply_lengths), text, reply)


def split_by_opening(batch: EpisodeBatch, rows: Tensor, max_tokens: int) -> Iterator[Tensor]:
    """Splits rows, longest first, into passes in which equal openings stand together.

    Args:
        batch: Episodes.
        rows: (n,) numbers of the episodes to split.
        max_tokens: Most tokens of a pass, with each opening once and padding included. A pass has
            at least one episode, however long.
    """
    if batch.openings is None:
        yield from batch.micro_batches(rows, max_tokens)
        return
    widths = batch.opening_lengths[rows].tolist()
    rests = (batch.lengths - batch.opening_lengths)[rows].tolist()
    families: dict[int, list[int]] = {}
    for place, opening in enumerate(batch.openings[rows].tolist()):
        families.setdefault(opening, []).append(place)
    bundles = []
    for places in families.values():
        width, longest = widths[places[0]], max(rests[place] for place in places)
        size = max(1, (max_tokens - width) // max(1, longest))
        bundles += [places[i : i + size] for i in range(0, len(places), size)]

    def n_tokens(together: list[list[int]]) -> int:
        """Tokens of a pass with these bundles."""
        text_width: int = max(widths[bundle[0]] for bundle in together)
        reply_width: int = max(rests[place] for bundle in together for place in bundle)
        n_replies = max(map(len, together))
        return len(together) * (text_width + n_replies * reply_width)

    bundles.sort(key=lambda bundle: -n_tokens([bundle]))
    together: list[list[int]] = []
    for bundle in bundles:
        if together and n_tokens([*together, bundle]) > max_tokens:
            yield rows[[place for one in together for place in one]]
            together = []
        together.append(bundle)
    yield rows[[place for one in together for place in one]]
