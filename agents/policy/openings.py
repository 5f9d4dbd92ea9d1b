"""Episodes with equal openings, which a pass reads once: what follows stands side by side.

The episodes of a group answer one prompt. In a row for each of them the prompt is passed over as
often as it was answered. Here it is passed over once, in the layout of
`agents.models.reply_logprobs`. Known as prefix grouping (Liu et al. 2025, arXiv 2506.05433).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agents.models.reply_logprobs import Choices


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


def lay_side_by_side(
    input_ids: Tensor, lengths: Tensor, openings: Tensor, opening_lengths: Tensor
) -> SideBySide | None:
    """Returns the episodes with each opening once, or None where that is not shorter.

    Args:
        input_ids: (batch, time) int64.
        lengths: (batch,) int64, true lengths.
        openings: (batch,) int64, equal for episodes with equal openings.
        opening_lengths: (batch,) int64, how many tokens each opening has.
    """
    text = torch.unique(openings, return_inverse=True)[1]
    sizes = torch.bincount(text)
    # Episodes with one opening are numbered in their order.
    order = torch.argsort(text, stable=True)
    starts = sizes.cumsum(0) - sizes
    reply = torch.empty_like(text)
    reply[order] = torch.arange(len(text), device=text.device) - starts[text[order]]
    rest = lengths - opening_lengths
    widths = torch.stack([opening_lengths.max(), sizes.max(), rest.max()])
    text_width, n_replies, reply_width = (int(n) for n in widths)
    n_texts, n_times = len(sizes), input_ids.shape[1]
    if n_texts * (text_width + n_replies * reply_width) >= input_ids.numel():
        return None
    text_ids, text_lengths = input_ids.new_zeros(n_texts, text_width), lengths.new_zeros(n_texts)
    text_ids[text] = input_ids[:, :text_width]
    text_lengths[text] = opening_lengths
    at = opening_lengths[:, None] + torch.arange(reply_width, device=text.device)
    reply_ids = input_ids.new_zeros(n_texts, n_replies, reply_width)
    reply_ids[text, reply] = input_ids.gather(1, at.clamp(max=n_times - 1))
    reply_lengths = lengths.new_zeros(n_texts, n_replies)
    reply_lengths[text, reply] = rest
    return SideBySide(Choices(text_ids, text_lengths, reply_ids, reply_lengths), text, reply)
