"""Differences between the lexical rewards and the packages and rules that they repeat."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import sacrebleu
from numpy.typing import NDArray
from rouge_score import rouge_scorer
from rouge_score.tokenizers import DefaultTokenizer

from benchmarks.reward_texts import TextSet, break_sentences
from textenv.rewards import score
from textenv.rewards.loading import RewardSpec

Scores = NDArray[np.float64]
References = Sequence[Sequence[str]]
Peer = Callable[[Sequence[str], References], Scores]

ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")
MEASURES = ("fmeasure", "precision", "recall")


def _is_wide(character: str) -> bool:
    """Tells a letter or digit of Chinese, Japanese or Korean, by Unicode's width."""
    return character.isalnum() and unicodedata.east_asian_width(character) in "WF"


def has_wide(text: str) -> bool:
    """Tells whether a text holds a letter or digit of Chinese, Japanese or Korean."""
    return not text.isascii() and any(map(_is_wide, text))


def set_apart(text: str) -> str:
    """Sets a space on both sides of each wide letter: what goes to packages that know words."""
    return "".join(f" {c} " if _is_wide(c) else c for c in text)


class CharacterTokenizer:
    """rouge-score's own tokenizer, between wide letters, each of which is a word."""

    def __init__(self, stem: bool) -> None:
        self._between = DefaultTokenizer(use_stemmer=stem)

    def tokenize(self, text: str) -> list[str]:
        """Splits a text."""
        if not has_wide(text):
            return list(self._between.tokenize(text))
        found: list[str] = []
        for piece in set_apart(text.lower()).split():
            found += [piece] if has_wide(piece) else self._between.tokenize(piece)
        return found


def rouge_scores(
    responses: Sequence[str],
    references: References,
    names: Sequence[str] = ROUGE,
    stem: bool = False,
) -> dict[tuple[str, str], Scores]:
    """Returns rouge-score's scores of each type and measure, the best over the references."""
    scorer = rouge_scorer.RougeScorer(names, tokenizer=CharacterTokenizer(stem))
    found: dict[tuple[str, str], list[float]] = {(n, m): [] for n in names for m in MEASURES}
    for response, group in zip(responses, references, strict=True):
        scores = [scorer.score(reference, response) for reference in group]
        for name, measure in found:
            found[name, measure].append(max(getattr(s[name], measure) for s in scores))
    return {key: np.array(values) for key, values in found.items()}


def _by_row(score_one: Callable[[str, Sequence[str]], float]) -> Peer:
    def score_all(responses: Sequence[str], references: References) -> Scores:
        pairs = zip(responses, references, strict=True)
        return np.array([score_one(text, group) for text, group in pairs])

    return score_all


def _rouge(name: str) -> Peer:
    scorer = rouge_scorer.RougeScorer([name])
    return _by_row(lambda text, group: scorer.score_multi(group, text)[name].fmeasure)


def _sacrebleu(name: str, **options: object) -> Peer:
    function = getattr(sacrebleu, f"sentence_{name}")
    return _by_row(lambda text, group: function(text, group, **options).score / 100)


def _normalise_answer(text: str) -> str:
    """Lower case, no punctuation, no articles, single spaces: the rules of SQuAD's script."""
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def _exact(response: str, reference: str) -> float:
    return float(_normalise_answer(response) == _normalise_answer(reference))


def _f1(response: str, reference: str) -> float:
    said, wanted = _normalise_answer(response).split(), _normalise_answer(reference).split()
    if not said or not wanted:
        return float(said == wanted)
    shared = sum((Counter(said) & Counter(wanted)).values())
    if not shared:
        return 0.0
    precision, recall = shared / len(said), shared / len(wanted)
    return 2 * precision * recall / (precision + recall)


def _ter(response: str, references: Sequence[str]) -> float:
    return float(max(0.0, 1.0 - sacrebleu.sentence_ter(response, references).score / 100))


PEERS: dict[str, Peer] = {
    **{name: _rouge(name) for name in ROUGE},
    "bleu": _sacrebleu("bleu"),
    "chrf": _sacrebleu("chrf"),
    "chrf++": _sacrebleu("chrf", word_order=2),
    "ter": _by_row(_ter),
    "exact_match": _by_row(lambda text, group: max(_exact(text, other) for other in group)),
    "token_f1": _by_row(lambda text, group: max(_f1(text, other) for other in group)),
}
BLEU_OF_CHINESE = _sacrebleu("bleu", tokenize="zh")


def set_answer_apart(text: str) -> str:
    """Prepares an answer with wide letters: apart, and without the marks that SQuAD knows not."""
    if not has_wide(text):
        return text
    return set_apart("".join(c for c in text if not unicodedata.category(c).startswith("P")))


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
