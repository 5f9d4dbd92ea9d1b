"""The work that every contestant is given, and the outcome that it returns.

Only the standard library and torch are imported, since a contestant may live in an environment of
its own.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Work:
    """One contestant's part of a round: a fixed amount of PPO.

    Attributes:
        folder: Folder of model, tokenizer and prompts; see `benchmarks.peers.fixed_work`.
        separate_critic: Give the values a backbone of their own.
        bf16: Compute in bfloat16 by autocast.
        compiled: Compile the layers; TextPPO's part alone.
        warmup: Updates before those that are timed.
        updates: Updates that are timed.
        threads: Threads of the processor.
        n_episodes: Episodes of an update, which are one minibatch.
        prompt_tokens: Tokens of each prompt.
        response_tokens: Tokens of each response.
        n_epochs: Passes over the episodes of an update.
        hidden_size: Width of the model.
        n_layers: Layers of the model.
        n_heads: Attention heads of each layer.
        vocab_size: Tokens that the model knows.
        vf_coef: Coefficient of half the mean squared error of the values.
    """

    folder: str
    separate_critic: bool = True
    bf16: bool = False
    compiled: bool = False
    warmup: int = 1
    updates: int = 4
    threads: int = 2
    n_episodes: int = 32
    prompt_tokens: int = 64
    response_tokens: int = 32
    n_epochs: int = 4
    hidden_size: int = 128
    n_layers: int = 4
    n_heads: int = 4
    vocab_size: int = 2048
    learning_rate: float = 3e-4
    kl_coef: float = 0.05
    gamma: float = 1.0
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    clip_range_vf: float = 0.2
    vf_coef: float = 0.1
    seed: int = 0


@dataclass
class Outcome:
    """What a contestant measured.

    Attributes:
        update_s: Wall-clock seconds of each timed update, rollout and learning.
        cpu_s: Seconds of all threads in each.
        phases_s: Seconds of each part of each timed update, where the contestant tells them.
        response_tokens: Mean over episodes.
        versions: Versions of the packages that did the work.
    """

    update_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    phases_s: dict[str, list[float]] = field(default_factory=dict)
    response_tokens: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def median_s(self) -> float:
        """Seconds of an update."""
        return statistics.median(self.update_s)


class Stopwatch:
    """Times updates and their phases.

    Args:
        warmup: So many updates are left out of the outcome.
    """

    def __init__(self, warmup: int) -> None:
        self.outcome = Outcome()
        self._warmup = warmup
        self._phases: dict[str, float] = {}
        self._began = (time.perf_counter(), time.process_time())

    def start(self) -> None:
        """Begins an update that follows upon none."""
        self._began = (time.perf_counter(), time.process_time())

    def timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Returns a function whose calls are counted as one of the update's phases."""

        def count(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            result = call(*args, **kwargs)
            self._phases[name] = self._phases.get(name, 0.0) + time.perf_counter() - began
            return result

        return count

    def end_update(self) -> None:
        """Ends an update and begins the next."""
        now = (time.perf_counter(), time.process_time())
        if self._warmup > 0:
            self._warmup -= 1
        else:
            self.outcome.update_s.append(now[0] - self._began[0])
            self.outcome.cpu_s.append(now[1] - self._began[1])
            for name, spent in self._phases.items():
                self.outcome.phases_s.setdefault(name, []).append(spent)
        self._phases = {}
        self.start()

    def finish(self, response_tokens: float, *packages: str) -> Outcome:
        """Returns the outcome, with the versions of the packages that did the work."""
        self.outcome.response_tokens = response_tokens
        self.outcome.versions = {name: version(name) for name in packages}
        self.outcome.versions["python"] = sys.version.split()[0]
        return self.outcome


def run_as_program(run: Callable[[Work], Outcome]) -> None:
    """Runs a contestant: reads its work from the first argument's file, writes to the second's."""
    import torch

    work = Work(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    torch.set_num_threads(work.threads)
    write_json(run(work), Path(sys.argv[2]))


def write_json(record: Work | Outcome, path: Path) -> None:
    """Writes work for the program of a contestant, or its outcome."""
    path.write_text(json.dumps(asdict(record)), encoding="utf-8")


def read_prompts(work: Work) -> list[list[int]]:
    """Returns the token ids of the prompts, `prompt_tokens` each."""
    lines = (Path(work.folder) / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [row["input_ids"] for row in rows]
