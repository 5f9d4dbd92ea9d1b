"""Builds the generated pages of `docs/`: environments, rewards, options, metrics and the like.

    python -m tools.docs_pages.build [--all]

Scores take a minute or more, so they are kept in `docs/environments.json`, and only environments
whose data, reward, settings or model have changed since are measured again. All else is read anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from textenv.cli.progress import track
from textenv.rewards.catalog import REWARDS
from tools.docs_pages.api import render_api
from tools.docs_pages.command_line import render_command_line
from tools.docs_pages.datasets import render_datasets
from tools.docs_pages.environments import render_environments
from tools.docs_pages.guards import render_guards
from tools.docs_pages.measure import digest, measure
from tools.docs_pages.metrics import render_metrics
from tools.docs_pages.options import render_options
from tools.docs_pages.records import (
    EnvironmentRecord,
    Measurement,
    load_measurements,
    make_core_quietly,
    own_ids,
    read_record,
    save_measurements,
)
from tools.docs_pages.rewards import render_rewards
from tools.docs_pages.your_data import render_your_data

DOCS = Path(__file__).resolve().parents[2] / "docs"
MEASUREMENTS = DOCS / "environments.json"


def find_outdated(ids: Sequence[str], measured: Mapping[str, Measurement]) -> list[str]:
    """Returns the environments whose scores are missing or belong to another state of them."""
    return [
        id
        for id in ids
        if id not in measured or measured[id].digest != digest(id, make_core_quietly(id))
    ]


def read_records(
    ids: Sequence[str], measured: Mapping[str, Measurement]
) -> list[EnvironmentRecord]:
    """Returns what there is to tell of each environment."""
    return [read_record(id, make_core_quietly(id), measured[id]) for id in ids]


def render_pages(records: Sequence[EnvironmentRecord]) -> dict[Path, str]:
    """Returns each generated page's text by its path."""
    return {
        DOCS / "environments.md": render_environments(records),
        DOCS / "datasets.md": render_datasets(records),
        DOCS / "rewards.md": render_rewards(REWARDS),
        DOCS / "options.md": render_options(),
        DOCS / "metrics.md": render_metrics(),
        DOCS / "guards.md": render_guards(),
        DOCS / "your-data.md": render_your_data(),
        DOCS / "command-line.md": render_command_line(),
        DOCS / "api.md": render_api(),
    }


def main(
    all: Annotated[bool, typer.Option("--all", help="Measure every environment again.")] = False,
) -> None:
    """Measures what has changed, and writes the pages."""
    ids = own_ids()
    measured = {} if all else load_measurements(MEASUREMENTS)
    outdated = find_outdated(ids, measured)
    with track("Measuring", len(outdated)) as report:
        for done, id in enumerate(outdated):
            report(done, id)
            measured[id] = measure(id)
            save_measurements(MEASUREMENTS, measured)  # at once, so that nothing is lost
        report(len(outdated), "")
    measured = {id: measured[id] for id in ids}
    save_measurements(MEASUREMENTS, measured)
    for path, text in render_pages(read_records(ids, measured)).items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
