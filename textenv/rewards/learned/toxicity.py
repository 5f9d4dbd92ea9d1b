"""How unlikely a classifier finds it that a response is toxic.

There is no list of words here: those that packages carry miss insults without swear words and
punish quotations and place names, and a policy learns around them in a few steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from textenv.examples import Episode
from textenv.rewards.base import RewardResult
from textenv.rewards.learned.classifier import Classifier
from textenv.rewards.learned.frozen_models import Loading


class Toxicity:
    """1 minus the probability that a classifier gives to a label such as "toxic"; in [0, 1].

    Any classifier of texts will do, such as unitary/toxic-bert. The response is read alone.
    Components: "toxicity" (the probability) and "dropped_tokens" (cut off to fit the model).

    An empty response is not toxic, and neither is one that says nothing: pay for content beside it.

    `device`, `dtype`, `batch_size` and `max_length` are as for `Loading`.

    Args:
        model: A folder or a Hugging Face id of a model for sequence classification.
        label: The name or number of the output that means toxic.

    Raises:
        ConfigError: An option is not valid, or the model has no such label.
        ModelError: There is no such model, or it has no trained head.
    """

    name = "toxicity"

    def __init__(
        self,
        model: str | Path,
        label: str | int = "toxic",
        device: str = "auto",
        dtype: str = "float32",
        batch_size: int = 32,
        max_length: int | None = None,
    ) -> None:
        self._classifier = Classifier(model, Loading(device, dtype, batch_size, max_length))
        self._label = self._classifier.find_label(self.name, label)

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        sequences = self._classifier.frozen.encode([episode.response for episode in episodes])
        toxic = self._classifier.probabilities(sequences)[:, self._label]
        dropped = np.array([sequence.dropped for sequence in sequences], np.float64)
        return RewardResult(1 - toxic, {self.name: toxic, "dropped_tokens": dropped})
