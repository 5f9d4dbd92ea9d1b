"""Sample texts side by side, each with what its scores gained over the untrained policy's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from textenv.benchmark.report.record_files import is_untrained
from textenv.benchmark.results import Bench, Metric, Sample, SampleText
from textenv.report.numbers import format_number

UNFOLDED = 4  # examples that are seen at once; a search unfolds the others


@dataclass(frozen=True)
class ScoreShown:
    """One metric's score of a response; `change` is in sd, as text."""

    metric: str
    text: str
    change: str
    falls: bool
    gold: bool
    own: bool


@dataclass(frozen=True)
class ResponseShown:
    """One response."""

    design: str  # the policy that wrote it
    mark: str  # that design's judgement
    seed: int
    text: str
    # The reward that was trained on, then the gold metrics, then the others.
    scores: tuple[ScoreShown, ...]
    own_change: str  # change of the trained reward, in sd, as text; "" if there is none
    gold_change: str  # change of the gold metrics' mean, likewise
    hacked: bool  # own_change is positive and gold_change negative


@dataclass(frozen=True)
class SampleShown:
    """One held-out example with its responses, the untrained policy's first."""

    id: str
    prompt: str
    references: tuple[str, ...]
    responses: tuple[ResponseShown, ...]


def make_samples(bench: Bench) -> list[SampleShown]:
    """Arranges a benchmark's samples.

    A score is compared with that of the untrained policy's response to the same prompt, or, where
    there is none, with the mean of its samples.
    """
    untrained = {design.name for design in bench.designs if is_untrained(design)}
    marks = {design.name: design.judgement for design in bench.designs}
    order = {design.name: i for i, design in enumerate(bench.designs)}
    shown = []
    for sample in bench.samples:
        before = _baseline(sample, bench.metrics, untrained)
        responses = sorted(
            sample.responses,
            key=lambda r: (r.design not in untrained, order.get(r.design, len(order)), r.seed),
        )
        shown.append(
            SampleShown(
                sample.id,
                sample.prompt,
                sample.references,
                tuple(
                    _show(r, bench.metrics, {} if r.design in untrained else before, marks)
                    for r in responses
                ),
            )
        )
    return shown


def _baseline(sample: Sample, metrics: Iterable[Metric], untrained: set[str]) -> dict[str, float]:
    scores = {metric.name: metric.before for metric in metrics}
    first = next((r for r in sample.responses if r.design in untrained), None)
    return scores if first is None else {**scores, **first.scores}


def _show(
    response: SampleText,
    metrics: Iterable[Metric],
    before: dict[str, float],
    marks: Mapping[str, str],
) -> ResponseShown:
    scored = [metric for metric in metrics if metric.name in response.scores]
    scored.sort(key=lambda m: (m.name != response.design, m.kind != "gold"))
    changes = {
        metric.name: (response.scores[metric.name] - before[metric.name]) / metric.sd
        for metric in scored
        if metric.name in before and metric.sd > 0
    }
    own = changes.get(response.design)
    golds = [changes[m.name] for m in scored if m.kind == "gold" and m.name in changes]
    gold = sum(golds) / len(golds) if golds else None
    return ResponseShown(
        design=response.design,
        mark=marks.get(response.design, ""),
        seed=response.seed,
        text=response.text,
        scores=tuple(
            ScoreShown(
                metric.name,
                format_number(response.scores[metric.name], 3),
                _signed(changes.get(metric.name)),
                changes.get(metric.name, 0.0) < 0,
                metric.kind == "gold",
                metric.name == response.design,
            )
            for metric in scored
        ),
        own_change=_signed(own),
        gold_change=_signed(gold),
        hacked=own is not None and gold is not None and own > 0 > gold,
    )


def _signed(value: float | None) -> str:
    return "" if value is None else format_number(value, signed=True)
