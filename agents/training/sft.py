"""Supervised fine-tuning of a language model: on ideal turns of tasks, or recorded episodes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from agents.models.loading import backbone_and_head, disable_dropout, teacher_forced_hidden
from agents.models.options import choose_bf16
from agents.models.token_logprobs import token_logprobs
from agents.policy.episode_batch import EpisodeBatch, make_batch
from agents.training.config import (
    SFT_EPOCHS,
    SFT_LEAST_STEPS,
    SFT_MOST_STEPS,
    SFTOptions,
)
from agents.training.conversations import draw_recorded
from textenv.episode import TextCore
from textenv.examples import Example
from textenv.rollout import PlayedEpisode, SpeakerWriter, play_examples


def count_steps(
    options: SFTOptions, cores: Sequence[TextCore], recorded: Sequence[PlayedEpisode] = ()
) -> int:
    """Returns the number of updates: what was asked for, or by the number of training rows."""
    if options.steps is not None:
        return options.steps
    rows = len(recorded) or sum(len(core.dataset(core.split)) for core in cores)
    steps = math.ceil(SFT_EPOCHS * rows / options.batch_size)
    return min(max(steps, SFT_LEAST_STEPS), SFT_MOST_STEPS)


def train_supervised(
    model: PreTrainedModel,
    cores: Sequence[TextCore],
    options: SFTOptions,
    after_step: Callable[[int, float], bool] = lambda step, loss: True,
    recorded: Sequence[PlayedEpisode] = (),
) -> int:
    """Trains a model in place on the ideal turns of some tasks, or on recorded episodes.

    Args:
        model: Causal language model.
        cores: Cores of the tasks, drawn at random; a core that is listed twice is drawn twice as
            often.
        options: Options of the training.
        after_step: Callback that gets the step and its loss in nats per token, and returns False
            to stop.
        recorded: Episodes to learn from in place of the ideal ones of the tasks.

    Returns:
        Number of steps taken.
    """
    rng = np.random.default_rng(options.seed)
    disable_dropout(model)
    model.train()
    parts = backbone_and_head(model)
    bf16 = choose_bf16(options.bf16, model.device.type)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=options.learning_rate, betas=(0.9, 0.95), weight_decay=0.0
    )
    step, steps = 0, count_steps(options, cores, recorded)
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = options.learning_rate * _lr_factor(step, steps)
        if recorded:
            drawn = draw_recorded(recorded, rng, options.batch_size)
            batch = make_batch(drawn, model.device)
        else:
            batch = gold_batch(cores, rng, options.batch_size, model.device)
        everything = torch.arange(len(batch), device=model.device)
        weights = _token_weights(batch, options.prompt_weight)
        total = float(weights.sum())
        loss = 0.0
        optimizer.zero_grad()
        for rows in batch.micro_batches(everything, options.max_tokens_per_batch):
            part = batch.take(rows)
            part_weights = weights[rows, : part.input_ids.shape[1]]
            with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
                part_loss = _weighted_nll(parts, part, part_weights) / total
            part_loss.backward()  # type: ignore[no-untyped-call] # has no types
            loss += float(part_loss.detach())
        torch.nn.utils.clip_grad_norm_(model.parameters(), options.max_grad_norm)
        optimizer.step()
        if not after_step(step, loss):
            break
    model.eval()  # type: ignore[no-untyped-call] # has no types
    return step


def gold_batch(
    cores: Sequence[TextCore],
    rng: np.random.Generator,
    batch_size: int,
    device: torch.device | str = "cpu",
) -> EpisodeBatch:
    """Plays episodes with ideal answers, each of a task drawn at random."""
    drawn: list[tuple[int, Example]] = []
    for _ in range(batch_size):
        number = int(rng.integers(len(cores)))
        drawn.append((number, cores[number].choose_example(rng, {})))
    episodes: dict[int, PlayedEpisode] = {}
    for number, core in enumerate(cores):
        places = [place for place, (owner, _) in enumerate(drawn) if owner == number]
        examples = [drawn[place][1] for place in places]
        played = play_examples(core, SpeakerWriter(core, core.task.gold), examples)
        episodes |= dict(zip(places, played, strict=True))
    return make_batch([episodes[place] for place in range(batch_size)], device)


def _token_weights(batch: EpisodeBatch, prompt_weight: float) -> Tensor:
    """Returns the weights of predicting each token, (batch, time); the first is not predicted."""
    positions = torch.arange(batch.input_ids.shape[1], device=batch.lengths.device)
    is_token = positions < batch.lengths[:, None]
    weights = torch.where(batch.action_mask, 1.0, prompt_weight) * is_token
    weights[:, 0] = 0.0
    return weights


def _weighted_nll(
    parts: tuple[nn.Module, nn.Module], batch: EpisodeBatch, weights: Tensor
) -> Tensor:
    backbone, head = parts
    hidden = teacher_forced_hidden(backbone, batch.input_ids)
    counted = weights[:, 1:] > 0
    logprobs, _ = token_logprobs(
        head,
        hidden[:, :-1][counted],
        batch.input_ids[:, 1:][counted],
        vocab_size=int(head.weight.shape[0]),  # type: ignore[index] # a linear layer
        chunk_size=batch.input_ids.numel(),
    )
    return -(logprobs * weights[:, 1:][counted]).sum()


def _lr_factor(step: int, steps: int) -> float:
    warmup = max(1, steps // 20)
    return min(step / warmup, (steps - step + 1) / max(1, steps - warmup))
