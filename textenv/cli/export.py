"""The group of commands `textenv export`: training files made of rollouts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from textenv.cli.arguments import AsJson
from textenv.cli.console import Commands, print_findings, print_json
from textenv.cli.terminal import make_console
from textenv.errors import ConfigError
from textenv.json_lines import to_line
from textenv.output_paths import check_file
from textenv.rollout_data.choices import (
    choose_best,
    choose_pairs,
    count_alike,
    find_threshold,
    spread_over_prompts,
)
from textenv.rollout_data.formats import SFTForm, dpo_row, kto_row, sft_row
from textenv.rollout_data.rows import Rollout, RolloutFile, by_prompt, read_rollouts
from textenv.storage.faults import storage_faults
from textenv.storage.whole_files import write_whole

_File = Annotated[
    Path, typer.Argument(metavar="FILE.jsonl", help="Rollouts of 'textenv rollouts'.")
]
_Out = Annotated[Path, typer.Option(metavar="FILE.jsonl", help="The training file.")]
_Ended = Annotated[
    bool, typer.Option("--ended", help="Leave out answers that max_new_tokens cut off.")
]


def make_export_app() -> typer.Typer:
    """Builds the group."""
    app = typer.Typer(cls=Commands, no_args_is_help=True, help="Make training files of rollouts.")
    app.command("sft", no_args_is_help=True)(export_sft)
    app.command("dpo", no_args_is_help=True)(export_dpo)
    app.command("kto", no_args_is_help=True)(export_kto)
    return app


def export_sft(
    file: _File,
    out: _Out,
    best: Annotated[int, typer.Option(min=1, help="Most answers to each prompt.")] = 1,
    top: Annotated[
        float, typer.Option(help="Share of them to keep, those with the highest rewards.")
    ] = 1.0,
    min_reward: Annotated[float | None, typer.Option(help="Least reward of an answer.")] = None,
    form: Annotated[
        SFTForm,
        typer.Option(help='One list, "messages", or two of which the completion is learned.'),
    ] = "messages",
    ended: _Ended = False,
    as_json: AsJson = False,
) -> None:
    """Write the best answers, for supervised fine-tuning.

    Of each prompt the best different answers are taken; of equal ones the first. 'textenv sft ID
    --conversations FILE' and TRL's SFTTrainer read the file.
    """
    if not 0 < top <= 1:
        raise ConfigError(f"--top {top:g}: give a share above 0 and up to 1, such as 0.5.")
    read = _read(file, out, ended)
    chosen = choose_best(read.rollouts, best, top=top, min_reward=min_reward)
    if not chosen:
        highest = max(rollout.reward for rollout in read.rollouts)
        raise ConfigError(
            f"No answer earns --min-reward {min_reward:g}: the highest reward is {highest:g}."
        )
    _write(out, (sft_row(rollout, form) for rollout in chosen))
    facts = {
        "rows": len(chosen),
        "prompts": len(by_prompt(chosen)),
        "mean_reward": _mean(chosen),
        "mean_reward_of_all": _mean(read.rollouts),
        "prompts_all_alike": count_alike(read.rollouts),
        "cut": sum(rollout.cut for rollout in chosen),
    }
    hints = []
    if facts["prompts_all_alike"] and min_reward is None:
        hints.append(
            f"Prompts whose answers all earn the same: {facts['prompts_all_alike']}. Their first "
            "answer is taken; --min-reward leaves out those that are not good enough."
        )
    _tell(out, read, facts, as_json, hints)


def export_dpo(
    file: _File,
    out: _Out,
    pairs: Annotated[int, typer.Option(min=1, help="Most pairs of each prompt.")] = 1,
    margin: Annotated[
        float, typer.Option(min=0, help="Least difference of the two rewards.")
    ] = 0.0,
    ended: _Ended = False,
    as_json: AsJson = False,
) -> None:
    """Write pairs of answers of which one earned more, for DPO.

    Of each prompt those pairs are taken whose rewards differ most: first the best answer against
    the worst. Answers that earn the same are no pair.
    """
    read = _read(file, out, ended)
    chosen = choose_pairs(read.rollouts, pairs, margin=margin)
    if not chosen:
        raise ConfigError(
            f"No two answers to a prompt differ by {margin:g} or more in reward. "
            "Sample more of them, or at a higher temperature."
            if margin
            else "All answers to each prompt earn the same, so there are no pairs. Sample more of "
            "them, or at a higher temperature."
        )
    _write(out, map(dpo_row, chosen))
    facts = {
        "rows": len(chosen),
        "prompts": len({pair.chosen.prompt for pair in chosen}),
        "mean_margin": fmean(pair.margin for pair in chosen),
        "mean_reward_chosen": _mean([pair.chosen for pair in chosen]),
        "mean_reward_rejected": _mean([pair.rejected for pair in chosen]),
        "cut": sum(pair.chosen.cut for pair in chosen),
    }
    _tell(out, read, facts, as_json)


def export_kto(
    file: _File,
    out: _Out,
    threshold: Annotated[
        float | None,
        typer.Option(help="Reward from which on an answer is good.", show_default="by --quantile"),
    ] = None,
    quantile: Annotated[
        float, typer.Option(help="Share of the answers that are to be bad, about.")
    ] = 0.5,
    ended: _Ended = False,
    as_json: AsJson = False,
) -> None:
    """Write answers that are labelled good or bad, for KTO.

    Every answer is a row, and neighbours answer different prompts. With --quantile the threshold is
    the reward that has the share of answers below it that is nearest, with some on both sides.
    """
    if not 0 < quantile < 1:
        raise ConfigError(f"--quantile {quantile:g}: give a share between 0 and 1, such as 0.5.")
    read = _read(file, out, ended)
    rewards = [rollout.reward for rollout in read.rollouts]
    if threshold is None:
        threshold = find_threshold(rewards, quantile)
    rows = [kto_row(rollout, threshold) for rollout in spread_over_prompts(read.rollouts)]
    good = sum(row["label"] for row in rows)
    if good in (0, len(rows)):
        raise ConfigError(
            f"With --threshold {threshold:g} {'every' if good else 'no'} answer is good; rewards "
            f"go from {min(rewards):g} to {max(rewards):g}."
        )
    _write(out, rows)
    facts = {
        "rows": len(rows),
        "prompts": len(by_prompt(read.rollouts)),
        "threshold": threshold,
        "good": good,
        "bad": len(rows) - good,
        "cut": sum(rollout.cut for rollout in read.rollouts),
    }
    _tell(out, read, facts, as_json)


def _read(file: Path, out: Path, ended: bool) -> RolloutFile:
    check_file(out)
    if out.exists() and file.exists() and out.samefile(file):
        raise ConfigError(f"--out would write over '{file}', whose rollouts are exported.")
    return read_rollouts(file, ended_only=ended)


def _write(out: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with storage_faults(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, "".join(map(to_line, rows)))


def _tell(
    out: Path,
    read: RolloutFile,
    facts: dict[str, Any],
    as_json: bool,
    hints: Sequence[str] = (),
) -> None:
    facts = {"rollouts": len(read.rollouts), "unscored": read.n_unscored, **facts}
    if as_json:
        print_json(facts)
        return
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        text = f"{value:.4f}" if isinstance(value, float) else f"{value:,}"
        table.add_row(Text(f"  {name.replace('_', ' ')}", style="dim"), Text(text))
    console = make_console()
    console.print(table)
    cut = f"{facts['cut']} of these answers were cut off; --ended leaves such out."
    print_findings(console, [*hints, *([cut] if facts["cut"] else [])])
    console.print(Text(f"Written to {out}."))


def _mean(rollouts: Sequence[Rollout]) -> float:
    return fmean(rollout.reward for rollout in rollouts)
