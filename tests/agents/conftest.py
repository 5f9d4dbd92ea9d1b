"""Tiny random language models of three architectures, shared by the agent's tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

VOCAB_SIZE = 97
# Wide weights make attention sharp, so that a wrong mask or position shows in the results.
_COMMON = {"vocab_size": VOCAB_SIZE, "bos_token_id": 0, "eos_token_id": 1, "initializer_range": 0.3}
_ROTARY = {
    **_COMMON,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}


def _llama() -> PreTrainedModel:
    return LlamaForCausalLM(LlamaConfig(**_ROTARY))


def _qwen3() -> PreTrainedModel:
    return Qwen3ForCausalLM(Qwen3Config(**_ROTARY, head_dim=16, tie_word_embeddings=True))


def _gpt2() -> PreTrainedModel:
    return GPT2LMHeadModel(
        GPT2Config(**_COMMON, n_embd=32, n_layer=3, n_head=4, n_positions=256, resid_pdrop=0.1)
    )


_BUILDERS: dict[str, Callable[[], PreTrainedModel]] = {
    "llama": _llama,
    "gpt2": _gpt2,
    "qwen3": _qwen3,
}


def _build(name: str) -> PreTrainedModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return _BUILDERS[name]().eval()


@pytest.fixture
def tiny_models() -> dict[str, PreTrainedModel]:
    """Fresh models by family: Llama with grouped queries, GPT-2, Qwen3 with tied embeddings."""
    return {name: _build(name) for name in _BUILDERS}


@pytest.fixture(params=sorted(_BUILDERS))
def tiny_model(request: pytest.FixtureRequest) -> PreTrainedModel:
    """One fresh model of each family in turn."""
    return _build(request.param)
