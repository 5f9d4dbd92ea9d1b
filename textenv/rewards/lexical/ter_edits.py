"""The edits of TER between two lists of words: Tercom's greedy search for moves of phrases.

The result is that of sacrebleu, faster. There, an alignment keeps within 25 words of the diagonal;
for the few texts whose best one does not, sacrebleu itself counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from textenv.rewards.lexical.subsequences import bit_masks, has_bit

# Of Tercom: the longest phrase that moves, and how far.
_MOST_WORDS = 10
_MOST_DISTANCE = 50
# Of sacrebleu: how many moves are tried in all, and half the width of its band.
_MOST_TRIALS = 1000
_BAND = 25

# Words are characters from here on: comparing strings is fastest.
_FIRST = 0x10000


class _BeyondBandError(Exception):
    """The best alignment leaves sacrebleu's band."""


def count_edits(response: Sequence[str], reference: Sequence[str]) -> int:
    """Returns the number of edits that make the reference of the response, moves included."""
    if not reference:
        return len(response)
    numbers = {word: i for i, word in enumerate(dict.fromkeys((*response, *reference)))}
    written, wanted = (
        "".join(chr(_FIRST + numbers[word]) for word in words) for words in (response, reference)
    )
    try:
        return _count(written, wanted)
    except _BeyondBandError:
        from sacrebleu.metrics.ter import TER

        # Words that no tokenizer changes: their numbers.
        texts = (" ".join(map(str, map(ord, words))) for words in (written, wanted))
        hypothesis, target = texts
        return int(TER(case_sensitive=True).sentence_score(hypothesis, [target]).num_edits)


def _count(written: str, wanted: str) -> int:
    trials = moves = 0
    while True:
        before = _distance(written, wanted)
        gain, moved, trials = _best_move(written, wanted, before, trials)
        if gain <= 0 or trials >= _MOST_TRIALS:
            return moves + before
        written = moved
        moves += 1


def _best_move(written: str, wanted: str, before: int, trials: int) -> tuple[int, str, int]:
    """Finds the move of a phrase after which the fewest edits remain, given those before it.

    Of equals it is that of the longest phrase, then the first, then to the first place. Returns by
    how many edits fewer remain, the text after the move, and the trials so far.
    """
    alignment = _align(written, wanted)
    places = alignment.places
    best: tuple[int, int, int, int] | None = None
    result = written
    # A phrase may stand at several places of the reference, and then moves alike.
    tried: set[tuple[int, int, int]] = set()
    for start, target, length in _shared_phrases(written, wanted):
        if not any(alignment.wrong_written[start : start + length]):
            continue
        if not any(alignment.wrong_wanted[target : target + length]):
            continue
        if start <= places[target] < start + length:
            continue
        last = -1
        for place in range(target - 1, target + length):
            to = 0 if place < 0 else places[place] + 1
            if to == last:
                continue
            last = to
            trials += 1
            if (start, length, to) in tried:
                continue
            tried.add((start, length, to))
            moved = _move(written, start, length, to)
            rank = (before - _distance(moved, wanted), length, -start, -to)
            if best is None or rank > best:
                _check_band(moved, wanted, before - rank[0])
                best, result = rank, moved
        if trials >= _MOST_TRIALS:
            break
    return (best[0] if best else 0), result, trials


def _shared_phrases(written: str, wanted: str) -> Iterator[tuple[int, int, int]]:
    """Yields (start in written, start in wanted, length) of equal phrases, in this order."""
    for start, word in enumerate(written):
        target = wanted.find(word, max(0, start - _MOST_DISTANCE), start + _MOST_DISTANCE + 1)
        while target >= 0:
            longest = min(_MOST_WORDS, len(written) - start, len(wanted) - target)
            for length in range(1, longest + 1):
                if written[start + length - 1] != wanted[target + length - 1]:
                    break
                yield start, target, length
            target = wanted.find(word, target + 1, start + _MOST_DISTANCE + 1)


def _move(words: str, start: int, length: int, to: int) -> str:
    """Moves a phrase before the word at `to`; within itself, past as many of the next words."""
    phrase, rest = words[start : start + length], words[:start] + words[start + length :]
    place = to if to <= start + length else to - length
    return rest[:place] + phrase + rest[place:]


def _distance(written: str, wanted: str) -> int:
    return _load_distance()(written, wanted)


@cache
def _load_distance() -> Callable[[str, str], int]:
    # Kept, since an import takes as long as comparing two sentences.
    from rapidfuzz.distance.Levenshtein import distance

    return distance


def _check_band(written: str, wanted: str, edits: int) -> None:
    """Raises if no alignment of so many edits may lie within the band.

    A path leaves the diagonal by half of its edits and of the lengths' difference at most; two
    words are for rounding and for the band's upper end.
    """
    if edits + abs(len(written) - len(wanted)) >= 2 * (_BAND - 2):
        _align(written, wanted)


@dataclass(frozen=True)
class _Alignment:
    """The edits that make one text of another, word by word."""

    places: list[int]  # of each wanted word: index of the written one at it, or the last before it
    wrong_wanted: list[bool]  # whether each wanted word is added or substituted
    wrong_written: list[bool]  # whether each written word is dropped or substituted


def _align(written: str, wanted: str) -> _Alignment:
    """Aligns two texts with the fewest edits; raises _BeyondBandError where that leaves the band.

    Of several alignments it is the one that, from the end, takes a pair where it can, else drops a
    written word, else adds a wanted one. Within the band it is that of sacrebleu: a cell on it has
    the same value there, and what would be taken before it would be taken here. The table of
    distances is built a row at a time as the bits of numbers (Hyyrö, "A bit-vector algorithm for
    computing Levenshtein and Damerau edit distances", 2003): bit j - 1 of row i stands for cell (i,
    j).
    """
    masks = bit_masks(wanted, written)
    everything, n_bytes = (1 << len(wanted)) - 1, len(wanted) // 8 + 1
    rises, falls = everything, 0  # where a cell is one more, or less, than that to its left
    kept, dropped = [], []
    for word in written:
        equal = masks[word]
        # Where a cell equals the one before it on the diagonal.
        diagonal = (((equal & rises) + rises) ^ rises) | equal | falls
        up = falls | ~(diagonal | rises)  # where a cell is one more than that above it
        down = diagonal & rises
        kept.append((diagonal & everything).to_bytes(n_bytes, "little"))
        dropped.append((up & everything).to_bytes(n_bytes, "little"))
        up, down = up << 1 | 1, down << 1
        rises = (down | ~(diagonal | up)) & everything
        falls = up & diagonal & everything
    i, j = len(written), len(wanted)
    places = [0] * j
    wrong_wanted, wrong_written = [True] * j, [True] * i
    slope = j / i if i else 1.0
    while i or j:
        if i and not -_BAND <= j - int(i * slope) < (_BAND if i < len(written) else j + 1):
            raise _BeyondBandError
        if not i:
            step = "add"
        elif not j:
            step = "drop"
        elif written[i - 1] == wanted[j - 1] or not has_bit(kept[i - 1], j - 1):
            step = "pair"
        else:
            step = "drop" if has_bit(dropped[i - 1], j - 1) else "add"
        if step == "drop":
            i -= 1
            continue
        j -= 1
        places[j] = i - 1
        if step == "pair":
            i -= 1
            wrong_wanted[j] = wrong_written[i] = written[i] != wanted[j]
    return _Alignment(places, wrong_wanted, wrong_written)
