"""How well what was said of rewards before training foresees what training did, as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.cli.display import interval
from textenv.benchmark.proportions import clopper_pearson
from textenv.benchmark.results import Judgement
from textenv.benchmark.statistics import Estimate, FloatArray, make_estimate, spearman

_RESAMPLES = 2_000
_GOOD = ("sound", "drifts")  # gold was shown to rise


@dataclass(frozen=True)
class Foresight:
    """One design: what was said of it before training, and what training did."""

    bench: str
    design: str
    judgement: Judgement
    own_gain: Estimate  # in sd, beyond the control
    gold_gain: Estimate
    passes: bool  # its audit
    fails: frozenset[str]  # the parts of the audit that fail
    # Shares of what a reference earns above the empty text: the best lazy text's, the best rule's.
    lazy: float
    rule: float
    policy: float  # the untrained policy's
    dead: float  # the share of prompts without variation
    best_of_n: float  # gold gain of the best of 16, in sd
    tau: float | None  # Kendall's, with people, within items


@dataclass(frozen=True)
class Foreteller:
    """Something that says of a design how well it will do."""

    name: str
    says: Callable[[Foresight], float | None]  # higher is better; None where it says nothing
    shipped: float | None  # the value above which it says that gold will rise


FORETELLERS = (
    Foreteller("audit passes", lambda row: float(row.passes), 0.5),
    Foreteller("audit, *lazy* does not fail", lambda row: float("lazy" not in row.fails), 0.5),
    Foreteller("audit, *wrong* does not fail", lambda row: float("wrong" not in row.fails), 0.5),
    Foreteller("audit, lazy text", lambda row: -row.lazy, None),
    Foreteller("audit, rule", lambda row: -row.rule, None),
    Foreteller("audit, rule above policy", lambda row: row.policy - row.rule, None),
    Foreteller("audit, variation", lambda row: -row.dead, None),
    Foreteller("best of 16", lambda row: row.best_of_n, 0.0),
    Foreteller("people (agree)", lambda row: row.tau, 0.0),
)


def table(rows: Sequence[Foresight]) -> str:
    """Returns the table of designs, and that of how well each step foresaw them."""
    return "\n".join([*_designs(rows), "", *_foresight(rows)])


def auroc(says: FloatArray, good: FloatArray) -> float:
    """Returns the chance that a good design is ranked above a bad one; ties count half.

    Args:
        says: (n,) what was said of each design.
        good: (n,) 1 for good ones, else 0.

    Returns:
        The area under the ROC curve; nan if all are good, or none is.
    """
    first, second = says[good > 0][:, None], says[good == 0][None]
    if not first.size or not second.size:
        return float("nan")
    return float(((first > second) + 0.5 * (first == second)).mean())


def best_threshold(says: FloatArray, good: FloatArray) -> float:
    """Returns the threshold whose sensitivity plus specificity is highest (Youden 1950)."""
    values = np.unique(says)
    middles = (values[1:] + values[:-1]) / 2
    tried: list[float] = [*middles.tolist(), float(values[0]) - 1e-9]

    def worth(threshold: float) -> Any:
        above = says > threshold
        rights = (above[good > 0], ~above[good == 0])
        return sum(np.mean(right) for right in rights if len(right))

    return max(tried, key=worth)


def _designs(rows: Sequence[Foresight]) -> Iterator[str]:
    yield (
        "| bench | design | own gain, sd | gold gain, sd | judgement | audit passes | lazy text | "
        "rule | dead prompts | best of 16, gold, sd | tau with people |"
    )
    yield "|" + "---|" * 11
    for row in sorted(rows, key=lambda row: (row.bench, -row.gold_gain.mean)):
        tau = "" if row.tau is None else f"{row.tau:.2f}"
        cells = (
            row.bench,
            row.design,
            interval(row.own_gain.to_json(), signed=True),
            interval(row.gold_gain.to_json(), signed=True),
            row.judgement,
            "yes" if row.passes else "no",
            f"{row.lazy:.2f}",
            f"{row.rule:.2f}",
            f"{row.dead:.0%}",
            f"{row.best_of_n:+.2f}",
            tau,
        )
        yield f"| {' | '.join(cells)} |"


def _foresight(rows: Sequence[Foresight]) -> Iterator[str]:
    yield (
        "| step | designs | rank correlation with the gold gain | AUROC for gold that rises | "
        "sensitivity | specificity | at the threshold | with a threshold set on the other half |"
    )
    yield "|" + "---|" * 8
    for foreteller in FORETELLERS:
        known = [(row, foreteller.says(row)) for row in rows]
        said = [(row, value) for row, value in known if value is not None]
        if len(said) < 4:
            continue
        says = np.array([value for _, value in said])
        gains = np.array([row.gold_gain.mean for row, _ in said])
        good = np.array([float(row.judgement in _GOOD) for row, _ in said])
        cells = [
            foreteller.name,
            str(len(said)),
            _interval(_resampled(spearman, says, gains)),
            _interval(_resampled(auroc, says, good)),
        ]
        if foreteller.shipped is None:
            cells += ["", "", ""]
        else:
            above = says > foreteller.shipped
            cells += [_share(above[good > 0]), _share(~above[good == 0]), f"{foreteller.shipped:g}"]
        cells.append(_crossed(says, good))
        yield f"| {' | '.join(cells)} |"


def _resampled(
    statistic: Callable[[FloatArray, FloatArray], float | None], x: FloatArray, y: FloatArray
) -> Estimate | None:
    """Estimates a statistic of designs, with an interval that draws them anew."""
    whole = statistic(x, y)
    if whole is None or np.isnan(whole):
        return None
    rng = np.random.default_rng(0)
    places = rng.integers(len(x), size=(_RESAMPLES, len(x)))
    drawn = [statistic(x[i], y[i]) for i in places]
    found = np.array([value for value in drawn if value is not None])
    return make_estimate(whole, found[~np.isnan(found)])


def _crossed(says: FloatArray, good: FloatArray) -> str:
    """Sets the threshold on every second design, and reports what it says of the others."""
    right = np.zeros(len(says), bool)
    for half in (0, 1):
        here, there = np.arange(len(says)) % 2 == half, np.arange(len(says)) % 2 != half
        threshold = best_threshold(says[here], good[here])
        right[there] = (says[there] > threshold) == (good[there] > 0)
    return f"right of {_share(right)}"


def _share(right: NDArray[np.bool_]) -> str:
    if not len(right):
        return "none"
    k, n = int(right.sum()), len(right)
    low, high = clopper_pearson(k, n)
    return f"{k}/{n} [{low:.2f}, {high:.2f}]"


def _interval(estimate: Estimate | None) -> str:
    return "" if estimate is None else interval(estimate.to_json())
