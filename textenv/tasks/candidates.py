"""Candidate replies: which texts are the same, which wrong ones to show, and in what order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from textenv.rewards.lexical.words import normalised


def shuffled(key: str, texts: Iterable[str]) -> tuple[str, ...]:
    """Orders different texts at random, but always alike for the same key, such as the prompt.

    Their order before does not matter, so a row that always lists the right text first gives
    nothing away.
    """
    return tuple(sorted(texts, key=lambda text: _digest(f"{key}\0{text}")))


def below(key: str, n: int) -> int:
    """Returns a number in 0 .. n - 1 that depends on the key alone, each about equally often."""
    return int.from_bytes(_digest(key)) % n


def pick_candidates(key: str, right: str, others: Iterable[str], n: int) -> tuple[str, ...]:
    """Returns the right text among at most n - 1 others, the first that differ, in random order.

    Args:
        key: Text that decides the order.
        right: The right text, which is always included.
        others: Wrong texts, the most important ones first.
        n: Maximum number of candidates.
    """
    kept = {normalised(right): right}
    for text in others:
        if len(kept) == n:
            break
        kept.setdefault(normalised(text), text)
    return shuffled(key, kept.values())


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
