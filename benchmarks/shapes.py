"""Random models of known shapes, and texts that fill a window exactly, to measure engines with."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

_SPECIAL = ("<unk>", "<|pad|>", "<|end|>", "<|user|>", "<|assistant|>")
_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_N_ROWS = 512


def _llama(**changes: Any) -> PretrainedConfig:
    return LlamaConfig(
        **{"max_position_embeddings": 2048, "tie_word_embeddings": True, "eos_token_id": 2}
        | {"bos_token_id": 0}
        | changes
    )


_SMALL = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
SHAPES: Mapping[str, PretrainedConfig] = {
    "small": _llama(**_SMALL, num_attention_heads=4, num_key_value_heads=2, vocab_size=512),
    # SmolLM2-135M
    "135m": _llama(
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        vocab_size=49152,
    ),
    # TinyLlama-1.1B
    "1.1b": _llama(
        hidden_size=2048,
        intermediate_size=5632,
        num_hidden_layers=22,
        num_attention_heads=32,
        num_key_value_heads=4,
        vocab_size=32000,
        tie_word_embeddings=False,
    ),
    # SmolLM2-1.7B
    "1.7b": _llama(
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=24,
        num_attention_heads=32,
        num_key_value_heads=32,
        vocab_size=49152,
    ),
    # GPT-2, 124 M
    "gpt2": GPT2Config(bos_token_id=0, eos_token_id=2),
    # Qwen3-0.6B with half its layers and a smaller vocabulary
    "qwen3": Qwen3Config(
        hidden_size=1024,
        intermediate_size=3072,
        num_hidden_layers=14,
        num_attention_heads=16,
        num_key_value_heads=8,
        head_dim=128,
        vocab_size=32000,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=2,
    ),
}


def save_shape(name: str, folder: Path) -> str:
    """Writes a random model and a tokenizer with a word for each of its ids; returns the folder.

    The model hardly ever writes the one token of thousands that ends a turn.
    """
    config = SHAPES[name]
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)  # type: ignore[no-untyped-call] # has no types
    n_words = int(config.vocab_size)
    words = [*_SPECIAL, *(f"w{i}" for i in range(n_words - len(_SPECIAL)))]
    named = {"unk_token": "<unk>", "pad_token": "<|pad|>", "eos_token": "<|end|>"}
    save_word_tokenizer(folder, words, _SPECIAL[1:], named, _TEMPLATE)
    return str(folder)


def save_word_tokenizer(
    folder: Path,
    words: Sequence[str],
    special: Sequence[str],
    named: Mapping[str, str],
    template: str,
) -> None:
    """Writes a tokenizer of whole words."""
    ids = {word: i for i, word in enumerate(words)}
    backend = Tokenizer(WordLevel(ids, unk_token=named["unk_token"]))
    backend.pre_tokenizer = WhitespaceSplit()
    backend.add_special_tokens(list(special))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **named)  # type: ignore[no-untyped-call] # has no types
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)


def save_rows(path: Path, n_words: int) -> str:
    """Writes documents of so many of the words that every shape knows; returns the path."""
    rng = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for i in range(_N_ROWS):
            words = " ".join(f"w{rng.randrange(200)}" for _ in range(n_words))
            row = {"id": str(i), "document": words, "summary": "w0"}
            file.write(json.dumps(row) + "\n")
    return str(path)
