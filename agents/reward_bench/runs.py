"""Makes the missing runs of a benchmark in parallel processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from agents.reward_bench.config import UNTRAINED, BenchConfig
from agents.reward_bench.records import read_digest
from agents.reward_bench.worker import Job
from textenv.storage.whole_files import write_whole

_ERROR_FILE, _LOG_FILE, _JOB_FILE = "error.txt", "log.txt", "job.json"
_ERROR_CHARS = 2_000
Done = Callable[[str, int, str], None]


@dataclass(frozen=True)
class Wanted:
    """One run that the configuration asks for."""

    name: str  # Name of the design or control
    seed: int  # Seed of the run
    reward: Any  # Reward that it trains on; None for the untrained policy
    digest: str  # Digest of the run's configuration
    folder: Path  # Folder of the run

    @property
    def is_done(self) -> bool:
        """Whether the folder holds a finished run of this configuration."""
        return read_digest(self.folder) == self.digest

    @property
    def error(self) -> str:
        """Error of the last attempt; empty if it did not fail."""
        path = self.folder / _ERROR_FILE
        return path.read_text(encoding="utf-8") if path.is_file() else ""


def wanted_runs(
    config: BenchConfig, names: Sequence[str], rewards: Mapping[str, Any], out: Path
) -> list[Wanted]:
    """Returns the runs of some designs or controls, seed by seed."""
    return [
        Wanted(
            name,
            seed,
            rewards[name],
            config.digest(rewards[name], seed),
            out / "runs" / name / str(seed),
        )
        for seed in config.seeds
        for name in names
    ]


def untrained_runs(config: BenchConfig, out: Path) -> list[Wanted]:
    """Returns the runs that sample the untrained policy, one for each seed."""
    return wanted_runs(config, [UNTRAINED], {UNTRAINED: None}, out)


def make_runs(
    wanted: Sequence[Wanted], config: BenchConfig, report: Done = lambda name, seed, status: None
) -> None:
    """Makes the missing runs, several at a time; one that fails leaves its error in its folder."""
    missing = [run for run in wanted if not run.is_done]
    devices = _devices(config)
    free: SimpleQueue[str] = SimpleQueue()
    for device in devices:
        free.put(device)
    running = _Running()

    def make(run: Wanted) -> str:
        device = free.get()
        try:
            return "stopped" if running.is_stopped else _make_run(run, config, device, running)
        finally:
            free.put(device)

    with ThreadPoolExecutor(len(devices)) as pool:
        futures = {pool.submit(make, run): run for run in missing}
        try:
            for future in as_completed(futures):
                run = futures[future]
                report(run.name, run.seed, future.result())
        except BaseException:
            running.stop()
            raise


class _Running:
    """The running processes, which end when the benchmark is interrupted."""

    def __init__(self) -> None:
        self.is_stopped = False
        self._processes: set[subprocess.Popen[bytes]] = set()

    def wait(self, process: subprocess.Popen[bytes]) -> int:
        """Waits for a process, and returns its exit status."""
        self._processes.add(process)
        if self.is_stopped:  # since the process was started
            process.terminate()
        try:
            return process.wait()
        finally:
            self._processes.discard(process)

    def stop(self) -> None:
        """Ends all processes, including those that are about to start."""
        self.is_stopped = True
        for process in tuple(self._processes):
            process.terminate()


def _make_run(run: Wanted, config: BenchConfig, device: str, running: _Running) -> str:
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / _ERROR_FILE).unlink(missing_ok=True)
    values = {**config.model_dump(mode="json"), "device": device}
    job = Job(values, run.reward, run.seed, run.digest, str(run.folder), os.getpid())
    path = run.folder / _JOB_FILE
    job.save(path)
    environment = {**os.environ, "OMP_NUM_THREADS": str(config.threads)}
    with (run.folder / _LOG_FILE).open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "agents.reward_bench.worker", str(path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
        )
        code = running.wait(process)
    if code == 0 and run.is_done:
        return "done"
    # Ctrl-C in a terminal reaches the run's process too, perhaps before this one.
    if running.is_stopped or code == -signal.SIGINT:
        return "stopped"
    said = (run.folder / _LOG_FILE).read_text(encoding="utf-8", errors="replace").strip()
    last = said.splitlines()[-1][:_ERROR_CHARS] if said else "it said nothing"
    write_whole(run.folder / _ERROR_FILE, f"{last} ({_ending(code)})")
    return "failed"


def _ending(code: int) -> str:
    """Describes how a process ended."""
    if code >= 0:
        return f"exit status {code}"
    # Linux kills processes in this way when memory runs out.
    hint = ", as when memory runs out" if code == -signal.SIGKILL else ""
    return f"killed by signal {-code}{hint}"


def _devices(config: BenchConfig) -> list[str]:
    """Returns a device for each of the runs that may run at the same time."""
    import torch

    n_gpus = torch.cuda.device_count()
    if config.device == "auto" and n_gpus:
        jobs = config.jobs or n_gpus
        return [f"cuda:{i % n_gpus}" for i in range(jobs)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    jobs = config.jobs or (max(1, (cores or 1) // config.threads) if _on_cpu(config) else 1)
    return [config.device] * jobs


def _on_cpu(config: BenchConfig) -> bool:
    return config.device in ("auto", "cpu")
