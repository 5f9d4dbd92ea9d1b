"""Whether a gold metric is of another kind than the designs that it judges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from textenv.benchmark.wording import listed
from textenv.rewards.catalog import REWARDS

# Rewards that count what a text has in common with the references: words, letters, or edits.
_OVERLAP = frozenset(
    {
        *("rouge1", "rouge2", "rougeL", "rougeLsum", "bleu", "chrf", "chrf++", "ter"),
        *("edit_similarity", "exact_match", "token_f1", "substring_match", "turn_f1"),
    }
)


def counts_overlap(spec: Any) -> bool:
    """Tells whether a reward, or a part of it, counts what a text shares with the references."""
    return any(name in _OVERLAP for name in _names(spec))


def tell_of_shared_faults(designs: Mapping[str, Any], gold: Mapping[str, Any]) -> str:
    """Returns a sentence if all gold metrics count overlap as a design does; else nothing.

    Args:
        designs: Name -> reward.
        gold: Name -> metric.
    """
    alike = [name for name, spec in designs.items() if counts_overlap(spec)]
    if not alike or not all(counts_overlap(spec) for spec in gold.values()):
        return ""
    counts = "counts" if len(gold) == 1 else "count"
    return (
        f"All gold ({listed(list(gold))}) {counts} words in common with the references, as "
        f"{listed(alike)} {'does' if len(alike) == 1 else 'do'}, and may share "
        f"{'its' if len(alike) == 1 else 'their'} faults: add a metric of another kind, such as "
        "embedding_cosine or a judge, or ask people (textenv rewards sheet)."
    )


def _names(spec: Any) -> Iterator[str]:
    """Yields the names of rewards in a description."""
    if isinstance(spec, str):
        if spec in REWARDS:
            yield spec
    elif isinstance(spec, Mapping):
        for key, value in spec.items():
            yield from _names(key)
            yield from _names(value)
    elif isinstance(spec, list | tuple):
        for part in spec:
            yield from _names(part)
