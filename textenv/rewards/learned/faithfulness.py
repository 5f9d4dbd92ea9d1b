"""Whether a response says only what its source says, by natural language inference.

Every sentence of the response is a hypothesis. Its premise is the source, cut into passages of
whole sentences that fit the model beside it; the passage that supports it most counts.

Paper: Laban et al., "SummaC: Re-Visiting NLI-based Models for Inconsistency Detection in
Summarization" (2022), whose zero-shot form this is, with passages in the place of sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from textenv.errors import ModelError, RewardError
from textenv.examples import Episode
from textenv.rewards.base import RewardResult
from textenv.rewards.learned.classifier import Classifier
from textenv.rewards.learned.frozen_models import Loading
from textenv.rewards.options import check_choice
from textenv.rewards.style.writing import split_sentences

_OVER = ("mean", "min")


class NliFaithfulness:
    """How far the source entails the sentences of the response, by an NLI model; in [0, 1].

    The total is the mean of the sentences' probabilities of entailment, or the least of them. An
    empty response states nothing, and gets 0. Components: "weakest" (the least probability),
    "sentences" (how many) and "dropped_tokens" (of sentences too long for the model).

    Not resisted: a copy of the source is faithful, and so is one safe sentence of it. Pay for
    coverage or brevity beside it.

    `device`, `dtype` and `batch_size` are as for `Loading`.

    Args:
        model: A folder or a Hugging Face id of a classifier of (premise, hypothesis).
        label: The name or number of the output that means entailment; None for the one whose
            name begins with "entail".
        source: The key of the metadata that holds the source; the prompt, where an example has
            no such key.
        over: "mean" or "min" over the sentences of a response.
        max_length: Maximum number of tokens of a passage with a sentence; None for as many as
            the model takes.

    Raises:
        ConfigError: An option is not valid.
        ModelError: There is no such model, or none of its labels is entailment.
    """

    name = "nli_faithfulness"

    def __init__(
        self,
        model: str | Path,
        label: str | int | None = None,
        source: str = "context",
        over: str = "mean",
        device: str = "auto",
        dtype: str = "float32",
        batch_size: int = 32,
        max_length: int | None = None,
    ) -> None:
        check_choice(self.name, "over", over, _OVER)
        self._classifier = Classifier(model, Loading(device, dtype, batch_size, max_length))
        if label is None:
            label = _entailment_of(self._classifier.labels)
        self._label = self._classifier.find_label(self.name, label)
        self._source = source
        self._over = over

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        frozen = self._classifier.frozen
        sentences = [split_sentences(episode.response) for episode in episodes]
        sources = [_source_of(episode, self._source) for episode in episodes]
        parts = {source: self._count([source, *split_sentences(source)]) for source in set(sources)}
        premises, hypotheses, owners = [], [], []
        for i, source in enumerate(sources):
            for k, (sentence, n_tokens) in enumerate(self._count(sentences[i])):
                for passage in self._passages(parts[source], n_tokens):
                    premises.append(passage)
                    hypotheses.append(sentence)
                    owners.append((i, k))
        encoded = frozen.encode(premises, hypotheses)
        entailed = self._classifier.probabilities(encoded)[:, self._label]
        support = [np.zeros(len(of_episode)) for of_episode in sentences]
        dropped = np.zeros(len(episodes))
        for (i, k), probability, sequence in zip(owners, entailed, encoded, strict=True):
            support[i][k] = max(support[i][k], probability)
            dropped[i] += sequence.dropped
        weakest = np.array([found.min() if len(found) else 0.0 for found in support])
        mean = np.array([found.mean() if len(found) else 0.0 for found in support])
        counts = np.array([len(found) for found in support], np.float64)
        components = {"weakest": weakest, "sentences": counts, "dropped_tokens": dropped}
        return RewardResult(mean if self._over == "mean" else weakest, components)

    def _passages(self, parts: Sequence[tuple[str, int]], n_tokens: int) -> list[str]:
        """Cuts a source into as few passages as fit the model beside a sentence of so many tokens.

        `parts` holds the whole source, then each of its sentences, with their numbers of tokens.
        """
        frozen = self._classifier.frozen
        n_special = frozen.tokenizer.num_special_tokens_to_add(pair=True)
        # A sentence that leaves the source less than half of the window is cut itself.
        room = max(frozen.max_length - n_special - n_tokens, frozen.max_length // 2)
        (source, n_source), *rest = parts
        if n_source <= room:
            return [source]
        passages: list[str] = []
        used = room
        for part, n_part in rest:
            if passages and used + n_part <= room:
                passages[-1] += f" {part}"
                used += n_part
            else:
                passages.append(part)
                used = n_part
        return passages

    def _count(self, texts: Sequence[str]) -> list[tuple[str, int]]:
        """Returns each text with its number of tokens."""
        if not texts:
            return []
        frozen = self._classifier.frozen
        plain = [frozen.plain(text) for text in texts]
        ids = frozen.tokenizer(plain, add_special_tokens=False, verbose=False)["input_ids"]
        return [(text, len(of_text)) for text, of_text in zip(texts, ids, strict=True)]


def _entailment_of(labels: Sequence[str]) -> str:
    found = [label for label in labels if label.lower().startswith("entail")]
    if len(found) != 1:
        raise ModelError(
            f"No label of the NLI model is named entailment: {', '.join(labels)}. Give the option "
            "'label', or a model of natural language inference."
        )
    return found[0]


def _source_of(episode: Episode, key: str) -> str:
    source = episode.example.metadata.get(key, episode.example.prompt)
    if not isinstance(source, str) or not source.strip():
        raise RewardError(
            f"Reward 'nli_faithfulness' compares with a source, and example '{episode.example.id}' "
            f"has neither a text '{key}' in its metadata nor a prompt. Name its column in the "
            "option 'source', or choose another reward."
        )
    return source
