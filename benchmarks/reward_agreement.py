"""How far the lexical rewards are from the packages and rules that they repeat."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.reward_peers import (
    BLEU_OF_CHINESE,
    MEASURES,
    PEERS,
    ROUGE,
    Peer,
    Scores,
    drop_punctuation,
    rouge_scores,
    set_apart,
)
from benchmarks.reward_texts import TextSet, break_sentences
from textenv.rewards import score
from textenv.rewards.words import has_cjk


@dataclass(frozen=True)
class Agreement:
    """One reward beside its peer on one set of texts.

    Attributes:
        reward: The reward, with its options.
        peer: The package or rules.
        texts: The set.
        n_rows: Its rows.
        n_responses: How many responses were scored.
        mean: The mean score, which tells that there was something to agree on.
        largest_difference: Over all responses.
    """

    reward: str
    peer: str
    texts: str
    n_rows: int
    n_responses: int
    mean: float
    largest_difference: float


def measure_agreement(texts: TextSet) -> Iterator[Agreement]:
    """Compares every lexical reward that has a peer, on every response of a set.

    TER's peer takes up to a second for a response, and scores the first of each row alone.
    """
    wide = any(has_cjk(reference) for group in texts.references for reference in group)
    yield from _measure_rouge(texts, wide)
    yield from _measure_rouge(break_sentences(texts), wide, names=("rougeLsum",))
    peers = {name: peer for name, peer in PEERS.items() if name not in ROUGE}
    for name, peer in peers.items():
        chosen = texts.take_first() if name == "ter" else texts
        if wide:
            yield from _measure_wide(name, peer, chosen)
        else:
            yield _compare(name, _source(name), chosen, peer(chosen.responses, chosen.references))


def _measure_rouge(
    texts: TextSet, wide: bool, names: tuple[str, ...] = ROUGE
) -> Iterator[Agreement]:
    for stem in (False, True):
        if wide and stem:  # rouge-score's own tokenizer, which alone stems, sees no Chinese
            return
        theirs = rouge_scores(texts.responses, texts.references, names, stem, wide)
        for name in names:
            for measure in MEASURES:
                options = {"stem": stem, "measure": measure}
                label = " ".join([name, *(["stem"] if stem else []), measure])
                yield _compare(label, "rouge-score", texts, theirs[name, measure], {name: options})


def _measure_wide(name: str, peer: Peer, texts: TextSet) -> Iterator[Agreement]:
    """Gives the peer text whose characters are set apart; ours sets them apart itself."""
    prepare: Callable[[str], str] = set_apart
    if name in ("exact_match", "token_f1"):
        prepare = _without_marks
    responses = tuple(map(prepare, texts.responses))
    references = tuple(tuple(map(prepare, group)) for group in texts.references)
    theirs = peer(responses, references)
    if name == "bleu":
        by_characters = np.array([any(map(has_cjk, group)) for group in texts.references])
        theirs = np.where(by_characters, BLEU_OF_CHINESE(responses, references), theirs)
    yield _compare(name, _source(name), texts, theirs)


def _without_marks(text: str) -> str:
    return set_apart(drop_punctuation(text))


def _source(name: str) -> str:
    return "SQuAD's rules" if name in ("exact_match", "token_f1") else "sacrebleu"


def _compare(
    label: str, peer: str, texts: TextSet, theirs: Scores, spec: Any | None = None
) -> Agreement:
    ours = score(label if spec is None else spec, texts.responses, texts.references).total
    return Agreement(
        label,
        peer,
        texts.name,
        texts.n_rows,
        len(texts.responses),
        float(theirs.mean()),
        float(np.abs(ours - theirs).max()),
    )
