"""The record of a finished run: its looks, each with every held-out episode and its KL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from textenv.episode import TextCore
from textenv.examples import Episode, Turn
from textenv.plain_json import load_json
from textenv.storage.whole_files import write_whole

RUN_FILE = "run.json"
RECORD_VERSION = 2  # goes up with what a run's file holds, so that older ones are made again


@dataclass(frozen=True)
class Look:
    """One evaluation during a run."""

    episodes_trained: int  # Number of training episodes before it
    n_samples: int  # Number of episodes of each prompt
    # (n_prompts * n_samples,) log pi - log pi_ref of each sampled episode, in nats
    kl: NDArray[np.float64]
    # (n_prompts * n_samples,) actions of the policy in each episode: tokens at token level
    n_actions: NDArray[np.int64]
    episodes: tuple[Episode, ...]  # (n_prompts * n_samples,) sampled episodes, prompt by prompt


@dataclass(frozen=True)
class Run:
    """A finished training run."""

    digest: str  # Digest of the run's configuration
    looks: tuple[Look, ...]  # Evaluations in order of training
    wall_s: float  # Duration of the run


def save_run(run: Run, folder: Path) -> None:
    """Writes a run, so that the file is either whole or missing."""
    looks = [
        {
            "episodes_trained": look.episodes_trained,
            "n_samples": look.n_samples,
            "kl": look.kl.tolist(),
            "n_actions": look.n_actions.tolist(),
            "said": [
                {
                    "turns": [
                        [turn.role, turn.text] for turn in episode.turns[episode.n_opening :]
                    ],
                    "stop_reason": episode.stop_reason,
                }
                for episode in look.episodes
            ],
        }
        for look in run.looks
    ]
    data = {"digest": run.digest, "wall_s": run.wall_s, "looks": looks}
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / RUN_FILE, json.dumps(data, ensure_ascii=False))


def read_digest(folder: Path) -> str | None:
    """Returns the digest of the run that a folder holds, or None if it holds none."""
    try:
        data = load_json((folder / RUN_FILE).read_text(encoding="utf-8"))
        return str(data["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def load_run(folder: Path, core: TextCore, split: str) -> Run:
    """Reads a run; its prompts are those of the environment's split."""
    data = load_json((folder / RUN_FILE).read_text(encoding="utf-8"))
    looks = [
        Look(
            look["episodes_trained"],
            look["n_samples"],
            np.array(look["kl"], np.float64),
            np.array(look["n_actions"], np.int64),
            tuple(_episodes(look["said"], look["n_samples"], core, split)),
        )
        for look in data["looks"]
    ]
    return Run(data["digest"], tuple(looks), data["wall_s"])


def _episodes(
    said: Sequence[dict[str, object]], n_samples: int, core: TextCore, split: str
) -> list[Episode]:
    dataset = core.dataset(split)
    episodes = []
    for index, entry in enumerate(said):
        example = dataset[index // n_samples]
        opening = core.task.opening(example)
        turns = [Turn(role, text) for role, text in entry["turns"]]  # type: ignore[attr-defined] # as `save_run` wrote it
        episodes.append(
            Episode(
                example,
                (*opening, *turns),
                stop_reason=entry["stop_reason"],  # type: ignore[arg-type] # as `save_run` wrote it
                n_opening=len(opening),
            )
        )
    return episodes
