"""Samples several answers to each of some examples into a file, and goes on where it was stopped.

FILE.jsonl           a row an episode, as `textenv rewards score` and `textenv export` read them
FILE.json            how they were made: settings, versions, hashes of data, model and rows; what
                     they earned
FILE.jsonl.partial/  what there is so far; gone when all is done

The random numbers of a part of the file come from the seed and the part's place, so that a file
that was made in two goes equals one that was made in one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents.policy.lm_policy import LMPolicy
from agents.ppo.model_card import versions
from agents.training.about import hash_examples
from agents.training.held_out import play_policy_on_split
from textenv.benchmark.best_of_n import make_best_of_n
from textenv.episode import TextCore
from textenv.errors import ConfigError, DamagedError
from textenv.examples import Episode
from textenv.json_lines import to_line
from textenv.model_folders import model_folder
from textenv.named_paths import named_path
from textenv.output_paths import check_file
from textenv.plain_json import load_json
from textenv.rewards.base import call_reward
from textenv.rollout import Progress, silent
from textenv.rollout_data.rows import rollout_row
from textenv.safe_text import without_lone_surrogates
from textenv.storage.checksums import (
    GrowingDigest,
    find_difference,
    read_state,
    state_of,
)
from textenv.storage.faults import storage_faults
from textenv.storage.folder_lock import locked
from textenv.storage.whole_files import sync_folder, write_whole
from textenv.tokenization import EMBEDDED, EMBEDDED_PATH

_EPISODES_AT_A_TIME = 256  # episodes that are lost, at most, when it is stopped


@dataclass(frozen=True)
class RolloutSettings:
    """What decides the rows of a file.

    Attributes:
        id: Id of the environment.
        model: Name or path of the model.
        dataset: Description of the data set.
        reward: Description of the reward.
        env: Further arguments of the environment.
        split: "train", "validation" or "test".
        examples: Number of examples, from the first on.
        samples: Number of answers to each example.
        temperature: Temperature of the sampled tokens.
        seed: Seed of the sampling.
    """

    id: str
    model: str
    dataset: Any
    reward: Any
    env: Mapping[str, Any] = field(default_factory=dict)
    split: str = "train"
    examples: int = 256
    samples: int = 8
    temperature: float = 1.0
    seed: int = 0


def header_path(out: Path) -> Path:
    """Returns the file that tells how a file of rollouts was made."""
    return out.with_suffix(".json")


def check_rollout_file(out: Path) -> None:
    """Checks that rollouts can be written into a file, and that nothing is lost by that.

    Raises:
        ConfigError: They cannot, or there is such a file.
    """
    if out.suffix != ".jsonl":
        raise ConfigError(f"Name a file for --out that ends in .jsonl, not '{out}'.")
    # The file that tells of them is written before the last step.
    others = () if _partial(out).is_dir() else (header_path(out),)
    for path in (out, *others):
        if path.exists():
            raise ConfigError(f"'{path}' already exists. Choose another --out, or delete it.")
        check_file(path)


def collect_rollouts(
    policy: LMPolicy,
    core: TextCore,
    settings: RolloutSettings,
    out: Path,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Samples answers of a policy, scores them, and writes a row for each.

    The rows of a file that was begun with the same settings are kept, and it is finished. An answer
    that the reward could not score has the reward null and the reason as "invalid".

    Args:
        policy: Policy that acts, at its own temperature.
        core: Core of the environment; episodes that are running in it are lost.
        settings: What is sampled; `examples` may be more than the split has.
        out: New file, ending in .jsonl.
        progress: Callback that gets the number of finished episodes.

    Returns:
        What FILE.json holds.

    Raises:
        ConfigError: The file exists, or was begun with other settings.
        DamagedError: What was begun is damaged.
        FolderInUseError: Another process writes the same file.
        StorageError: Something cannot be written.
    """
    check_rollout_file(out)
    partial = _partial(out)
    with locked(partial, what="command"), storage_faults(out):
        begun = _BegunFile(partial, _what_decides(settings, core))
        n = begun.settings["examples"]
        for start in range(begun.n_done, n, _examples_at_a_time(settings)):
            begun.add(*_sample(policy, core, settings, start, n, progress))
        header = begun.settings | _summary(begun.rows, settings.samples)
        header |= {"wall_s": begun.wall_s, "versions": versions()}
        header["rows"] = state_of(begun.rows).to_json()
        # A path of a data set may have a name that is no UTF-8.
        text = json.dumps(without_lone_surrogates(header), indent=2, ensure_ascii=False)
        write_whole(header_path(out), f"{text}\n")
        os.replace(begun.rows, out)
        sync_folder(out.parent)
    shutil.rmtree(partial)
    return header


class _BegunFile:
    """The rows so far, which grow by parts that are whole or absent.

    Args:
        folder: Where they are.
        settings: What decides the rows.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.rows, self._path = folder / "rows.jsonl", folder / "state.json"
        self.settings, self.n_done, self.wall_s = settings, 0, 0.0
        self._began_at = time.perf_counter()
        self._digest = GrowingDigest()
        if self._path.is_file():
            self._go_on()
        else:
            self.rows.write_bytes(b"")
            self._save()

    def add(self, n_done: int, lines: str) -> None:
        """Appends rows, the last of them of the example before number `n_done`."""
        content = lines.encode()
        with self.rows.open("ab") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        self._digest.add(content)
        self.n_done = n_done
        self._save()

    def _save(self) -> None:
        now = time.perf_counter()
        self.wall_s += now - self._began_at
        self._began_at = now
        content = {
            "settings": self.settings,
            "examples": self.n_done,
            "wall_s": self.wall_s,
            "rows": self._digest.state.to_json(),
        }
        write_whole(self._path, json.dumps(content, indent=2))

    def _go_on(self) -> None:
        """Reads what there is, and drops rows after the last part that is whole."""
        remedy = f"Delete the folder '{self._path.parent}' to begin anew."
        try:
            content = load_json(self._path.read_bytes())
            before, state = content["settings"], read_state(content["rows"])
            n_done, self.wall_s = int(content["examples"]), float(content["wall_s"])
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedError(f"'{self._path}' is damaged. {remedy}") from error
        wrong = find_difference(self.rows, [state])
        if wrong:
            raise DamagedError(f"'{self.rows}' {wrong}. {remedy}")
        if before != self.settings and n_done:
            names = {**before, **self.settings}
            other = [n for n in names if before.get(n) != self.settings.get(n)]
            was = ", ".join(f"{name}={json.dumps(before.get(name))}" for name in other)
            raise ConfigError(
                f"'{self._path.parent}' was begun with other settings: {was}. Give them again to "
                f"finish it, or choose another --out. {remedy}"
            )
        self.n_done = n_done
        os.truncate(self.rows, state.size)
        self._digest = GrowingDigest(self.rows.read_bytes())


def _sample(
    policy: LMPolicy,
    core: TextCore,
    settings: RolloutSettings,
    start: int,
    n: int,
    progress: Progress,
) -> tuple[int, str]:
    """Samples answers to the examples from `start` on; returns where they end, and their rows."""
    stop = min(start + _examples_at_a_time(settings), n)
    seed = int(np.random.SeedSequence([settings.seed, start]).generate_state(1, np.uint64)[0])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        episodes = play_policy_on_split(
            policy,
            core,
            settings.split,
            range(start, stop),
            deterministic=False,
            progress=lambda done, note: progress(start * settings.samples + done, note),
            n_samples=settings.samples,
        )
    return stop, _lines(core, settings, start, episodes)


def _lines(core: TextCore, settings: RolloutSettings, start: int, episodes: list[Episode]) -> str:
    result = call_reward(core.reward, episodes)
    lines = []
    for i, episode in enumerate(episodes):
        index, sample = divmod(i, settings.samples)
        facts = {
            "environment": settings.id,
            "split": settings.split,
            "index": start + index,
            "sample": sample,
            "model": settings.model,
            "seed": settings.seed,
        }
        try:
            lines.append(to_line(rollout_row(episode, result, i, facts)))
        except TypeError as error:
            raise ConfigError(
                f"The metadata of example '{episode.example.id}' cannot be written as JSON "
                f"({error}), so its answers could not be scored again. Use texts, numbers, lists "
                "and mappings in the task's metadata."
            ) from error
    return "".join(lines)


def _what_decides(settings: RolloutSettings, core: TextCore) -> dict[str, Any]:
    """Returns the settings, what they stand for now, as JSON gives them back."""
    dataset = core.dataset(settings.split)
    decides = asdict(settings) | {
        "examples": min(settings.examples, len(dataset)),
        "slots": core.n_slots,
        "data_hash": hash_examples(dataset),
        "model_hash": _hash_model(settings.model),
    }
    decided: dict[str, Any] = json.loads(json.dumps(decides))
    return decided


def _hash_model(model: str) -> str | None:
    """Returns a hash of the files of a local model; None for one of the Hugging Face hub."""
    path = EMBEDDED_PATH if model == EMBEDDED else named_path(model_folder(model))
    if not path.exists():
        return None
    files = [path] if path.is_file() else sorted(f for f in path.iterdir() if f.is_file())
    digest = hashlib.blake2b(digest_size=16)
    for file in files:
        digest.update(f"{file.name} {state_of(file).digest}\n".encode())
    return digest.hexdigest()


def _summary(rows: Path, samples: int) -> dict[str, Any]:
    """Returns what the answers earned: the best of n by the reward, for several n."""
    rewards, n_cut, n_tokens = [], 0, 0
    with rows.open("rb") as lines:
        for row in map(load_json, lines):
            rewards.append(np.nan if row["reward"] is None else row["reward"])
            n_cut += row["stop_reason"] == "max_new_tokens"
            n_tokens += row["tokens"]
    table = np.array(rewards, np.float64).reshape(-1, samples)
    scored = table[~np.isnan(table).any(axis=1)]
    found = {} if not len(scored) else _best_of_n(scored)
    return {
        "episodes": table.size,
        "unscored": int(np.isnan(table).sum()),
        "best_of_n": found,
        "tied": float((scored.max(axis=1) == scored.min(axis=1)).mean()) if len(scored) else None,
        "tokens": n_tokens,
        "cut": n_cut / max(table.size, 1),
    }


def _best_of_n(scores: Any) -> dict[str, Any]:
    """Returns the mean reward of the best of n answers, with intervals, by n."""
    found = make_best_of_n("reward", {"reward": scores})
    curve = zip(found.n, found.curves["reward"], strict=True)
    return {str(n): estimate.to_json() for n, estimate in curve}


def _examples_at_a_time(settings: RolloutSettings) -> int:
    return max(1, _EPISODES_AT_A_TIME // settings.samples)


def _partial(out: Path) -> Path:
    return out.with_name(f"{out.name}.partial")
