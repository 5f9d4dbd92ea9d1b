"""How likely a language model is to write each of some replies, as pure functions of tensors.

The replies to one text are scored in a single pass over

    text | reply 1 | reply 2 | ... | reply N

in which every reply stands right after the text, by its positions, and sees the text and itself, by
the attention mask. So the text is encoded once, whatever N, and a reply's scores are exactly those
of a pass over the text and this reply alone. Where an architecture places tokens or reads masks in
its own way, each reply is scored in a row of its own instead, after a copy of the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from agents.models.loading import teacher_forced_hidden
from agents.models.token_logprobs import token_logprobs


@dataclass(frozen=True)
class Choices:
    """Texts, and the replies that may follow each; ids are right-padded with any legal id."""

    text_ids: Tensor  # (batch, L) token ids
    text_lengths: Tensor  # (batch,) true lengths, at least 1
    reply_ids: Tensor  # (batch, N, C) token ids
    reply_lengths: Tensor  # (batch, N) true lengths; 0 where there is no reply

    @cached_property
    def input_ids(self) -> Tensor:
        """Texts, and their replies side by side: (batch, L + N * C) token ids."""
        return torch.cat([self.text_ids, self.reply_ids.flatten(1)], dim=1)

    def take(self, rows: Tensor) -> Choices:
        """Returns some rows, padded only as far as they need."""
        text_width = int(self.text_lengths[rows].max())
        reply_width = max(1, int(self.reply_lengths[rows].max()))
        return Choices(
            self.text_ids[rows, :text_width],
            self.text_lengths[rows],
            self.reply_ids[rows, :, :reply_width],
            self.reply_lengths[rows],
        )

    def micro_batches(self, max_tokens: int, side_by_side: bool = True) -> Iterator[Tensor]:
        """Splits the rows, longest first, into groups of at most `max_tokens`, padding included.

        A group holds at least one row, whatever its length. Unless the replies stand side by side,
        each has the text before it.
        """
        n_replies, device = self.reply_lengths.shape[1], self.text_ids.device
        texts: list[int] = self.text_lengths.tolist()
        replies: list[int] = self.reply_lengths.amax(dim=1).tolist()
        n_texts = 1 if side_by_side else n_replies
        group: list[int] = []
        text_width = reply_width = 0
        for row in sorted(
            range(len(texts)), key=lambda i: -n_texts * texts[i] - n_replies * replies[i]
        ):
            text_width = max(text_width, texts[row])
            reply_width = max(reply_width, replies[row])
            width = n_texts * text_width + n_replies * reply_width
            if group and (len(group) + 1) * width > max_tokens:
                yield torch.tensor(group, device=device)
                group, text_width, reply_width = [], texts[row], replies[row]
            group.append(row)
        yield torch.tensor(group, device=device)


def score_choices(
    backbone: nn.Module,
    head: nn.Module,
    choices: Choices,
    *,
    vocab_size: int,
    window: int,
    max_tokens_per_batch: int,
    side_by_side: bool = True,
    twice_differentiable: bool = False,
) -> tuple[Tensor, Tensor]:
    """Returns how likely each reply is, and the state of the text before any, with gradient.

    With gradients and more than one pass, each pass is computed again in the backward pass, so that
    memory holds one of them at a time.

    Args:
        backbone: The decoder without its output layer.
        head: The output layer.
        choices: What to score.
        vocab_size: The tokenizer's highest id + 1; further rows of the head take no part.
        window: The most tokens of one sequence.
        max_tokens_per_batch: The most tokens, padding included, of one pass.
        side_by_side: Whether the replies to a text share one row with it.
        twice_differentiable: Whether the gradient has a gradient; nothing is computed again then.

    Returns:
        Log-likelihoods (batch, N) in nats, each the sum over a reply's tokens, 0 where there is no
        reply; and the final hidden state of each text's last token (batch, hidden).
    """

    def one_pass(part: Choices) -> tuple[Tensor, Tensor]:
        if side_by_side:
            states = side_by_side_states(backbone, part, window)
        else:
            states = _states(backbone, part)
        return _score(head, part, *states, vocab_size, twice_differentiable)

    groups = list(choices.micro_batches(max_tokens_per_batch, side_by_side))
    recompute = len(groups) > 1 and torch.is_grad_enabled() and not twice_differentiable
    logprobs, hidden = [], []
    for rows in groups:
        part = choices.take(rows)
        if recompute:
            scored = checkpoint(one_pass, part, use_reentrant=False, preserve_rng_state=False)
        else:
            scored = one_pass(part)
        logprobs.append(scored[0])
        hidden.append(scored[1])
    back = torch.argsort(torch.cat(groups))
    return torch.cat(logprobs)[back], torch.cat(hidden)[back]


def side_by_side_states(
    backbone: nn.Module, choices: Choices, window: int
) -> tuple[Tensor, Tensor]:
    """Returns the states after texts and in replies, by one row for a text and all of its replies.

    Args:
        backbone: The decoder without its output layer.
        choices: Texts and replies.
        window: The most tokens of one sequence.

    Returns:
        Final hidden states of each text's last token (batch, hidden), and after each token of the
        replies (batch, N, C, hidden); those at padding mean nothing.
    """
    batch, n_replies, reply_width = choices.reply_ids.shape
    text_width = choices.text_ids.shape[1]
    position_ids, mask = _layout(choices, window)
    hidden: Tensor = backbone(
        input_ids=choices.input_ids,
        attention_mask=mask,
        position_ids=position_ids,
        use_cache=False,
    ).last_hidden_state
    rows = torch.arange(batch, device=hidden.device)
    last = hidden[rows, choices.text_lengths - 1]
    return last, hidden[:, text_width:].reshape(batch, n_replies, reply_width, -1)


def choice_logits(
    logprobs: Tensor, reply_lengths: Tensor, *, temperature: float, length_normalized: bool
) -> Tensor:
    """Returns the logits of the distribution over replies.

    Without normalization and at temperature 1 a reply's probability is proportional to that of
    writing it, p(reply | text). With it, to exp of the mean over its tokens: the score by which
    GPT-3 chose among answers (Brown et al. 2020, arXiv 2005.14165, section 2.4). EleutherAI's
    lm-evaluation-harness calls the first one's accuracy `acc`; its `acc_norm` divides by bytes
    instead of tokens.

    Args:
        logprobs: (batch, N) log-likelihoods of whole replies.
        reply_lengths: (batch, N) their tokens.
        temperature: Divides the logits.
        length_normalized: Divide each log-likelihood by its number of tokens.

    Returns:
        (batch, N), the lowest finite number where there is no reply: its probability is 0, and the
        entropy is a number.
    """
    logits = logprobs / reply_lengths.clamp(min=1) if length_normalized else logprobs
    return (logits / temperature).masked_fill(reply_lengths == 0, torch.finfo(logits.dtype).min)


def _score(
    head: nn.Module,
    choices: Choices,
    last: Tensor,
    of_replies: Tensor,
    vocab_size: int,
    twice_differentiable: bool,
) -> tuple[Tensor, Tensor]:
    """Returns what `score_choices` does, from the states of texts and replies."""
    n_replies, reply_width = choices.reply_ids.shape[1:]
    # The state before a token is that of the token before it: for a reply's first, the text's last.
    before = torch.cat(
        [last[:, None, None].expand(-1, n_replies, 1, -1), of_replies[:, :, :-1]], dim=2
    )
    time = torch.arange(reply_width, device=last.device)
    written = time < choices.reply_lengths[:, :, None]  # (batch, N, C)
    logprobs, _ = token_logprobs(
        head,
        before[written],
        choices.reply_ids[written],
        vocab_size,
        twice_differentiable=twice_differentiable,
    )
    of_tokens = torch.zeros(written.shape, dtype=logprobs.dtype, device=logprobs.device)
    return of_tokens.masked_scatter(written, logprobs).sum(dim=2), last


def _states(backbone: nn.Module, choices: Choices) -> tuple[Tensor, Tensor]:
    """Returns as `side_by_side_states`, by a row for each reply."""
    batch, n_replies, reply_width = choices.reply_ids.shape
    device = choices.text_ids.device
    # A reply begins where its text ends; padding of either stands behind both.
    at = choices.text_lengths[:, None] + torch.arange(reply_width, device=device)  # (batch, C)
    at = at[:, None].expand(-1, n_replies, -1)
    ids = nn.functional.pad(choices.text_ids, (0, reply_width))
    ids = ids[:, None].repeat(1, n_replies, 1).scatter(2, at, choices.reply_ids).flatten(0, 1)
    hidden = teacher_forced_hidden(backbone, ids).view(batch, n_replies, ids.shape[1], -1)
    rows = torch.arange(batch, device=device)
    last = hidden[rows, 0, choices.text_lengths - 1]
    index = at[..., None].expand(-1, -1, -1, hidden.shape[-1])
    return last, hidden.gather(2, index)


def _layout(choices: Choices, window: int) -> tuple[Tensor, Tensor]:
    """Returns positions (batch, T) and an attention mask (batch, 1, T, T), T = L + N * C.

    The mask is added to attention scores, because eager attention adds whatever it is given.
    """
    batch, n_replies, reply_width = choices.reply_ids.shape
    text_width, device = choices.text_ids.shape[1], choices.text_ids.device
    text_time = torch.arange(text_width, device=device)
    reply_time = torch.arange(reply_width, device=device).repeat(n_replies)
    position_ids = torch.cat(
        [text_time.expand(batch, -1), choices.text_lengths[:, None] + reply_time], dim=1
    )
    # 0 for the text, 1 to N for the replies, -1 for padding.
    replies = torch.arange(1, n_replies + 1, device=device).repeat_interleave(reply_width)
    lengths = choices.reply_lengths.repeat_interleave(reply_width, dim=1)
    part = torch.cat(
        [
            -(text_time >= choices.text_lengths[:, None]).long(),
            replies.where(reply_time < lengths, -1),
        ],
        dim=1,
    )
    order = torch.arange(part.shape[1], device=device)
    of_key = part[:, None, :]
    # Every token sees itself, so that no row of the softmax is empty, padding's included.
    is_seen = (order <= order[:, None]) & ((of_key == 0) | (of_key == part[:, :, None]))
    mask = torch.zeros(is_seen.shape, device=device).masked_fill_(~is_seen, -torch.inf)
    # Only the observation of an ended episode, which nobody acts on, has replies past the window.
    return position_ids.clamp(max=window - 1), mask[:, None]
