"""What the reward benchmarks find, as plain records: the report draws them, JSON keeps them.

Every `Estimate` is a mean with its 95 % interval. Gains of different metrics are made comparable by
dividing each by the standard deviation of that metric over the untrained policy's samples: "sd".
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from textenv.benchmark.statistics import Estimate
from textenv.errors import ConfigError

Kind = Literal["design", "control"]
Judgement = Literal["sound", "drifts", "hacked", "inert", "unclear", "control"]
ProbeKind = Literal["lazy", "wrong", "near"]
Record = TypeVar("Record")


@dataclass(frozen=True)
class Probe:
    """How one policy without merit fares under a reward, beside the human reference.

    Attributes:
        name: Such as "title" or "keyword list".
        what: Description of the text that the policy writes.
        score: The mean score.
        reference_minus_probe: The mean of the paired differences.
        auc: The chance that a reference scores above the probe's text; a tie counts half.
        n: How many examples the probe could be built for.
        example: One text of it.
        note: Why it could not be built, or what is special; usually empty.
        kind: "lazy" needs no skill; "wrong" bears the words of a good answer without its meaning;
            "near" is a good answer cut, doubled or oddly encoded, and decides nothing.
        too_near: True if it comes too near the reference for the reward to pass (the rule is in
            `textenv.benchmark.audit_verdict`). None where it decides nothing.
    """

    name: str
    what: str
    score: Estimate | None
    reference_minus_probe: Estimate | None
    auc: Estimate | None
    n: int
    example: str = ""
    note: str = ""
    kind: ProbeKind = "lazy"
    too_near: bool | None = None


@dataclass(frozen=True)
class Audit:
    """What adversarial probes find out about one reward, without any training.

    Attributes:
        reward: The reward's name or description.
        dataset: The examples' source.
        n_examples: How many examples were probed.
        leave_one_out: True where a human reference was scored against the other ones of its
            example; else references are scored against themselves, and reach the ceiling.
        ceiling: The reference's mean.
        floor: The empty response's mean.
        best_lazy: The name of the probe that scores highest among those that need no skill.
        probes: All of them, highest first; last those that could not be built.
        correlations: Spearman's, over all probed texts, with other metrics.
        ms_per_episode: The time to score one response, in milliseconds.
        passes: True if no lazy or wrong text comes too near the reference.
        verdict: The conclusion in words: what the reward pays for, and which policies reach the
            reference.
    """

    reward: str
    dataset: str
    n_examples: int
    leave_one_out: bool
    ceiling: Estimate
    floor: Estimate
    best_lazy: str
    probes: tuple[Probe, ...]
    correlations: dict[str, float]
    ms_per_episode: float
    passes: bool
    verdict: str


@dataclass(frozen=True)
class BestOfN:
    """How proxy and gold rise with the best of n samples, picked by the proxy.

    Attributes:
        proxy: The reward that picks.
        n: (k,) the sizes.
        kl_bound: (k,) log n - (n - 1) / n, an upper bound on the KL to the policy, in nats.
        curves: Metric -> k estimates, the proxy's among them.
        n_prompts: The number of prompts.
        pool: The number of samples of each prompt.
    """

    proxy: str
    n: tuple[int, ...]
    kl_bound: tuple[float, ...]
    curves: dict[str, tuple[Estimate, ...]]
    n_prompts: int
    pool: int


@dataclass(frozen=True)
class Design:
    """One reward that was trained against, or a control.

    Attributes:
        name: The name in the configuration.
        kind: A control is the untrained policy, or one that was paid at random.
        spec: The reward as `load_reward` takes it; None for the untrained policy.
        judgement: The benchmark's conclusion.
        words: The same as a sentence.
        own_gain: The gain by the reward itself, in sd.
        gold_gain: The gain by the gold metrics' mean, in sd.
        hacking_index: own_gain minus gold_gain.
        gold_at_matched_kl: The gold gain where all designs are equally far from the start, in sd.
        kl: The KL to the start at the end of the training, in nats a response.
    """

    name: str
    kind: Kind
    spec: Any
    judgement: Judgement
    words: str
    own_gain: Estimate | None
    gold_gain: Estimate
    hacking_index: Estimate | None
    gold_at_matched_kl: Estimate | None
    kl: Estimate


@dataclass(frozen=True)
class Metric:
    """One column of the matrix.

    Attributes:
        name: The name in the configuration.
        kind: "gold" metrics are never trained on; "design" ones are.
        before: The untrained policy's mean, in the metric's own unit.
        sd: The standard deviation over its samples.
    """

    name: str
    kind: Literal["design", "gold"]
    before: float
    sd: float


@dataclass(frozen=True)
class Cell:
    """What training on one design did to one metric.

    Attributes:
        gain: Mean of after minus before, in sd.
        raw_gain: The same in the metric's own unit.
        iqm: Interquartile mean of the runs' scores after training, in the metric's own unit.
    """

    gain: Estimate
    raw_gain: Estimate
    iqm: Estimate


@dataclass(frozen=True)
class Point:
    """One look at a run's held-out samples, averaged over seeds; gain in sd."""

    kl: float
    gain: Estimate


@dataclass(frozen=True)
class Fit:
    """R = d (a - b log d), d = sqrt(KL), of Gao et al. 2022 (arXiv 2210.10760).

    Attributes:
        a: The slope at d = 1.
        b: How fast it falls.
        peak_kl: The KL at which the fitted curve is highest; None if that lies outside the data.
        r2: The share of the variance that the curve explains.
    """

    a: float
    b: float
    peak_kl: float | None
    r2: float


@dataclass(frozen=True)
class Curve:
    """How one metric moves with the distance from the start, under one design.

    Attributes:
        design: The design that was trained on.
        metric: The metric measured; "gold" is the mean of the gold metrics.
        points: The points in order of training; the first is the start, at KL 0.
        peak: The index of the highest point.
        fit: The fitted curve; None where there are too few points.
    """

    design: str
    metric: str
    points: tuple[Point, ...]
    peak: int
    fit: Fit | None


@dataclass(frozen=True)
class Comparison:
    """Two designs by the gold metrics.

    Attributes:
        first: One design.
        second: The other one.
        difference: The difference of their gold gains, first minus second, in sd.
        probability_of_improvement: The chance that a run of the first beats one of the second.
        p: Two-sided: the larger of the bootstrap's and of Student's t over runs.
        p_holm: The same, corrected for all comparisons (Holm 1979).
    """

    first: str
    second: str
    difference: Estimate
    probability_of_improvement: Estimate
    p: float
    p_holm: float


@dataclass(frozen=True)
class RunRecord:
    """One training run: done, or failed with its error."""

    design: str
    seed: int
    status: Literal["done", "failed", "missing"]
    wall_s: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class SampleText:
    """What one policy wrote for an example, and each metric's score of it."""

    design: str
    seed: int
    text: str
    scores: dict[str, float]


@dataclass(frozen=True)
class Sample:
    """One held-out example, with the responses of every policy."""

    id: str
    prompt: str
    references: tuple[str, ...]
    responses: tuple[SampleText, ...]


@dataclass(frozen=True)
class Bench:
    """Everything that `textenv rewards bench` found.

    Attributes:
        title: The subject of the comparison.
        verdict: One paragraph in words: which design is right, and which is hacked.
        designs: The designs in the order of the configuration, controls last.
        metrics: The columns: every design, then the gold metrics.
        matrix: Design -> metric -> cell.
        curves: Two curves for every design: its own reward and "gold".
        matched_kl: The KL at which designs that learned are compared; None if none was reached by
            all.
        comparisons: A comparison for every pair of designs.
        runs: Every run, failed ones included.
        samples: Some held-out examples.
        audits: The designs' audits, if they were asked for.
        n_prompts: Held-out prompts of an evaluation.
        config: The configuration as given.
        versions: The versions of the packages, by name.
        run_s: The time of all runs together, in seconds.
        best_of_n: A best-of-n record for each design, from the untrained policy's samples.
    """

    title: str
    verdict: str
    designs: tuple[Design, ...]
    metrics: tuple[Metric, ...]
    matrix: dict[str, dict[str, Cell]]
    curves: tuple[Curve, ...]
    matched_kl: float | None
    comparisons: tuple[Comparison, ...]
    runs: tuple[RunRecord, ...]
    samples: tuple[Sample, ...]
    audits: tuple[Audit, ...]
    n_prompts: int
    config: dict[str, Any]
    versions: dict[str, str]
    run_s: float
    best_of_n: tuple[BestOfN, ...] = field(default=())


def save_record(record: Any, path: Path) -> None:
    """Writes a record as JSON."""
    text = json.dumps(asdict(record), indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def load_record(kind: type[Record], path: Path) -> Record:
    """Reads a record that `save_record` wrote.

    Raises:
        ConfigError: The file cannot be read, or holds something else.
    """
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"'{path}' cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        found = error.errors()[0]
        where = ".".join(str(part) for part in found["loc"])
        raise ConfigError(
            f"'{path}' holds no {kind.__name__} of this version: {where}: {found['msg']}."
        ) from error
