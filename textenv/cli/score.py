"""The command `rewards score`: scores texts of a file, a row out for each row in."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table
from rich.text import Text

from textenv.cli.arguments import AsJson
from textenv.cli.console import parse_spec, print_error
from textenv.cli.terminal import make_console
from textenv.errors import ConfigError
from textenv.output_paths import check_file
from textenv.rewards import RewardResult, load_reward
from textenv.rewards.base import call_reward
from textenv.rewards.score import read_rows
from textenv.safe_text import in_json
from textenv.storage.whole_files import write_whole

EXIT_NOT_ALL = 1  # some rows could not be scored


def score_file(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.jsonl", help="Rows to score; - for standard input.")
    ],
    reward: Annotated[
        list[str],
        typer.Option(
            metavar="NAME|SPEC",
            help="A name, such as rougeL, or a YAML mapping, such as '{rougeL: 1, bleu: 0.5}'. "
            "May be given several times: then all are shown, and the total is their sum.",
        ),
    ],
    as_json: AsJson = False,
    out: Annotated[Path | None, typer.Option(help="Write the rows as JSON Lines here.")] = None,
) -> None:
    """Score the responses in a file.

    A row is a JSON object with "response" and "references" (a text or a list),
    and, as the reward needs them, "prompt" and metadata: further keys, or a
    mapping "metadata". "id" names it. Files of 'textenv rollouts' are such,
    dialogues included. For each row comes one with "total" and
    "components", in order; without --json, a summary of them. What could not be
    scored has the total null and a reason, "invalid", and the exit code is 1.
    """
    spec = _sum([parse_spec(text) for text in reward])
    loaded = load_reward(spec)
    if out is not None:
        _check_out(out, file)
    source = "standard input" if str(file) == "-" else f"'{file}'"
    try:
        opened = nullcontext(sys.stdin.buffer) if str(file) == "-" else file.open("rb")
        with opened as lines:
            episodes = read_rows(lines, source)
    except OSError as error:
        raise ConfigError(f"{source} cannot be read: {error.strerror}.") from error
    result = call_reward(loaded, episodes)
    rows = [_row(episode.example.id, result, i) for i, episode in enumerate(episodes)]
    if out is not None:
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            write_whole(out, "".join(rows))
        except OSError as error:
            raise ConfigError(f"'{out}' cannot be written: {error.strerror}.") from error
    if as_json:
        sys.stdout.writelines(map(in_json, rows))
    else:
        _print_summary(result)
    assert result.valid is not None
    bad = np.flatnonzero(~result.valid).tolist()
    if bad:
        first = f"'{episodes[bad[0]].example.id}': {_reason(result, bad[0])}"
        print_error(f"{len(bad)} of {len(rows)} rows could not be scored. The first is {first}")
        raise typer.Exit(EXIT_NOT_ALL)


def _check_out(out: Path, file: Path) -> None:
    """Refuses a place that the scores cannot be written to, before they cost anything."""
    check_file(out)
    if out.exists() and file.exists() and out.samefile(file):
        raise ConfigError(f"--out would write over '{file}', whose rows are scored.")


def _sum(specs: list[Any]) -> Any:
    """Returns one description of all the rewards that were given."""
    if len(specs) == 1:
        return specs[0]
    merged: dict[str, Any] = {}
    for spec in specs:
        entries = spec if isinstance(spec, Mapping) else {spec: 1.0}
        for name, entry in entries.items():
            if name in merged:
                raise ConfigError(
                    f"The reward '{name}' is given twice. Give one a name of its own: "
                    f"--reward '{{another: {{reward: {name}}}}}'."
                )
            merged[name] = entry
    return merged


def _row(id: str, result: RewardResult, i: int) -> str:
    row: dict[str, Any] = {"id": id, "total": None, "components": {}}
    if result.valid is None or result.valid[i]:
        row["total"] = float(result.total[i])
        row["components"] = {name: float(values[i]) for name, values in result.components.items()}
    else:
        row["invalid"] = _reason(result, i)
    return json.dumps(row) + "\n"


def _reason(result: RewardResult, i: int) -> str:
    return result.reasons.get(i, "The reward gave no reason.")


def _print_summary(result: RewardResult) -> None:
    valid = np.asarray(result.valid)
    n = int(valid.sum())
    if n == 0:
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(overflow="fold")
    for _ in range(4):
        table.add_column(justify="right", no_wrap=True)
    table.add_row(*(Text(title, style="dim") for title in ("", "mean", "sd", "min", "max")))
    for name, all_values in {"total": result.total, **result.components}.items():
        values = all_values[valid]
        sd = float(np.std(values, ddof=1)) if n > 1 else 0.0
        numbers = (values.mean(), sd, values.min(), values.max())
        style = "bold" if name == "total" else ""
        table.add_row(Text(name, style=style), *(f"{number:.4f}" for number in numbers))
    console = make_console()
    console.print(table)
    console.print(Text(f"{n} row{'s' * (n != 1)}; sd over rows.", style="dim"))
