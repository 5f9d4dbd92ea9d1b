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

from textenv.benchmark.power import Noise
from textenv.benchmark.statistics import Estimate
from textenv.errors import ConfigError
from textenv.storage.whole_files import write_whole

Kind = Literal["design", "control"]
Judgement = Literal["sound", "drifts", "hacked", "inert", "unclear", "control"]
ProbeKind = Literal["lazy", "wrong", "same", "near"]
Severity = Literal["fails", "warns", "notes"]
Record = TypeVar("Record")


@dataclass(frozen=True)
class Probe:
    """How one policy without merit fares under a reward, beside the human reference."""

    name: str  # such as "title" or "keyword list"
    what: str  # description of the text that the policy writes
    score: Estimate | None  # the mean score
    reference_minus_probe: Estimate | None  # the mean of the paired differences
    # The chance that a reference scores above the probe's text; a tie counts half.
    auc: Estimate | None
    n: int  # how many examples the probe could be built for
    example: str = ""  # one of the texts
    note: str = ""  # why it could not be built, or what is special; usually empty
    # "lazy" needs no skill; "wrong" bears the words of a good answer without its meaning; "same" is
    # a good answer written a little differently; "near" is one cut, doubled or oddly encoded, and
    # decides nothing.
    kind: ProbeKind = "lazy"
    # True if it comes too near the reference or, being "same", falls too far below it (the rule is
    # in `textenv.benchmark.audit_verdict`). None where it decides nothing.
    at_fault: bool | None = None
    severity: Severity = "fails"  # how much that matters (severities.yaml)
    mend: str = ""  # what to change in a reward that is at fault here


@dataclass(frozen=True)
class PolicyScores:
    """What a policy earns now, on several samples of each prompt."""

    policy: str  # the model
    n_prompts: int
    n_samples: int  # of each prompt
    score: Estimate  # the mean
    best: Estimate  # the mean over prompts of the best sample
    within: float  # the standard deviation within prompts: the root of the mean variance
    dead: Estimate  # the share of prompts whose samples, eight at most, all earn the same


PartName = Literal["lazy", "wrong", "learnable"]
Outcome = Literal["holds", "warns", "fails", "unknown"]


@dataclass(frozen=True)
class Part:
    """One of the three questions of an audit, and its answer."""

    name: PartName  # what lazy texts earn; what wrong ones do; whether a policy can learn from it
    outcome: Outcome  # "unknown" if it was not asked
    words: str


@dataclass(frozen=True)
class StrategyText:
    """What a rule writes for one prompt."""

    prompt: str  # the last message before it
    text: str  # turns apart by " / "
    score: float


@dataclass(frozen=True)
class Guard:
    """A reward of the library that the audited one could be multiplied with."""

    name: str
    score: float  # what the best of the bad texts would then earn
    reference: float  # and what a reference would


@dataclass(frozen=True)
class StrategySearch:
    """What the best rule from prompt to text earns that understands nothing."""

    reward: str  # the reward's name or description
    dataset: str  # the examples' source
    n_examples: int  # half of them chose the rule, the other half judged it
    reference: Estimate  # the reference's mean on the judging half
    strategy: str  # the rule: a template, or one for each kind of prompt
    score: Estimate  # its mean on the judging half
    passes: bool  # True if that is at most 0.5, and 0.3 below the reference
    guard: Guard | None  # the guard that mends it; None if it passes, or none does
    verdict: str  # all of this in words
    texts: tuple[StrategyText, ...]  # what it writes for some prompts
    curve: tuple[tuple[int, float], ...]  # rules tried, and the best mean on the choosing half


@dataclass(frozen=True)
class Audit:
    """What adversarial probes find out about one reward, without any training."""

    reward: str  # the reward's name or description
    dataset: str  # the examples' source
    n_examples: int  # how many examples were probed
    # True where a human reference was scored against the other ones of its example; else
    # references are scored against themselves, and reach the ceiling.
    leave_one_out: bool
    ceiling: Estimate  # the reference's mean
    floor: Estimate  # the empty response's mean
    best_lazy: str  # the name of the probe that scores highest among those that need no skill
    probes: tuple[Probe, ...]  # all of them, highest first; last those that could not be built
    correlations: dict[str, float]  # Spearman's, over all probed texts, with other metrics
    ms_per_episode: float  # the time to score one response, in milliseconds
    passes: bool  # True if no part fails
    verdict: str  # one sentence on the whole, and what to do next
    parts: tuple[Part, ...]  # what lazy texts earn, what wrong ones do, whether it can be learned
    policy: PolicyScores | None  # what a policy earns now; None if none was asked
    search: StrategySearch | None  # the best rule found; None if none was searched for
    severities: str  # the version of severities.yaml, and the file that changed it if one did


@dataclass(frozen=True)
class BestOfN:
    """How proxy and gold rise with the best of n samples, picked by the proxy."""

    proxy: str  # the reward that picks
    n: tuple[int, ...]  # (k,) the sizes
    # (k,) log n - (n - 1) / n, an upper bound on the KL to the policy, in nats.
    kl_bound: tuple[float, ...]
    curves: dict[str, tuple[Estimate, ...]]  # metric -> k estimates, the proxy's among them
    n_prompts: int  # the number of prompts
    pool: int  # the number of samples of each prompt


@dataclass(frozen=True)
class Design:
    """One reward that was trained against, or a control."""

    name: str  # the name in the configuration
    kind: Kind  # a control is the untrained policy, or one that was paid at random
    spec: Any  # the reward as `load_reward` takes it; None for the untrained policy
    judgement: Judgement  # the benchmark's conclusion
    words: str  # the same as a sentence
    by_gold: dict[str, Judgement]  # what it would be by each gold metric alone
    # Gains in sd, beyond those of the control that was paid at random, if there is one.
    own_gain: Estimate | None  # by the reward itself
    gold_gain: Estimate  # by the gold metrics' mean; the control's own is since the start
    hacking_index: Estimate | None  # own_gain minus gold_gain
    # The gold gain since the start where all designs are equally far from it, by nats a response
    # and by nats a token, in sd.
    gold_at_matched_kl: Estimate | None
    gold_at_matched_kl_by_token: Estimate | None
    kl: Estimate  # the KL to the start at the end of the training, in nats a response


@dataclass(frozen=True)
class Metric:
    """One column of the matrix."""

    name: str  # the name in the configuration
    kind: Literal["design", "gold"]  # "gold" metrics are never trained on; "design" ones are
    before: float  # the untrained policy's mean, in the metric's own unit
    sd: float  # the standard deviation over that policy's samples


@dataclass(frozen=True)
class Cell:
    """What training on one design did to one metric, since the start."""

    gain: Estimate  # mean of after minus before, in sd
    raw_gain: Estimate  # the same in the metric's own unit
    iqm: Estimate  # interquartile mean of the runs' scores after training, in the metric's own unit


@dataclass(frozen=True)
class Point:
    """One look at a run's held-out samples, averaged over seeds; gain in sd."""

    kl: float
    gain: Estimate


@dataclass(frozen=True)
class Fit:
    """R = d (a - b log d), d = sqrt(KL), of Gao et al. 2022 (arXiv 2210.10760)."""

    a: float  # the slope at d = 1
    b: float  # how fast it falls
    # The KL at which the fitted curve is highest; None if that lies outside the data.
    peak_kl: float | None
    r2: float  # the share of the variance that the curve explains


@dataclass(frozen=True)
class Curve:
    """How one metric moves with the distance from the start, under one design."""

    design: str  # the design that was trained on
    metric: str  # the metric measured; "gold" is the mean of the gold metrics
    points: tuple[Point, ...]  # the points in order of training; the first is the start, at KL 0
    peak: int  # the index of the highest point
    fit: Fit | None  # the fitted curve; None where there are too few points


@dataclass(frozen=True)
class Comparison:
    """Two designs by the gold metrics."""

    first: str  # one design
    second: str  # the other one
    difference: Estimate  # the difference of their gold gains, first minus second, in sd
    # The chance that a run of the first beats one of the second.
    probability_of_improvement: Estimate
    p: float  # two-sided, of Student's t; 1 if there is one seed alone
    p_holm: float  # the same, corrected for all comparisons (Holm 1979)
    equivalent: bool  # whether the difference is shown to be smaller than 0.2 sd


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
    """Everything that `textenv rewards bench` found."""

    title: str  # the subject of the comparison
    verdict: str  # one paragraph in words: which design is right, and which is hacked
    designs: tuple[Design, ...]  # the designs in the order of the configuration, controls last
    metrics: tuple[Metric, ...]  # the columns: every design, then the gold metrics
    matrix: dict[str, dict[str, Cell]]  # design -> metric -> cell
    curves: tuple[Curve, ...]  # two curves for every design: its own reward and "gold"
    # The KL at which designs that learned are compared; None if none was reached by all.
    matched_kl: float | None
    matched_kl_by_token: float | None
    comparisons: tuple[Comparison, ...]  # a comparison for every pair of designs
    runs: tuple[RunRecord, ...]  # every run, failed ones included
    samples: tuple[Sample, ...]  # some held-out examples
    audits: tuple[Audit, ...]  # the designs' audits, if they were asked for
    n_prompts: int  # held-out prompts of an evaluation
    # What made gold gains differ, from which `--plan` tells what more runs would show; None where
    # no design has two runs.
    noise: Noise | None
    config: dict[str, Any]  # the configuration as given
    versions: dict[str, str]  # the versions of the packages, by name
    run_s: float  # the time of all runs together, in seconds
    # A best-of-n record for each design, from the untrained policy's samples.
    best_of_n: tuple[BestOfN, ...] = field(default=())


def save_record(record: Any, path: Path) -> None:
    """Writes a record as JSON."""
    text = json.dumps(asdict(record), indent=1, ensure_ascii=False, allow_nan=False)
    write_whole(path, text + "\n")


def load_record(kind: type[Record], path: Path) -> Record:
    """Reads a record that `save_record` wrote; a ConfigError says why it cannot be read."""
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
