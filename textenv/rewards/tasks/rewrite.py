"""The reward of a rewritten text: every constraint checked, and the content preserved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import ClassVar

import numpy as np

from textenv.examples import Episode
from textenv.rewards.base import RewardResult
from textenv.rewards.lexical.best_over_references import references_of
from textenv.rewards.lexical.rouge import rouge_l
from textenv.rewards.lexical.words import find_words, tokens
from textenv.rewards.style.inflection import contains, phrase_of
from textenv.rewards.style.writing import glue, variety
from textenv.rewards.verifiable.constraints import check_all

Edit = tuple[int, str]

_COPIED = 0.2  # what is left of a text that has no words of its own
_ADDED = 0.4  # share of a reference's new pairs of words that is enough


@lru_cache(maxsize=1 << 12)
def edits_between(source: str, target: str) -> frozenset[Edit]:
    """Returns the fewest edits of single tokens that make one text of another.

    An edit is (position in the source, token that replaces the one there), with "" for a token left
    out, and "+ token" for one that comes in before it. Of equal tokens in a row, it is always the
    first that is left out.
    """
    from rapidfuzz.distance import Levenshtein

    before, after = tokens(source, lower=False), tokens(target, lower=False)
    edits: set[Edit] = set()
    for op in Levenshtein.editops(before, after):
        at = op.src_pos
        if op.tag == "delete":
            while at and before[at - 1] == before[at] and (at - 1, "") not in edits:
                at -= 1
            edits.add((at, ""))
        else:
            token = after[op.dest_pos]
            edits.add((at, token if op.tag == "replace" else f"+ {token}"))
    return frozenset(edits)


@dataclass(frozen=True)
class Rewrite:
    """How well a text was rewritten; in [0, 1]: "constraints" x "content".

    With constraints in the metadata, "constraints" is the product of how far each is met (see
    `textenv.rewards.verifiable.constraints`). Content is then what the constraint checks of it, the
    values in the JSON object, say. For constraints on style alone it is the product of

    - the share of the phrases in the metadata "keep" that are there;
    - 0.5 + 0.5 ROUGE-L;
    - 0.2 + 0.8 "added", the share of the pairs of words that are new in a reference; two fifths are
      enough. This is the part of SARI that pays for new words (Xu et al., "Optimizing Statistical
      Machine Translation for Text Simplification", 2016);
    - guards against lists, repetition and length.

    Without constraints, "constraints" is the share of a reference's edits of the source that were
    made, and "content" the closeness to that reference, token by token; the best over the
    references counts.

    Further components: "satisfied" (1 if every constraint is met in full, else 0).

    Copying the source scores 0 wherever something had to change, and so do an empty text and a
    bare list of what is to be kept. The source cut into short sentences, without the words to
    avoid, adds nothing, and earns less than a third. What it does not resist: facts other than
    those to keep that are changed in a text close to the reference.
    """

    name: ClassVar[str] = "rewrite"

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        overlap = rouge_l()(episodes).total
        pairs = np.zeros((len(episodes), 2))
        for i, episode in enumerate(episodes):
            if episode.response.strip():
                pairs[i] = self._parts(episode, float(overlap[i]))
        met, content = pairs.T
        satisfied = (met == 1).astype(np.float64)
        return RewardResult(
            met * content, {"constraints": met, "content": content, "satisfied": satisfied}
        )

    def _parts(self, episode: Episode, overlap: float) -> tuple[float, float]:
        example, response = episode.example, episode.response
        references = references_of(episode, self.name)
        constraints = example.metadata.get("constraints", ())
        if not constraints:
            scored = [_as_edited(example.prompt, response, one) for one in references]
            return max(scored, key=lambda pair: pair[0] * pair[1])
        checked = check_all(response, constraints)
        met = math.prod(one.met for one in checked)
        contents = [one.content for one in checked if one.content is not None]
        if contents:
            return met, sum(contents) / len(contents)
        words = find_words(response)
        keep = example.metadata.get("keep", ())
        kept = [contains(words, phrase_of(phrase)) for phrase in keep]
        longest = max(len(find_words(reference)) for reference in references)
        given = {word for phrase in keep for word in phrase_of(phrase)}
        form = variety(words) * glue(words, given) * min(1.0, 1.5 * longest / max(1, len(words)))
        added = _COPIED + (1 - _COPIED) * _added(example.prompt, response, references)
        return met, form * (sum(kept) / len(kept) if kept else 1.0) * (0.5 + 0.5 * overlap) * added


def _added(source: str, response: str, references: Sequence[str]) -> float:
    """1 if the response has two fifths of the pairs of words that are new in a reference."""
    said, old = _word_pairs(response), _word_pairs(source)
    shares = [
        len(said & new) / len(new) if (new := _word_pairs(reference) - old) else 1.0
        for reference in references
    ]
    return min(1.0, max(shares) / _ADDED)


@lru_cache(maxsize=1 << 12)
def _word_pairs(text: str) -> frozenset[tuple[str, str]]:
    return frozenset(pairwise(find_words(text)))


def _as_edited(source: str, response: str, reference: str) -> tuple[float, float]:
    """Returns the share of a reference's edits that were made, and the closeness to it."""
    from rapidfuzz.distance import Indel

    wanted = edits_between(source, reference)
    made = len(wanted & edits_between(source, response)) / len(wanted) if wanted else 1.0
    said, wished = tokens(response, lower=False), tokens(reference, lower=False)
    return made, float(Indel.normalized_similarity(said, wished))
