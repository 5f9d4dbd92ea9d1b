"""The frozen model that the policy is kept near."""

from __future__ import annotations

import torch
from torch import Tensor

from agents.buffer import EpisodeBatch
from agents.losses import token_logprobs
from agents.models import (
    backbone_and_head,
    check_vocabulary,
    check_window,
    load_model,
    teacher_forced_hidden,
)
from agents.policy import LMPolicy


class Reference:
    """The policy's model as it was before training, without gradient.

    It lies outside the policy, so that it is in no optimizer, no `parameters()` and no saved
    file: it is loaded again by its name.

    Args:
        policy: Gives the distribution: temperature, vocabulary, precision.
        model: By default the name that the policy's model was loaded from.

    Raises:
        ModelError: The model cannot be loaded, or does not fit the environment.
    """

    def __init__(self, policy: LMPolicy, model: str) -> None:
        self._policy = policy
        self.model = load_model(model, policy.device).requires_grad_(False)
        check_vocabulary(self.model, policy.vocab_size)
        check_window(self.model, policy.window)
        self._parts = backbone_and_head(self.model)

    def logprobs(self, batch: EpisodeBatch) -> Tensor:
        """Returns the log-probabilities of the agent's tokens, flat in (row, time) order."""
        backbone, head = self._parts
        policy = self._policy
        with torch.no_grad(), policy.autocast():
            hidden = teacher_forced_hidden(backbone, batch.input_ids, batch.lengths)
            written = batch.action_mask[:, 1:]
            return token_logprobs(
                head,
                hidden[:, :-1][written],
                batch.input_ids[:, 1:][written],
                vocab_size=policy.vocab_size,
                temperature=policy.temperature,
            )[0]
