"""Our passes over a model beside plain ones: by how much their log-probabilities differ.

A difference is the mean of |log p - log q| under p, the distribution of a plain pass: nats that a
written token's log-probability is off. All functions return one number a position, (n,).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedModel

from agents.decoding.decoder import SlotDecoder
from agents.models.attention import plain_attention
from agents.models.loading import teacher_forced_hidden, without_progress_bars
from agents.models.lora import ADAPTER, add_adapter, merge_adapter
from agents.models.options import LoraSettings
from agents.models.reply_logprobs import Choices, score_choices


@dataclass(frozen=True)
class Texts:
    """Random texts, and what a plain pass over each says of every next token."""

    ids: Tensor  # (rows, time) token ids, right-padded
    lengths: tuple[int, ...]  # True lengths
    logprobs: tuple[Tensor, ...]  # (length, vocabulary) of each row

    def differences(self, hidden: Tensor, head: nn.Module) -> Tensor:
        """Compares states (rows, time, hidden) of our own passes."""
        return torch.cat(
            [
                _difference(row, _log_softmax(head(states[: len(row)])))
                for row, states in zip(self.logprobs, hidden, strict=True)
            ]
        )


def make_texts(model: PreTrainedModel, lengths: Sequence[int], n_tokens: int, seed: int) -> Texts:
    """Draws texts and passes over them, one by one, by the model as transformers made it."""
    generator = torch.Generator().manual_seed(seed)
    device = next(model.parameters()).device
    ids = torch.randint(
        min(3, n_tokens - 1), n_tokens, (len(lengths), max(lengths)), generator=generator
    )
    ids = ids.to(device)
    rows = tuple(plain(model, row[:n]) for row, n in zip(ids, lengths, strict=True))
    return Texts(ids, tuple(lengths), rows)


def plain(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """Returns log-probabilities (time, vocabulary) by a plain pass over one text (time,)."""
    with plain_attention(model):
        return _log_softmax(model(input_ids=ids[None], use_cache=False, return_dict=True).logits[0])


def prefixes(model: PreTrainedModel, texts: Texts) -> Tensor:
    """Compares plain passes over beginnings of a text with one over all of it."""
    whole = texts.logprobs[0]
    cuts = sorted({max(1, len(whole) * k // 8) for k in range(1, 8)} | {max(1, len(whole) - 1)})
    return torch.cat([_difference(whole[:n], plain(model, texts.ids[0, :n])) for n in cuts])


def whole(parts: tuple[nn.Module, nn.Module], texts: Texts) -> Tensor:
    """Compares a padded teacher-forced pass over all texts."""
    backbone, head = parts
    return texts.differences(teacher_forced_hidden(backbone, texts.ids), head)


def cached(
    parts: tuple[nn.Module, nn.Module], texts: Texts, window: int, is_cached: bool
) -> Tensor:
    """Compares decoding: rows begin together or later, and go on from their prefixes, ragged."""
    backbone, head = parts
    decoder = SlotDecoder(backbone, len(texts.lengths), window, head=head, cached=is_cached)
    ids = texts.ids.cpu().numpy()
    found = []
    for rows, lengths in schedule(texts.lengths):
        hidden = decoder.feed(np.array(rows), ids[rows], np.array(lengths))
        logprobs = _log_softmax(decoder.logits(hidden))
        wanted = torch.stack(
            [texts.logprobs[row][n - 1] for row, n in zip(rows, lengths, strict=True)]
        )
        found.append(_difference(wanted, logprobs))
    return torch.cat(found)


def schedule(lengths: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Returns passes over three rows, the slots in play and how far each is read.

    Two prompts; a third beside the next token of one and more of another; single tokens, once with
    all rows at one position; the environment's turns; single tokens at the end.
    """
    steps = (
        ([0, 1], [4, 7]),
        ([0, 1, 2], [5, 10, 3]),
        ([0, 1, 2], [6, 11, 4]),
        ([0, 2], [11, 11]),
        ([0, 1, 2], [12, 12, 12]),
        ([0, 1, 2], [lengths[0] - 1, 14, 18]),
        ([0, 1, 2], [lengths[0], 15, 19]),
        ([1, 2], [lengths[1], lengths[2]]),
    )
    return [
        (rows, [max(1, min(n, lengths[r])) for r, n in zip(rows, ns, strict=True)])
        for rows, ns in steps
    ]


def side_by_side(
    model: PreTrainedModel,
    parts: tuple[nn.Module, nn.Module],
    texts: Texts,
    window: int,
    shared: bool,
) -> Tensor:
    """Compares two replies to each of two texts."""
    size = min(3, min(texts.lengths) - 1)
    text_lengths = [n - size for n in texts.lengths[:2]]
    device = texts.ids.device
    replies = torch.stack([texts.ids[:2, :size], texts.ids[:2, 1 : 1 + size]], dim=1)
    sizes = torch.tensor([[size, max(1, size - 1)]] * 2, device=device)
    choices = Choices(texts.ids[:2], torch.tensor(text_lengths, device=device), replies, sizes)
    n_tokens = texts.logprobs[0].shape[-1]
    found, _ = score_choices(
        *parts,
        choices,
        vocab_size=n_tokens,
        window=window,
        max_tokens_per_batch=10**6,
        side_by_side=shared,
    )
    wanted = torch.zeros_like(found)
    for row, reply in np.ndindex(2, 2):
        n, k = text_lengths[row], int(sizes[row, reply])
        said = replies[row, reply, :k]
        logprobs = plain(model, torch.cat([texts.ids[row, :n], said]))
        wanted[row, reply] = logprobs[n - 1 : n + k - 1].gather(1, said[:, None]).sum()
    return (found - wanted).abs().flatten() / sizes.flatten()


def merged(
    model: PreTrainedModel, head: nn.Module, texts: Texts, lora: LoraSettings, window: int
) -> Tensor:
    """Compares a model with an adapter, which it gets here, with what is merged and saved of it.

    Whole passes, and decoding, in which the adapter is merged in another way.
    """
    adapter = add_adapter(model, lora)
    n_adapted = 0
    for module in model.modules():
        for part in getattr(module, "lora_B", {}).values() if hasattr(module, "lora_B") else ():
            part.weight.normal_(0.0, 0.3)
            n_adapted += 1
    hidden = teacher_forced_hidden(model.base_model, texts.ids)
    with tempfile.TemporaryDirectory() as folder, without_progress_bars():
        merge_adapter(adapter).save_pretrained(folder)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            Path(folder), dtype=torch.float32, trust_remote_code=False
        )
        rows = zip(texts.ids, texts.lengths, strict=True)
        saved = tuple(plain(loaded.eval(), row[:n]) for row, n in rows)
    assert n_adapted, f"peft put nothing named {ADAPTER} into the model"
    wanted = Texts(texts.ids, texts.lengths, saved)
    decoded = cached((model.base_model, head), wanted, window, is_cached=False)
    return torch.cat([wanted.differences(hidden, head), decoded])


def _log_softmax(logits: Tensor) -> Tensor:
    return logits.float().log_softmax(-1)


def _difference(wanted: Tensor, found: Tensor) -> Tensor:
    """Returns (n,) from log-probabilities (n, vocabulary)."""
    terms = wanted.exp() * (wanted - found).abs()
    # What has no chance in both is no difference.
    return torch.where(wanted == found, 0.0, terms).sum(-1)
