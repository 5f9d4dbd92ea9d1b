"""The fixed work: a tiny model that never ends a turn, prompts, and the environment of both.

Responses must be of one length, so that everybody's work is the same, and none may end early. Every
word's embedding has the same large number in its first place, which the layers hardly change. The
end-of-turn token's row of the output layer answers it with a large negative number; where the
output layer is the embeddings, all rows but that one answer with a large positive number. Either
way its logit is a hundred or more below the others' at first, whatever was read. The token before a
response is another one, since an end-of-turn token lacks the large number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.peers.work import Work
from benchmarks.shapes import save_word_tokenizer
from textenv import Episode, Example, Field, RewardResult, Task, Turn
from textenv.vector import TextVectorEnv

ID = "FixedWork-v0"
SPECIALS = ("<pad>", "<bos>", "<eos>", "<unk>")
END_ID = SPECIALS.index("<eos>")
N_PROMPTS = 256

# A turn ends with one token, and another one opens the agent's.
_TEMPLATE = (
    "{% for m in messages %}"
    "{% if m['role'] == 'assistant' %}<bos>{% endif %}{{ m['content'] }}<eos>{% endfor %}"
    "{% if add_generation_prompt %}<bos>{% endif %}"
)
_OPENING = (END_ID, SPECIALS.index("<bos>"))
_SHARED_PLACE = 8.0
_END_WEIGHT = -10.0


def write_model(work: Work) -> None:
    """Writes model, tokenizer and prompts to the work's folder, unless they are there."""
    folder = Path(work.folder)
    if (folder / "rows.jsonl").is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    _save_model(work, folder)
    words = [*SPECIALS, *(f"w{i}" for i in range(len(SPECIALS), work.vocab_size))]
    named = {f"{word[1:-1]}_token": word for word in SPECIALS}
    save_word_tokenizer(folder, words, SPECIALS, named, _TEMPLATE)
    # Last, since it says that all is there.
    _save_prompts(work, folder)


def _save_model(work: Work, folder: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(work.seed)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=work.vocab_size,
                hidden_size=work.hidden_size,
                intermediate_size=work.intermediate_size,
                num_hidden_layers=work.n_layers,
                num_attention_heads=work.n_heads,
                num_key_value_heads=work.n_kv_heads,
                max_position_embeddings=2048,
                pad_token_id=0,
                bos_token_id=1,
                eos_token_id=END_ID,
                tie_word_embeddings=work.tied,
            )
        )
    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] = _SHARED_PLACE
        if not work.tied:
            model.lm_head.weight[:, 0] = 0.0
        model.lm_head.weight[END_ID] = 0.0
        if not work.tied:
            model.lm_head.weight[END_ID, 0] = _END_WEIGHT
    model.save_pretrained(folder)


def _save_prompts(work: Work, folder: Path) -> None:
    shape = (N_PROMPTS, work.prompt_tokens - len(_OPENING))
    ids = np.random.default_rng(work.seed).integers(len(SPECIALS), work.vocab_size, shape)
    rows = [
        {"text": " ".join(f"w{i}" for i in prompt), "input_ids": [*prompt, *_OPENING]}
        for prompt in ids.tolist()
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "rows.jsonl").write_text(text, encoding="utf-8")


class FixedWorkTask(Task):
    """The user says a row of words; the episode ends with the agent's one turn."""

    fields: ClassVar[tuple[Field, ...]] = (Field("text"),)

    def example(self, id: str, row: Mapping[str, Any]) -> Example:
        """Builds the example of a row."""
        return Example(id, row["text"], (row["text"],))

    def opening(self, example: Example) -> tuple[Turn, ...]:
        """Returns the words as they are."""
        return (Turn("user", example.prompt),)


def even_share(episodes: Sequence[Episode]) -> RewardResult:
    """Pays the share of even token ids, those of the prompt included."""
    return RewardResult(np.array([float((e.input_ids % 2 == 0).mean()) for e in episodes]))


def make_fixed_work(work: Work) -> TextVectorEnv:
    """Makes a slot for each episode of an update, through Gymnasium's registry."""
    if ID not in gym.registry:
        gym.register(
            ID,
            entry_point="textenv.env:TextEnv",
            vector_entry_point="textenv.vector:TextVectorEnv",
        )
    env = gym.make_vec(
        ID,
        num_envs=work.n_episodes,
        task=FixedWorkTask(),
        dataset=str(Path(work.folder) / "rows.jsonl"),
        reward=even_share,
        tokenizer=work.folder,
        max_prompt_tokens=work.prompt_tokens,
        max_new_tokens=work.response_tokens,
    )
    assert isinstance(env, TextVectorEnv)
    return env


def ppo_arguments(work: Work) -> dict[str, Any]:
    """Returns the arguments that `TextPPO` and SB3's `PPO` share."""
    return {
        "learning_rate": work.learning_rate,
        "n_epochs": work.n_epochs,
        "gamma": work.gamma,
        "gae_lambda": work.gae_lambda,
        "clip_range": work.clip_range,
        "clip_range_vf": work.clip_range_vf,
        # It multiplies the whole mean squared error here, and half of it elsewhere.
        "vf_coef": work.vf_coef / 2,
        "policy_kwargs": {
            "model": work.folder,
            "separate_critic": work.separate_critic,
            "bf16": work.bf16,
            "compile_layers": work.compiled,
            "lora": {"r": 16} if work.lora else None,
        },
        "seed": work.seed,
        "device": "cpu",
    }
