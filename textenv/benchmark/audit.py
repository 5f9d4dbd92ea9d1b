"""Attacks a reward with texts that should not be paid, beside the human reference; no training.

Where examples have several references, each is held out in turn: it is scored against the others,
and so is every probe, so that both sides always face the same number of references. An example
counts once, with the mean over its held-out references; to hold out one of them by a rule (the
first, the longest) would favour whoever tends to stand there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from textenv.benchmark.audit_verdict import (
    LEAST_EXAMPLES,
    comes_too_near,
    conclude,
    judge_lazy,
    judge_learnable,
    judge_wrong,
    margin_of,
    nearness,
    severity_of,
)
from textenv.benchmark.constant_texts import choose_constants
from textenv.benchmark.correlation import correlate
from textenv.benchmark.guards import find_guard
from textenv.benchmark.learnability import PolicySamples, measure_policy
from textenv.benchmark.probe_episodes import Case, TextPlayer, draw_examples, hold_out
from textenv.benchmark.probe_material import ProbeMaterial
from textenv.benchmark.probes import ATTACKS, Attack, write_probe
from textenv.benchmark.results import Audit, Guard, Probe, StrategySearch
from textenv.benchmark.scorer import Scorer
from textenv.benchmark.severities import Severities, load_severities
from textenv.benchmark.statistics import Estimate, bootstrap_mean, estimate_mean
from textenv.episode import TextCore
from textenv.errors import RewardError
from textenv.examples import Episode, Example
from textenv.rewards import load_reward
from textenv.rewards.base import FloatArray
from textenv.rewards.loading import RewardSpec
from textenv.rewards.naming import describe_reward

METRICS = ("rouge1", "rougeL", "token_f1", "chrf")
_RESAMPLES = 2_000
MOST_MS = 3.0  # a slower score, by a model or an endpoint, is not asked for 100,000 times unasked
_N_STRANGERS = 8  # other examples whose references a probe may use
_SHOWN_CHARS = 300

OnProgress = Callable[[int, int, str], None]


def audit(
    reward: RewardSpec,
    source: TextCore | Sequence[Example],
    *,
    n_examples: int = 500,
    split: str | None = None,
    metrics: Sequence[str] = METRICS,
    budget: int | None = 0,
    policy: PolicySamples | None = None,
    severities: Severities | None = None,
    dataset: str = "",
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> Audit:
    """Asks whether a reward may be trained on: what it pays for, and whether it can be learned.

    Three questions: what *lazy* texts earn, which need no skill; what *wrong* ones earn, which say
    something else than the reference (and good ones in another form); and whether the samples of a
    policy differ in what they earn, so that it can *learn*. Texts are scored as they are: no window
    or budget shortens them, and the episodes hold no tokens.

    Args:
        reward: A reward as `load_reward` takes it.
        source: An environment's core, of which the task and the dataset are used, or examples of
            a task of one turn.
        n_examples: Number of examples to draw; all, where there are fewer.
        split: The split of the core's dataset: "train", "validation", "test" or "all"; by default
            the core's own.
        metrics: Rewards to correlate with, by name; the length in words is always there.
        budget: Number of rules from prompt to text to search through (`find_strategy`); None for
            its default, unless the reward takes more than 3 ms a text or examples are too few.
        policy: Samples of a policy; without them, whether it can learn is not told.
        severities: How much each finding matters; by default as in severities.yaml.
        dataset: The name of the examples' source in the result.
        seed: Seed of the choice of examples.
        on_progress: Function that is called with the number of probes done, their total, and the
            next one's name.

    Raises:
        ConfigError: There are fewer than two examples, or no such split.
        RewardError: The reward cannot score a reference or the empty text, or a metric cannot
            score a text.
    """
    severities = severities or load_severities()
    examples, player = draw_examples(source, n_examples, split, seed)
    cases, held_out = hold_out(examples, player)
    scorer = Scorer(load_reward(reward))
    progress = on_progress or (lambda done, total, name: None)
    progress(0, len(ATTACKS), "references")
    humans = _play_all(cases, player, lambda human: human)
    scorer.warm_up(humans[0])
    baseline = _Baseline(
        owners=np.array([case.owner for case in cases]),
        human=scorer.score(humans, strict=True),
        empty=scorer.score(_play_all(cases, player, lambda _: ""), strict=True),
        held_out=held_out,
    )
    materials = _make_materials(cases, choose_constants(cases, player, scorer))
    texts: dict[str, tuple[Sequence[Episode | None], FloatArray]] = {}
    probes = []
    for done, attack in enumerate(ATTACKS):
        progress(done, len(ATTACKS), attack.name)
        played = [_play(attack, *pair, player) for pair in zip(cases, materials, strict=True)]
        try:
            scores = _score(played, scorer)
        except RewardError as error:
            probes.append(
                _unscored(attack, f"the reward fails: {error}", severities, at_fault=True)
            )
            continue
        texts[attack.name] = (played, scores)
        probes.append(_compare(attack, played, scores, baseline, severities))
    progress(len(ATTACKS), len(ATTACKS), "other metrics")
    correlations = correlate(cases, [(humans, baseline.human), *texts.values()], metrics)
    measured = None if policy is None else measure_policy(policy, scorer)
    found = None
    if budget is None:
        budget = default_budget(len(examples), scorer.ms_per_episode)
    if budget:
        found = _search(reward, source, budget, n_examples, split, policy, dataset, seed, progress)
    ceiling = _estimate(baseline.human, baseline.owners)
    floor = _estimate(baseline.empty, baseline.owners)
    guard = _mend(probes, texts, humans, baseline, severities)
    parts = (
        judge_lazy(probes, ceiling, floor, measured, found, guard, severities),
        judge_wrong(probes, severities),
        judge_learnable(measured, severities),
    )
    passes, verdict = conclude(parts, ceiling, floor, held_out=held_out)
    return Audit(
        reward=describe_reward(reward),
        dataset=dataset,
        n_examples=len(set(baseline.owners.tolist())),
        leave_one_out=held_out,
        ceiling=ceiling,
        floor=floor,
        best_lazy=min((probe for probe in probes if probe.kind == "lazy"), key=nearness).name,
        probes=tuple(sorted(probes, key=_rank, reverse=True)),
        correlations=correlations,
        ms_per_episode=scorer.ms_per_episode,
        passes=passes,
        verdict=verdict,
        parts=parts,
        policy=measured,
        search=found,
        severities=severities.source,
    )


def default_budget(n_examples: int, ms_per_episode: float) -> int:
    """Returns how many rules are searched through unless it is said; 0 where it would not pay."""
    from textenv.benchmark.adversary.adversary import BUDGET, LEAST_EXAMPLES

    return BUDGET if n_examples >= LEAST_EXAMPLES and ms_per_episode <= MOST_MS else 0


def _search(
    reward: RewardSpec,
    source: TextCore | Sequence[Example],
    budget: int,
    n_examples: int,
    split: str | None,
    policy: PolicySamples | None,
    dataset: str,
    seed: int,
    progress: OnProgress,
) -> StrategySearch:
    from textenv.benchmark.adversary.adversary import EXAMPLES, find_strategy

    return find_strategy(
        reward,
        source,
        budget=budget,
        n_examples=min(n_examples, EXAMPLES),
        split=split,
        samples=policy.episodes if policy else (),
        dataset=dataset,
        seed=seed,
        on_progress=progress,
    )


def _mend(
    probes: Sequence[Probe],
    texts: dict[str, tuple[Sequence[Episode | None], FloatArray]],
    humans: Sequence[Episode],
    baseline: _Baseline,
    severities: Severities,
) -> Guard | None:
    """Returns a guard of the library that mends all lazy texts that fail, if there is one."""
    faults = [
        probe
        for probe in probes
        if probe.kind == "lazy"
        and probe.at_fault
        and probe.name in texts
        and probe.severity == "fails"
    ]
    if not faults:
        return None
    bad = []
    for probe in faults:
        played, scores = texts[probe.name]
        written = [i for i, episode in enumerate(played) if episode is not None]
        bad.append(([episode for episode in played if episode is not None], scores[written]))
    empty = float(baseline.empty.mean())
    most = 1 - severities.least_lost

    def mends(left: float, kept: float) -> bool:
        return left - empty <= most * (kept - empty)

    return find_guard(bad, humans, baseline.human, mends)


@dataclass(frozen=True)
class _Baseline:
    """What probes are compared with, by case: the human texts and the empty one, both scored."""

    owners: NDArray[np.int64]  # (n,) the example of each case
    human: FloatArray  # (n,)
    empty: FloatArray  # (n,)
    held_out: bool  # whether the human texts are held-out references


def _make_materials(cases: Sequence[Case], constants: Sequence[str | None]) -> list[ProbeMaterial]:
    """Gives every case the references of the next examples, and its constant."""
    first: dict[int, str] = {}
    for case in cases:
        first.setdefault(case.owner, case.reference)
    n = len(first)
    return [
        ProbeMaterial(
            case.example,
            case.reference,
            tuple(first[(case.owner + k) % n] for k in range(1, min(n, _N_STRANGERS + 1))),
            constant,
        )
        for case, constant in zip(cases, constants, strict=True)
    ]


def _play(
    attack: Attack, case: Case, material: ProbeMaterial, player: TextPlayer
) -> Episode | None:
    """Plays a case with an attack's text; None where it cannot be written."""
    return player.play(case, lambda human: write_probe(attack, replace(material, reference=human)))


def _score(played: Sequence[Episode | None], scorer: Scorer) -> FloatArray:
    """Returns a score a case, NaN where there is no episode or no score."""
    scores = np.full(len(played), np.nan)
    built = [i for i, episode in enumerate(played) if episode is not None]
    scores[built] = scorer.score([episode for episode in played if episode is not None])
    return scores


def _compare(
    attack: Attack,
    played: Sequence[Episode | None],
    scores: FloatArray,
    baseline: _Baseline,
    severities: Severities,
) -> Probe:
    """Compares the texts of one attack with the human ones, case by case."""
    episodes = [episode for episode in played if episode is not None]
    scored = ~np.isnan(scores)
    if not scored.any():
        note = "no score for any text" if episodes else attack.needs
        return _unscored(attack, note, severities)
    owners, score = baseline.owners[scored], scores[scored]
    difference = baseline.human[scored] - score
    margin = margin_of(attack.kind, severities.least_lost, held_out=baseline.held_out)
    to_lose = margin * (baseline.human - baseline.empty)[scored]
    auc = _estimate((difference > 0) + 0.5 * (difference == 0), owners)
    n, n_all = len(np.unique(owners)), len(np.unique(baseline.owners))
    notes = []
    if unscored := len(episodes) - int(scored.sum()):
        notes.append(f"no score for {unscored} of {len(episodes)} texts")
    decides = attack.kind != "near" and n >= min(LEAST_EXAMPLES, n_all)
    if attack.kind != "near" and not decides:
        notes.append(f"built for {n} of {n_all} examples only: decides nothing")
    spread = _estimate_difference(difference, owners)
    beyond = _estimate_difference(difference - to_lose, owners)
    at_fault = (
        beyond.ci95[0] > 0
        if attack.kind == "same"
        else comes_too_near(spread, beyond, auc, severities.least_auc)
    )
    return Probe(
        name=attack.name,
        what=attack.what,
        score=_estimate(score, owners),
        reference_minus_probe=spread,
        auc=auc,
        n=n,
        example=_printable(_shortened(episodes[0].response)),
        note="; ".join(notes),
        kind=attack.kind,
        at_fault=at_fault if decides else None,
        severity=severity_of(attack.name, attack.kind, spread, auc, severities),
        mend=attack.mend,
    )


def _unscored(
    attack: Attack, note: str, severities: Severities, *, at_fault: bool | None = None
) -> Probe:
    return Probe(
        name=attack.name,
        what=attack.what,
        score=None,
        reference_minus_probe=None,
        auc=None,
        n=0,
        note=_printable(note) or "it would be a right answer everywhere",
        kind=attack.kind,
        at_fault=at_fault,
        # That a reward breaks down matters, whatever on.
        severity="fails" if at_fault else severities.texts.get(attack.name, "notes"),
        mend=attack.mend,
    )


def _play_all(
    cases: Sequence[Case], player: TextPlayer, write: Callable[[str], str]
) -> list[Episode]:
    played = (player.play(case, write) for case in cases)
    return [episode for episode in played if episode is not None]


def _estimate(values: FloatArray, owners: NDArray[np.int64]) -> Estimate:
    """Estimates the mean over examples of a score or a share."""
    return estimate_mean(_by_example(values, owners), resamples=_RESAMPLES)


def _estimate_difference(values: FloatArray, owners: NDArray[np.int64]) -> Estimate:
    """Estimates the mean over examples of a difference; the audit's rule is set for a bootstrap."""
    return bootstrap_mean(_by_example(values, owners), resamples=_RESAMPLES)


def _by_example(values: FloatArray, owners: NDArray[np.int64]) -> FloatArray:
    """Averages over the cases of each example."""
    _, group, counts = np.unique(owners, return_inverse=True, return_counts=True)
    means: FloatArray = np.bincount(group, values) / counts
    return means


def _rank(probe: Probe) -> float:
    return -np.inf if probe.score is None else probe.score.mean


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."


def _printable(text: str) -> str:
    """Spells halves of surrogate pairs out, which cannot be saved as UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
