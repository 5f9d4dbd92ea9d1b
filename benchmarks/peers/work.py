"""The work that every contestant is given, and the outcome that it returns.

Only the standard library and torch are imported, since a contestant may live in an environment of
its own.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Work:
    """One contestant's part of a round: a fixed amount of PPO."""

    folder: str  # folder of model, tokenizer and prompts; see `benchmarks.peers.fixed_work`
    separate_critic: bool = True  # give the values a backbone of their own
    bf16: bool = False  # compute in bfloat16 by autocast
    compiled: bool = False  # compile the layers; TextPPO's part alone
    lora: bool = False  # train adapters of rank 16 in place of the weights; TextPPO's part alone
    warmup: int = 1  # updates before those that are timed
    updates: int = 4  # updates that are timed
    threads: int = 2  # threads of the processor
    n_episodes: int = 32  # episodes of an update, which are one minibatch
    prompt_tokens: int = 64  # tokens of each prompt
    response_tokens: int = 32  # tokens of each response
    n_epochs: int = 4  # passes over the episodes of an update
    hidden_size: int = 128  # width of the model
    intermediate_size: int = 512  # width of its feed-forward layers
    n_layers: int = 4
    n_heads: int = 4  # attention heads of each layer
    n_kv_heads: int = 4  # heads of keys and values of each layer
    vocab_size: int = 2048  # tokens that the model knows
    tied: bool = False  # the output layer's weights are the embeddings
    learning_rate: float = 3e-4
    kl_coef: float = 0.05
    gamma: float = 1.0
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    clip_range_vf: float = 0.2
    vf_coef: float = 0.1  # coefficient of half the mean squared error of the values
    seed: int = 0


# What an update trains, by the name of its shape; else as `Work` says.
SHAPES: Mapping[str, Mapping[str, Any]] = {
    "tiny": {},
    # SmolLM2-135M
    "135m": {
        "hidden_size": 576,
        "intermediate_size": 1536,
        "n_layers": 30,
        "n_heads": 9,
        "n_kv_heads": 3,
        "vocab_size": 49152,
        "tied": True,
        "n_episodes": 16,
        "n_epochs": 2,
    },
}


@dataclass
class Outcome:
    """What a contestant measured."""

    # Wall-clock seconds of each timed update, rollout and learning.
    update_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)  # seconds of all threads in each
    # Seconds of each part of each timed update, where the contestant tells them.
    phases_s: dict[str, list[float]] = field(default_factory=dict)
    response_tokens: float = 0.0  # mean over episodes
    optimizer_steps: int = 0  # of all updates, those of the warm-up included
    # Versions of the packages that did the work.
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
    from torch.optim.optimizer import register_optimizer_step_post_hook

    work = Work(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    torch.set_num_threads(work.threads)
    steps: list[object] = []
    register_optimizer_step_post_hook(lambda optimizer, *_: steps.append(type(optimizer)))
    outcome = run(work)
    outcome.optimizer_steps = len(steps)
    write_json(outcome, Path(sys.argv[2]))


def write_json(record: Work | Outcome, path: Path) -> None:
    """Writes work for the program of a contestant, or its outcome."""
    path.write_text(json.dumps(asdict(record)), encoding="utf-8")


def read_prompts(work: Work) -> list[list[int]]:
    """Returns the token ids of the prompts, `prompt_tokens` each."""
    lines = (Path(work.folder) / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [row["input_ids"] for row in rows]
