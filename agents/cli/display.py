"""How results of training and evaluation are shown on a terminal."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from textenv.chat import shorten
from textenv.plain_json import load_json

_HEAD_CHARS, _TAIL_CHARS = 180, 100  # of one text in a sample

Summary = Mapping[str, Any]


def print_facts(console: Console, title: str, facts: Mapping[str, object]) -> None:
    """Prints a title, and named facts below it."""
    console.print(Text(title, style="bold"))
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(f"  {name}", Text(str(value)))
    console.print(table)


def print_comparison(console: Console, title: str, summaries: Mapping[str, Summary]) -> None:
    """Prints a line for each agent: its reward with interval, tokens, and how often it stops."""
    console.print()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(Text(title, style="bold"))
    table.add_column("reward [95 %]", no_wrap=True)
    table.add_column("tokens", justify="right")
    table.add_column("stops itself", justify="right")
    for name, summary in summaries.items():
        metrics = summary["metrics"]
        table.add_row(
            name,
            Text(interval(summary["reward"])),
            f"{metrics['response_tokens']['mean']:.1f}",
            f"{metrics['ended_by_agent']['mean']:.0%}",
        )
    console.print(table)


def print_training_result(console: Console, result: Summary, out: Path) -> None:
    """Prints the result of `agents.training.run.train`, some samples, and the run's folder."""
    from agents.training.run_folder import STOP_REASONS  # slow to import

    best, n = result["best"], result["iterations"]
    cut = result["before_cut_to_first_sentence"]
    stages = {"before": result["before"]}
    if cut != result["before"]:
        stages["before, cut to first sentence"] = cut
    if best is None:
        stages["after"] = result["after"]
    elif best["iteration"] == n:
        stages[f"last and best (iteration {n})"] = result["after"]
    else:
        stages[f"best (iteration {best['iteration']})"] = best["after"]
        stages[f"last (iteration {n})"] = result["after"]
    print_comparison(console, f"{result['before']['examples']} held-out examples", stages)
    console.print()
    facts = {"gain": interval(result["gain"], signed=True)}
    if best is not None and best["iteration"] != n:
        facts |= {
            "gain of the best": interval(best["gain"], signed=True),
            "best over last": interval(best["gain_over_last"], signed=True),
        }
    facts |= {
        "turns that end": " before, ".join(
            f"{result[stage]['metrics']['ended_by_agent']['mean']:.0%}"
            for stage in ("before", "after")
        )
        + " after",
        "KL to the start": f"{result['kl_ref']:z.2f} nats a response, how far training moved the "
        "model; a sampled estimate, so it may lie a little below 0",
        "training": f"{result['episodes']} episodes in {duration(result['train_wall_s'])} "
        f"({STOP_REASONS[result['stop_reason']]})",
        "in all": duration(result["wall_s"]),
    }
    if "facts" in result["after"]["metrics"]:
        share = {stage: result[stage]["metrics"]["facts"]["mean"] for stage in ("before", "after")}
        facts["names and numbers"] = (
            f"{share['before']:.0%} right before, {share['after']:.0%} after"
        )
    print_facts(console, "Result", facts)
    print_samples(console, out / "samples.jsonl", 3)
    print_folder(
        console,
        out,
        "report.html to look at; model/ loads in transformers; TextPPO.load reads the agent",
    )
    if best is not None:
        validation = interval(best["validation"]["reward"])
        console.print(f"The best agent is in {out / 'best'}: {validation} on validation.")


def print_samples(console: Console, path: Path, n: int) -> None:
    """Prints the first examples of a file of samples, with responses before and after."""
    with path.open(encoding="utf-8") as file:
        rows = [load_json(line) for line in itertools.islice(file, n)]
    for row in rows:
        _print_sample(console, row, {k: row[k] for k in ("before", "best", "after") if k in row})


def print_answers(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints examples, each with an agent's answer and its reward."""
    for row in rows:
        _print_sample(console, row, {"answer": row})


def _print_sample(
    console: Console, asked: Mapping[str, Any], answers: Mapping[str, Mapping[str, Any]]
) -> None:
    console.print()
    console.print(Text(f"Sample {asked['id']}", style="bold"))
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(justify="right", no_wrap=True)
    table.add_row("  prompt", Text(_shorten(asked["prompt"])), "")
    if asked["references"]:
        table.add_row("  reference", Text(_shorten(asked["references"][0])), "")
    for name, answer in answers.items():
        reward = answer["reward"]
        table.add_row(f"  {name}", _said(answer), "invalid" if reward is None else f"{reward:.3f}")
    console.print(table)


def _said(answer: Mapping[str, Any]) -> Text:
    """Returns an answer; of a dialogue every turn on a line of its own, the user's after a dash."""
    turns = answer.get("turns") or [{"role": "assistant", "text": answer["response"]}]
    return Text("\n").join(
        Text(_shorten(turn["text"]) or "(nothing)")
        if turn["role"] == "assistant"
        else Text(f"- {_shorten(turn['text'])}", style="dim")
        for turn in turns
    )


def print_folder(console: Console, out: Path, what: str) -> None:
    """Prints where the files of a run are."""
    console.print()
    console.print(Text.assemble(("Files in ", "dim"), f"{out}", (f": {what}.", "dim")))


def print_evaluation(console: Console, title: str, summary: Summary) -> None:
    """Prints the reward of one agent and every metric, with intervals."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(Text(title, style="bold"), overflow="fold")
    table.add_column("mean [95 %]", no_wrap=True)
    table.add_row(Text("reward", style="bold"), Text(interval(summary["reward"]), style="bold"))
    for k, estimate in summary.get("pass_at", {}).items():
        table.add_row(Text(f"pass@{k}", style="bold"), Text(interval(estimate), style="bold"))
    for name, estimate in summary["metrics"].items():
        table.add_row(Text(name), Text(interval(estimate)))
    console.print(table)


def interval(estimate: Mapping[str, Any], signed: bool = False, between: str = " ") -> str:
    """Writes a mean and its 95 % interval, with a space or a line break between them."""
    sign = "+" if signed else ""
    low, high = estimate["ci95"]
    return f"{estimate['mean']:{sign}z.3f}{between}[{low:{sign}z.3f}, {high:{sign}z.3f}]"


def describe_precision(bf16: bool | None) -> str:
    """Describes the precision in which a run computes."""
    return "bfloat16 (autocast over float32 weights)" if bf16 else "float32"


def spec_text(spec: object) -> str:
    """Writes the description of a data set or a reward."""
    return spec if isinstance(spec, str) else json.dumps(spec, ensure_ascii=False)


def duration(seconds: float) -> str:
    """Writes a time span."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 120 else f"{minutes} min {rest} s"


def _shorten(text: str) -> str:
    return shorten(text.strip(), _HEAD_CHARS, _TAIL_CHARS)
