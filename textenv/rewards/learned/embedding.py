"""Closeness in meaning: the cosine of sentence embeddings.

An embedding is pooled from the encoder's last layer and scaled to length 1. How it is pooled, and
how many tokens are read, is what the model's folder says in the files of sentence-transformers, so
that package's embeddings are met to 1e-5 without it.

Paper: Reimers and Gurevych, "Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks"
(2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from textenv.errors import ModelError
from textenv.examples import Episode
from textenv.hub import offline_if_unreachable
from textenv.plain_json import load_json
from textenv.rewards.base import RewardResult
from textenv.rewards.learned.encoders import RecentTexts, hidden_states
from textenv.rewards.learned.frozen_models import MINILM, FrozenModel, Loading
from textenv.rewards.lexical.best_over_references import references_of
from textenv.rewards.options import check_choice

if TYPE_CHECKING:
    from torch import Tensor

_POOLINGS = {
    "mean": "pooling_mode_mean_tokens",
    "cls": "pooling_mode_cls_token",
    "last": "pooling_mode_lasttoken",
}
# What a pipeline of sentence-transformers may hold without changing a cosine.
_KNOWN_MODULES = {"Transformer", "Pooling", "Normalize"}
_N_REFERENCES = 8192  # remembered; some 2 KB each


class EmbeddingCosine:
    """Cosine of the sentence embeddings of response and reference, the best over them; in [0, 1].

    A negative cosine counts as 0. An empty text has no meaning to be close to: it gets 0.
    Components: "cosine" (as it is, in [-1, 1]) and "dropped_tokens" (of the response).

    Not resisted: a negated sentence is close to the sentence, and the reference with more around it
    stays close to it. Text beyond the model's window (256 tokens for "minilm") is not seen.

    `device`, `dtype` and `batch_size` are as for `Loading`.

    Args:
        model: A folder, a Hugging Face id, or "minilm" (all-MiniLM-L6-v2, which comes with
            `textenv[semantic]`).
        pooling: "mean" of the tokens, the first one ("cls"), or the "last" one; None for what
            the model's own files say, and the mean if they say nothing.
        prefix: Text that the model expects before every text, such as "query: " for E5.
        max_length: Maximum number of tokens of a text; None for what the model's own files say.

    Raises:
        ConfigError: An option is not valid.
        ModelError: There is no such model, or it pools in a way that is not known here.
    """

    name = "embedding_cosine"

    def __init__(
        self,
        model: str | Path = MINILM,
        pooling: str | None = None,
        prefix: str = "",
        device: str = "auto",
        dtype: str = "float32",
        batch_size: int = 32,
        max_length: int | None = None,
    ) -> None:
        if pooling is not None:
            check_choice(self.name, "pooling", pooling, _POOLINGS)
        self._frozen = FrozenModel("encoder", model, Loading(device, dtype, batch_size, max_length))
        source = self._frozen.source
        self._pooling = pooling or _pooling_of(source)
        window = _read(source, "sentence_bert_config.json").get("max_seq_length")
        if max_length is None and isinstance(window, int):
            self._frozen.max_length = min(self._frozen.max_length, window)
        self._prefix = prefix
        self._references: RecentTexts[Tensor] = RecentTexts(_N_REFERENCES)

    def embed(self, texts: Sequence[str]) -> tuple[Tensor, list[int]]:
        """Returns the embeddings (n, hidden) of n texts, and how many tokens each lost."""
        import torch

        encoded = self._frozen.encode([self._prefix + text for text in texts])
        width = self._frozen.model.config.get_text_config().hidden_size
        found = torch.zeros(len(texts), width)
        for rows, states, mask in hidden_states(self._frozen, encoded):
            pooled = _pool(states, mask, self._pooling)
            found[rows] = torch.nn.functional.normalize(pooled, dim=-1).cpu()
        return found, [sequence.dropped for sequence in encoded]

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        references = [references_of(episode, self.name) for episode in episodes]
        known = self._references.look_up(
            [text for texts in references for text in texts], lambda texts: [*self.embed(texts)[0]]
        )
        said, dropped = self.embed([episode.response for episode in episodes])
        cosine = np.zeros(len(episodes))
        for i, episode in enumerate(episodes):
            texts = [text for text in references[i] if text.strip()]
            if texts and episode.response.strip():
                cosine[i] = max(float(known[text] @ said[i]) for text in texts)
        cosine = np.clip(cosine, -1.0, 1.0)
        components = {"cosine": cosine, "dropped_tokens": np.array(dropped, np.float64)}
        return RewardResult(np.maximum(cosine, 0.0), components)


def _pool(states: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """Pools (n, time, hidden) states of right-padded texts to (n, hidden)."""
    if pooling == "cls":
        return states[:, 0]
    lengths = mask.sum(dim=1)
    if pooling == "last":
        return states[range(len(states)), lengths - 1]
    return (states * mask[:, :, None]).sum(dim=1) / lengths[:, None]


def _pooling_of(source: str) -> str:
    """Returns how a model's own files say that it pools."""
    kinds = [str(m.get("type", "")).rpartition(".")[2] for m in _read(source, "modules.json", [])]
    unknown = set(kinds) - _KNOWN_MODULES
    if not unknown:
        given = _read(source, "1_Pooling/config.json")
        modes = [
            name for name, value in given.items() if name.startswith("pooling_mode_") and value
        ]
        named = [name for name, key in _POOLINGS.items() if key in modes]
        if not given:
            return "mean"
        if len(modes) == len(named) == 1:
            return named[0]
    raise ModelError(
        f"The sentence embeddings of '{source}' are made in a way that is not known here "
        f"({', '.join(sorted(unknown)) or 'its pooling'}). Give the option 'pooling' "
        f"({', '.join(_POOLINGS)}), or another model."
    )


def _read(source: str, file: str, default: Any = None) -> Any:
    """Reads one of sentence-transformers' files beside a model, where there is one."""
    from transformers.utils.hub import cached_file

    with offline_if_unreachable(source):
        path = cached_file(
            source,
            file,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
    if path is None:
        return {} if default is None else default
    return load_json(Path(path).read_text(encoding="utf-8"))
