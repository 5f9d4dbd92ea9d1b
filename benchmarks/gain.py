"""What PPO gains on real data from a small pretrained model, one seed of one task at a time.

    python -m benchmarks.gain --task qa --seed 0 --data DIR --model SmolLM2.gguf --out runs/qa-0
    python -m benchmarks.gain --summarize runs/qa-0 --summarize runs/qa-1 --summarize runs/qa-2

DIR holds `qa_xquad_en.jsonl`, `summ_scitldr_train.jsonl` and `summ_scitldr_dev.jsonl`. The folder
of a run then holds `result.json`, `samples.jsonl` (every held-out example before and after),
`metrics.jsonl` (a line an iteration), `curves.png` and the configuration. The curves need
matplotlib: `pip install 'textenv[plots]'`. On a CPU, to try it:

    ... --device cpu --iterations 2 --episodes 8 --examples 8 --pool 2
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console

from agents.cli.arguments import pick_device
from agents.cli.display import interval, print_facts
from agents.models.loading import load_model, load_model_tokenizer
from agents.ppo.ppo import TextPPO
from agents.reward_bench.best_of_n import sample_pool, score_pool
from agents.training.config import TrainConfig, train_config, write_config
from agents.training.evaluation import (
    Evaluation,
    cut_to_first_sentence,
    evaluate_policy_on_split,
    evaluate_speaker,
    kl_per_episode,
    speak_lead_sentence,
)
from agents.training.run import (
    make_agent,
    versions,
    write_samples,
)
from benchmarks.gain_curves import draw_curves
from benchmarks.gain_data import TASKS, GainTask, speak_contribution, write_splits
from textenv.benchmark.statistics import estimate_gain, make_estimate, two_way_bootstrap
from textenv.cli.progress import track
from textenv.episode import TextCore
from textenv.errors import ConfigError
from textenv.vector import environment_arguments, make_core

KL_EXAMPLES = 128
_LEARNING_RATE, _LEFT_AT_END = 3e-5, 0.1


class TimedDecay:
    """A learning rate that falls in a line to a tenth, by whichever ends first: budget or time.

    Args:
        deadline: When the training has to end, as `time.perf_counter` counts.
    """

    def __init__(self, deadline: float) -> None:
        self._start = time.perf_counter()
        self._span = max(1e-9, deadline - self._start)

    def __call__(self, remaining: float) -> float:
        """Returns the rate, given what is left of the budget of episodes, from 1 to 0."""
        left = min(remaining, 1 - (time.perf_counter() - self._start) / self._span)
        return _LEARNING_RATE * (_LEFT_AT_END + (1 - _LEFT_AT_END) * max(0.0, left))


def make_config(
    task: GainTask, model: Path, data: Path, seed: int, device: str, iterations: int, episodes: int
) -> TrainConfig:
    """Returns the configuration of a run, as `textenv train` would take it."""
    is_cuda = pick_device(device).type == "cuda"
    return train_config(
        {
            "id": task.id,
            "model": str(model),
            "dataset": str(data),
            "env": {
                "max_prompt_tokens": task.max_prompt_tokens,
                "max_new_tokens": task.max_new_tokens,
            },
            "seed": seed,
            "device": device,
            "total_episodes": iterations * episodes,
            "n_episodes": episodes,
            "n_envs": episodes,
            "batch_size": min(64, episodes),
            "n_epochs": 2,
            "learning_rate": _LEARNING_RATE,
            "learning_rate_end": _LEFT_AT_END,
            "kl_coef": task.kl_coef,
            "gamma": 1.0,
            "gae_lambda": 0.95,
            "vf_coef": 0.1,
            "critic_warmup": 3,
            "temperature": 1.0,
            # Without the instructions for it a CPU takes many times as long in bfloat16.
            "bf16": is_cuda,
            "compile_layers": is_cuda,
            "max_tokens_per_batch": 32_768,
            "validation_every": 0,
            "save_every": 0,
        }
    )


def run(
    task: GainTask, config: TrainConfig, out: Path, n_examples: int, pool_size: int, deadline: float
) -> dict[str, Any]:
    """Measures the baselines, trains, and measures the gain; returns what is written."""
    began = time.perf_counter()
    arguments = environment_arguments(config.model, config.dataset, config.reward, config.env)
    core = make_core(config.id, max(config.n_envs, 64), arguments)
    agent = make_agent(config, arguments)
    n = min(n_examples, len(core.dataset("test")))
    greedy_s, before = _greedy(agent, core, n, "Evaluating the start")
    with track("Baselines", 1) as report:
        baselines = {
            "zero-shot": before,
            "zero-shot, first sentence": cut_to_first_sentence(core, before),
            "lead sentence": evaluate_speaker(speak_lead_sentence, core, "test", n),
        }
        if task.has_heuristic:
            baselines["we propose"] = evaluate_speaker(speak_contribution, core, "test", n)
        best = _best_of(agent, core, n, pool_size)
        report(1, "")
    # What comes after the training takes about as long as the first evaluation, twice.
    deadline -= 2 * greedy_s + 5
    agent.lr_schedule = TimedDecay(deadline)
    trained_at = time.perf_counter()
    rows = _learn(agent, config, deadline, out)
    train_s = time.perf_counter() - trained_at
    _, after = _greedy(agent, core, n, "Evaluating the result")
    write_samples(out / "samples.jsonl", core, {"before": before, "after": after})
    sampled = evaluate_policy_on_split(agent.policy, core, "test", min(KL_EXAMPLES, n), False)
    kl = kl_per_episode(agent.policy, agent.reference, sampled.episodes)
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
        "best_of": {"n": pool_size, "mean": best},
        "after": after.summary(),
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
    agent.save(out)
    return result


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
            # One more like this one has to fit, or it would end too late.
            return time.perf_counter() + metrics["time/iteration_s"] < deadline

        agent.learn(total_episodes=config.total_episodes, after_iteration=after_iteration)
    return rows


def save_start(model: str, folder: Path) -> Path:
    """Writes a model as a folder, so that a file that has to be converted is converted once."""
    load_model(model).save_pretrained(folder)
    load_model_tokenizer(model).save_pretrained(folder)
    return folder


def summarize(folders: list[Path]) -> list[dict[str, Any]]:
    """Puts the seeds of each task together.

    The interval is over seeds and examples, both taken as samples.
    """
    results: dict[str, list[dict[str, Any]]] = {}
    for folder in folders:
        path = folder / "result.json"
        if not path.is_file():
            raise ConfigError(f"'{folder}' holds no result.json of benchmarks.gain.")
        result = json.loads(path.read_text(encoding="utf-8"))
        results.setdefault(result["task"], []).append(result)
    summaries = []
    for name, seeds in results.items():
        if len({result["examples"] for result in seeds}) > 1:
            raise ConfigError(f"The runs of '{name}' were measured on different examples.")
        gains = torch.tensor([result["gains"] for result in seeds], dtype=torch.float64).numpy()
        drawn = two_way_bootstrap(gains)
        summaries.append(
            {
                "task": name,
                "metric": seeds[0]["metric"],
                "seeds": [result["seed"] for result in seeds],
                "baselines": seeds[0]["baselines"],
                "best_of": seeds[0]["best_of"],
                "after": [result["after"]["reward"]["mean"] for result in seeds],
                "gain": make_estimate(float(gains.mean()), drawn[:, 0]).to_json(),
                "gain_of_seeds": [result["gain"] for result in seeds],
                "kl_ref": [result["kl_ref"] for result in seeds],
                "episodes_per_s": [result["episodes_per_s"] for result in seeds],
                "wall_s": [result["wall_s"] for result in seeds],
                "device": sorted({result["device"] for result in seeds}),
            }
        )
    return summaries


def _print_run(console: Console, result: Mapping[str, Any]) -> None:
    facts = {
        name: f"{interval(found)}; PPO is better by {interval(result['gain_over'][name], True)}"
        for name, found in result["baselines"].items()
    }
    facts[f"best of {result['best_of']['n']}"] = f"{result['best_of']['mean']:.3f}"
    facts |= {
        "PPO": interval(result["after"]["reward"]),
        "KL": f"{result['kl_ref']:.1f} nats a sequence",
        "speed": f"{result['iterations']} iterations at {result['episodes_per_s']:.0f} episodes/s",
        "in all": f"{result['wall_s']:.0f} s on {result['device']}",
    }
    print_facts(console, f"{result['task']}, {result['metric']}", facts)


def _print_summary(console: Console, summary: Mapping[str, Any]) -> None:
    facts = {name: interval(found) for name, found in summary["baselines"].items()}
    facts[f"best of {summary['best_of']['n']}"] = f"{summary['best_of']['mean']:.3f}"
    after = ", ".join(f"{value:.3f}" for value in summary["after"])
    facts["PPO"] = f"{after}; gain {interval(summary['gain'], signed=True)}"
    for key in ("kl_ref", "episodes_per_s", "wall_s"):
        facts[key] = ", ".join(f"{value:.1f}" for value in summary[key])
    title = f"{summary['task']}, {summary['metric']}, seeds {summary['seeds']}"
    print_facts(console, title, facts)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def main(
    task: Annotated[str, typer.Option(help=", ".join(TASKS))] = "summary",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    data: Annotated[Path | None, typer.Option(help="The folder of the data.")] = None,
    model: Annotated[str | None, typer.Option(help="As for textenv train.")] = None,
    out: Annotated[Path | None, typer.Option(help="A new folder.")] = None,
    device: Annotated[str, typer.Option()] = "auto",
    iterations: Annotated[int, typer.Option(min=1)] = 120,
    episodes: Annotated[int, typer.Option(min=1, help="Episodes of an iteration.")] = 256,
    examples: Annotated[int, typer.Option(min=1, help="Held out, to measure on.")] = 256,
    pool: Annotated[int, typer.Option(min=1, help="n of best-of-n.")] = 16,
    max_seconds: Annotated[float, typer.Option(min=1, help="In all, loading included.")] = 480,
    summarize_runs: Annotated[
        list[Path] | None, typer.Option("--summarize", help="Folders of runs to put together.")
    ] = None,
) -> None:
    """Train on one task with one seed, or put runs together."""
    console = Console(highlight=False)
    if summarize_runs:
        for summary in summarize(summarize_runs):
            _print_summary(console, summary)
        return
    deadline = time.perf_counter() + max_seconds
    if data is None or model is None or task not in TASKS:
        raise typer.BadParameter(f"Give --data, --model and --task, one of {', '.join(TASKS)}.")
    out = out or Path("runs") / f"gain-{task}-{seed}"
    if out.exists():
        raise typer.BadParameter(f"'{out}' already exists. Choose another --out.")
    out.mkdir(parents=True)
    chosen = TASKS[task]
    write_splits(chosen, data, out / "data")
    start = save_start(model, out / "start")
    config = make_config(chosen, start, out / "data", seed, device, iterations, episodes)
    write_config(config, out / "config.yaml")
    result = run(chosen, config, out, examples, pool, deadline)
    _print_run(console, result)
    console.print(f"Files in {out}.")


if __name__ == "__main__":
    typer.run(main)
