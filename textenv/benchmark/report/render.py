"""Renders records as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from textenv.benchmark.agreement.records import Agreement
from textenv.benchmark.report import agreement_tables, bench_tables, heat_table, panels, samples
from textenv.benchmark.report.csv_files import save_csv_files
from textenv.benchmark.report.record_files import FILE_NAMES, Record
from textenv.benchmark.results import Audit, Bench, BestOfN, StrategySearch, save_record
from textenv.errors import ConfigError
from textenv.report import REPORT_NAME, make_environment, render_page
from textenv.safe_text import without_lone_surrogates
from textenv.storage.whole_files import write_whole

_WORDS_OF_VERDICTS = {"gold", "random"}


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
    write_whole(page, render_report(records, [path.name for path in files]))
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
    environment = make_environment(
        "textenv.benchmark.report",
        agreement_tables=agreement_tables,
        bench_tables=bench_tables,
        heat_table=heat_table,
        names_in_verdict=names_in_verdict,
        panels=panels,
        samples=samples,
    )
    return render_page(
        environment,
        "page.html.j2",
        title=_title(records),
        data=_data(records),
        bench=bench,
        audits=shown,
        best_of_n=[*(bench.best_of_n if bench else ()), *best],
        searches=searches,
        agreements=agreements,
        files=files,
    )


def _clean(record: Record | Sequence[Record]) -> list[Record]:
    records = [record] if isinstance(record, Record) else list(record)
    if not records:
        raise ConfigError("A report needs at least one record.")
    return without_lone_surrogates(records)


def names_in_verdict(bench: Bench) -> list[str]:
    """Returns the designs that a verdict speaks of by name; "paid at random" names no control."""
    names = [design.name for design in bench.designs if design.kind == "design"]
    return [name for name in names if name not in _WORDS_OF_VERDICTS]


def _title(records: Sequence[Record]) -> str:
    first = records[0]
    if isinstance(first, Bench):
        return first.title
    if isinstance(first, Audit | StrategySearch):
        return f"Audit of {first.reward}"
    if isinstance(first, Agreement):
        return f"Rewards and people: {first.source}"
    return f"Best of n by {first.proxy}"


def _data(records: Sequence[Record]) -> dict[str, Any]:
    """Returns the records by their kinds, as plain values."""
    named: dict[str, Any] = {}
    for one in records:
        named.setdefault(type(one).__name__, []).append(asdict(one))
    return named
