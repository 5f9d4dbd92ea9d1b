"""Splits a batch of episodes into passes in which equal openings stand together."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from agents.policy.episode_batch import EpisodeBatch


def split_by_opening(batch: EpisodeBatch, rows: Tensor, max_tokens: int) -> Iterator[Tensor]:
    """Splits rows, longest first, into passes in which equal openings stand together.

    Args:
        batch: Episodes.
        rows: (n,) numbers of the episodes to split.
        max_tokens: Most tokens of a pass, with each opening once and padding included. A pass has
            at least one episode, however long.
    """
    if batch.openings is None:
        yield from batch.micro_batches(rows, max_tokens)
        return
    widths = batch.opening_lengths[rows].tolist()
    rests = (batch.lengths - batch.opening_lengths)[rows].tolist()
    families: dict[int, list[int]] = {}
    for place, opening in enumerate(batch.openings[rows].tolist()):
        families.setdefault(opening, []).append(place)
    bundles = []
    for places in families.values():
        width, longest = widths[places[0]], max(rests[place] for place in places)
        size = max(1, (max_tokens - width) // max(1, longest))
        bundles += [places[i : i + size] for i in range(0, len(places), size)]

    def n_tokens(together: list[list[int]]) -> int:
        """Tokens of a pass with these bundles."""
        text_width: int = max(widths[bundle[0]] for bundle in together)
        reply_width: int = max(rests[place] for bundle in together for place in bundle)
        n_replies = max(map(len, together))
        return len(together) * (text_width + n_replies * reply_width)

    bundles.sort(key=lambda bundle: -n_tokens([bundle]))
    together: list[list[int]] = []
    for bundle in bundles:
        if together and n_tokens([*together, bundle]) > max_tokens:
            yield rows[[place for one in together for place in one]]
            together = []
        together.append(bundle)
    yield rows[[place for one in together for place in one]]
