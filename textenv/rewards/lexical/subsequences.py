"""Longest common subsequences of words: which words they hold, and their union over sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache

from textenv.errors import RewardError

# 1 GiB: two lines of 90,000 words.
_MOST_BITS = 2**33


def common_length(first: Sequence[str], second: Sequence[str]) -> int:
    """Returns the length of the longest common subsequence."""
    return _load_similarity()(first, second)


@cache
def _load_similarity() -> Callable[[Sequence[str], Sequence[str]], int]:
    # Kept, since an import takes as long as comparing two sentences.
    from rapidfuzz.distance.LCSseq import similarity

    return similarity


def union_hits(response: Sequence[Sequence[str]], reference: Sequence[Sequence[str]]) -> int:
    """Counts the words of a reference's sentences that are common to those of a response.

    A word of a reference's sentence is common if it is in the longest common subsequence with any
    sentence of the response (Lin 2004, section 3.2). Each counts at most as often as it stands in
    the response, as in ROUGE 1.5.5.

    Raises:
        RewardError: Two sentences are too long to be aligned in memory.
    """
    if len(response) == 1 and len(reference) == 1:
        return common_length(response[0], reference[0])
    left = Counter(word for sentence in response for word in sentence)
    # Equal sentences have equal subsequences; those without a word in common have none.
    sentences = {words: frozenset(words) for words in map(tuple, response)}
    hits = 0
    for target in reference:
        vocabulary = frozenset(target)
        union: set[int] = set()
        for words, held in sentences.items():
            if not vocabulary.isdisjoint(held):
                union.update(common_indices(target, words))
        for i in sorted(union):
            if left[target[i]]:
                left[target[i]] -= 1
                hits += 1
    return hits


def common_indices(first: Sequence[str], second: Sequence[str]) -> list[int]:
    """Returns the indices in `first` of one longest common subsequence, from the last to the first.

    Of several it is the one that rouge-score reads out: from both ends, a pair of equal words is
    taken; else the last word of `first` is dropped, unless only dropping that of `second` keeps the
    length. The table is built a row at a time as the bits of one number (Hyyrö, "Bit-parallel LCS-
    length computation revisited", 2004), 64 cells in about the time of one.

    Raises:
        RewardError: The table would not fit into memory.
    """
    if len(first) * len(second) > _MOST_BITS:
        raise RewardError(
            f"Reward 'rougeLsum' cannot align lines of {len(second):,} and {len(first):,} words: "
            "they are too long. Break them into lines of one sentence, or use 'rougeL'."
        )
    masks = bit_masks(first, second)
    everything, n_bytes = (1 << len(first)) - 1, len(first) // 8 + 1
    # Bit i of rows[j] is 0 where first[: i + 1] has a longer subsequence with second[:j] than
    # first[:i] has.
    row = everything
    rows = [row.to_bytes(n_bytes, "little")]
    for word in second:
        matched = row & masks[word]
        row = ((row + matched) | (row - matched)) & everything
        rows.append(row.to_bytes(n_bytes, "little"))
    found = []
    i, j = len(first), len(second)
    while i and j:
        if first[i - 1] == second[j - 1]:
            i, j = i - 1, j - 1
            found.append(i)
        elif has_bit(rows[j], i - 1):
            i -= 1
        else:
            j -= 1
    return found


def bit_masks(words: Sequence[str], sought: Iterable[str]) -> dict[str, int]:
    """Returns for each sought word a number whose bit i tells whether it is words[i]."""
    masks = {word: bytearray(len(words) // 8 + 1) for word in sought}
    for i, word in enumerate(words):
        if word in masks:
            masks[word][i >> 3] |= 1 << (i & 7)
    return {word: int.from_bytes(mask, "little") for word, mask in masks.items()}


def has_bit(row: bytes, i: int) -> int:
    """Tells whether bit i of a number's little-endian bytes is set, whatever its length."""
    return row[i >> 3] >> (i & 7) & 1
