"""A reply is as likely as writing it token by token, whatever else is scored beside it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from agents.models.loading import backbone_and_head, disable_dropout
from agents.models.reply_logprobs import Choices, choice_logits, score_choices

WINDOW = 24
TEXTS = [[3, 5, 6, 2, 4], [3, 5, 7, 9, 11, 2, 4, 8, 8], [3, 2, 4, 6], [3, 4, 4]]
REPLIES = [
    [[6, 2], [7, 8, 2], [], [9, 10, 11, 12, 13, 2]],
    [[], [5, 2], [6, 2], [7, 2]],
    [[9, 9, 9, 9, 2], [2], [7, 8, 2], [8, 7, 2]],
    [[6, 7], [6, 2], [], []],
]


def choices_of(texts: list[Any], replies: list[Any], pad: int = 0, extra: int = 0) -> Choices:
    """Pads with `pad`, and `extra` columns more than needed."""
    n, n_replies = len(texts), len(replies[0])
    text_ids = np.full((n, max(map(len, texts)) + extra), pad)
    longest = max(len(reply) for row in replies for reply in row)
    reply_ids = np.full((n, n_replies, longest + extra), pad)
    for i in range(n):
        text_ids[i, : len(texts[i])] = texts[i]
        for j in range(n_replies):
            reply_ids[i, j, : len(replies[i][j])] = replies[i][j]
    return Choices(
        torch.tensor(text_ids),
        torch.tensor([len(text) for text in texts]),
        torch.tensor(reply_ids),
        torch.tensor([[len(reply) for reply in row] for row in replies]),
    )


def score(model, choices: Choices, **changes: Any) -> tuple[torch.Tensor, torch.Tensor]:
    disable_dropout(model)
    settings = {"vocab_size": 20, "window": WINDOW, "max_tokens_per_batch": 10_000, **changes}
    return score_choices(*backbone_and_head(model), choices, **settings)


def written_one_by_one(model, text: list[int], reply: list[int]) -> float:
    """The log-likelihood of a reply by a pass over each prefix."""
    total = 0.0
    for i, token in enumerate(reply):
        logits = model(torch.tensor([text + reply[:i]])).logits[0, -1, :20]
        total += float(torch.log_softmax(logits, -1)[token])
    return total


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_every_reply_scores_as_if_it_were_written_alone(tiny_model, attention):
    tiny_model.set_attn_implementation(attention)
    with torch.no_grad():
        logprobs, hidden = score(tiny_model, choices_of(TEXTS, REPLIES))
        wanted = torch.tensor(
            [
                [written_one_by_one(tiny_model, text, reply) for reply in row]
                for text, row in zip(TEXTS, REPLIES, strict=True)
            ]
        )
        backbone = backbone_and_head(tiny_model)[0]
        states = [backbone(torch.tensor([text])).last_hidden_state[0, -1] for text in TEXTS]
    assert torch.allclose(logprobs, wanted, atol=1e-4)
    assert torch.allclose(hidden, torch.stack(states), atol=1e-4)
    assert logprobs[0, 2] == 0.0


def test_neither_padding_nor_company_nor_order_matters(tiny_model):
    with torch.no_grad():
        expected, _ = score(tiny_model, choices_of(TEXTS, REPLIES))
        padded, _ = score(tiny_model, choices_of(TEXTS, REPLIES, pad=13, extra=3))
        assert torch.allclose(padded, expected, atol=1e-4)
        backwards = choices_of(TEXTS[::-1], [row[::-1] for row in REPLIES[::-1]])
        assert torch.allclose(score(tiny_model, backwards)[0], expected.flip(0, 1), atol=1e-4)
        for i, (text, row) in enumerate(zip(TEXTS, REPLIES, strict=True)):
            alone = choices_of([text], [row[:2]])
            assert torch.allclose(score(tiny_model, alone)[0][0], expected[i, :2], atol=1e-4)


def test_the_size_of_a_pass_changes_neither_scores_nor_gradients(tiny_models):
    model = tiny_models["llama"]
    widths = []
    model.base_model.register_forward_hook(
        lambda _, args, kwargs, output: widths.append(kwargs["input_ids"].numel()),
        with_kwargs=True,
    )
    scores, gradients = {}, {}
    for limit in (1, 45, 10_000):
        model.zero_grad()
        widths.clear()
        logprobs, hidden = score(model, choices_of(TEXTS, REPLIES), max_tokens_per_batch=limit)
        # The first two passes are the check of the model's parts.
        assert len(widths) - 2 == {1: 4, 45: 3, 10_000: 1}[limit]
        assert limit == 1 or max(widths) <= limit  # a row alone may be longer
        scores[limit] = logprobs.detach(), hidden.detach()
        (logprobs.square().sum() + hidden.sum()).backward()
        gradients[limit] = torch.cat([p.grad.flatten() for p in model.parameters()])
    for limit in (1, 45):
        for found, expected in zip(scores[limit], scores[10_000], strict=True):
            assert torch.allclose(found, expected, atol=1e-4)
        error = (gradients[limit] - gradients[10_000]).norm() / gradients[10_000].norm()
        assert error < 1e-4


def test_autocast_changes_scores_only_by_its_precision(tiny_model):
    for parameter in tiny_model.parameters():
        # Sharper ones round too coarsely to compare.
        parameter.data *= 0.2
    with torch.no_grad():
        expected, _ = score(tiny_model, choices_of(TEXTS, REPLIES))
        with torch.autocast("cpu", torch.bfloat16):
            found, _ = score(tiny_model, choices_of(TEXTS, REPLIES))
    assert found.dtype == torch.float32
    assert torch.allclose(found, expected, atol=0.2)


def test_a_text_that_fills_the_window_can_still_be_scored(tiny_models):
    """GPT-2 has no position past its window: nobody acts there, but nothing may fail."""
    full = choices_of([[3] * 256], [[[6, 2], [7, 7, 2]]])
    assert score(tiny_models["gpt2"], full, window=256)[0].isfinite().all()


def test_logits_are_sums_or_means_over_the_temperature():
    logprobs = torch.tensor([[-2.0, -6.0, 0.0]], requires_grad=True)
    lengths = torch.tensor([[1, 3, 0]])

    def probabilities(**settings: Any) -> list[float]:
        return torch.softmax(choice_logits(logprobs, lengths, **settings), -1)[0].tolist()

    assert probabilities(temperature=1.0, length_normalized=True) == [0.5, 0.5, 0.0]
    odds = math.exp(-4.0)
    expected = [1 / (1 + odds), odds / (1 + odds), 0.0]
    assert probabilities(temperature=1.0, length_normalized=False) == pytest.approx(expected)
    odds = math.exp(-4.0 / 2)
    expected = [1 / (1 + odds), odds / (1 + odds), 0.0]
    assert probabilities(temperature=2.0, length_normalized=False) == pytest.approx(expected)
    logits = choice_logits(logprobs, lengths, temperature=0.1, length_normalized=False)
    entropy = torch.distributions.Categorical(logits=logits).entropy()
    entropy.sum().backward()
    assert entropy.isfinite().all()
    assert logprobs.grad.isfinite().all()
