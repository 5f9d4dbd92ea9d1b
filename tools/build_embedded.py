"""Builds the embedded model: its tokenizer and its weights, from the procedural data alone.

    python -m tools.build_embedded OUT [--steps N] [--seed N]

Every number that shapes the result stands below. The same command gives the same files on the same
kind of machine: it computes in float32 and, since sums depend on how they are divided, in one
thread. The training shows nothing but the ideal turns of every task; it is brief, which is all
that limits the model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import gymnasium as gym
import torch
import typer
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

import textenv  # noqa: F401 - registers the environments
from agents.training.config import SFTOptions
from agents.training.sft import count_steps, train_supervised
from textenv.cli.progress import track_steps
from textenv.datasets import load_dataset
from textenv.episode import TextCore
from textenv.examples import Turn
from textenv.tasks.base import Task
from textenv.tasks.loading import resolve_target
from textenv.tokenization import TextTokenizer, load_folder
from textenv.vector import make_core

# What it is trained on, and how often each is drawn in comparison with the others.
SHARES = {
    "TextSummarize-v0": 1,
    "TextQA-v0": 1,
    "TextQAChoice-v0": 1,
    "TextTranslate-v0": 1,
    "TextTranslateZh-v0": 1,
    "TextDialogue-v0": 2,
    "TextDialogueEasy-v0": 2,
    "TextDialogueReturning-v0": 4,
    "TextDialogueSelect-v0": 1,
    "TextContinue-v0": 1,
    "TextContinueTopic-v0": 1,
    "TextKeywords-v0": 1,
    "TextData-v0": 1,
    "TextMath-v0": 1,
    "TextRewrite-v0": 1,
}
VOCAB_SIZE = 4096
CORPUS_EXAMPLES = 3000  # of each environment, to learn the tokenizer from
CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
END, PAD = "<|end|>", "<|pad|>"
SPECIAL_TOKENS = [PAD, END, "<|system|>", "<|user|>", "<|assistant|>"]

SHAPE: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
    # 1 / sqrt(hidden_size). With 0.02, which is meant for widths of thousands, copying takes three
    # times as many steps.
    "initializer_range": 0.088,
}
STEPS = 3600
TRAINING = SFTOptions(
    steps=STEPS,
    batch_size=16,
    learning_rate=3e-3,
    prompt_weight=0.1,
    seed=0,
    bf16=False,
    max_tokens_per_batch=1024,  # short and long episodes in passes of their own: less padding
)


def build_tokenizer(folder: Path) -> None:
    """Learns a byte-level BPE from the training splits, and writes it as transformers reads it."""
    tokenizer = Tokenizer(models.BPE())
    # Digits are divided while it learns, and so never merged: a number looks the same everywhere.
    digits = pre_tokenizers.Split(Regex(r" ?\p{N}"), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(), trainer)
    tokenizer.pre_tokenizer = byte_level
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "pad_token": PAD,
        "model_max_length": SHAPE["max_position_embeddings"],
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")


def build_model(folder: Path, settings: SFTOptions = TRAINING) -> None:
    """Trains the model on the ideal turns of these environments, and writes it.

    From then on torch computes in one thread.
    """
    tokenizer = load_folder(folder, "embedded")
    cores = [core for id, share in SHARES.items() for core in [_core(id, tokenizer)] * share]
    torch.set_num_threads(1)
    torch.manual_seed(settings.seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=tokenizer.vocab_size,
            eos_token_id=tokenizer.end_id,
            pad_token_id=tokenizer.pad_id,
            bos_token_id=None,
            **SHAPE,
        )
    )
    # What layers add to the residual stream starts small (Radford et al. 2019, GPT-2).
    scale = (2 * model.config.num_hidden_layers) ** -0.5
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.mul_(scale)
            layer.mlp.down_proj.weight.mul_(scale)
    with track_steps("Training the embedded model", count_steps(settings, cores)) as after_step:
        train_supervised(model, cores, settings, after_step)
    model.save_pretrained(folder)


def main(
    out: Annotated[Path, typer.Argument(help="Folder to write to.")],
    steps: Annotated[int, typer.Option(help="Training steps.")] = STEPS,
    seed: Annotated[int, typer.Option(help="Seed of weights and examples.")] = TRAINING.seed,
) -> None:
    """Builds the embedded model."""
    build_tokenizer(out)
    build_model(out, TRAINING.replace(steps=steps, seed=seed))


def _corpus() -> Iterator[str]:
    """Everything that is said in the first training examples, as the ideal agent plays them."""
    for id in SHARES:
        kwargs = gym.spec(id).kwargs
        task: Task = resolve_target(kwargs["task"])(**kwargs["task_kwargs"])
        dataset = load_dataset(kwargs["dataset"], task, "train")
        for index in range(CORPUS_EXAMPLES):
            example = dataset[index]
            turns = [*task.opening(example)]
            reply: Turn | None = turns.pop()
            while reply is not None:
                turns.append(reply)
                turns.append(Turn("assistant", task.gold(example, tuple(turns))))
                reply = task.reply(example, tuple(turns))
            yield from (turn.text for turn in turns)


def _core(id: str, tokenizer: TextTokenizer) -> TextCore:
    # All is written token by token, also where an environment offers texts to choose from.
    return make_core(id, TRAINING.batch_size, {"tokenizer": tokenizer, "action_level": "token"})


if __name__ == "__main__":
    typer.run(main)
