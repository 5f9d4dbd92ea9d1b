"""Edit similarity: how few edits of characters make a response of a reference."""

from __future__ import annotations

from textenv.errors import RewardError
from textenv.rewards.lexical.best_over_references import BestOverReferences
from textenv.rewards.lexical.scripts import fold
from textenv.rewards.lexical.words import Rules, check_rules

# Two texts of a million characters each, half a minute.
_MOST_PAIRS = 10**12


def edit_similarity(rules: Rules = "unicode") -> BestOverReferences[str]:
    """1 less the edits of characters over the length of the longer text; in [0, 1].

    The edits are the Levenshtein distance (insertions, deletions, substitutions); white space at
    the ends does not count. As `rapidfuzz.distance.Levenshtein.normalized_similarity`.

    Paper: Levenshtein, "Binary codes capable of correcting deletions, insertions, and reversals"
    (1966).

    Args:
        rules: "unicode" to compare texts in one spelling (see the table of scripts), "reference" to
            compare them as they are.
    """
    check_rules("edit_similarity", rules)
    split = _folded if rules == "unicode" else str.strip
    return BestOverReferences("edit_similarity", split, _similarity)


def _folded(text: str) -> str:
    return text.strip() if text.isascii() else fold(text).strip()


def _similarity(response: str, reference: str) -> float:
    from rapidfuzz.distance.Levenshtein import normalized_similarity

    if len(response) * len(reference) > _MOST_PAIRS:
        raise RewardError(
            f"Reward 'edit_similarity' cannot compare {len(response):,} characters with "
            f"{len(reference):,}: it takes up to {_MOST_PAIRS:,} pairs. Shorten the texts, or "
            "choose a reward such as 'rouge1'."
        )
    return normalized_similarity(response, reference)
