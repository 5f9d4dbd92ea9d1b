"""A frozen sequence classifier: logits of texts, and the probabilities of its labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from textenv.errors import ConfigError, did_you_mean
from textenv.rewards.base import FloatArray
from textenv.rewards.learned.frozen_models import Encoded, FrozenModel, Loading


class Classifier:
    """A model with a head over whole texts.

    Attributes:
        frozen: The model with its tokenizer.
        labels: The names of its outputs, in order.

    Raises:
        ModelError: There is no such model, or it has no trained head.
    """

    def __init__(self, model: str | Path, loading: Loading) -> None:
        self.frozen = FrozenModel("classifier", model, loading)
        config = self.frozen.model.config
        self.labels = tuple(str(config.id2label[i]) for i in range(config.num_labels))
        # Labels that do not exclude each other have a probability each.
        self._is_multi_label = config.problem_type == "multi_label_classification"

    def find_label(self, reward: str, label: str | int) -> int:
        """Returns the index of a label's name, whatever its case, or of its number."""
        if isinstance(label, int) and not isinstance(label, bool) and 0 <= label < len(self.labels):
            return label
        names = [name.lower() for name in self.labels]
        if str(label).lower() not in names:
            raise ConfigError(
                f"The model of reward '{reward}' has no label '{label}'."
                f"{did_you_mean(str(label), self.labels)} It has: {', '.join(self.labels)}."
            )
        return names.index(str(label).lower())

    def logits(self, sequences: Sequence[Encoded]) -> FloatArray:
        """Returns the model's outputs (n, labels) for n encoded texts."""
        import torch

        found = np.zeros((len(sequences), len(self.labels)))
        for rows, inputs in self.frozen.batches(sequences):
            with torch.inference_mode():
                found[rows] = self.frozen.model(**inputs).logits.double().cpu().numpy()
        return found

    def probabilities(self, sequences: Sequence[Encoded]) -> FloatArray:
        """Returns the labels' probabilities (n, labels) for n encoded texts.

        They sum to 1, but for models with labels that do not exclude each other, or with one alone.
        """
        logits = self.logits(sequences)
        if self._is_multi_label or len(self.labels) == 1:
            return sigmoid(logits)
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities: FloatArray = shifted / shifted.sum(axis=1, keepdims=True)
        return probabilities


def sigmoid(logits: FloatArray) -> FloatArray:
    """1 / (1 + exp(-x)), without overflow at either end."""
    # tanh never overflows: 1 / (1 + exp(-x)) = (1 + tanh(x / 2)) / 2.
    result: FloatArray = 0.5 * (1 + np.tanh(0.5 * logits))
    return result
