"""Compares one model's passes with plain ones, and settles on those that are right."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import PreTrainedModel

from agents.models.loading import backbone_and_head, has_jitter, hold_eval
from agents.models.options import LoraSettings
from agents.probing import passes
from agents.probing.copies import SmallCopy
from textenv.errors import ModelError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ways:
    """How a model may be computed so that its log-probabilities are those of a plain pass."""

    cached: bool = True  # Decoding goes on from keys and values of each slot
    side_by_side: bool = True  # Replies to one text, or answers to one prompt, share a row with it
    train_mode: bool = True  # Train mode computes what eval mode does; if not, eval mode is held


@dataclass(frozen=True)
class Question:
    """What is asked of a model.

    Attributes:
        window: Longest observation of the environment, in tokens.
        level: The action level; None for teacher-forced passes alone.
        lora: Adapters that will be trained, merged and saved.
        gradient_checkpointing: Whether activations are computed again.
    """

    window: int
    level: Literal["token", "select"] | None = "token"
    lora: LoraSettings | None = None
    gradient_checkpointing: bool = False


class Examination:
    """Compares one model's passes with plain ones, part by part.

    Args:
        reference: Model of plain passes.
        own: The same model as a policy has changed it; may be the same object.
        question: What is asked.
        length: Longest text that it reads.
        tolerances: Nats from which on another way is taken, and from which on there is none.
        reduce: Makes one number of differences at several positions.
        ways: What is known to be right; by default all is tried.

    Attributes:
        ways: What is right, as far as it was examined.
        worst: Largest difference, in nats, among what is right.
    """

    def __init__(
        self,
        reference: SmallCopy,
        own: PreTrainedModel,
        question: Question,
        length: int,
        tolerances: tuple[float, float],
        reduce: Callable[[Tensor], Tensor],
        ways: Ways | None = None,
    ) -> None:
        self.ways = Ways() if ways is None else ways
        self.worst = 0.0
        self._plain, self._crossed = reference
        self._own, self._question = own, question
        self._tolerances, self._reduce = tolerances, reduce
        self._parts = backbone_and_head(own, proven=ways is not None)
        # Both have a weight, as their split has shown.
        inputs: Any = own.get_input_embeddings()
        outputs: Any = self._parts[1]
        # Whatever is done in blocks shows at other lengths than their multiples.
        lengths = [length, length * 3 // 4, length - 2, length - 3, length // 2 + 1]
        self._lengths = [min(max(2, n), length) for n in lengths]
        self._n_tokens = int(min(inputs.weight.shape[0], outputs.weight.shape[0]))
        self._texts: list[passes.Texts] = []
        self._difference = 0.0

    @property
    def is_judged(self) -> bool:
        """Whether the model's outputs are numbers; what damaged weights do is said elsewhere."""
        return all(bool(row.isfinite().all()) for row in self._text(0).logprobs)

    def causality(self) -> None:
        """A text's beginning must not depend on how it goes on."""
        if self._differs(lambda texts: passes.prefixes(self._plain, texts)):
            self._refuse("a text's beginning gets other probabilities once more of it is there")

    def modes(self) -> None:
        """Padded batches in eval mode, and in train mode."""
        if self._differs(self._whole):
            self._refuse("several texts in one pass get other probabilities than one by one")
        if has_jitter(self._own) or self._differs(self._whole_in_train_mode):
            self.ways = replace(self.ways, train_mode=False)
            if self._differs(self._whole_in_train_mode):
                self._refuse("train mode gives other probabilities than eval mode")
            if self._differs(self._gradient):
                self._refuse("train mode is noisy, and eval mode has no gradient")

    def acting(self) -> None:
        """Decoding by the cache, or replies side by side; else by whole passes."""
        if self._question.level == "token":
            if self.ways.cached and self._differs(lambda texts: self._decoded(texts, True)):
                self.ways = replace(self.ways, cached=False)
            if not self.ways.cached and self._differs(lambda texts: self._decoded(texts, False)):
                self._refuse("decoding token by token gives other probabilities")
            # Answers to one prompt share it in a pass, if that is right.
            if self.ways.side_by_side and self._differs(lambda texts: self._replies(texts, True)):
                self.ways = replace(self.ways, side_by_side=False)
        elif self._question.level == "select":
            if self.ways.side_by_side and self._differs(lambda texts: self._replies(texts, True)):
                self.ways = replace(self.ways, side_by_side=False)
            if not self.ways.side_by_side and self._differs(
                lambda texts: self._replies(texts, False)
            ):
                self._refuse("replies get other probabilities than in a pass of their own")

    def saving(self) -> None:
        """An adapter in the model, and merged, saved and loaded."""
        lora = self._question.lora
        if lora is None:
            return
        self._parts[0].requires_grad_(False)
        texts, head, window = self._text(0), self._parts[1], self._question.window
        try:
            found = float(self._reduce(passes.merged(self._own, head, texts, lora, window)))
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".partition("\n")[0][:200]
            raise ModelError(
                f"lora cannot be used with this model of type '{self._family}': its adapter could "
                f"not be merged and saved after training ({reason}). Train full weights, or name "
                "other layers in lora.target_modules."
            ) from error
        if not found <= self._tolerances[1]:
            raise ModelError(
                f"lora cannot be used with this model of type '{self._family}': merged and saved, "
                f"its adapter would give log-probabilities that differ by {found:.2g} nats. Train "
                "full weights, or name other layers in lora.target_modules."
            )

    def _whole(self, texts: passes.Texts) -> Tensor:
        return passes.whole(self._parts, texts)

    def _whole_in_train_mode(self, texts: passes.Texts) -> Tensor:
        self._own.train()
        if not self.ways.train_mode:
            hold_eval(self._own)
        try:
            return self._whole(texts)
        finally:
            self._own.eval()  # type: ignore[no-untyped-call] # has no types

    def _gradient(self, texts: passes.Texts) -> Tensor:
        """Returns 0 if eval mode, which is held, has a gradient."""
        weight = self._parts[1].weight
        if not isinstance(weight, Tensor) or not weight.requires_grad:
            return torch.zeros(1)
        inner = [p for p in self._parts[0].parameters() if p.requires_grad]
        with torch.enable_grad():
            torch.autograd.grad(self._whole(texts).sum(), inner, allow_unused=True)
        return torch.zeros(1)

    def _decoded(self, texts: passes.Texts, cached: bool) -> Tensor:
        return passes.cached(self._parts, texts, self._question.window, cached)

    def _replies(self, texts: passes.Texts, shared: bool) -> Tensor:
        return passes.side_by_side(self._plain, self._parts, texts, self._question.window, shared)

    def _differs(self, compare: Callable[[passes.Texts], Tensor]) -> bool:
        """Tells whether a comparison fails twice: rounding may send one token to other experts."""
        seen = []
        for i in range(2):
            try:
                seen.append(float(self._reduce(compare(self._text(i)))))
            except Exception as error:
                # Whatever an architecture does with arguments that it does not expect.
                logger.debug("A pass of '%s' failed: %r", self._family, error)
                self._difference = float("inf")
                return True
            if seen[-1] <= self._tolerances[0]:
                self.worst = max(self.worst, seen[-1])
                return False
        self._difference = min(seen)
        return True

    def _text(self, i: int) -> passes.Texts:
        while len(self._texts) <= i:
            self._texts.append(
                passes.make_texts(self._plain, self._lengths, self._n_tokens, len(self._texts))
            )
        return self._texts[i]

    @property
    def _family(self) -> str:
        return str(self._own.config.model_type)

    def _refuse(self, what: str) -> None:
        """Raises if what was just found is gross."""
        if self._difference <= self._tolerances[1]:
            self.worst = max(self.worst, self._difference)
            return
        limits = " and ".join(f"{name} of {value}" for name, value in self._crossed.items())
        cure = f"Lower max_prompt_tokens or max_new_tokens to stay within its {limits}, or use"
        raise ModelError(
            f"This model of type '{self._family}' does not compute as it should with texts of up "
            f"to {self._question.window} tokens: {what} (by up to {self._difference:.2g} nats). "
            f"{cure if limits else 'Use'} another model, such as Llama, Qwen or GPT-2."
        )
