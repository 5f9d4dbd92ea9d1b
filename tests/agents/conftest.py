"""Tiny random language models, a task for them, agents of it, and the command line."""

from __future__ import annotations

import functools
import json
import shutil
import tomllib
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.logger import Logger
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from typer.testing import CliRunner

from agents.ppo.ppo import TextPPO
from textenv import Episode, Example, Field, RewardResult, Task, Turn
from textenv.cli import console, main
from textenv.tokenization import EMBEDDED_PATH, load_tokenizer
from textenv.vector import TextVectorEnv

_ROOT = Path(__file__).resolve().parents[2]
_COMMANDS = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "entry-points"
][console.COMMANDS_GROUP]


# With models this small, threads only wait for one another, and on a busy machine for long.
torch.set_num_threads(1)

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


def _llama(**changes: Any) -> PreTrainedModel:
    return LlamaForCausalLM(LlamaConfig(**_ROTARY | changes))


def _qwen3(**changes: Any) -> PreTrainedModel:
    own = {"head_dim": 16, "tie_word_embeddings": True}
    return Qwen3ForCausalLM(Qwen3Config(**_ROTARY | own | changes))


def _gpt2(**changes: Any) -> PreTrainedModel:
    own = {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 256, "resid_pdrop": 0.1}
    return GPT2LMHeadModel(GPT2Config(**_COMMON | own | changes))


_BUILDERS: dict[str, Callable[..., PreTrainedModel]] = {
    "llama": _llama,
    "gpt2": _gpt2,
    "qwen3": _qwen3,
}


def _build(name: str, seed: int = 0, **changes: Any) -> PreTrainedModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return _BUILDERS[name](**changes).eval()


@pytest.fixture
def tiny_models() -> dict[str, PreTrainedModel]:
    """Fresh models by family: Llama with grouped queries, GPT-2, Qwen3 with tied embeddings."""
    return {name: _build(name) for name in _BUILDERS}


@pytest.fixture(params=sorted(_BUILDERS))
def tiny_model(request: pytest.FixtureRequest) -> PreTrainedModel:
    """One fresh model of each family in turn."""
    return _build(request.param)


# A tokenizer so small that a random model often ends its turn, and lengths differ.
WORDS = (
    *("<unk>", "<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "say", "red", "green", "blue"),
    *("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "more"),
)
_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def _save_word_tokenizer(folder: Path) -> int:
    backend = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    backend.pre_tokenizer = Whitespace()
    backend.add_special_tokens(["<|pad|>", "<|end|>", "<|user|>", "<|assistant|>"])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|end|>", pad_token="<|pad|>", unk_token="<unk>"
    )
    tokenizer.chat_template = _TEMPLATE
    tokenizer.save_pretrained(folder)
    return len(WORDS)


def _save_embedded_tokenizer(folder: Path) -> int:
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(EMBEDDED_PATH / name, folder / name)
    return load_tokenizer("embedded").vocab_size


@pytest.fixture(scope="session")
def save_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Saves a tiny random model of a family with its tokenizer; returns the folder.

    `spread` is that of its weights: 0.3 for a distribution with an opinion, 0.02 for an even one.
    `extra_rows` of its output layer belong to no token.
    """

    @functools.cache
    def save(
        family: str = "llama",
        spread: float = 0.02,
        extra_rows: int = 0,
        tokenizer: str = "words",
        seed: int = 0,
    ) -> str:
        folder = tmp_path_factory.mktemp(family)
        writer = _save_word_tokenizer if tokenizer == "words" else _save_embedded_tokenizer
        n_rows = writer(folder) + extra_rows
        model = _build(family, seed, vocab_size=n_rows, initializer_range=spread, eos_token_id=2)
        model.save_pretrained(folder)
        return str(folder)

    return save


class EchoTask(Task):
    """The user says something; a dialogue goes on until the turns are used up."""

    fields = (Field("text"), Field("answer"))

    def example(self, id: str, row: Mapping[str, Any]) -> Example:
        return Example(id, row["text"], (row["answer"],))

    def opening(self, example: Example) -> tuple[Turn, ...]:
        return (Turn("user", example.prompt),)

    def reply(self, example: Example, transcript: tuple[Turn, ...]) -> Turn | None:
        return Turn("user", "say " + "more " * (1 + len(transcript[-1].text) % 3))


class ChoiceTask(EchoTask):
    """An echo task with two or three replies to choose from, one of them "red", in any place."""

    n_candidates = 4

    def candidates(self, example: Example, transcript: tuple[Turn, ...] = ()) -> tuple[str, ...]:
        k = len(example.prompt) + len(transcript)
        texts = ("red", "green one", "blue two three four")[: 2 + k % 2]
        return (*texts[k % len(texts) :], *texts[: k % len(texts)])


def red_reward(episodes: Sequence[Episode]) -> RewardResult:
    """Pays 1 for a response with the word "red"."""
    return RewardResult(np.array([float("red" in e.response.split()) for e in episodes]))


@pytest.fixture(scope="session")
def echo_rows(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A data set of 60 short prompts of different lengths."""
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    numbers = WORDS[9:19]
    rows = [
        {"text": " ".join(["say", WORDS[6 + i % 3], *numbers[: i % 7], numbers[i // 7]]),
         "answer": WORDS[6 + i % 3]}
        for i in range(60)
    ]  # fmt: skip
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def make_env(save_model: Callable[..., str], echo_rows: str) -> Callable[..., TextVectorEnv]:
    """Makes slots of the echo task; any argument may be replaced."""

    def make(num_envs: int = 4, **arguments: Any) -> TextVectorEnv:
        defaults = {
            "task": EchoTask(),
            "dataset": echo_rows,
            "reward": red_reward,
            "tokenizer": save_model(),
            "max_prompt_tokens": 16,
            "max_new_tokens": 6,
        }
        return TextVectorEnv(num_envs, **{**defaults, **arguments})

    return make


@pytest.fixture
def make_choice_env(make_env: Callable[..., TextVectorEnv]) -> Callable[..., TextVectorEnv]:
    """Makes slots of the echo task at select level; any argument may be replaced."""
    return functools.partial(make_env, task=ChoiceTask(), action_level="select")


@pytest.fixture
def make_agent(
    save_model: Callable[..., str], make_env: Callable[..., TextVectorEnv]
) -> Callable[..., TextPPO]:
    """Makes an agent with a tiny model on the echo task; any argument may be replaced."""

    def make(
        env: Any = None, policy_kwargs: Mapping[str, Any] | None = None, **arguments: Any
    ) -> TextPPO:
        defaults = {"n_episodes": 12, "batch_size": 12, "device": "cpu", "seed": 0}
        agent = TextPPO(
            "LMPolicy",
            make_env() if env is None else env,
            policy_kwargs={"model": save_model(spread=0.3), **(policy_kwargs or {})},
            **{**defaults, **arguments},
        )
        agent.set_logger(Logger(None, []))
        return agent

    return make


@pytest.fixture
def assert_they_learn_alike(
    make_env: Callable[..., TextVectorEnv],
) -> Callable[[TextPPO, TextPPO], None]:
    """Asserts that two agents, from equal random states on, learn equal weights."""

    def check(agent: TextPPO, other: TextPPO) -> None:
        for one in (agent, other):
            one.set_env(make_env())
            one.set_random_seed(7)
            one.learn(total_episodes=12, reset_num_timesteps=False)
        for name, tensor in agent.policy.state_dict().items():
            assert torch.equal(other.policy.state_dict()[name], tensor), name

    return check


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs a command line with the commands that the project declares, installed or not."""
    points = [EntryPoint(n, value, console.COMMANDS_GROUP) for n, value in _COMMANDS.items()]
    for module in (main, console):
        monkeypatch.setattr(module, "entry_points", lambda group: points)
    monkeypatch.setenv("COLUMNS", "100")

    def invoke(*arguments: object) -> Any:
        return CliRunner().invoke(main.make_app(), [str(word) for word in arguments])

    return invoke
