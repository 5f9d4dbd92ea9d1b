"""Log-probabilities of tokens and entropies, beside torch's own distribution."""

from __future__ import annotations

import math

import pytest
import torch

import agents.models.token_logprobs
from agents.models.token_logprobs import token_logprobs


def test_entropy_by_hand() -> None:
    # One of two, one of four, and certainty, where 0 log 0 = 0.
    head = torch.nn.Linear(3, 4, bias=False)
    none = -1e5
    rows = [[0.0, 0.0, none, none], [5.0, 5.0, 5.0, 5.0], [0.0, none, none, none]]
    with torch.no_grad():
        head.weight.copy_(torch.tensor(rows).T)
    states, targets = torch.eye(3, requires_grad=True), torch.zeros(3, dtype=torch.long)
    _, entropy = token_logprobs(head, states, targets, 4, with_entropy=True)
    assert entropy is not None
    torch.testing.assert_close(entropy, torch.tensor([math.log(2), math.log(4), 0.0]))
    entropy.sum().backward()
    assert states.grad is not None
    assert states.grad.isfinite().all()


@pytest.mark.parametrize("chunk_size", [3, 4, 100])
@pytest.mark.parametrize("with_entropy", [False, True])
def test_chunked_logprobs_and_their_gradients_equal_the_plain_computation(
    chunk_size: int, with_entropy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Softmaxes of two rows at a time.
    monkeypatch.setattr("agents.models.token_logprobs._BLOCK_LOGITS", 20)
    rng = torch.Generator().manual_seed(0)
    head = torch.nn.Linear(6, 11)
    hidden = torch.randn(8, 6, generator=rng)
    targets = torch.randint(0, 9, (8,), generator=rng)
    weights = torch.randn(8, generator=rng)

    def gradients(chunked: bool) -> list[torch.Tensor]:
        states = hidden.clone().requires_grad_()
        if chunked:
            logprobs, entropy = token_logprobs(
                head,
                states,
                targets,
                9,
                temperature=0.7,
                chunk_size=chunk_size,
                with_entropy=with_entropy,
            )
            assert (entropy is not None) == with_entropy
        else:
            # The head has 11 rows, the tokenizer 9 ids.
            full = torch.distributions.Categorical(logits=head(states)[:, :9] / 0.7)
            logprobs, entropy = full.log_prob(targets), full.entropy()
        loss = logprobs @ weights
        if with_entropy and entropy is not None:
            loss = loss + entropy @ weights.flip(0)
        found = torch.autograd.grad(loss, [states, *head.parameters()])
        return [logprobs.detach(), loss.detach(), *found]

    for chunked, plain in zip(gradients(True), gradients(False), strict=True):
        torch.testing.assert_close(chunked, plain)


def test_logits_of_one_chunk_live_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    true_product = agents.models.token_logprobs.product

    def counted(states: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
        if states.shape[1] == 4:
            sizes.append(len(states))
        return true_product(states, *weights)

    monkeypatch.setattr(agents.models.token_logprobs, "product", counted)
    head = torch.nn.Linear(4, 7)
    hidden, targets = torch.randn(10, 4, requires_grad=True), torch.zeros(10, dtype=torch.long)
    saved: list[int] = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        saved.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        logprobs, _ = token_logprobs(head, hidden, targets, 7, chunk_size=4)
    assert sizes == [4, 4, 2]
    assert max(saved) == hidden.numel() < 10 * 7  # no logits among what is kept
    logprobs.sum().backward()
    assert sizes == [4, 4, 2, 4, 4, 2]  # computed again
    sizes.clear()
    token_logprobs(head, hidden, targets, 7, chunk_size=10)[0].sum().backward()
    assert sizes == [10]


def test_no_tokens_have_no_logprobs() -> None:
    head, hidden = torch.nn.Linear(4, 7), torch.randn(0, 4, requires_grad=True)
    logprobs, _ = token_logprobs(head, hidden, torch.zeros(0, dtype=torch.long), 7)
    assert logprobs.shape == (0,)
    logprobs.sum().backward()
    assert head.weight.grad is not None
    assert not head.weight.grad.any()


def test_logprobs_are_float32_under_autocast() -> None:
    head = torch.nn.Linear(4, 7)
    hidden, targets = torch.randn(3, 4), torch.tensor([0, 1, 2])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logprobs, entropy = token_logprobs(head, hidden, targets, 7, with_entropy=True)
    assert entropy is not None
    assert logprobs.dtype == entropy.dtype == torch.float32


def test_what_does_not_learn_gets_no_gradient() -> None:
    head = torch.nn.Linear(4, 7).requires_grad_(False)
    hidden, targets = torch.randn(5, 4, requires_grad=True), torch.zeros(5, dtype=torch.long)
    token_logprobs(head, hidden, targets, 7)[0].sum().backward()
    assert head.weight.grad is None
    assert hidden.grad is not None
