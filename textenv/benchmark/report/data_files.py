"""The numbers of a report as CSV files, for a spreadsheet or pandas.

Texts are written as they are: a spreadsheet may take one that begins with "=" for a formula.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from textenv.benchmark.report.reading import Record
from textenv.benchmark.results import Audit, Bench, BestOfN
from textenv.benchmark.statistics import Estimate

Row = Sequence[object]
_BOUNDS = ("", "_low", "_high")


def save_csv_files(records: Iterable[Record], folder: Path) -> list[Path]:
    """Writes a file for each table that has rows, and returns their paths."""
    records = list(records)
    benches = [record for record in records if isinstance(record, Bench)]
    audits = [record for record in records if isinstance(record, Audit)]
    audits += [audit for bench in benches for audit in bench.audits]
    best = [record for record in records if isinstance(record, BestOfN)]
    best += [one for bench in benches for one in bench.best_of_n]
    tables = {
        "designs.csv": (_DESIGNS, (row for bench in benches for row in _design_rows(bench))),
        "matrix.csv": (_MATRIX, (row for bench in benches for row in _matrix_rows(bench))),
        "curves.csv": (_CURVES, (row for bench in benches for row in _curve_rows(bench))),
        "comparisons.csv": (_PAIRS, (row for bench in benches for row in _pair_rows(bench))),
        "runs.csv": (_RUNS, (row for bench in benches for row in _run_rows(bench))),
        "samples.csv": (_SAMPLES, (row for bench in benches for row in _sample_rows(bench))),
        "probes.csv": (_PROBES, (row for audit in audits for row in _probe_rows(audit))),
        "best_of_n.csv": (_BEST, (row for one in best for row in _best_rows(one))),
    }
    written = []
    for name, (heading, rows) in tables.items():
        found = list(rows)
        if found:
            _save(folder / name, heading, found)
            written.append(folder / name)
    return written


def _three(name: str) -> list[str]:
    return [name + bound for bound in _BOUNDS]


_DESIGNS = (
    *("design", "kind", "judgement"),
    *_three("own_gain"),
    *_three("gold_gain"),
    *_three("hacking_index"),
    *_three("gold_at_matched_kl"),
    *_three("kl"),
    "words",
)
_MATRIX = (
    *("design", "metric", "metric_kind"),
    *_three("gain_sd"),
    *_three("raw_gain"),
    *_three("iqm"),
)
_CURVES = ("design", "metric", "point", "kl", *_three("gain_sd"), "is_peak")
_PAIRS = (
    *("first", "second"),
    *_three("difference_sd"),
    *_three("probability_of_improvement"),
    *("p", "p_holm"),
)
_RUNS = ("design", "seed", "status", "wall_s", "error")
_SAMPLES = ("example", "prompt", "design", "seed", "text", "metric", "score")
_PROBES = (
    *("reward", "dataset", "probe", "kind", "what"),
    *_three("score"),
    *_three("reference_minus_probe"),
    *_three("auc"),
    *("n", "too_near", "note", "example"),
)
_BEST = ("proxy", "metric", "n", "kl_bound", *_three("score"))


def _design_rows(bench: Bench) -> Iterator[Row]:
    for design in bench.designs:
        yield (
            *(design.name, design.kind, design.judgement),
            *_flat(design.own_gain),
            *_flat(design.gold_gain),
            *_flat(design.hacking_index),
            *_flat(design.gold_at_matched_kl),
            *_flat(design.kl),
            design.words,
        )


def _matrix_rows(bench: Bench) -> Iterator[Row]:
    kinds = {metric.name: metric.kind for metric in bench.metrics}
    for design, cells in bench.matrix.items():
        for metric, cell in cells.items():
            estimates = (*_flat(cell.gain), *_flat(cell.raw_gain), *_flat(cell.iqm))
            yield design, metric, kinds.get(metric, ""), *estimates


def _curve_rows(bench: Bench) -> Iterator[Row]:
    for curve in bench.curves:
        for i, point in enumerate(curve.points):
            yield curve.design, curve.metric, i, point.kl, *_flat(point.gain), i == curve.peak


def _pair_rows(bench: Bench) -> Iterator[Row]:
    for pair in bench.comparisons:
        estimates = (*_flat(pair.difference), *_flat(pair.probability_of_improvement))
        yield pair.first, pair.second, *estimates, pair.p, pair.p_holm


def _run_rows(bench: Bench) -> Iterator[Row]:
    for run in bench.runs:
        yield run.design, run.seed, run.status, run.wall_s, run.error


def _sample_rows(bench: Bench) -> Iterator[Row]:
    for sample in bench.samples:
        for response in sample.responses:
            for metric, score in response.scores.items():
                text = (response.design, response.seed, response.text)
                yield sample.id, sample.prompt, *text, metric, score


def _probe_rows(audit: Audit) -> Iterator[Row]:
    for probe in audit.probes:
        yield (
            *(audit.reward, audit.dataset, probe.name, probe.kind, probe.what),
            *_flat(probe.score),
            *_flat(probe.reference_minus_probe),
            *_flat(probe.auc),
            *(probe.n, probe.too_near, probe.note, probe.example),
        )


def _best_rows(best: BestOfN) -> Iterator[Row]:
    for metric, estimates in best.curves.items():
        for n, kl, estimate in zip(best.n, best.kl_bound, estimates, strict=True):
            yield best.proxy, metric, n, kl, *_flat(estimate)


def _flat(estimate: Estimate | None) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if estimate is None else (estimate.mean, *estimate.ci95)


def _save(path: Path, heading: Row, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(heading)
        writer.writerows(rows)
