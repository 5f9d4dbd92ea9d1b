"""One supervised run: evaluate, fine-tune on ideal or recorded turns, evaluate, save results."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch
import yaml

from agents.policy.lm_policy import LMPolicy
from agents.ppo.atomic_replacement import replacing_entries
from agents.ppo.checkpoints import save_language_model
from agents.ppo.model_card import Measured, ModelFacts, render_card, versions
from agents.training.checked_files import write_run_file
from agents.training.config import SFTOptions
from agents.training.conversations import load_conversations
from agents.training.evaluation import Evaluation
from agents.training.held_out import evaluate_policy_on_split, load_policy
from agents.training.preflight import find_before_loading, tell
from agents.training.report.run_record import to_estimate
from agents.training.run import write_samples
from agents.training.run_card import write_card
from agents.training.run_folder import missing_folders, removed_unless_written
from agents.training.sft import count_steps, train_supervised
from textenv.benchmark.statistics import estimate_gain
from textenv.cli.progress import track, track_steps
from textenv.episode import TextCore
from textenv.errors import ConfigError
from textenv.named_code import record_own
from textenv.named_paths import named_path
from textenv.output_paths import check_new_folder
from textenv.preflight import try_rewards
from textenv.rewards.base import name_of
from textenv.rollout import PlayedEpisode
from textenv.storage.folder_lock import LOCK_FILE, check_free, locked
from textenv.vector import environment_arguments, make_core

_SLOTS = 64
_EVAL_SPLIT = "test"


@dataclass(frozen=True)
class WarmStart:
    """The configuration of a supervised run."""

    ids: tuple[str, ...]  # Ids of the environments, drawn at random
    model: str = "embedded"  # "embedded", a folder, a Hugging Face id or a .gguf file
    dataset: Any = None  # Data set in place of the environments' own
    env: Mapping[str, Any] = field(default_factory=dict)  # Further arguments of the environments
    options: SFTOptions = field(default_factory=SFTOptions)  # Options of the training
    eval_examples: int = 256  # Number of held-out examples on which the gain is measured
    max_seconds: float | None = None  # Time limit of the training; None for no limit
    conversations: str | None = None  # File of conversations to learn from, not ideal turns


def train_warm_start(
    run: WarmStart,
    out: Path,
    device: torch.device | str = "cpu",
    begun: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Fine-tunes a model on the ideal turns of some environments, and measures the gain.

    With `conversations`, it learns from that file instead, whose turns are encoded as those of the
    one environment.

    The folder then holds `config.yaml`, `samples-ID.jsonl` (every held-out example before and
    after), `result.json`, and `model/`, the model and its tokenizer as transformers reads them. If
    the run is interrupted, the model of that moment is saved.

    Args:
        run: Configuration.
        out: Folder of the run.
        device: Where to compute.
        begun: Called once the folder is the run's own, before anything slow.

    Returns:
        Content of `result.json`.

    Raises:
        ConfigError: The folder is not empty, or the conversations are no such file.
        FolderInUseError: Another process is at work in it.
        StorageError: Something cannot be written.
        KeyboardInterrupt: The run was interrupted; the model is saved.
    """
    check_free(out)
    check_new_folder(out)
    made = missing_folders(out)
    with locked(out):
        check_new_folder(out, besides=(LOCK_FILE,))
        with removed_unless_written(out, "model/config.json", made):
            begun()
            return _train(run, out, device)


def _train(run: WarmStart, out: Path, device: torch.device | str) -> dict[str, Any]:
    started_at = time.perf_counter()
    arguments = environment_arguments(run.model, run.dataset, env=run.env)
    cores = {id: make_core(id, _SLOTS, arguments) for id in run.ids}
    for core in cores.values():
        # What fails or is wasted is found before the training, not after.
        try_rewards({name_of(core.reward): core.reward}, core, _EVAL_SPLIT)
        tell(find_before_loading(core, run.model, [core.split, _EVAL_SPLIT]))
    recorded = _load_recorded(run, cores)
    steps = count_steps(run.options, list(cores.values()), recorded)
    run = replace(run, options=run.options.replace(steps=steps))
    widest = max(cores.values(), key=lambda core: core.window)
    policy = load_policy(run.model, widest, device, bf16=run.options.bf16)
    _write_config(run, out / "config.yaml")
    before = {id: _evaluate(policy, core, run, id) for id, core in cores.items()}
    trained_at = time.perf_counter()
    try:
        done = _learn(policy, list(cores.values()), run, steps, recorded)
    finally:
        with replacing_entries(out) as new:
            save_language_model(policy, new / "model", card=render_card(_facts(run)))
    train_wall_s = time.perf_counter() - trained_at
    environments = {}
    for id, core in cores.items():
        after = _evaluate(policy, core, run, id)
        write_samples(samples_path(out, id), core, {"before": before[id], "after": after})
        environments[id] = {
            "before": before[id].summary(),
            "after": after.summary(),
            "gain": estimate_gain(after.rewards, before[id].rewards).to_json(),
        }
    result = {
        "model": run.model,
        "seed": run.options.seed,
        "environments": environments,
        "steps": done,
        "stop_reason": "budget" if done == steps else "max_seconds",
        "train_wall_s": train_wall_s,
        "wall_s": time.perf_counter() - started_at,
        "versions": versions(),
    }
    write_run_file(out / "result.json", json.dumps(result, indent=2))
    facts = replace(_facts(run), measured=_measured(environments))
    write_card(out, render_card(facts))
    return result


def samples_path(out: Path, id: str) -> Path:
    """Returns the path of a run's held-out examples of an environment."""
    return out / f"samples-{id.replace('/', '-')}.jsonl"


def _load_recorded(run: WarmStart, cores: Mapping[str, TextCore]) -> list[PlayedEpisode]:
    """Loads the conversations of a run; none where it learns from ideal turns."""
    if run.conversations is None:
        return []
    if len(cores) > 1:
        raise ConfigError("Conversations go with one environment: name one id.")
    (core,) = cores.values()
    return load_conversations(named_path(run.conversations), core)


def _learn(
    policy: LMPolicy,
    cores: Sequence[TextCore],
    run: WarmStart,
    steps: int,
    recorded: Sequence[PlayedEpisode],
) -> int:
    until = float("inf") if run.max_seconds is None else time.perf_counter() + run.max_seconds
    with track_steps("Training", steps) as report:

        def after_step(step: int, loss: float) -> bool:
            return report(step, loss) and time.perf_counter() < until

        return train_supervised(policy.lm, cores, run.options, after_step, recorded)


def _evaluate(policy: LMPolicy, core: TextCore, run: WarmStart, id: str) -> Evaluation:
    n = min(run.eval_examples, len(core.dataset(_EVAL_SPLIT)))
    with track(f"Evaluating {id}", n) as report:
        return evaluate_policy_on_split(policy, core, _EVAL_SPLIT, n, progress=report)


def _facts(run: WarmStart) -> ModelFacts:
    return ModelFacts(
        base=run.model,
        method=f"Supervised fine-tuning on {_learned(run)}",
        ids=run.ids,
        goal=f"{_learned(run)} alone",
        dataset=run.dataset,
        seed=run.options.seed,
        versions=versions(),
    )


def _learned(run: WarmStart) -> str:
    return "ideal answers" if run.conversations is None else "recorded conversations"


def _measured(environments: Mapping[str, Any]) -> list[Measured]:
    return [
        Measured(
            id,
            _EVAL_SPLIT,
            found["after"]["examples"],
            to_estimate(found["before"]["reward"]),
            to_estimate(found["after"]["reward"]),
            to_estimate(found["gain"]),
        )
        for id, found in environments.items()
    ]


def _write_config(run: WarmStart, path: Path) -> None:
    values = {field.name: getattr(run, field.name) for field in fields(run)}
    values |= {"ids": list(run.ids), "env": dict(run.env), "options": run.options.model_dump()}
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    record_own(text)
    write_run_file(path, text)
