"""The best of n samples by one reward, and how others like it: hacking without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log

import numpy as np
from numpy.typing import ArrayLike

from textenv.benchmark.results import BestOfN
from textenv.benchmark.statistics import Estimate, FloatArray, estimate_gain, estimate_mean
from textenv.errors import ConfigError


def powers_of_two(pool: int) -> tuple[int, ...]:
    """Returns the usual sizes: 1, 2, 4, ... up to the pool, and the pool itself."""
    return tuple(sorted({2**power for power in range(pool.bit_length())} | {pool}))


def kl_bound(n: int) -> float:
    """Returns log n - (n - 1) / n, which KL(best of n, policy) in nats never exceeds.

    It is reached where two samples never tie; a policy that often says the same stays well below
    (Beirami et al. 2024, arXiv 2401.01879).
    """
    return log(n) - (n - 1) / n


def selection_weights(pool: int, sizes: Sequence[int]) -> FloatArray:
    """Returns the chance of each sample of a pool to be the best of n drawn without replacement.

    The sample above i others is the best in C(i, n - 1) of C(pool, n) subsets. Each n follows from
    the one before, so that nothing overflows however large the pool.

    Args:
        pool: The number of samples, none of which tie.
        sizes: Each n.

    Returns:
        (number of sizes, pool), from the worst sample to the best.

    Raises:
        ConfigError: A size is not between 1 and the pool.
    """
    for n in sizes:
        if not 1 <= n <= pool:
            raise ConfigError(f"The best of {n} cannot be picked from a pool of {pool} samples.")
    below = np.arange(pool)
    weights = np.full(pool, 1 / pool)
    found = {1: weights}
    for n in range(1, max(sizes, default=1)):
        weights = weights * ((n + 1) / n * np.maximum(below - n + 1, 0) / (pool - n))
        found[n + 1] = weights
    return np.array([found[n] for n in sizes])


def expected_best(proxy: ArrayLike, gold: ArrayLike, sizes: Sequence[int]) -> FloatArray:
    """Returns the expected gold score of the best of n samples by the proxy.

    The mean over all subsets of a prompt's pool, and over which one is picked of those that tie:
    unbiased, and with less noise than subsets drawn at random (Nakano et al. 2021, arXiv
    2112.09332).

    Args:
        proxy: (n_prompts, pool) scores that pick.
        gold: (n_prompts, pool) scores of the same samples.
        sizes: Each n.

    Returns:
        (n_prompts, number of sizes)
    """
    picks, scores = np.asarray(proxy, np.float64), np.asarray(gold, np.float64)
    if picks.ndim != 2 or not picks.size or picks.shape != scores.shape:
        raise ConfigError(
            f"Give the scores of the same samples (n_prompts, pool), not {picks.shape} and "
            f"{scores.shape}."
        )
    weights = selection_weights(picks.shape[1], sizes)
    found = np.empty((len(picks), len(sizes)))
    for row, (own, others) in enumerate(zip(picks, scores, strict=True)):
        # Samples that tie have the same chance, so that each may stand for their mean.
        _, group, counts = np.unique(own, return_inverse=True, return_counts=True)
        means = np.bincount(group, others) / counts
        found[row] = weights @ np.repeat(means, counts)
    return found


def make_best_of_n(
    proxy: str, scores: Mapping[str, ArrayLike], sizes: Sequence[int] | None = None, seed: int = 0
) -> BestOfN:
    """Computes the curves of a pool of samples, with intervals over prompts.

    Args:
        proxy: The name of the reward that picks.
        scores: (n_prompts, pool) of each reward by its name, the proxy's among them.
        sizes: The sizes n; by default the powers of two.
        seed: Seed of the bootstrap.
    """
    tables = {name: np.asarray(table, np.float64) for name, table in scores.items()}
    n_prompts, pool = tables[proxy].shape
    sizes = powers_of_two(pool) if sizes is None else tuple(sizes)
    curves = {}
    for name, table in tables.items():
        best = expected_best(tables[proxy], table, sizes)
        curves[name] = tuple(estimate_mean(values, seed=seed) for values in best.T)
    bounds = tuple(kl_bound(n) for n in sizes)
    return BestOfN(proxy, sizes, bounds, curves, n_prompts, pool)


def gain_of_best(proxy: ArrayLike, gold: ArrayLike, n: int, seed: int = 0) -> Estimate:
    """Estimates how much better the best of n is than a single sample, paired by prompt.

    The scores are as for `expected_best`.
    """
    best = expected_best(proxy, gold, (1, n))
    return estimate_gain(best[:, 1], best[:, 0], seed=seed)
