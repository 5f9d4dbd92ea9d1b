"""Who plays a suite: scripted agents, and language models by their most likely tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from agents.models.options import choose_bf16
from agents.policy.lm_policy import LMPolicy
from agents.suite.lazy_rule import make_lazy_speaker
from agents.suite.suite import Suite, SuiteTask
from agents.training.evaluation import question
from agents.training.held_out import load_policy, play_policy_on_split, score_episodes
from agents.training.looks import BEST
from agents.training.model_lookup import find_model, pick_device
from agents.training.writers import UniformWriter
from textenv.datasets.base import hash_of
from textenv.episode import TextCore
from textenv.examples import Episode
from textenv.named_paths import named_path
from textenv.rollout import Progress, SpeakerWriter, Writer, play_examples
from textenv.storage.checksums import state_of
from textenv.tokenization import EMBEDDED, EMBEDDED_PATH

# Files of a model that decide what it writes.
_OF_A_MODEL = (".safetensors", ".bin", ".gguf", ".json", ".jinja", ".model", ".txt")

Row = dict[str, Any]


class Player(Protocol):
    """Plays parts of a suite."""

    @property
    def name(self) -> str:
        """What a leaderboard calls it unless it is given a name."""

    @property
    def device(self) -> str:
        """Where it computes; empty for elsewhere."""

    def describe(self) -> dict[str, Any]:
        """Returns what decides its answers, as plain values: a part of every result."""

    def parts(self) -> Sequence[range]:
        """Returns the examples that are played, and kept, at once."""

    def prepare(self) -> None:
        """Makes ready to play, which takes time once."""

    def play(self, task: SuiteTask, numbers: range, progress: Progress) -> list[Row]:
        """Plays and scores some examples of a task; returns a row an answer."""


class LocalPlayer:
    """An agent that plays in slots of this process, a batch at a time.

    Args:
        suite: What is played.
        tokenizer: Tokenizer of its environments.
    """

    def __init__(self, suite: Suite, tokenizer: str = EMBEDDED) -> None:
        self.suite, self._tokenizer = suite, tokenizer
        self.core = cache(self._make_core)

    def parts(self) -> list[range]:
        """Returns the batches."""
        n, size = self.suite.examples, self.suite.batch_size
        return [range(start, min(start + size, n)) for start in range(0, n, size)]

    def prepare(self) -> None:
        """Makes the slots of every task."""
        for task in self.suite.tasks:
            self.core(task.id)

    def play(self, task: SuiteTask, numbers: range, progress: Progress) -> list[Row]:
        """Plays and scores some examples of a task; returns a row an answer."""
        core = self.core(task.id)
        evaluation = score_episodes(core, self._episodes(core, task, numbers, progress))
        rows = []
        for i, episode in enumerate(evaluation.episodes):
            cut = {"prompt_cut": bool(episode.prompt_cut)}
            rows.append(question(core, episode.example) | cut | evaluation.answer(i))
        return rows

    def _episodes(
        self, core: TextCore, task: SuiteTask, numbers: range, progress: Progress
    ) -> Sequence[Episode]:
        raise NotImplementedError

    def _make_core(self, id: str) -> TextCore:
        task = next(task for task in self.suite.tasks if task.id == id)
        return self.suite.make_core(task, self._tokenizer)


class ScriptedPlayer(LocalPlayer):
    """One of `SCRIPTED`, in `agents.suite.definition`."""

    def __init__(self, suite: Suite, name: str) -> None:
        super().__init__(suite)
        self.name, self.device = name, "cpu"

    def describe(self) -> dict[str, Any]:
        """Returns what it is."""
        return {"kind": "scripted", "agent": self.name}

    def _episodes(
        self, core: TextCore, task: SuiteTask, numbers: range, progress: Progress
    ) -> list[Episode]:
        examples = self.suite.chosen(core)[numbers.start : numbers.stop]
        played = play_examples(core, self._writer(core, task, numbers), examples, progress=progress)
        return [episode.conversation for episode in played]

    def _writer(self, core: TextCore, task: SuiteTask, numbers: range) -> Writer:
        if self.name == "gold":
            return SpeakerWriter(core, core.task.gold)
        if self.name == "lazy":
            return SpeakerWriter(core, make_lazy_speaker(core.task, task.lazy_rule))
        # Of each batch its own, so that it does not matter which were played before.
        seed = [self.suite.seed, hash_of(task.id), numbers.start]
        return UniformWriter(core, np.random.default_rng(seed))


class ModelPlayer(LocalPlayer):
    """A language model, greedy.

    Args:
        suite: What is played.
        model: "embedded", a folder, a run's folder, a Hugging Face id or a .gguf file.
        device: "auto", "cpu", "cuda", ...
        bf16: Whether to compute in bfloat16; None for where the device gains by it.

    Raises:
        ModelError: There is no such model.
        ConfigError: There is no such device.
    """

    def __init__(
        self, suite: Suite, model: str, device: str = "auto", bf16: bool | None = None
    ) -> None:
        self._model, acting = find_model(model)
        self._device = pick_device(device)
        self.device = describe_device(self._device)
        self._bf16 = choose_bf16(bf16, self._device.type)
        self._acting = {**acting, "bf16": self._bf16}
        self.name = name_of_model(model)
        super().__init__(suite, self._model)

    def describe(self) -> dict[str, Any]:
        """Returns the model, a hash of its files if they lie here, and the precision."""
        return {
            "kind": "model",
            "model": self.name,
            "files": hash_model(self._model),
            "precision": "bfloat16" if self._bf16 else "float32",
        }

    def prepare(self) -> None:
        """Loads the model, and makes the slots of every task."""
        _ = self._policy

    @cached_property
    def _policy(self) -> LMPolicy:
        cores = [self.core(task.id) for task in self.suite.tasks]
        longest = max(cores, key=lambda core: core.window)
        return load_policy(self._model, longest, self._device, **self._acting)

    def _episodes(
        self, core: TextCore, task: SuiteTask, numbers: range, progress: Progress
    ) -> list[Episode]:
        # Keys that an earlier batch left would be used again where prompts begin alike, and differ
        # from new ones by a rounding: the result must not depend on what was played before.
        self._policy.cached.forget()
        split = self.suite.split
        return play_policy_on_split(self._policy, core, split, numbers, progress=progress)


def describe_device(device: torch.device) -> str:
    """Returns what computes: a GPU's name, or the number of threads of the processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    n_threads = torch.get_num_threads()
    return f"{device.type}, {n_threads} thread{'s' * (n_threads > 1)}"


def hash_model(model: str) -> str | None:
    """Returns a hash of the files of a model: 16 hexadecimal digits of BLAKE2b.

    Args:
        model: "embedded", a folder or a file; of an id of the hub nothing is known, and it is None.
    """
    path = EMBEDDED_PATH if model == EMBEDDED else named_path(model)
    if not path.exists():
        return None
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    digest = hashlib.blake2b(digest_size=8)
    for file in files:
        if file.suffix in _OF_A_MODEL:
            name = file.name if file == path else file.relative_to(path).as_posix()
            digest.update(f"{name} {state_of(file).digest}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def name_of_model(model: str) -> str:
    """Returns the last name of a path; a run's best agent, or its model/, has the run's name."""
    path = named_path(model)
    if model == EMBEDDED or not path.exists():
        return model
    path = Path(path).resolve()
    if path.name == "model" and path.parent.name:
        path = path.parent
    return f"{path.parent.name}/{BEST}" if path.name == BEST else path.name
