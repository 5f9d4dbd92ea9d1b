"""Supervised fine-tuning learns the agent's ideal turns, and prompts only where asked to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from agents.models.loading import load_model
from agents.training.config import SFTOptions
from agents.training.held_out import evaluate_policy_on_split, load_policy
from agents.training.sft import count_steps, gold_batch, train_supervised
from textenv import ConfigError
from textenv.vector import make_core


@pytest.fixture
def core(make_env):
    return make_env(4, max_turns=2).core


def test_gold_batches_mark_exactly_the_agents_tokens(core):
    batch = gold_batch([core], np.random.default_rng(0), 6)
    assert len(batch) == 6
    tokenizer = core.tokenizer
    for ids, mask, length in zip(batch.input_ids, batch.action_mask, batch.lengths, strict=True):
        text = ids[:length].tolist()
        marked = [i for i, own in enumerate(mask.tolist()) if own]
        # An answer is a colour and the end of the turn, after each "<|assistant|>".
        starts = [i + 1 for i, token in enumerate(text) if token == 4]
        assert len(starts) == 2
        assert marked == [i for start in starts for i in (start, start + 1)]
        for start in starts:
            assert tokenizer.decode([text[start]]) in {"red", "green", "blue"}
            assert text[start + 1] == tokenizer.end_id
        assert tokenizer.decode([text[starts[0]]]) in tokenizer.decode(text[: starts[0]])


def test_the_loss_falls_and_the_answers_become_right(core, make_env, save_model, tmp_path):
    model = load_model(save_model(spread=0.05))
    losses = []
    steps = train_supervised(
        model, [core], SFTOptions(steps=60, batch_size=16, learning_rate=1e-2),
        lambda step, loss: losses.append(loss) is None,
    )  # fmt: skip
    assert steps == len(losses) == 60
    assert losses[0] == pytest.approx(np.log(20), rel=0.05)
    assert np.mean(losses[-5:]) < 0.1 * losses[0]
    assert not model.training
    single = make_env(4, max_turns=1).core
    model.save_pretrained(tmp_path)
    policy = load_policy(str(tmp_path), single)
    result = evaluate_policy_on_split(policy, single, "test", 8)
    assert result.metrics["exact_match"].mean() > 0.8


def test_few_rows_are_not_learned_a_thousand_times_over(core):
    n = len(core.dataset("train"))
    assert count_steps(SFTOptions(batch_size=1), [core]) == 20 * n
    assert count_steps(SFTOptions(batch_size=1), [core, core]) == min(40 * n, 1000)
    assert count_steps(SFTOptions(batch_size=64), [core]) == 30
    assert count_steps(SFTOptions(steps=7), [core]) == 7
    assert count_steps(SFTOptions(), [make_core("TextQA-v0")]) == 1000


def test_it_stops_when_told(core, save_model):
    model = load_model(save_model())
    settings = SFTOptions(steps=50, batch_size=4)
    assert train_supervised(model, [core], settings, lambda step, loss: step < 3) == 3


def first_gradient(model, core, **settings):
    """The gradient of the first batch, by name."""
    found = {}

    def note(*_):
        found.update({name: p.grad.clone() for name, p in model.named_parameters()})

    handle = register_optimizer_step_pre_hook(note)
    losses = []
    train_supervised(
        model, [core], SFTOptions(steps=1, batch_size=6, max_grad_norm=1e9, **settings),
        lambda step, loss: losses.append(loss) is None,
    )  # fmt: skip
    handle.remove()
    return found, losses[0]


def reference_loss(model, core, prompt_weight):
    """The weighted mean of the model's own cross entropies, one episode at a time."""
    batch = gold_batch([core], np.random.default_rng(0), 6)
    total, count = torch.zeros(()), 0.0
    for ids, mask, length in zip(batch.input_ids, batch.action_mask, batch.lengths, strict=True):
        ids, mask = ids[None, :length], mask[:length]
        logits = model(input_ids=ids).logits[0, :-1]
        losses = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none")
        weights = torch.where(mask[1:], 1.0, prompt_weight)
        total = total + (losses * weights).sum()
        count += float(weights.sum())
    return total / count


@pytest.mark.parametrize("prompt_weight", [0.0, 0.3])
@pytest.mark.parametrize("max_tokens_per_batch", [8192, 30])
def test_the_gradient_is_that_of_the_weighted_mean(
    core, save_model, prompt_weight, max_tokens_per_batch
):
    name = save_model(spread=0.3)
    found, loss = first_gradient(
        load_model(name), core, prompt_weight=prompt_weight,
        max_tokens_per_batch=max_tokens_per_batch,
    )  # fmt: skip
    model = load_model(name)
    wanted = reference_loss(model, core, prompt_weight)
    wanted.backward()
    assert loss == pytest.approx(float(wanted.detach()), rel=1e-4)
    for parameter_name, parameter in model.named_parameters():
        difference = (found[parameter_name] - parameter.grad).norm()
        assert difference <= 1e-4 * parameter.grad.norm() + 1e-7, parameter_name


def test_equal_seeds_learn_equally(core, save_model):
    results = []
    for seed in (0, 0, 1):
        model = load_model(save_model())
        train_supervised(model, [core], SFTOptions(steps=3, batch_size=4, seed=seed))
        results.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_settings_that_mean_nothing_are_refused():
    for settings in ({"steps": 0}, {"learning_rate": 0.0}, {"prompt_weight": -1.0}):
        with pytest.raises(ConfigError):
            SFTOptions(**settings)
