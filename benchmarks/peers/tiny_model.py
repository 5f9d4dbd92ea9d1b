"""A tiny random Llama with a tokenizer of whole words and prompts, in a folder for everyone.

Responses must be of one length, so that everybody's work is the same, and none may end early. Every
word's embedding has the same large number in its first place, which the layers hardly change, and
the end-of-turn token's row of the output layer answers it with a large negative one: its logit is
near -100 at first, whatever was read.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from benchmarks.peers.work import Work

SPECIALS = ("<pad>", "<bos>", "<eos>", "<unk>")
END_ID = SPECIALS.index("<eos>")
N_PROMPTS = 256

_SHARED_PLACE = 1.0
_END_WEIGHT = -10.0


def write_model(work: Work) -> None:
    """Writes model, tokenizer and prompts to the work's folder, unless they are there."""
    folder = Path(work.folder)
    if (folder / "rows.jsonl").is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    _save_model(work, folder)
    _save_tokenizer(work, folder)
    # Last, since it says that all is there.
    _save_prompts(work, folder)


def _save_model(work: Work, folder: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(work.seed)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=work.vocab_size,
                hidden_size=work.hidden_size,
                intermediate_size=4 * work.hidden_size,
                num_hidden_layers=work.n_layers,
                num_attention_heads=work.n_heads,
                num_key_value_heads=work.n_heads,
                max_position_embeddings=2048,
                pad_token_id=0,
                bos_token_id=1,
                eos_token_id=END_ID,
                tie_word_embeddings=False,
            )
        )
    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] = _SHARED_PLACE
        model.lm_head.weight[:, 0] = 0.0
        model.lm_head.weight[END_ID] = 0.0
        model.lm_head.weight[END_ID, 0] = _END_WEIGHT
    model.save_pretrained(folder)


def _save_tokenizer(work: Work, folder: Path) -> None:
    words = [*SPECIALS, *(f"w{i}" for i in range(len(SPECIALS), work.vocab_size))]
    backend = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = WhitespaceSplit()
    backend.add_special_tokens(list(SPECIALS))
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call] # has no types
        tokenizer_object=backend,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
    )
    # Each message is followed by one token: the prompt's last is the end of the user's turn.
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}<eos>{% endfor %}"
    tokenizer.save_pretrained(folder)


def _save_prompts(work: Work, folder: Path) -> None:
    shape = (N_PROMPTS, work.prompt_tokens - 1)
    ids = np.random.default_rng(work.seed).integers(len(SPECIALS), work.vocab_size, shape)
    rows = [
        {"text": " ".join(f"w{i}" for i in prompt), "input_ids": [*prompt, END_ID]}
        for prompt in ids.tolist()
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "rows.jsonl").write_text(text, encoding="utf-8")
