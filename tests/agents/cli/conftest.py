"""A tiny model, and the command line with the commands that need one."""

from __future__ import annotations

import shutil
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from typer.testing import CliRunner

import textenv
from textenv.cli import console, main

ROOT = Path(__file__).resolve().parents[3]
COMMANDS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "entry-points"
][console.COMMANDS_GROUP]


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
def run(monkeypatch):
    """Runs a command line with the commands that the project declares, installed or not."""
    points = [EntryPoint(n, value, console.COMMANDS_GROUP) for n, value in COMMANDS.items()]
    for module in (main, console):
        monkeypatch.setattr(module, "entry_points", lambda group: points)
    monkeypatch.setenv("COLUMNS", "100")

    def invoke(*arguments):
        return CliRunner().invoke(main.make_app(), [str(word) for word in arguments])

    return invoke


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
