"""Tokens are drawn as often as softmax says, by inversion over blocks of the vocabulary."""

from __future__ import annotations

import pytest
import torch

from agents.decoding.sampling import check_tokens, choose_tokens
from textenv.errors import ModelError


def test_frequencies_are_the_probabilities_across_blocks() -> None:
    torch.manual_seed(0)
    vocab_size, n = 300, 400_000  # two whole blocks of 128 and a part of one
    logits = 2 * torch.randn(vocab_size)
    tokens, _ = choose_tokens(logits.expand(n, -1))
    expected = n * logits.double().softmax(0)
    found = torch.bincount(tokens, minlength=vocab_size).double()
    chi_square = float(((found - expected).square() / expected).sum())
    # Of mean 299 and standard deviation sqrt(2 * 299) = 24.5.
    assert abs(chi_square - 299) < 4 * 24.5


def test_what_cannot_happen_is_never_drawn() -> None:
    logits = torch.full((1000, 260), -torch.inf)
    logits[:, [3, 200, 259]] = 0.0
    tokens, logprobs = choose_tokens(logits)
    assert set(tokens.tolist()) == {3, 200, 259}
    torch.testing.assert_close(logprobs, torch.full((1000,), 1 / 3).log())


def test_log_probabilities_are_those_of_softmax() -> None:
    logits = 5 * torch.randn(64, 1000)
    tokens, logprobs = choose_tokens(logits)
    torch.testing.assert_close(
        logprobs, logits.log_softmax(1).gather(1, tokens[:, None])[:, 0], rtol=1e-5, atol=1e-5
    )


def test_the_most_likely_token_needs_no_random_numbers() -> None:
    logits = torch.randn(8, 150)
    before = torch.get_rng_state()
    tokens, _ = choose_tokens(logits, deterministic=True)
    assert torch.equal(tokens, logits.argmax(1))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_seed_repeats_the_draws() -> None:
    logits = torch.randn(8, 150)
    found = []
    for _ in range(2):
        torch.manual_seed(5)
        found.append(choose_tokens(logits)[0].tolist())
    assert found[0] == found[1]


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
@pytest.mark.parametrize("deterministic", [False, True])
def test_logits_that_are_not_numbers_are_refused(wrong: float, deterministic: bool) -> None:
    logits = torch.zeros(3, 10)
    logits[1, 4] = wrong
    tokens, _ = choose_tokens(logits, deterministic)
    assert tokens[1] == -1
    assert tokens[0] >= 0
    with pytest.raises(ModelError, match="no longer numbers"):
        check_tokens(tokens)
