"""Bytes that two processes of a training run send each other in an iteration.

    python -m benchmarks.traffic [--json out.json]

Counts the bytes that one process hands to each collective operation of torch.distributed, over gloo
on this machine; a network carries about (n - 1) / n of each gathered or scattered buffer and twice
that of each sum.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections import Counter
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.measuring import JsonPath, make_table, write_json

ID = "TextTranslate-v0"
_EPISODES, _BATCH, _EPOCHS, _PROCESSES, _ITERATIONS = 16, 8, 2, 2, 2
# The names of each operation, of newer and older versions of torch.
_OPERATIONS = {
    "gathered": ("all_gather_single", "all_gather_into_tensor"),
    "scattered": ("reduce_scatter_single", "reduce_scatter_tensor"),
    "summed": ("all_reduce",),
}


def measure(parallel: str) -> dict[str, Any]:
    """Trains in this process, one of several, and counts; called by `start`."""
    import torch.distributed as dist
    from torch import Tensor

    from agents.ppo.ppo import TextPPO

    sent: Counter[str] = Counter()

    def counting(kind: str, operation: Any) -> Any:
        def counted(*tensors: Any, **more: Any) -> Any:
            given = [t for t in (*tensors, *more.values()) if isinstance(t, Tensor)]
            # The larger of two is the one that all parts lie in.
            sent[kind] += max(t.numel() * t.element_size() for t in given)
            return operation(*tensors, **more)

        return counted

    for kind, names in _OPERATIONS.items():
        for name in names:
            if hasattr(dist, name):
                setattr(dist, name, counting(kind, getattr(dist, name)))
    agent = TextPPO(
        "LMPolicy",
        ID,
        n_episodes=_EPISODES,
        n_envs=_EPISODES,
        batch_size=_BATCH,
        n_epochs=_EPOCHS,
        critic_warmup=0,
        policy_kwargs={"bf16": False},
        device="cpu",
        seed=0,
        parallel=parallel,
    )
    totals: list[Counter[str]] = [Counter()]
    agent.learn(
        total_episodes=_EPISODES * _ITERATIONS,
        after_iteration=lambda _: not totals.append(Counter(sent)),  # type: ignore[func-returns-value] # it goes on
    )
    parameters = sum(p.numel() * p.element_size() for p in agent.policy.parameters())
    return {
        "parallel": parallel,
        "weight_bytes": parameters,
        "sent_bytes": {name: totals[-1][name] - totals[-2][name] for name in _OPERATIONS},
    }


def start(parallel: str) -> dict[str, Any]:
    """Trains in processes of its own; returns what the first one counted."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    env = {
        **os.environ,
        "WORLD_SIZE": str(_PROCESSES),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "benchmarks.traffic", "--as-process", parallel]
    processes = [
        subprocess.Popen(command, env={**env, "RANK": str(rank)}, stdout=subprocess.PIPE, text=True)
        for rank in range(_PROCESSES)
    ]
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit("A process failed; its output stands above.")
    result: dict[str, Any] = json.loads(outputs[0].splitlines()[-1])
    return result


def main(
    json_path: JsonPath = None,
    as_process: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Count what two processes send in an iteration of PPO."""
    if as_process is not None:
        typer.echo(json.dumps(measure(as_process)))
        return
    results = [start(parallel) for parallel in ("ddp", "fsdp")]
    title = f"{ID}, {_EPISODES} episodes, {_EPOCHS} epochs of 2 minibatches"
    table = make_table(title, "", "weights, bytes", *_OPERATIONS, "over the weights")
    for result in results:
        sent = result["sent_bytes"]
        ratio = sum(sent.values()) / result["weight_bytes"]
        numbers = [f"{sent[name]:,}" for name in _OPERATIONS]
        table.add_row(result["parallel"], f"{result['weight_bytes']:,}", *numbers, f"{ratio:.2f}")
    Console().print(table)
    write_json(json_path, results)


if __name__ == "__main__":
    typer.run(main)
