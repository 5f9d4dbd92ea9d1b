"""The bench's verdicts where the truth is known."""

from __future__ import annotations

import pytest

from benchmarks.verdicts import LAGS, TRUTHS, count


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize(
    "n_seeds", [1, 2, *(pytest.param(n, marks=pytest.mark.slow) for n in (3, 5))]
)
def test_verdicts_are_right_where_the_truth_is_known(n_seeds, alone):
    """The whole table of `benchmarks.verdicts`, in fewer draws."""
    draws = 100
    counts = count(draws, n_seeds, alone=alone)
    sure = 0.05 * draws + 3 * (draws * 0.05 * 0.95) ** 0.5
    for name, found in counts.items():
        if name != LAGS:
            for word in {"sound", "hacked"} - set(TRUTHS[name][2]):
                assert found[word] <= sure, (name, word)
    if n_seeds == 1:
        assert all(set(found) == {"unclear"} for found in counts.values())
    if n_seeds >= 3:
        assert counts["own +1.0, gold +0.6"]["sound"] > 0.65 * draws
        assert counts["own +2.5, gold -0.3"]["hacked"] > 0.9 * draws
