"""How far the lexical rewards are from the packages and rules that they repeat."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.reward_peers import (
    BLEU_OF_CHINESE,
    MEASURES,
    PEERS,
    ROUGE,
    Peer,
    Scores,
    has_wide,
    rouge_scores,
    set_answer_apart,
    set_apart,
)
from benchmarks.reward_texts import TextSet, break_sentences
from textenv.rewards import score
from textenv.rewards.loading import RewardSpec


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

    Ours get the texts as they are; peers get those with Chinese set apart by characters, since they
    know words alone. TER's peer takes up to a second for a response, and scores the first of each
    row alone.
    """
    yield from _measure_rouge(texts, ROUGE)
    yield from _measure_rouge(break_sentences(texts), ("rougeLsum",))
    for name, peer in PEERS.items():
        if name not in ROUGE:
            yield _measure(name, peer, texts.take_first() if name == "ter" else texts)


def _measure_rouge(texts: TextSet, names: tuple[str, ...]) -> Iterator[Agreement]:
    for stem in (False, True):
        theirs = rouge_scores(texts.responses, texts.references, names, stem)
        for name in names:
            for measure in MEASURES:
                label = " ".join([name, *(["stem"] if stem else []), measure])
                spec = {name: {"stem": stem, "measure": measure}}
                yield _compare(label, "rouge-score", texts, theirs[name, measure], spec)


def _measure(name: str, peer: Peer, texts: TextSet) -> Agreement:
    answers = name in ("exact_match", "token_f1")
    prepare = set_answer_apart if answers else set_apart
    responses = tuple(map(prepare, texts.responses))
    references = tuple(tuple(map(prepare, group)) for group in texts.references)
    if name == "bleu":
        # Its tokenizer depends on the references' script.
        chinese = np.array([any(map(has_wide, group)) for group in texts.references])
        theirs = np.where(
            chinese,
            BLEU_OF_CHINESE(responses, references),
            peer(texts.responses, texts.references),
        )
    else:
        theirs = peer(responses, references)
    return _compare(name, "SQuAD's rules" if answers else "sacrebleu", texts, theirs, name)


def _compare(label: str, peer: str, texts: TextSet, theirs: Scores, spec: RewardSpec) -> Agreement:
    ours = score(spec, texts.responses, texts.references).total
    return Agreement(
        label,
        peer,
        texts.name,
        texts.n_rows,
        len(texts.responses),
        float(theirs.mean()),
        float(np.abs(ours - theirs).max()),
    )
