"""Episodes become padded tensors, and split into passes that hold every episode once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.policy.episode_batch import make_batch
from textenv.rollout import PlayedEpisode


def episode(length: int, truncated: bool = False) -> PlayedEpisode:
    mask = np.arange(length) >= 2
    ids = np.arange(10 * length, 11 * length, dtype=np.int32)
    rewards, logprobs = (np.where(mask, x, 0).astype(np.float32) for x in (0.5, -length))
    return PlayedEpisode(ids, mask, rewards, logprobs, truncated)


@pytest.fixture
def batch():
    return make_batch([episode(n, n == 7) for n in (4, 7, 3, 5, 7)])


def test_padding_stands_right_and_counts_nowhere(batch):
    assert batch.input_ids.shape == (5, 7)
    assert batch.lengths.tolist() == [4, 7, 3, 5, 7]
    assert batch.input_ids[0].tolist() == [40, 41, 42, 43, 0, 0, 0]
    assert batch.action_mask[0].tolist() == [False, False, True, True, False, False, False]
    assert batch.rewards[2].tolist() == [0, 0, 0.5, 0, 0, 0, 0]
    assert batch.truncated.tolist() == [False, True, False, False, True]
    assert len(batch) == 5
    assert batch.input_ids.dtype == batch.lengths.dtype == torch.int64


def test_taking_rows_narrows_to_the_longest_of_them(batch):
    part = batch.take(torch.tensor([2, 0]))
    assert part.input_ids.tolist() == [[30, 31, 32, 0], [40, 41, 42, 43]]
    assert part.lengths.tolist() == [3, 4]
    assert part.action_mask.shape == part.rewards.shape == (2, 4)
    assert not part.truncated.any()
    assert part.logprobs.tolist() == [[0, 0, -3, 0], [0, 0, -4, -4]]


def test_log_probabilities_of_a_batch_are_those_of_all_or_none():
    mask = np.ones(2, np.bool_)
    unknown = PlayedEpisode(np.ones(2, np.int32), mask, np.zeros(2, np.float32))
    batch = make_batch([episode(4), unknown])
    assert batch.logprobs is None
    assert batch.take(torch.tensor([1])).logprobs is None


@pytest.mark.parametrize("max_tokens", [1, 7, 9, 14, 20, 1000])
def test_micro_batches_hold_each_row_once_within_the_budget(batch, max_tokens):
    rows = torch.tensor([4, 2, 0, 1])
    parts = list(batch.micro_batches(rows, max_tokens))
    assert sorted(torch.cat(parts).tolist()) == [0, 1, 2, 4]
    for part in parts:
        padded = len(part) * int(batch.lengths[part].max())
        assert padded <= max_tokens or len(part) == 1
    # Longest first, so that memory runs out at once or never.
    widths = [int(batch.lengths[part].max()) for part in parts]
    assert widths == sorted(widths, reverse=True)
