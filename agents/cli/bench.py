"""The command `textenv rewards bench`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic.fields import FieldInfo
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from agents.cli.display import duration, interval, print_facts, print_folder
from agents.reward_bench.config import BenchConfig, count_prompts, load_bench_config
from textenv.benchmark.power import POWER
from textenv.cli.arguments import AsJson
from textenv.cli.console import print_error, print_json
from textenv.cli.terminal import make_console
from textenv.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from agents.reward_bench.plan import Plan
    from textenv.benchmark.results import Bench, Cell, Design
    from textenv.benchmark.statistics import Estimate


def _described(name: str, field: FieldInfo) -> str:
    has_default = not field.is_required() and field.default not in ("", None, {})
    default = f" [dim](default: {escape(str(field.default))})[/]" if has_default else ""
    return f"[bold]{name}[/]: {field.description or 'as for `textenv train`'}{default}"


EPILOG = "[bold]Keys of the configuration[/]\n\n" + "\n\n".join(
    _described(name, field) for name, field in BenchConfig.model_fields.items()
)
# A wider matrix does not fit a terminal; the report shows all of it.
_WIDEST = 8


def bench(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="A YAML file of the keys below.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Values that replace the file's."),
    ] = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder; finished runs in it are not repeated. With --plan it may be left out."
        ),
    ] = None,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan", help="Train nothing: say which gain can be found, and what it would cost."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train against each reward design, and see what it really optimises.

    Ctrl-C stops it; the same command continues.
    """
    settings = load_bench_config(config, overrides or ())
    console = make_console()
    if plan:
        from agents.reward_bench.plan import make_plan

        planned = make_plan(settings, out)
        if as_json:
            print_json(asdict(planned))
        else:
            _print_plan(console, planned)
        return
    if out is None:
        raise ConfigError("Name a folder for the runs: --out runs/bench.")

    def begun() -> None:
        if as_json:
            return
        n_runs = len(settings.runs())
        n_prompts = count_prompts(settings)
        facts = {
            "designs": ", ".join(settings.designs),
            "gold": ", ".join(settings.gold),
            "runs": f"{n_runs} of {settings.budget} episodes, and the untrained policy",
            "prompts": f"{n_prompts} of {settings.split}"
            + _tell_too_few(n_prompts, settings.prompts),
            "folder": out,
        }
        print_facts(console, settings.title or f"Reward designs for {settings.id}", facts)

    from agents.reward_bench.bench import run_bench
    from textenv.benchmark.report import write_report
    from textenv.cli.progress import track

    try:
        found = run_bench(settings, out, track, begun)
    except KeyboardInterrupt as error:
        print_error(f"Stopped. Finished runs are in {out}; the same command continues.")
        raise typer.Exit(ExitCode.INTERRUPTED) from error
    write_report(found, out)
    if as_json:
        print_json(asdict(found))
        return
    _print_bench(console, found)
    print_folder(console, out, "report.html to look at, bench.json and CSV tables to work with")


def _tell_too_few(n_prompts: int, n_asked: int) -> str:
    if n_prompts == n_asked:
        return ""
    return f" (there are no more; prompts={n_asked} asks for more: give more rows)"


def _print_plan(console: Console, planned: Plan) -> None:
    noise = planned.noise
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("seeds", justify="right")
    for name in ("smallest gold gain, sd", "runs", "episodes", "time of all runs"):
        table.add_column(name, justify="right")
    for row in planned.rows:
        gain = "none" if row.smallest_gain is None else f"{row.smallest_gain:.2f}"
        time = "not known yet" if row.run_s is None else duration(row.run_s)
        cells = (str(row.n_seeds), gain, str(row.n_runs), f"{row.n_episodes:,}", time)
        table.add_row(*cells, style="bold" if row.n_seeds == planned.n_seeds else "")
    console.print(
        Text(
            f"The smallest gold gain beyond the control's that {POWER:.0%} of such benchmarks "
            f"would show, with {planned.n_prompts} prompts"
            f"{_tell_too_few(planned.n_prompts, planned.n_asked)}:"
        )
    )
    console.print(table)
    source = (
        "as measured in this folder"
        if planned.measured
        else "assumed; after two seeds in the folder of --out, as measured there"
    )
    console.print(
        Text(
            f"Noise, in sd: runs {noise.runs:.2f}, prompts {noise.prompts:.2f}, samples "
            f"{noise.rest:.2f}, {source}.",
            style="dim",
        )
    )


def _print_bench(console: Console, found: Bench) -> None:
    console.print()
    console.print(Text(found.verdict))
    console.print()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("design", "judgement"):
        table.add_column(name, no_wrap=True)
    for name in ("own gain, sd", "gold gain, sd", "hacking index, sd", "KL, nats"):
        table.add_column(name)
    audits = {audit.reward: "passes" if audit.passes else "fails" for audit in found.audits}
    if audits:
        table.add_column("audit", no_wrap=True)
    for design in found.designs:
        cells = (*_row(design), *([audits.get(design.name, "")] if audits else []))
        table.add_row(*map(Text, cells))
    console.print(table)
    if len(found.metrics) <= _WIDEST:
        _print_matrix(console, found)
    for run in found.runs:
        if run.status != "done":
            what = f"{run.design} seed {run.seed} {run.status}: {run.error}"
            console.print(Text(what, style="red"))
    console.print(f"\nAll runs together took {duration(found.run_s)}.")


def _row(design: Design) -> tuple[str, ...]:
    estimates = (design.own_gain, design.gold_gain, design.hacking_index)
    return (
        design.name,
        design.judgement,
        *(_signed(value) for value in estimates),
        interval(asdict(design.kl), between="\n"),
    )


def _print_matrix(console: Console, found: Bench) -> None:
    console.print()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("trained on", no_wrap=True)
    for metric in found.metrics:
        table.add_column(f"{metric.name}{' (gold)' if metric.kind == 'gold' else ''}")
    for name, row in found.matrix.items():
        table.add_row(name, *(_cell(row, metric.name) for metric in found.metrics))
    console.print(table)


def _cell(row: Mapping[str, Cell], metric: str) -> Text:
    gain = row[metric].gain
    low, high = gain.ci95
    clear = "bold" if low > 0 or high < 0 else ""
    return Text(f"{gain.mean:+z.2f}", style=clear)


def _signed(value: Estimate | None) -> str:
    return "" if value is None else interval(asdict(value), signed=True, between="\n")
