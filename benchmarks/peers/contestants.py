"""The contestants of `benchmarks.ppo`: who plays, beside whom, and how each is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from benchmarks.peers.work import Outcome, Work, write_json

PEERS = ("torch", "trl", "sb3")
OURS = "TextPPO"

_PROGRAMS = {OURS: "text_ppo", "torch": "torch_ppo", "trl": "trl_ppo", "sb3": "stock_sb3"}
# TRL 1.12.0 is the last release with a PPOTrainer; it lives in an environment of its own.
_TRL_PINS = ("transformers==5.23.0", "datasets==5.2.0", "accelerate==1.15.0", "trl==1.12.0", "rich")
_ROOT = Path(__file__).resolve().parents[2]


class ContestantError(Exception):
    """A contestant cannot be set up, failed, or did other work than was asked for."""


@dataclass(frozen=True)
class Contestant:
    """One program in one form."""

    kind: str  # "TextPPO" or one of `PEERS`
    separate_critic: bool  # else the values come from the policy's own backbone
    bf16: bool  # else float32
    compiled: bool = False
    lora: bool = False  # low-rank adapters learn, else all weights

    @property
    def name(self) -> str:
        """What tables call it."""
        form = "separate" if self.separate_critic else "shared"
        marks = ", bf16" * self.bf16 + ", compiled" * self.compiled + ", LoRA" * self.lora
        return f"{self.kind}, {form}{marks}"


@dataclass(frozen=True)
class Comparison:
    """One contestant's speed over another's, and the least that it should be."""

    ours: Contestant
    peer: Contestant
    wanted: float | None


@dataclass(frozen=True)
class Wanted:
    """The least ratios to those that have some."""

    torch: float
    trl: Mapping[tuple[bool, bool], float]  # to TRL in float32, by a critic of its own and bf16
    full: float | None = None  # of LoRA to full weights


WANTED = {
    "tiny": Wanted(0.9, {(True, False): 1.15, (False, False): 1.9, (False, True): 2.5}),
    # An update with LoRA should take at most three quarters of one with full weights.
    "135m": Wanted(1.0, {(False, False): 2.0, (False, True): 3.0}, full=4 / 3),
}


def make_field(
    against: Sequence[str],
    critics: Sequence[bool],
    bf16: bool,
    compiled: bool = False,
    shape: str = "tiny",
    lora: bool = False,
) -> tuple[list[Contestant], list[Comparison]]:
    """Returns who plays, and what is compared."""
    wanted = WANTED[shape]
    forms = [(critic, low) for low in ((False, True) if bf16 else (False,)) for critic in critics]
    ours = [Contestant(OURS, *form) for form in forms]
    comparisons = []
    if lora:
        comparisons += [Comparison(replace(o, lora=True), o, wanted.full) for o in ours]
    ours_too = [replace(o, compiled=True) for o in ours] if compiled else []
    if "torch" in against:
        comparisons += [Comparison(o, replace(o, kind="torch"), wanted.torch) for o in ours]
        comparisons += [
            Comparison(o, replace(o, kind="torch", compiled=False), None) for o in ours_too
        ]
    if "trl" in against:
        # TRL has no shared backbone; this is how it comes.
        trl = Contestant("trl", separate_critic=True, bf16=False)
        least = [(o, wanted.trl.get((o.separate_critic, o.bf16))) for o in ours]
        comparisons += [Comparison(o, trl, ratio) for o, ratio in least]
        comparisons += [Comparison(o, trl, None) for o in ours_too]
        low = replace(trl, bf16=True)
        comparisons += [Comparison(o, low, None) for o in (*ours, *ours_too) if o.bf16]
    if "sb3" in against:
        # One form is enough: it is slow, and the policy's default is a shared backbone.
        form = replace(ours[-1] if len(critics) == 1 else ours[1], bf16=False)
        comparisons.append(Comparison(form, replace(form, kind="sb3"), 20.0))
    # Those that are compared play one after the other, when the machine is much the same.
    pairs = [who for c in comparisons for who in (c.ours, c.peer)]
    return list(dict.fromkeys([*pairs, *ours, *ours_too])), comparisons


def work_of(contestant: Contestant, work: Work) -> Work:
    """Returns a contestant's work in one round."""
    if contestant.kind == "sb3":
        # An update of its takes as long as many of the others', and needs no more warming up.
        work = replace(work, warmup=0, updates=1)
    return replace(
        work,
        separate_critic=contestant.separate_critic,
        bf16=contestant.bf16,
        compiled=contestant.compiled,
        lora=contestant.lora,
    )


def play(contestant: Contestant, work: Work, python: str = sys.executable) -> Outcome:
    """Runs a contestant in a process of its own, so that none finds another's memory or threads."""
    work = work_of(contestant, work)
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(work.threads),
        "MKL_NUM_THREADS": str(work.threads),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "PYTHONPATH": os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder, "work.json"), Path(folder, "outcome.json")
        write_json(work, given)
        program = f"benchmarks.peers.{_PROGRAMS[contestant.kind]}"
        done = subprocess.run(
            [python, "-m", program, str(given), str(found)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = "\n".join(done.stderr.strip().splitlines()[-15:])
            raise ContestantError(f"{contestant.name} failed:\n{said}")
        outcome = Outcome(**json.loads(found.read_text(encoding="utf-8")))
    if outcome.response_tokens != work.response_tokens:
        raise ContestantError(
            f"{contestant.name} wrote {outcome.response_tokens:g} tokens a response instead of "
            f"{work.response_tokens}: its work was not that of the others."
        )
    steps = work.n_epochs * (work.warmup + work.updates)
    if contestant.kind != "sb3" and outcome.optimizer_steps != steps:
        raise ContestantError(
            f"{contestant.name} took {outcome.optimizer_steps} steps of its optimizer instead of "
            f"{steps}: its work was not that of the others."
        )
    return outcome


def trl_python(peers_dir: Path) -> Path:
    """Returns the interpreter of TRL's environment, which is created when it is first needed."""
    folder = peers_dir / "trl-1.12.0"
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    complete = folder / "requirements.txt"
    packages = (f"torch=={version('torch').split('+')[0]}", *_TRL_PINS)
    wanted = "\n".join(packages) + "\n"
    if complete.is_file() and complete.read_text(encoding="utf-8") == wanted:
        return python
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(python), "-m", "pip", "install", *packages],
    ):
        # pip shows its own progress.
        if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
            raise ContestantError(
                "The environment of TRL cannot be made: this command failed, and said why above.\n"
                f"    {' '.join(command)}\n"
                "Mend what it complains about, or leave trl out of --against."
            )
    complete.write_text(wanted, encoding="utf-8")
    return python
