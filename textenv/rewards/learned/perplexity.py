"""Fluency: how well a frozen language model foresees the tokens of a response."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from textenv.chat_templates import ChatTemplate
from textenv.errors import ModelError
from textenv.examples import Episode
from textenv.rewards.base import RewardResult
from textenv.rewards.learned.frozen_models import Encoded, FrozenModel, Loading
from textenv.tokenization import EMBEDDED


class Perplexity:
    """1 over the perplexity of the response under a frozen language model; in [0, 1].

    With n tokens y_1 ... y_n and the prompt x, where it is given, the total is
    exp(1/n sum_t log p(y_t given x, y_1 ... y_t-1)): the geometric mean of the tokens'
    probabilities, 1 over their number for a model that knows nothing. Components: "nats_per_token"
    (the logarithm of the perplexity) and "dropped_tokens" (beyond the model's window, not scored).
    An empty response gets 0, and as many nats as a blind guess.

    Not resisted: models foresee repetition, stock phrases and copies of the prompt best. Pay for
    content beside it.

    `device` and `dtype` are as for `Loading`.

    Args:
        model: A folder, a Hugging Face id, or "embedded": the small model that comes with the
            package, which knows the suite's own texts and is surprised by most others.
        given_prompt: Lets the model read the example's prompt before the response: in the
            tokenizer's chat template, or without one as plain text on a line of its own. A long
            one loses its beginning.
        batch_size: Texts of one pass. Memory grows with it times tokens times vocabulary.
        max_length: The most tokens of one text, with its prompt; None for as many as the model
            takes.

    Raises:
        ConfigError: An option is not valid.
        ModelError: There is no such model, or it has no token to begin with.
    """

    name = "perplexity"

    def __init__(
        self,
        model: str | Path = EMBEDDED,
        given_prompt: bool = False,
        device: str = "auto",
        dtype: str = "float32",
        batch_size: int = 8,
        max_length: int | None = None,
    ) -> None:
        loading = Loading(device, dtype, batch_size, max_length)
        self._frozen = FrozenModel("language model", model, loading)
        self._given_prompt = given_prompt
        tokenizer = self._frozen.tokenizer
        # Models without a mark of their own for the beginning were trained on texts after an end.
        start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
        if start is None:
            raise ModelError(f"The tokenizer of '{model}' has no token that begins a text.")
        self._start = int(start)

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        import torch
        from torch.nn.functional import cross_entropy

        vocabulary = self._frozen.model.config.get_text_config().vocab_size
        nats = np.full(len(episodes), np.log(vocabulary))
        said = np.zeros(len(episodes), np.bool_)
        sequences, n_scored = self._encode(episodes)
        for rows, inputs in self._frozen.batches(sequences):
            with torch.inference_mode():
                logits = self._frozen.model(**inputs, use_cache=False).logits
            for row, i in enumerate(rows):
                end = len(sequences[i].ids)
                if n_scored[i]:
                    first = end - n_scored[i]
                    targets = inputs["input_ids"][row, first:end]
                    nats[i] = cross_entropy(logits[row, first - 1 : end - 1].float(), targets)
                    said[i] = True
        dropped = np.array([sequence.dropped for sequence in sequences], np.float64)
        components = {"nats_per_token": nats, "dropped_tokens": dropped}
        return RewardResult(np.where(said, np.exp(-nats), 0.0), components)

    def _encode(self, episodes: Sequence[Episode]) -> tuple[list[Encoded], list[int]]:
        """Encodes the texts, and tells how many tokens of their ends are the response's."""
        sequences, n_scored = [], []
        for episode in episodes:
            response = self._ids(episode.response) if episode.response.strip() else []
            room = self._frozen.max_length - 1
            kept = response[:room]
            before: list[int] = []
            if self._given_prompt and len(kept) < room:
                before = self._prompt_ids(episode.example.prompt)[-(room - len(kept)) :]
            ids = [self._start, *before, *kept]
            sequences.append(Encoded(ids, None, len(response) - len(kept)))
            n_scored.append(len(kept))
        return sequences, n_scored

    def _prompt_ids(self, prompt: str) -> list[int]:
        tokenizer = self._frozen.tokenizer
        if not getattr(tokenizer, "chat_template", None):
            return self._ids(f"{prompt}\n")
        messages = [{"role": "user", "content": self._frozen.plain(prompt)}]
        rendered = ChatTemplate.of(tokenizer)(messages, add_generation_prompt=True)
        marked = rendered.removeprefix(tokenizer.bos_token or "")
        return list(tokenizer(marked, add_special_tokens=False, verbose=False)["input_ids"])

    def _ids(self, text: str) -> list[int]:
        plain = self._frozen.plain(text)
        encoded = self._frozen.tokenizer(plain, add_special_tokens=False, verbose=False)
        return list(encoded["input_ids"])
