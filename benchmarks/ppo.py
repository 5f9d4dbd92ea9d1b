"""Episodes per second of PPO on a CPU, beside the peers that do the same work.

    python -m benchmarks.ppo --against trl,sb3,torch [--rounds 5] [--json out.json]
    python -m benchmarks.ppo --shape 135m --against trl,torch --rounds 3 --updates 1
    python -m benchmarks.ppo --shape 135m --lora --value shared --rounds 3 --updates 2

The work is an update of 32 episodes: prompts of 64 tokens, responses of 32, four epochs in one
minibatch, with a Llama of 128 x 4 layers and 2048 words. With `--shape 135m` it is one of 16
episodes in two epochs, with random weights in the shape of SmolLM2-135M. The peers are TRL 1.12.0's
PPOTrainer (its environment is made when it is first needed), Stable-Baselines3's own PPO with
`LMPolicy`, and a bare loop in torch. Each round runs everyone once, in rotated order and in
processes of their own; a ratio is the median over rounds of the ratios within a round. `--lora`
compares whole updates of TextPPO's adapters with those of its full weights, and runs no peer.

Run it on a machine that does nothing else: with more work than cores, threads mostly wait for one
another. `--threads 1` suffers less.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.measuring import JsonPath, describe_machine, make_table, write_json
from benchmarks.peers.contestants import (
    PEERS,
    Contestant,
    ContestantError,
    make_field,
    play,
    trl_python,
)
from benchmarks.peers.fixed_work import write_model
from benchmarks.peers.standings import (
    Ratio,
    Standing,
    compute_ratios,
    compute_standings,
    split_update,
)
from benchmarks.peers.work import SHAPES, Outcome, Work

_CACHE = Path("~/.cache/textenv-benchmarks").expanduser()
_CRITICS = {"separate": (True,), "shared": (False,), "both": (True, False)}


def parse_against(text: str) -> list[str]:
    """Reads a list of peers such as "trl,torch"."""
    names = list(dict.fromkeys(filter(None, (name.strip() for name in text.split(",")))))
    unknown = [name for name in names if name not in PEERS]
    if unknown or not names:
        what = f"no peer is called '{unknown[0]}'" if unknown else "it names nobody"
        raise typer.BadParameter(f"{what}; name some of {', '.join(PEERS)}.")
    return names


def rotate(field: list[Contestant], round_number: int) -> list[Contestant]:
    """Returns who plays when in a round: someone else is first, and every other goes backwards."""
    start = round_number % len(field)
    order = [*field[start:], *field[:start]]
    return [order[0], *order[:0:-1]] if round_number % 2 else order


def run_rounds(
    field: list[Contestant], work: Work, rounds: int, pythons: dict[str, str], console: Console
) -> dict[Contestant, list[Outcome]]:
    """Plays all rounds, with a line of progress."""
    found: dict[Contestant, list[Outcome]] = {contestant: [] for contestant in field}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task("", total=rounds * len(field))
        for number in range(rounds):
            for contestant in rotate(field, number):
                progress.update(task, description=f"round {number + 1}: {contestant.name}")
                python = pythons.get(contestant.kind)
                outcome = play(contestant, work, *([] if python is None else [python]))
                found[contestant].append(outcome)
                progress.advance(task)
    return found


def main(
    shape: Annotated[
        Literal["tiny", "135m"], typer.Option(help="The model, and the size of an update.")
    ] = "tiny",
    against: Annotated[
        str, typer.Option(help=f"Peers, with commas between: {', '.join(PEERS)}.")
    ] = "torch",
    rounds: Annotated[int, typer.Option(min=1, help="How often everyone runs.")] = 5,
    value: Annotated[
        Literal["separate", "shared", "both"], typer.Option(help="The critic's backbone.")
    ] = "both",
    bf16: Annotated[bool, typer.Option(help="Have bfloat16 beside float32.")] = True,
    lora: Annotated[
        bool, typer.Option("--lora", help="Compare LoRA with full weights, in place of peers.")
    ] = False,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Have TextPPO with compiled layers, too: minutes.")
    ] = False,
    updates: Annotated[int, typer.Option(min=1, help="Timed updates in a round.")] = 4,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each contestant.")] = 2,
    peers_dir: Annotated[
        Path, typer.Option(help="Where the model and TRL's environment are kept.")
    ] = _CACHE,
    json_path: JsonPath = None,
) -> None:
    """Measure PPO on a CPU beside its peers."""
    peers = [] if lora else parse_against(against)
    messages = Console(stderr=True)
    folder = str(peers_dir / f"fixed-work-{shape}")
    work = Work(folder, updates=updates, threads=threads, **SHAPES[shape])
    load = os.getloadavg()
    if load[0] > 0.5:
        messages.print(
            f"The machine is busy: its load average is {load[0]:.1f}. Ratios will swing, and "
            "figures are low."
        )
    field, comparisons = make_field(peers, _CRITICS[value], bf16, compiled, shape, lora)
    try:
        pythons = {"trl": str(trl_python(peers_dir))} if "trl" in peers else {}
        write_model(work)
        found = run_rounds(field, work, rounds, pythons, messages)
    except ContestantError as error:
        messages.print(str(error), markup=False)
        raise typer.Exit(1) from None
    standings = compute_standings(found, work.n_episodes)
    ratios = compute_ratios(found, comparisons)
    _print(standings, ratios, rounds)
    figures = {
        "rounds": rounds,
        "work": asdict(work),
        "machine": {**describe_machine(), "load_before": load},
        "versions": {c.name: outcomes[0].versions for c, outcomes in found.items()},
        "standings": [asdict(standing) for standing in standings],
        "ratios": [{**asdict(ratio), "met": ratio.met} for ratio in ratios],
        "outcomes": {c.name: [asdict(o) for o in outcomes] for c, outcomes in found.items()},
    }
    write_json(json_path, figures)


def _print(standings: list[Standing], ratios: list[Ratio], rounds: int) -> None:
    console = Console()
    columns = ("", "episodes/s", "of a round", "s an update", "CPU s", "response tokens")
    table = make_table(f"Medians of {rounds} rounds", *columns)
    for s in sorted(standings, key=lambda standing: -standing.episodes_per_s.median):
        seconds = (f"{s.update_s:.3f}", f"{s.cpu_s:.3f}")
        table.add_row(s.name, *s.episodes_per_s.cells(1), *seconds, f"{s.response_tokens:.1f}")
    console.print(table)
    beside = ("", "beside", "ratio", "of a round", "of CPU s", "wanted", "")
    table = make_table("\nHow many times a peer's episodes a second", *beside, n_names=2)
    for r in ratios:
        wanted = ("", "")
        if r.wanted is not None:
            wanted = (f"at least {r.wanted:g}", "yes" if r.met else "no")
        table.add_row(r.ours, r.peer, *r.ratio.cells(), f"{r.cpu_ratio.median:.2f}", *wanted)
    console.print(table)
    told = {s.name: parts for s in standings if (parts := split_update(s))}
    phases = list(next(iter(told.values()), {}))
    table = make_table("\nMilliseconds of an update", "", *phases)
    for name, parts in told.items():
        table.add_row(name, *(f"{1000 * parts[phase]:.0f}" for phase in phases))
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
