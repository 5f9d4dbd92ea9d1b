"""Renders records as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from textenv.benchmark.agreement.records import Agreement
from textenv.benchmark.report import (
    agreement_tables,
    charts,
    emphasis,
    heat_table,
    numbers,
    samples,
    tables,
)
from textenv.benchmark.report.csv_files import save_csv_files
from textenv.benchmark.report.record_files import FILE_NAMES, Record, without_lone_surrogates
from textenv.benchmark.results import Audit, Bench, BestOfN, StrategySearch, save_record
from textenv.errors import ConfigError

REPORT_NAME = "report.html"


def write_report(record: Record | Sequence[Record], folder: Path) -> Path:
    """Writes `report.html` and the same data as JSON and CSV beside it; returns the page's path."""
    records = _clean(record)
    folder.mkdir(parents=True, exist_ok=True)
    saved: list[Path] = []
    for kind, name in FILE_NAMES.items():
        of_kind = [one for one in records if isinstance(one, kind)]
        for i, one in enumerate(of_kind):
            path = folder / name
            path = path if i == 0 else path.with_stem(f"{path.stem}_{i + 1}")
            save_record(one, path)
            saved.append(path)
    return write_page(records, folder, saved)


def write_page(record: Record | Sequence[Record], folder: Path, saved: Sequence[Path]) -> Path:
    """Writes the page and the CSV files of records that are saved already; returns its path."""
    records = _clean(record)
    files = [*saved, *save_csv_files(records, folder)]
    page = folder / REPORT_NAME
    page.write_text(render_report(records, [path.name for path in files]), encoding="utf-8")
    return page


def render_report(record: Record | Sequence[Record], files: Sequence[str] = ()) -> str:
    """Returns the page of records, of one bench at most, as HTML, with links to files beside it."""
    records = _clean(record)
    benches = [one for one in records if isinstance(one, Bench)]
    if len(benches) > 1:
        raise ConfigError("A report shows one bench; write one for each of them.")
    bench = benches[0] if benches else None
    audits = [one for one in records if isinstance(one, Audit)]
    best = [one for one in records if isinstance(one, BestOfN)]
    shown = [*(bench.audits if bench else ()), *audits]
    searches = [audit.search for audit in shown if audit.search is not None]
    searches += [one for one in records if isinstance(one, StrategySearch)]
    agreements = [one for one in records if isinstance(one, Agreement)]
    script = _asset("script.js")
    page = _environment().get_template("template.html.j2")
    return page.render(
        bench=bench,
        audits=shown,
        best_of_n=[*(bench.best_of_n if bench else ()), *best],
        searches=searches,
        agreements=agreements,
        files=files,
        title=_title(records),
        style=Markup(_asset("style.css")),
        script=Markup(script),
        script_hash=_hash(script),
        data=_data(records),
        version=version("textenv"),
    )


def _clean(record: Record | Sequence[Record]) -> list[Record]:
    records = [record] if isinstance(record, Record) else list(record)
    if not records:
        raise ConfigError("A report needs at least one record.")
    return without_lone_surrogates(records)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("textenv.benchmark.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        agreement_tables=agreement_tables,
        charts=charts,
        heat_table=heat_table,
        numbers=numbers,
        samples=samples,
        tables=tables,
        emphasis=emphasis,
    )
    environment.filters.update(
        yaml=_yaml, emphasise=emphasis.emphasise, breakable=emphasis.breakable
    )
    return environment


def _asset(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """Returns what the page's content security policy knows the script by."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _title(records: Sequence[Record]) -> str:
    first = records[0]
    if isinstance(first, Bench):
        return first.title
    if isinstance(first, Audit | StrategySearch):
        return f"Audit of {first.reward}"
    if isinstance(first, Agreement):
        return f"Rewards and people: {first.source}"
    return f"Best of n by {first.proxy}"


def _data(records: Sequence[Record]) -> Markup:
    """Returns the records as JSON that is safe within a script element."""
    named: dict[str, Any] = {}
    for one in records:
        named.setdefault(type(one).__name__, []).append(asdict(one))
    text = json.dumps(named, allow_nan=False)  # ASCII: U+2028 and its like are escaped
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _yaml(data: object) -> str:
    return yaml.safe_dump(data, allow_unicode=True, sort_keys=False, width=96).rstrip()
