"""What a rule that understands nothing earns from the default reward of each environment.

    python -m benchmarks.default_rewards [ID ...] [--budget 2000] [--examples 200] [--json out.json]

Each id is searched as `textenv rewards audit` does: so many rules are tried on one half of the
examples, and the best one's mean is taken on the other half. An id takes 10 to 60 s of a processor.
The file, if one is given, keeps what was found, id by id: given again, the command goes on with
the ids that it does not have. It prints the table of docs/reward-benchmark.md, and fails if a rule
earns too much.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from benchmarks.measuring import JsonPath, write_json
from textenv.benchmark import find_strategy
from textenv.registry import environment_row, registered_ids
from textenv.vector import make_core

_LONGEST_RULE = 150  # characters that the table shows
_HEAD = (
    "| id | reward | gold | best rule earns [95 %] | rule |",
    "|---|---|---|---|---|",
)


@dataclass(frozen=True)
class Found:
    """The best rule of an environment."""

    id: str
    reward: str
    gold: float  # the mean of the references
    score: float  # the rule's mean
    ci95: tuple[float, float]
    passes: bool  # at most 0.5, and 0.3 below gold
    rule: str
    budget: int  # number of rules that were tried
    examples: int  # number of examples, of which half judge

    @property
    def row(self) -> str:
        """A row of the table."""
        low, high = self.ci95
        earned = f"{self.score:.2f} [{low:.2f}, {high:.2f}]"
        rule = self.rule if len(self.rule) <= _LONGEST_RULE else f"{self.rule[:_LONGEST_RULE]}…"
        shown = rule.replace("\n", " ").replace("`", "'").replace("|", "\\|")
        cells = (self.id, f"`{self.reward}`", f"{self.gold:.2f}", earned, f"`{shown}`")
        return f"| {' | '.join(cells)} |"


def table(found: Iterable[Found]) -> str:
    """Returns the table in Markdown."""
    return "\n".join((*_HEAD, *(one.row for one in found)))


def load_found(path: Path | None, budget: int, examples: int) -> dict[str, Found]:
    """Returns what a file has of a search of this size, by id; {} if there is no file."""
    if path is None or not path.exists():
        return {}
    rows = json.loads(path.read_text(encoding="utf-8"))
    found = [Found(**{**row, "ci95": tuple(row["ci95"])}) for row in rows]
    return {one.id: one for one in found if (one.budget, one.examples) == (budget, examples)}


def search(id: str, budget: int, examples: int) -> Found:
    """Searches for the best rule of a registered environment."""
    core, spec = make_core(id), environment_row(id).make_kwargs()["reward"]
    best = find_strategy(core.reward, core, budget=budget, n_examples=examples)
    return Found(
        id=id,
        reward=spec if isinstance(spec, str) else json.dumps(spec),
        gold=best.reference.mean,
        score=best.score.mean,
        ci95=best.score.ci95,
        passes=best.passes,
        rule=best.strategy,
        budget=budget,
        examples=examples,
    )


def main(
    ids: Annotated[list[str] | None, typer.Argument(help="Environments; all by default.")] = None,
    json_path: JsonPath = None,
    budget: Annotated[int, typer.Option(help="Number of rules to try.")] = 2000,
    examples: Annotated[int, typer.Option(help="Number of examples; half of them judge.")] = 200,
) -> None:
    """Searches every environment that the file does not have, and prints the table."""
    wanted = ids or registered_ids()
    found = load_found(json_path, budget, examples)
    missing = [id for id in wanted if id not in found]
    for id in track(missing, description="Searching", console=Console(stderr=True)):
        found[id] = search(id, budget, examples)
        write_json(json_path, [asdict(one) for one in found.values()])
    shown = [found[id] for id in wanted]
    typer.echo(table(shown))
    if failed := [one.id for one in shown if not one.passes]:
        sys.exit(f"A rule earns too much in {', '.join(failed)}.")


if __name__ == "__main__":
    typer.run(main)
