"""BERTScore: every token is matched with the token of the other text that is closest in context.

With x_i the response's and y_j the reference's states, scaled to length 1, and special tokens
counting only as what others may be matched with:

    P = mean_i max_j x_i . y_j      R = mean_j max_i x_i . y_j      F1 = 2 P R / (P + R)

Paper: Zhang et al., "BERTScore: Evaluating Text Generation with BERT" (2020). Without its idf
weights and without its rescaling; the scores are those of the bert-score package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from textenv.examples import Episode
from textenv.rewards.base import RewardResult
from textenv.rewards.learned.encoders import RecentTexts, hidden_states
from textenv.rewards.learned.frozen_models import FrozenModel, Loading
from textenv.rewards.lexical.best_over_references import references_of

if TYPE_CHECKING:
    from torch import Tensor

_N_REFERENCES = 1024  # remembered; some 100 KB each


@dataclass(frozen=True)
class _States:
    """The tokens of one text."""

    states: Tensor  # (tokens, hidden), each of length 1
    counted: Tensor  # (tokens,) False for special tokens
    dropped: int  # number of tokens that were cut off


class BertScore:
    """F1 of tokens matched by their meaning in context, the best over references; in [0, 1].

    Components: "precision" and "recall" (against the reference with the best F1), and
    "dropped_tokens" (of the response). An empty text on either side gets 0.

    Scores of unrelated texts are high with most encoders (0.8 and more with RoBERTa), so normalise
    before adding other rewards. Not resisted: a negated sentence scores close to the sentence.

    `device`, `dtype`, `batch_size` and `max_length` are as for `Loading`.

    Args:
        model: A folder, a Hugging Face id, or "minilm".
        layer: Number of the layer whose states are compared, from 1; None for the last. The
            authors' choices are 17 for roberta-large, 9 for bert-base-uncased, and 40 for
            microsoft/deberta-xlarge-mnli.

    Raises:
        ConfigError: An option is not valid.
        ModelError: There is no such model.
    """

    name = "bertscore"

    def __init__(
        self,
        model: str | Path,
        layer: int | None = None,
        device: str = "auto",
        dtype: str = "float32",
        batch_size: int = 32,
        max_length: int | None = None,
    ) -> None:
        self._frozen = FrozenModel("encoder", model, Loading(device, dtype, batch_size, max_length))
        self._layer = layer
        self._references: RecentTexts[_States] = RecentTexts(_N_REFERENCES)
        self._states(["a"])  # a layer that is not there is told now

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        references = [references_of(episode, self.name) for episode in episodes]
        known = self._references.look_up(
            [text for texts in references for text in texts], self._states
        )
        said = self._states([episode.response for episode in episodes])
        scores = np.zeros((len(episodes), 3))
        for i, texts in enumerate(references):
            found = [_match(said[i], known[text]) for text in texts]
            scores[i] = max(found, key=lambda score: score[2])
        precision, recall, f1 = np.clip(scores, 0.0, 1.0).T
        dropped = np.array([states.dropped for states in said], np.float64)
        components = {"precision": precision, "recall": recall, "dropped_tokens": dropped}
        return RewardResult(f1, components)

    def _states(self, texts: Sequence[str]) -> list[_States]:
        import torch

        encoded = self._frozen.encode([text.strip() for text in texts])
        special = torch.tensor(self._frozen.tokenizer.all_special_ids)
        # What the model does not know is a token of the text all the same.
        special = special[special != (self._frozen.tokenizer.unk_token_id or -1)]
        found: dict[int, _States] = {}
        for rows, states, _ in hidden_states(self._frozen, encoded, self._layer):
            unit = torch.nn.functional.normalize(states, dim=-1)
            for row, i in enumerate(rows):
                ids = torch.tensor(encoded[i].ids)
                counted = ~torch.isin(ids, special)
                # A copy, so that the padded batch is not kept with it.
                kept = unit[row, : len(ids)].clone()
                found[i] = _States(kept, counted.to(kept.device), encoded[i].dropped)
        return [found[i] for i in range(len(texts))]


def _match(said: _States, reference: _States) -> tuple[float, float, float]:
    """Returns precision, recall and F1 of one pair of texts."""
    if not (said.counted.any() and reference.counted.any()):
        return 0.0, 0.0, 0.0
    cosines = said.states @ reference.states.T
    precision = float(cosines.max(dim=1).values[said.counted].mean())
    recall = float(cosines.max(dim=0).values[reference.counted].mean())
    both = precision + recall
    return precision, recall, 2 * precision * recall / both if both > 0 else 0.0
