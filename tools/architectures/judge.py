"""Judges the policy on one model, by plain forward passes of transformers alone.

Nothing here uses the policy's own probe: log-probabilities that the policy reports are compared
with those of `model(input_ids).logits`, one sequence at a time and without padding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from agents.policy.episode_batch import EpisodeBatch
from agents.policy.lm_policy import LMPolicy
from agents.ppo.checkpoints import save_language_model
from textenv.errors import TextEnvError
from textenv.levels import token_spaces

# Nats between two float32 computations of a log-probability that count as equal.
TOLERANCE = 1e-3
_N_ROWS, _N_CANDIDATES, _REPLY = 3, 3, 4


@dataclass(frozen=True)
class Finding:
    """What became of one part of the policy."""

    verdict: str  # "right", "refused", "wrong" or "crashed"
    detail: str  # The largest difference in nats, or the message

    @property
    def is_fine(self) -> bool:
        """Whether the part is right, or refused before anything was computed."""
        return self.verdict in ("right", "refused")


@dataclass(frozen=True)
class Case:
    """A model in a folder, the untouched one of transformers, and the longest observation."""

    folder: Path
    plain: PreTrainedModel
    vocab_size: int
    window: int

    def policy(self, level: str = "token", **options: Any) -> LMPolicy:
        """Makes the policy that is judged."""
        box, actions = token_spaces(self.window, self.vocab_size, self.window)
        if level == "select":
            width = _N_CANDIDATES * _REPLY
            found = {k: v for k, v in box.spaces.items() if k != "remaining"}
            found["candidate_ids"] = spaces.Box(0, self.vocab_size - 1, (width,), np.int32)
            found["candidate_mask"] = spaces.Box(0, 1, (width,), np.int8)
            box, actions = spaces.Dict(found), spaces.Discrete(_N_CANDIDATES)
        return LMPolicy(box, actions, lambda _: 1e-3, model=str(self.folder), bf16=False, **options)

    @torch.no_grad()
    def logprobs(self, ids: Tensor, model: PreTrainedModel | None = None) -> Tensor:
        """Returns log p of each token but the first of one sequence (time,) by a plain pass."""
        logits = (model or self.plain)(input_ids=ids[None], use_cache=False, return_dict=True)
        scores = logits.logits[0, :-1, : self.vocab_size].float().log_softmax(-1)
        found: Tensor = scores.gather(1, ids[1:, None])[:, 0]
        return found


def make_case(model: PreTrainedModel, folder: Path, vocab_size: int, window: int) -> Case:
    """Saves a model and a tokenizer of as many words, and loads it as transformers does."""
    model.save_pretrained(folder)
    words = {f"w{i}": i for i in range(vocab_size)}
    backend = Tokenizer(WordLevel(words, unk_token="w0"))
    tokenizer: Any = PreTrainedTokenizerFast
    tokenizer(
        tokenizer_object=backend, eos_token="w2", pad_token="w0", unk_token="w0"
    ).save_pretrained(folder)
    plain: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return Case(folder, plain.eval(), vocab_size, window)


def judge(case: Case) -> dict[str, Finding]:
    """Judges each part of the policy: token level, select level, train mode, LoRA."""
    parts: dict[str, Callable[[Case], float]] = {
        "token": token_level,
        "select": select_level,
        "train": train_mode,
        "lora": lora_saved,
    }
    return {name: _find(part, case) for name, part in parts.items()}


def _find(part: Callable[[Case], float], case: Case) -> Finding:
    torch.manual_seed(0)
    try:
        difference = part(case)
    except TextEnvError as error:
        return Finding("refused", str(error))
    except Exception as error:
        return Finding("crashed", f"{type(error).__name__}: {error}".partition("\n")[0][:200])
    return Finding("right" if difference <= TOLERANCE else "wrong", f"{difference:.1e}")


def token_level(case: Case) -> float:
    """Two turns in ragged rows, sampled token by token from cached prefixes."""
    policy = case.policy()
    policy.set_training_mode(False)
    rng = np.random.default_rng(1)
    ids = np.zeros((_N_ROWS, case.window), dtype=np.int32)
    lengths = np.array([3, 6, 4])
    ids[:, :6] = rng.integers(3, case.vocab_size, (_N_ROWS, 6))
    worst, steps = 0.0, 0
    while lengths.max() < case.window - 1:
        rows = np.flatnonzero(rng.random(_N_ROWS) < 0.8)
        if not len(rows):
            continue
        tokens, logprobs = policy.act(ids[rows], lengths[rows], rows)
        for row, token, found in zip(rows, tokens, logprobs, strict=True):
            ids[row, lengths[row]] = token
            lengths[row] += 1
            expected = case.logprobs(torch.from_numpy(ids[row, : lengths[row]]).long())[-1]
            worst = _worse(worst, abs(float(expected) - float(found)))
        steps += 1
        if steps == 4:  # The environment speaks, in every row at another place and length.
            for slot, n_said in enumerate((2, 0, 4)):
                new = rng.integers(3, case.vocab_size, n_said)
                ids[slot, lengths[slot] : lengths[slot] + n_said] = new
                lengths[slot] += n_said
    return worst


def train_mode(case: Case) -> float:
    """Whole sequences, teacher-forced, in train and in eval mode; gradients are numbers."""
    policy = case.policy()
    batch = _batch(case)
    worst = 0.0
    for training in (False, True):
        policy.set_training_mode(training)
        worst = _worse(worst, _difference(case, policy, batch))
    policy.evaluate_sequences(batch).logprobs.sum().backward()  # type: ignore[no-untyped-call] # has no types
    norm = sum(float(p.grad.norm()) for p in policy.parameters() if p.grad is not None)
    return _worse(worst, 0.0 if np.isfinite(norm) and norm > 0 else float("nan"))


def lora_saved(case: Case) -> float:
    """An adapter that has learned something, in train mode; then merged, saved and loaded."""
    policy = case.policy(lora={"r": 2, "alpha": 4})
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0.0, 0.3)
    folder = case.folder / "merged"
    save_language_model(policy, folder)
    merged: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    batch = _batch(case)
    policy.set_training_mode(True)
    moved = _difference(case, policy, batch)
    return _difference(case, policy, batch, merged.eval()) if moved > TOLERANCE else float("nan")


def select_level(case: Case) -> float:
    """Candidates of different lengths after texts of different lengths."""
    policy = case.policy("select", length_normalized=False)
    policy.set_training_mode(False)
    rng = np.random.default_rng(2)
    width = case.window - _REPLY
    ids = torch.from_numpy(rng.integers(3, case.vocab_size, (2, case.window)))
    lengths = torch.tensor([width, width // 2])
    replies = torch.from_numpy(rng.integers(3, case.vocab_size, (2, _N_CANDIDATES, _REPLY)))
    sizes = torch.tensor([[4, 2, 3], [1, 4, 2]])
    obs = {
        "input_ids": ids,
        "attention_mask": (torch.arange(case.window) < lengths[:, None]).to(torch.int8),
        "candidate_ids": replies.flatten(1),
        "candidate_mask": (torch.arange(_REPLY) < sizes[..., None]).flatten(1).to(torch.int8),
    }
    with torch.no_grad():
        found: Any = policy.get_distribution(obs).distribution
    worst = 0.0
    for row in range(2):
        scores = []
        for reply, size in zip(replies[row], sizes[row], strict=True):
            sequence = torch.cat([ids[row, : lengths[row]], reply[:size]])
            scores.append(case.logprobs(sequence)[-int(size) :].sum())
        expected = torch.stack(scores).log_softmax(0)
        worst = _worse(worst, float((found.logits[row] - expected).abs().max()))
    return worst


def _batch(case: Case) -> EpisodeBatch:
    lengths = torch.tensor([case.window, case.window // 2, case.window - 3])
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(3, case.vocab_size, (_N_ROWS, case.window), generator=generator)
    time = torch.arange(case.window)
    written = (time >= 1) & (time < lengths[:, None])
    flags = torch.zeros(_N_ROWS)
    return EpisodeBatch(
        ids.where(time < lengths[:, None], 0),
        lengths,
        written,
        torch.zeros(_N_ROWS, case.window),
        flags.bool(),
        torch.arange(_N_ROWS),
    )


def _difference(
    case: Case, policy: LMPolicy, batch: EpisodeBatch, model: PreTrainedModel | None = None
) -> float:
    with torch.no_grad():
        found = policy.evaluate_sequences(batch).logprobs
    rows = zip(batch.input_ids, batch.lengths.tolist(), strict=True)
    expected = torch.cat([case.logprobs(ids[:length], model) for ids, length in rows])
    return float((found - expected).abs().max())


def _worse(one: float, other: float) -> float:
    """Returns the larger, NaN if either is."""
    return float(np.maximum(one, other))
