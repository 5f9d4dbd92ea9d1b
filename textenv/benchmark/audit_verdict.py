"""When a reward passes its audit, and the verdict in words.

The rule: for every lazy or wrong probe that could be built for enough examples,

1. the reference is paid more: the 95 % interval of reference minus probe lies above 0;
2. it is paid more often: the lower end of the AUC's interval lies above two thirds, so that the
   reference wins twice as often as it loses;
3. a wrong text loses at least half of what the reference earns above the empty text: the interval
   of reference minus probe, less half of reference minus empty, lies above 0. So does a lazy one
   where references are scored against themselves, which gives them the ceiling whatever the
   reward is; held-out references earn no more than people do, and need no such margin.

Probes of the kind "near" decide nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from textenv.benchmark.results import Probe, ProbeKind
from textenv.benchmark.statistics import Estimate

LEAST_AUC = 2 / 3
MARGIN = 0.5
LEAST_EXAMPLES = 10
"""Probes that were built for fewer examples decide nothing, unless there are no more in all."""

_MOST_NAMED = 5
_MOST_NEAR = 2


def margin_of(kind: ProbeKind, *, held_out: bool) -> float:
    """Returns the share of reference minus empty that a probe has to lose: number 3 of the rule."""
    return 0.0 if kind == "lazy" and held_out else MARGIN


def comes_too_near(difference: Estimate, margin: Estimate, auc: Estimate) -> bool:
    """Applies the rule to one probe.

    `difference` is reference minus probe, `margin` the same less what the probe has to lose, and
    `auc` the chance that a reference scores above the probe.
    """
    return difference.ci95[0] <= 0 or margin.ci95[0] <= 0 or auc.ci95[0] <= LEAST_AUC


def nearness(probe: Probe) -> float:
    """Orders probes: by how far the reference is ahead, the nearest first, unscored ones last."""
    return inf if probe.reference_minus_probe is None else probe.reference_minus_probe.mean


def write_verdict(
    probes: Sequence[Probe], ceiling: Estimate, floor: Estimate, *, held_out: bool
) -> tuple[bool, str]:
    """Returns whether the reward passes, and the verdict in words."""
    judged = [probe for probe in probes if probe.too_near is not None]
    # What a policy finds first comes first.
    failed = sorted(
        (p for p in judged if p.too_near), key=lambda p: (p.kind != "lazy", nearness(p))
    )
    passes = not failed
    held = ", held out from the others," if held_out else ""
    start = f"A human reference{held} scores {ceiling.mean:.3f}, nothing at all {floor.mean:.3f}"
    sentences = [f"{'Passes' if passes else 'Does not pass'}. {start}."]
    if failed and all(probe.kind == "wrong" for probe in failed):
        sentences.append("No lazy text comes too near, but wrong ones do.")
    sentences += [f"{_capital(probe.what)} {_fault(probe)}." for probe in failed[:_MOST_NAMED]]
    if len(failed) > _MOST_NAMED:
        names = ", ".join(f"'{probe.name}'" for probe in failed[_MOST_NAMED:])
        sentences.append(f"Too near come also {names}.")
    if passes:
        nearest = min(judged, key=nearness)
        sentences.append(
            f"Of {len(judged)} lazy and wrong texts, {nearest.what} comes nearest "
            f"({_difference(nearest)}, AUC {_interval(nearest.auc, '.2f')})."
        )
    near = sorted((probe for probe in probes if probe.kind == "near"), key=nearness)
    kept = [f"{p.what} {p.score.mean:.3f}" for p in near[:_MOST_NEAR] if p.score is not None]
    if kept:
        sentences.append(f"Near-valid texts, which decide nothing: {', '.join(kept)}.")
    return passes, " ".join(sentences)


def _fault(probe: Probe) -> str:
    """Says why a probe comes too near, in the words of the rule."""
    if probe.reference_minus_probe is None or probe.auc is None:
        return f"cannot be scored: {probe.note.rstrip('.')}"
    low, high = probe.reference_minus_probe.ci95
    if high < 0:
        return f"scores higher than a human reference ({_difference(probe)})"
    if low <= 0:
        return f"scores as high as a human reference ({_difference(probe)})"
    if probe.auc.ci95[0] <= LEAST_AUC:
        return (
            f"is beaten by a human reference too seldom (AUC {_interval(probe.auc, '.2f')}, "
            f"{_difference(probe)})"
        )
    assert probe.score is not None
    whole = probe.score.mean + probe.reference_minus_probe.mean
    return f"keeps {probe.score.mean:.2f} of the reference's {whole:.2f} ({_difference(probe)})"


def _difference(probe: Probe) -> str:
    assert probe.reference_minus_probe is not None
    return f"difference {_interval(probe.reference_minus_probe, '+.3f', negate=True)}"


def _interval(estimate: Estimate | None, form: str, *, negate: bool = False) -> str:
    """Writes a mean and its interval; negated, it is that of probe minus reference."""
    assert estimate is not None
    mean, (low, high) = estimate.mean, estimate.ci95
    if negate:
        mean, low, high = -mean, -high, -low
    # Adding 0 takes the sign off a negative zero.
    return f"{mean + 0.0:{form}} [{low + 0.0:{form}}, {high + 0.0:{form}}]"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
