"""Small runs that are killed, or whose files fail, in forked processes; and how they are judged.

Every run is forked from one process that has imported everything, so that it takes seconds.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

import agents.training.loop
import agents.training.run
from agents.training.config import TrainConfig, load_config
from agents.training.run_folder import RESULT_FILE
from benchmarks.file_operations import Ended, Operations, die, in_child
from textenv.storage.folder_lock import LOCK_FILE
from textenv.storage.whole_files import remove_entry

_SMALL = [
    "n_episodes=8",
    "n_envs=8",
    "batch_size=8",
    "validation_examples=4",
    "eval_examples=4",
    "device=cpu",
    "bf16=false",
    "env.max_new_tokens=8",
    "total_episodes=32",
    "validation_every=1",
    "save_every=1",
]
# A run of each kind that is killed, as the command line takes it.
KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "PPO": ("TextQA-v0", ()),
    "LoRA": ("TextTranslate-v0", ("lora.r=2",)),
    "dialogue": ("TextDialogue-v0", ("env.max_turns=2",)),
    "judge": ("TextSummarize-v0", ("temperature=0.9",)),
}
FAULTS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES)


@dataclass(frozen=True)
class Attempt:
    """What one attempt brought."""

    kind: str
    place: str  # where the run was killed, or what failed
    ended: Ended
    resumed: Ended | None  # None where the run was finished, so that nothing was left to resume
    is_equal: bool  # whether the resumed run wrote what an uninterrupted one does
    lost: int  # finished iterations that the checkpoint had and the resumed run did not begin with

    @property
    def is_right(self) -> bool:
        """Whether it holds what docs/reliability.md promises."""
        if self.resumed is None:
            return self.is_equal and not self.ended.is_traceback
        raw = self.ended.is_traceback or self.resumed.is_traceback
        return self.is_equal and not raw and self.resumed.code == 0 and self.lost == 0


def make_config(kind: str, judge_url: str = "") -> TrainConfig:
    """Returns the configuration of a small run."""
    id, words = KINDS[kind]
    reward: Any = None
    if kind == "judge":
        reward = {"judge": {"model": "m", "base_url": judge_url, "cache": False}}
    return load_config(None, [*_SMALL, *words], id=id, reward=reward)


def what_it_wrote(out: Path) -> dict[str, Any]:
    """Returns what a finished run wrote, without times."""
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    result = json.loads((out / RESULT_FILE).read_text())
    weights = [
        *out.glob("model/*.safetensors"), *out.glob("best/model/*.safetensors"),
        *out.glob("adapter/*.safetensors"), out / "agent.safetensors",
    ]  # fmt: skip
    return {
        "rows": [
            {k: v for k, v in row.items() if not (k.startswith("time/") and k.endswith("_s"))}
            for row in rows
        ],
        "result": {k: v for k, v in result.items() if not k.endswith("wall_s")},
        **{name: (out / name).read_text() for name in ("samples.jsonl", "rollouts.jsonl")},
        **{path.relative_to(out).as_posix(): path.read_bytes() for path in weights},
    }


def train_in_child(config: TrainConfig, out: Path, kill_after_s: float | None = None) -> Ended:
    """Trains in a child; goes on if the folder holds a run."""
    resume = (out / "config.yaml").is_file()
    return in_child(lambda: agents.training.run.train(config, out, resume=resume), kill_after_s)


def kill_at_random(
    config: TrainConfig, kind: str, folder: Path, after_s: float, straight: dict[str, Any]
) -> Attempt:
    """Kills a run after some seconds, resumes it, and compares it with one that was not killed."""
    out = folder / "run"
    ended = train_in_child(config, out, kill_after_s=after_s)
    return _resumed(config, kind, f"after {after_s:.1f} s", out, ended, straight)


def _resumed(
    config: TrainConfig, kind: str, place: str, out: Path, ended: Ended, straight: dict[str, Any]
) -> Attempt:
    before = saved(out)
    # A killed run may have got as far as its result: what is left is a page that is made of files.
    if (out / RESULT_FILE).is_file():
        return Attempt(kind, place, ended, None, what_it_wrote(out) == straight, 0)
    resumed = train_in_child(config, out)
    is_equal = (out / RESULT_FILE).is_file() and what_it_wrote(out) == straight
    began = _began_with(resumed.said, out)
    return Attempt(kind, place, ended, resumed, is_equal, max(0, before - began))


def saved(out: Path) -> int:
    """Returns how many iterations the checkpoint in a folder has, as its files tell."""
    found = [0]
    for path in (out / "agent.json", *out.glob(".saved*/agent.json")):
        try:
            found.append(int(json.loads(path.read_text())["state"]["n_iterations"]))
        except (OSError, ValueError, KeyError):
            continue
    return max(found)


def _began_with(said: str, out: Path) -> int:
    """Returns the iterations that a resumed run took from its checkpoint."""
    words = [word for line in said.splitlines() if line.startswith("began with ")
             for word in line.split()]  # fmt: skip
    return int(words[2]) if words else 0


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Puts something in the place of a function for a while."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def telling_begin() -> Iterator[None]:
    """Has trainings print with how many iterations they begin."""
    train = agents.training.loop.train_in_folder

    def told(agent: Any, *arguments: Any) -> Any:
        os.write(1, f"\nbegan with {agent.n_iterations} iterations\n".encode())
        return train(agent, *arguments)

    with replaced(agents.training.run, "train_in_folder", told):
        yield


@dataclass
class SaveTrials:
    """Does something at each file operation of a save, in a child each, and keeps what it leaves.

    Attributes:
        out: Folder of the run.
        number: Which save, as the iteration after which it comes.
        first: Operations of the saves before.
        acts: What to do at an operation, by its number over all saves; None to leave it out.
        folder: Folder to work in; `cases/` in it gets a folder for each trial.
    """

    out: Path
    number: int
    first: int
    acts: Callable[[int], Callable[[], None] | None]
    folder: Path

    def run(self, config: TrainConfig) -> int:
        """Trains up to the save, and tries; returns the number of operations."""
        save = agents.training.loop.save_checkpoint

        def saves(*given: Any) -> None:
            if given[0].n_iterations != self.number:
                save(*given)
                return
            self._try_each(lambda: save(*given))
            os._exit(0)

        with replaced(agents.training.loop, "save_checkpoint", saves):
            ended = in_child(lambda: agents.training.run.train(config, self.out))
        assert ended.code == 0, ended.said
        shutil.rmtree(self.out)
        return len(json.loads((self.folder / "all-names").read_text()))

    def _try_each(self, save: Callable[[], None]) -> None:
        base = self.folder / "before"
        _copy(self.out, base)
        counted = in_child(lambda: self._save(save, -1, die))
        assert counted.code == 0, counted.said
        # A save that bears a fault has other operations, and lists those.
        shutil.copy(self.folder / "names", self.folder / "all-names")
        for i, name in enumerate(json.loads((self.folder / "all-names").read_text())):
            act = self.acts(self.first + i)
            if act is None:
                continue
            for entry in self.out.iterdir():
                if entry.name != LOCK_FILE:
                    remove_entry(entry)
            _copy(base, self.out)
            ended = in_child(partial(self._save, save, i, act))
            case = self.folder / "cases" / str(self.first + i)
            _copy(self.out, case / "run")
            (case / "ended.json").write_text(json.dumps([name, ended.code, ended.said]))
        shutil.rmtree(base)

    def _save(self, save: Callable[[], None], number: int, act: Callable[[], None]) -> None:
        seen = Operations(self.out, number, act)
        seen.install()
        seen.is_on = True
        save()
        seen.is_on = False
        (self.folder / "names").write_text(json.dumps(seen.names))


def at_each_operation(
    config: TrainConfig,
    kind: str,
    folder: Path,
    straight: dict[str, Any],
    saves: tuple[int, ...],
    acts: Callable[[int], Callable[[], None] | None],
    tell: Callable[[Attempt], None],
) -> int:
    """Does something at each file operation of some saves of a run, and resumes it each time.

    Args:
        config: Configuration of the run.
        kind: Its name.
        folder: Folder to work in.
        straight: What an uninterrupted run wrote.
        saves: Which saves, from 1.
        acts: As in `SaveTrials`.
        tell: Called with each attempt.

    Returns:
        Number of operations of these saves.
    """
    folder.mkdir(parents=True)
    out, n = folder / "run", 0
    for number in saves:
        n += SaveTrials(out, number, n, acts, folder).run(config)
    for case in sorted((folder / "cases").iterdir(), key=lambda path: int(path.name)):
        name, code, said = json.loads((case / "ended.json").read_text())
        # Resumed in the place where it was.
        shutil.move(case / "run", out)
        tell(
            _resumed(
                config, kind, f"operation {case.name}, {name}", out, Ended(code, said), straight
            )
        )
        shutil.rmtree(out)
    return n


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(LOCK_FILE), dirs_exist_ok=True)


def one_thread() -> None:
    """Has torch compute in one thread, so that it can be forked."""
    torch.set_num_threads(1)
