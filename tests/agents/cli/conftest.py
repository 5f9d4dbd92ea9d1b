"""A tiny model, and the keys of a short training."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import textenv


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> str:
    """A tiny random model with the embedded tokenizer."""
    folder = tmp_path_factory.mktemp("tiny")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=4096,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=1024,
        )
        LlamaForCausalLM(config).save_pretrained(folder)
    assets = Path(textenv.__file__).parent / "assets" / "embedded"
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(assets / name, folder)
    return str(folder)


@pytest.fixture
def smoke() -> tuple[str, ...]:
    """The keys of a training of one iteration, the number of its episodes first."""
    return (
        "total_episodes=4",
        "n_episodes=4",
        "n_envs=4",
        "batch_size=2",
        "n_epochs=1",
        "eval_examples=4",
        "validation_every=0",
    )
