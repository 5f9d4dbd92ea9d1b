"""Hands mutated input to all that reads files and arguments of others: python -m tools.fuzz.

Each input must end in one of our errors or in a result. Anything else, and an input that takes
longer than `LIMIT_S` of the processor, is a failure, printed with its kind and number; the same
seed makes the same inputs. Memory is limited to `MEMORY` bytes of address space.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from textenv.errors import TextEnvError

LIMIT_S = 10.0
MEMORY = 8 << 30
_SEEDS = Path(__file__).parent.parent / "tests" / "hostile"
_LONGEST = 3000  # bytes of an input that is mutated
_SPLICES = tuple(
    text.encode("utf-8", "surrogatepass")
    for text in (
        *("[", "]", "{", "}", ":", ",", "- ", "? ", "&a ", "*a", "<<: ", "!!set ", "!!int ", "!x "),
        *("~", "null", "true", "no", ".inf", ".nan", "-0", "1e999", "0x", "0o17", "1:30", "=", "%"),
        *("2020-99-99", "9" * 5000, "-1", "0", "''", '""', '"', "'", "\\", "\\ud800", "\\x00"),
        *("\0", "\n", "\r", "\t", "\x1b[2J", "\x9b", "\u202e", "\ud800", "\ufeff", "|", ">", "#"),
        *(
            "[" * 300,
            "{a: " * 300,
            "- " * 300,
            "textenv.env:TextEnv",
            "os:system",
            "x.py:y",
            "../..",
        ),
        *(
            "rougeL",
            "id",
            "env",
            "reward",
            "dataset",
            "seed",
            "path",
            "weight",
            "of",
            "NaN",
            "\xff",
        ),
    )
)


@dataclass
class Outcome:
    """What became of the inputs of one kind."""

    results: int = 0
    refusals: int = 0
    failures: list[str] = field(default_factory=list)


class _Surfaces:
    """What reads input, and what the mutations start from.

    Args:
        folder: Folder for the files that are read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.kinds: dict[str, tuple[list[bytes], Callable[[bytes], object]]] = {
            "configuration": ([*_files("configs"), _CONFIG], self.configuration),
            "override": ([line.encode() for line in _OVERRIDES], self.override),
            "registry": ([*_files("registries"), _REGISTRY], self.registry),
            "reward": ([*_files("rewards"), *(line.encode() for line in _REWARDS)], self.reward),
            "rows.jsonl": ([*_files("rows", "*.jsonl"), _ROWS], self.rows(".jsonl")),
            "rows.json": ([*_files("rows", "*.json"), b"[" + _ROWS.strip() + b"]"],
                          self.rows(".json")),
            "rows.csv": ([*_files("rows", "*.csv"), _CSV], self.rows(".csv")),
            "rows.xml": ([*_files("rows", "*.xml"), _XML], self.rows(".xml")),
            "rows.parquet": ([_parquet()], self.rows(".parquet")),
            "chat": (_files("chats"), self.chat),
            "agent.json": ([_AGENT], self.agent),
            "run folder": ([_CONFIG, *_files("configs")], self.run_folder),
            "scored rows": ([_SCORED], self.scored),
        }  # fmt: skip

    def configuration(self, data: bytes) -> object:
        from agents.training.config import load_config

        return load_config(self._write("config.yaml", data))

    def override(self, data: bytes) -> object:
        from agents.training.config import load_config

        return load_config(None, [_text(data)], id="TextSummarize-v0")

    def registry(self, data: bytes) -> object:
        from textenv.registry import load_registry

        return load_registry(self._write("registry.yaml", data))

    def reward(self, data: bytes) -> object:
        from textenv.cli.console import parse_spec
        from textenv.rewards import load_reward

        return load_reward(parse_spec(_text(data)))

    def rows(self, suffix: str) -> Callable[[bytes], object]:
        from textenv.datasets import load_dataset
        from textenv.tasks.summarize import SummarizeTask

        def read(data: bytes) -> object:
            path = self._write(f"rows{suffix}", data)
            return len(load_dataset(str(path), SummarizeTask(), "train"))

        return read

    def chat(self, data: bytes) -> object:
        from textenv.examples import Turn
        from textenv.tokenization import load_tokenizer

        tokenizer, text = load_tokenizer(), data.decode("utf-8", "surrogateescape")
        ids, _ = tokenizer.encode_opening([Turn("user", text, (0, len(text)))], 500)
        empty, _ = tokenizer.encode_opening([Turn("user", "")], 500)
        marks = [sum(id in tokenizer.special_ids for id in some) for some in (ids, empty)]
        assert marks[0] == marks[1], "a text became a special token"
        return ids

    def agent(self, data: bytes) -> object:
        from agents.ppo.agent_file import read_agent_file

        return read_agent_file(self._write("agent.json", data), 4)

    def run_folder(self, data: bytes) -> object:
        from agents.serve.watched_runs import WatchedRuns
        from agents.training.run_folder import read_setting

        self._write("run/config.yaml", data)
        self._write("run/metrics.jsonl", data)
        runs = WatchedRuns([self._folder / "run"])
        runs.refresh()
        for run in runs:
            assert run.state
        return read_setting(self._folder / "run")

    def scored(self, data: bytes) -> object:
        from textenv.rewards.score import read_rows

        return read_rows(io.BytesIO(data), "the rows")

    def _write(self, name: str, data: bytes) -> Path:
        path = self._folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return path


def fuzz(n_inputs: int, seed: int, folder: Path) -> dict[str, Outcome]:
    """Plays inputs of every kind, in turn.

    Args:
        n_inputs: Number of inputs in all.
        seed: Seed of the mutations.
        folder: Empty folder to write to.

    Returns:
        What became of them, by kind.
    """
    surfaces = _Surfaces(folder)
    outcomes = {kind: Outcome() for kind in surfaces.kinds}
    kinds = list(surfaces.kinds.items())
    for number in range(n_inputs):
        kind, (seeds, play) = kinds[number % len(kinds)]
        data = _mutated(seeds, random.Random(f"{seed} {number}"))
        outcome = outcomes[kind]
        try:
            with _time_limit(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                play(data)
            outcome.results += 1
        except TextEnvError:
            outcome.refusals += 1
        except Exception as error:
            said = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            outcome.failures.append(f"{kind}, input {number}: {said}")
            (folder / f"failure-{number}").write_bytes(data)
    return outcomes


def _mutated(seeds: list[bytes], rng: random.Random) -> bytes:
    # The last is valid: from the others it is rarely far to a refusal.
    data = bytearray((seeds[-1] if rng.random() < 0.5 else rng.choice(seeds))[:_LONGEST])
    for _ in range(rng.choice((0, 1, 1, 2, 3, 6))):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((1, 1, 2, 5, 20, 100)))
        match rng.randrange(6):
            case 0:
                data[at:end] = b""
            case 1:
                data[at:at] = rng.choice(_SPLICES)
            case 2:
                data[at:end] = rng.choice(_SPLICES)
            case 3:
                data[at:at] = data[at:end] * rng.choice((1, 2, 50))
            case 4 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case _:
                other = rng.choice(seeds)[:_LONGEST]
                cut = rng.randrange(len(other) + 1)
                data[at:] = other[cut:]
    return bytes(data)


def _text(data: bytes) -> str:
    """Decodes as an argument of a command is decoded."""
    return data.decode("utf-8", "surrogateescape")


def _files(kind: str, pattern: str = "*") -> list[bytes]:
    return [path.read_bytes() for path in sorted((_SEEDS / kind).glob(pattern))]


def _parquet() -> bytes:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"document": ["The harbour reopened.", "b"], "summary": ["a", "c"]})
    written = io.BytesIO()
    pyarrow.parquet.write_table(table, written)
    return written.getvalue()


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TimeoutError(f"it takes longer than {LIMIT_S:g} s")

    if not hasattr(signal, "setitimer"):  # not on Windows
        yield
        return
    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


_CONFIG = b"""id: TextSummarize-v0
model: embedded
seed: 1
reward: {rougeL: 1, length: {weight: 0.5, target: 20}}
env: {max_new_tokens: 16}
learning_rate: 1.0e-5
lora: null
"""
_OVERRIDES = (
    *("seed=1", "env.max_new_tokens=8", "lora.r=4", "reward={rougeL: 1}", "total_episodes=100"),
    *("learning_rate=1e-4", "sampler_kwargs.gpu_memory_utilization=0.4", "dataset={path: a.csv}"),
)
_REGISTRY = b"""environments:
  - id: Own-v0
    task: textenv.tasks.summarize:SummarizeTask
    description: One line.
    kwargs: {dataset: news, reward: rougeL, max_new_tokens: 16}
"""
_REWARDS = (
    *("rougeL", "{rougeL: 1, bleu: 0.5}", "{length: {target: 20, weight: 2}}", "{format: {}}"),
    *("{normalise: {of: rougeL, mean: 0, std: 1}}", "{gated: {reward: rougeL, gates: [length]}}"),
    *(
        "{a: {reward: {rougeL: 1}}}",
        "{constraints: {}}",
        "{by_language: {}}",
        "{dense: {of: chrf}}",
    ),
)
_ROWS = b'{"document": "The harbour reopened on Monday.", "summary": "It reopened."}\n'
_CSV = b'document,summary\n"The harbour, closed, reopened.",It reopened.\nb,c\n'
_XML = b"<r><i><document>The harbour reopened.</document><summary>a</summary></i></r>"
_SCORED = b'{"response": "a", "references": ["b"], "prompt": "c", "metadata": {"k": 1}}\n'
_AGENT = json.dumps(
    {
        "format": 4,
        "options": {"learning_rate": 1e-5},
        "policy_options": {"lora": None},
        "spaces": {"window": 128, "vocab_size": 100, "max_new_tokens": 16},
        "state": {"n_iterations": 3},
        "optimizer_groups": [{"lr": 1e-5}],
    }
).encode()


def main(
    inputs: Annotated[int, typer.Option(help="Number of inputs.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Seed of the mutations.")] = 0,
) -> None:
    """Plays inputs, and prints what became of them."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # not on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    started_at = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        outcomes = fuzz(inputs, seed, Path(folder))
    for kind, outcome in outcomes.items():
        counts = f"{outcome.results:7} results {outcome.refusals:7} refusals"
        sys.stdout.write(f"{kind:14} {counts} {len(outcome.failures):5} failures\n")
    failures = [said for outcome in outcomes.values() for said in outcome.failures]
    kinds = Counter((said.split(",")[0], said.split(": ", 1)[1][:60]) for said in failures)
    for (kind, said), count in kinds.most_common(40):
        first = next(one for one in failures if one.startswith(kind) and said in one)
        sys.stdout.write(f"{count:5} {first}\n")
    sys.stdout.write(f"{inputs} inputs in {time.perf_counter() - started_at:.0f} s\n")
    raise SystemExit(bool(failures))


if __name__ == "__main__":
    typer.run(main)
