"""The numbers of a report as CSV files, for a spreadsheet or pandas.

A text that a spreadsheet would take for a formula gets a quote before it: see `for_csv`.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from textenv.benchmark.agreement.records import Agreement
from textenv.benchmark.report.record_files import Record
from textenv.benchmark.results import Audit, Bench, BestOfN, StrategySearch
from textenv.benchmark.statistics import Estimate
from textenv.safe_text import for_csv

Row = dict[str, object]  # column -> value


def save_csv_files(records: Iterable[Record], folder: Path) -> list[Path]:
    """Writes a file for each table that has rows, and returns their paths."""
    records = list(records)
    benches = [record for record in records if isinstance(record, Bench)]
    audits = [record for record in records if isinstance(record, Audit)]
    audits += [audit for bench in benches for audit in bench.audits]
    searches = [audit.search for audit in audits if audit.search is not None]
    searches += [record for record in records if isinstance(record, StrategySearch)]
    best = [record for record in records if isinstance(record, BestOfN)]
    best += [one for bench in benches for one in bench.best_of_n]
    agreements = [record for record in records if isinstance(record, Agreement)]
    tables = {
        "designs.csv": [row for bench in benches for row in _design_rows(bench)],
        "matrix.csv": [row for bench in benches for row in _matrix_rows(bench)],
        "curves.csv": [row for bench in benches for row in _curve_rows(bench)],
        "comparisons.csv": [row for bench in benches for row in _comparison_rows(bench)],
        "runs.csv": [row for bench in benches for row in _run_rows(bench)],
        "samples.csv": [row for bench in benches for row in _sample_rows(bench)],
        "probes.csv": [row for audit in audits for row in _probe_rows(audit)],
        "strategy.csv": [row for one in searches for row in _strategy_rows(one)],
        "best_of_n.csv": [row for one in best for row in _best_of_n_rows(one)],
        "agreement.csv": [row for one in agreements for row in _agreement_rows(one)],
        "preferences.csv": [row for one in agreements for row in _preference_rows(one)],
        "strengths.csv": [
            _fields(row, "system chance n") for one in agreements for row in one.strengths
        ],
        "reward_comparisons.csv": [
            row for one in agreements for row in _reward_comparison_rows(one)
        ],
    }
    tables = {name: rows for name, rows in tables.items() if rows}
    for name, rows in tables.items():
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows({key: for_csv(cell) for key, cell in row.items()} for row in rows)
    return [folder / name for name in tables]


def _design_rows(bench: Bench) -> Iterator[Row]:
    for design in bench.designs:
        gains = _fields(
            design,
            "own_gain gold_gain hacking_index gold_at_matched_kl gold_at_matched_kl_by_token kl "
            "words",
        )
        by_gold = {f"judgement_by_{gold}": word for gold, word in design.by_gold.items()}
        yield {"design": design.name, **_fields(design, "kind judgement"), **by_gold, **gains}


def _matrix_rows(bench: Bench) -> Iterator[Row]:
    kinds = {metric.name: metric.kind for metric in bench.metrics}
    for design, cells in bench.matrix.items():
        for metric, cell in cells.items():
            yield {
                "design": design,
                "metric": metric,
                "metric_kind": kinds.get(metric, ""),
                **_columns("gain_sd", cell.gain),
                **_columns("raw_gain", cell.raw_gain),
                **_columns("iqm", cell.iqm),
            }


def _curve_rows(bench: Bench) -> Iterator[Row]:
    for curve in bench.curves:
        for i, point in enumerate(curve.points):
            of = {"design": curve.design, "metric": curve.metric, "point": i, "kl": point.kl}
            yield {**of, **_columns("gain_sd", point.gain), "is_peak": i == curve.peak}


def _comparison_rows(bench: Bench) -> Iterator[Row]:
    for pair in bench.comparisons:
        difference = _columns("difference_sd", pair.difference)
        tests = _fields(pair, "probability_of_improvement p p_holm equivalent")
        yield {**_fields(pair, "first second"), **difference, **tests}


def _run_rows(bench: Bench) -> Iterator[Row]:
    return (_fields(run, "design seed status wall_s error") for run in bench.runs)


def _sample_rows(bench: Bench) -> Iterator[Row]:
    for sample in bench.samples:
        for response in sample.responses:
            of = {"example": sample.id, "prompt": sample.prompt, "design": response.design}
            for metric, score in response.scores.items():
                text = {"seed": response.seed, "text": response.text}
                yield {**of, **text, "metric": metric, "score": score}


def _probe_rows(audit: Audit) -> Iterator[Row]:
    for probe in audit.probes:
        found = "kind what score reference_minus_probe auc n at_fault severity note example"
        yield {**_fields(audit, "reward dataset"), "probe": probe.name, **_fields(probe, found)}


def _strategy_rows(found: StrategySearch) -> Iterator[Row]:
    for one in found.texts:
        rule = {"reward": found.reward, "strategy": found.strategy}
        yield {**rule, **_fields(one, "prompt text score")}


def _best_of_n_rows(best: BestOfN) -> Iterator[Row]:
    for metric, estimates in best.curves.items():
        for n, kl, estimate in zip(best.n, best.kl_bound, estimates, strict=True):
            of = {"proxy": best.proxy, "metric": metric, "n": n, "kl_bound": kl}
            yield {**of, **_columns("score", estimate)}


def _agreement_rows(found: Agreement) -> Iterator[Row]:
    for rating in found.ratings:
        for row in rating.rewards:
            accuracies = _fields(row, "pairwise_accuracy tie_threshold soft_pairwise_accuracy")
            for level, ranks in row.levels.items():
                of = {"rating": rating.rating, "reward": row.reward, "level": level}
                taus = "kendall spearman kendall_without_length spearman_without_length n"
                yield {**of, **_fields(ranks, taus), **accuracies}


def _preference_rows(found: Agreement) -> Iterator[Row]:
    names = "reward accuracy tied accuracy_with_ties tie_threshold systems_kendall"
    return (_fields(row, names) for row in found.preferences)


def _reward_comparison_rows(found: Agreement) -> Iterator[Row]:
    groups = [(rating.rating, rating.comparisons) for rating in found.ratings]
    for rating, pairs in [*groups, ("preference", found.preference_comparisons)]:
        for pair in pairs:
            yield {"rating": rating, **_fields(pair, "first second difference p p_holm")}


def _fields(record: Any, names: str) -> Row:
    """Returns some fields of a record by their names; an estimate has three columns."""
    kinds = {field.name: str(field.type) for field in dataclasses.fields(record)}
    row: Row = {}
    for name in names.split():
        value = getattr(record, name)
        row |= _columns(name, value) if "Estimate" in kinds[name] else {name: value}
    return row


def _columns(name: str, estimate: Estimate | None) -> Row:
    values = (None, None, None) if estimate is None else (estimate.mean, *estimate.ci95)
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))
