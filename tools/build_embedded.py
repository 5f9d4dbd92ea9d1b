"""Builds the embedded model: its tokenizer and its weights, from the procedural data alone.

    python -m tools.build_embedded OUT [--steps N] [--seed N]

Every number that shapes the result stands below. The same command gives the same files on the same
kind of machine. The training is kept short so that reinforcement learning has room; that is all
that limits the model, since every example shows the ideal answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import gymnasium as gym
import torch
import typer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

import textenv  # noqa: F401 - registers the environments
from agents.training.config import SFTOptions
from agents.training.sft import train_supervised
from textenv.cli.progress import track_steps
from textenv.datasets import TextDataset, load_dataset
from textenv.episode import TextCore
from textenv.examples import Example, Turn
from textenv.tasks.base import Task
from textenv.tasks.loading import resolve_target
from textenv.tasks.qa import ASK_FOR_FEW, QATask
from textenv.tokenization import TextTokenizer, load_folder
from tools.embedded_bookings import BookingTask, bookings

# What it is trained on, beside the dialogues of `tools.embedded_bookings`.
ENVIRONMENTS = ("TextSummarize-v0", "TextQA-v0", "TextTranslate-v0", "TextTranslateZh-v0")
VOCAB_SIZE = 3072
CORPUS_EXAMPLES = 20_000  # of each environment, to learn the tokenizer from
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
}
# In float32, so that every machine builds the same.
TRAINING = SFTOptions(
    steps=300, batch_size=32, learning_rate=3e-3, prompt_weight=0.2, seed=0, bf16=False
)


def build_tokenizer(folder: Path) -> None:
    """Learns a byte-level BPE from the training splits, and writes it as transformers reads it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(), trainer)
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
    """Trains the model on the ideal turns of these environments, and writes it."""
    tokenizer = load_folder(folder, "embedded")
    cores = [_core(id, tokenizer) for id in ENVIRONMENTS]
    cores.append(
        _BookingsCore(
            1,
            task=BookingTask(),
            tokenizer=tokenizer,
            dataset="bookings",
            reward="exact_match",
            max_prompt_tokens=96,
            max_new_tokens=32,
            max_turns=2,
        )
    )
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
    with track_steps("Training the embedded model", settings.steps) as after_step:
        train_supervised(model, cores, settings, after_step)
    model.save_pretrained(folder)


def main(
    out: Annotated[Path, typer.Argument(help="Folder to write to.")],
    steps: Annotated[int, typer.Option(help="Training steps.")] = TRAINING.steps,
    seed: Annotated[int, typer.Option(help="Seed of weights and examples.")] = TRAINING.seed,
) -> None:
    """Builds the embedded model."""
    build_tokenizer(out)
    build_model(out, replace(TRAINING, steps=steps, seed=seed))


def _corpus() -> Iterator[str]:
    """Everything that anyone says in the training splits."""
    for id in ENVIRONMENTS:
        task = _task(id)
        yield from _texts(task, load_dataset(gym.spec(id).kwargs["dataset"], task, "train"))
    yield from _texts(BookingTask(), bookings())


def _texts(task: Task, dataset: TextDataset) -> Iterator[str]:
    """Everything that is said in the first examples of a dataset, as the ideal agent plays them."""
    for index in range(CORPUS_EXAMPLES):
        example = dataset[index]
        turns = [*task.opening(example)]
        reply: Turn | None = turns.pop()
        while reply is not None:
            turns.append(reply)
            turns.append(Turn("assistant", task.gold(example, tuple(turns))))
            reply = task.reply(example, tuple(turns))
        yield from (turn.text for turn in turns)


class _BareQuestions(QATask):
    """Questions as the packaged model learned them: nothing asks for a short answer."""

    def opening(self, example: Example) -> tuple[Turn, ...]:
        (turn,) = super().opening(example)
        return (replace(turn, text=turn.text.removesuffix(f"\n{ASK_FOR_FEW}")),)


def _task(id: str) -> Task:
    kwargs = gym.spec(id).kwargs
    kind = resolve_target(kwargs["task"])
    made: Task = (_BareQuestions if kind is QATask else kind)(**kwargs["task_kwargs"])
    return made


def _core(id: str, tokenizer: TextTokenizer) -> TextCore:
    kwargs = {**gym.spec(id).kwargs, "task": _task(id), "tokenizer": tokenizer}
    del kwargs["task_kwargs"]
    return TextCore(1, **kwargs)


class _BookingsCore(TextCore):
    def dataset(self, split: str | None = None) -> TextDataset:
        return bookings()


if __name__ == "__main__":
    typer.run(main)
