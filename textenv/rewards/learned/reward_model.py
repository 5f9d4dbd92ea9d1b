"""Learned reward models: any sequence classifier that reads a prompt and a response.

Papers: Stiennon et al., "Learning to summarize from human feedback" (2020), for scalar heads; Gao
et al., "Scaling Laws for Reward Model Overoptimization" (2022), for what training against one does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from textenv.chat_templates import ChatTemplate
from textenv.errors import ConfigError
from textenv.examples import Episode
from textenv.rewards.base import RewardResult
from textenv.rewards.learned.classifier import Classifier, sigmoid
from textenv.rewards.learned.frozen_models import Encoded, Loading
from textenv.rewards.options import check_choice

_TEMPLATES = ("pair", "chat", "response")


class RewardModel:
    """What a sequence classifier says of the response to its prompt: a logit, or a probability.

    A model with one output gives that logit, without bounds, or its sigmoid in [0, 1]; one with
    several gives the probability of `label`, in [0, 1]. Components: "reward_model" (the total),
    "logit" (as the model gave it) and "dropped_tokens" (cut off to fit the model).

    A learned model can be over-optimised: hold a metric out of the training that it does not see.

    `device`, `dtype` and `batch_size` are as for `Loading`.

    Args:
        model: A folder or a Hugging Face id of a model for sequence classification.
        label: Name or number of the output whose probability is paid. Needed for a model with
            several outputs, and refused for a model with one.
        template: Text that the model reads: "pair", the example's prompt and the response as
            two texts; "chat", every turn of the conversation in the tokenizer's chat template;
            "response", that alone. None: "chat" where the tokenizer has a template, or "pair".
        sigmoid: Whether a model with one output pays 1 / (1 + exp(-logit)).
        max_length: Maximum number of tokens of a conversation; None for as many as the model
            takes. A longer one loses its end; of a pair, the longer text does.

    Raises:
        ConfigError: An option is not valid for this model.
        ModelError: There is no such model, or it has no trained head.
    """

    name = "reward_model"

    def __init__(
        self,
        model: str | Path,
        label: str | int | None = None,
        template: str | None = None,
        sigmoid: bool = False,
        device: str = "auto",
        dtype: str = "float32",
        batch_size: int = 32,
        max_length: int | None = None,
    ) -> None:
        if template is not None:
            check_choice(self.name, "template", template, _TEMPLATES)
        loading = Loading(device, dtype, batch_size, max_length)
        self._classifier = Classifier(model, loading)
        labels = self._classifier.labels
        if len(labels) == 1 and label is not None:
            raise ConfigError(f"'{model}' has one output: give reward '{self.name}' no 'label'.")
        if len(labels) > 1 and (label is None or sigmoid):
            raise ConfigError(
                f"'{model}' has {len(labels)} outputs: tell reward '{self.name}' which 'label' is "
                f"paid with its probability, of {', '.join(labels)}; 'sigmoid' is for one output."
            )
        self._label = 0 if label is None else self._classifier.find_label(self.name, label)
        self._pays_probability = len(labels) > 1
        self._pays_sigmoid = sigmoid
        tokenizer = self._classifier.frozen.tokenizer
        has_chat = bool(getattr(tokenizer, "chat_template", None))
        self._template = template or ("chat" if has_chat else "pair")
        if self._template == "chat" and not has_chat:
            raise ConfigError(
                f"The tokenizer of '{model}' has no chat template; use the template 'pair'."
            )

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        sequences = self._encode(episodes)
        logit = self._classifier.logits(sequences)[:, self._label]
        total = logit
        if self._pays_probability:
            total = self._classifier.probabilities(sequences)[:, self._label]
        elif self._pays_sigmoid:
            total = sigmoid(logit)
        dropped = np.array([sequence.dropped for sequence in sequences], np.float64)
        components = {self.name: total, "logit": logit, "dropped_tokens": dropped}
        return RewardResult(total, components)

    def _encode(self, episodes: Sequence[Episode]) -> list[Encoded]:
        frozen = self._classifier.frozen
        responses = [episode.response for episode in episodes]
        if self._template == "response":
            return frozen.encode(responses)
        if self._template == "pair":
            return frozen.encode([episode.example.prompt for episode in episodes], responses)
        render = ChatTemplate.of(frozen.tokenizer)
        rendered = [
            render(
                [{"role": turn.role, "content": frozen.plain(turn.text)} for turn in episode.turns]
            )
            for episode in episodes
        ]
        # The template writes the special tokens itself.
        return frozen.encode_marked(rendered, add_special_tokens=False) if rendered else []
