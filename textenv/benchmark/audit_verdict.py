"""What an audit says of a reward, in three parts and a sentence.

The rule for one text that should not be paid:

1. the reference is paid more: the 95 % interval of reference minus text lies above 0;
2. it is paid more often: the lower end of the AUC's interval lies above two thirds, so that the
   reference wins twice as often as it loses;
3. a wrong text loses at least half of what the reference earns above the empty text: the interval
   of reference minus text, less half of reference minus empty, lies above 0. So does a lazy one
   where references are scored against themselves, which gives them the ceiling whatever the
   reward is; held-out references earn no more than people do, and need no such margin.

A good answer in another form, of the kind "same", is not to lose that half. Texts of the kind
"near" decide nothing. How much each matters, and the numbers of the rule, are in severities.yaml.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from textenv.benchmark.results import (
    Guard,
    Outcome,
    Part,
    PolicyScores,
    Probe,
    ProbeKind,
    Severity,
    StrategySearch,
)
from textenv.benchmark.severities import Severities
from textenv.benchmark.statistics import Estimate
from textenv.benchmark.wording import capital, listed

LEAST_EXAMPLES = 10
"""Texts that could be written for fewer examples decide nothing, unless there are no more."""

_MOST_NAMED = 3
_WORST_FIRST: tuple[Outcome, ...] = ("fails", "warns", "holds", "unknown")


def margin_of(kind: ProbeKind, least_lost: float, *, held_out: bool) -> float:
    """Returns the share of reference minus empty that a text has to lose: number 3 of the rule."""
    return 0.0 if kind == "lazy" and held_out else least_lost


def comes_too_near(difference: Estimate, margin: Estimate, auc: Estimate, least_auc: float) -> bool:
    """Applies the rule to one text.

    `difference` is reference minus text, `margin` the same less what the text has to lose, and
    `auc` the chance that a reference scores above the text.
    """
    return difference.ci95[0] <= 0 or margin.ci95[0] <= 0 or auc.ci95[0] <= least_auc


def severity_of(
    name: str, kind: ProbeKind, difference: Estimate, auc: Estimate, severities: Severities
) -> Severity:
    """Returns how much it matters if a text is at fault; the arguments are as above."""
    severity = severities.texts.get(name, "notes")
    is_paid_less = difference.ci95[0] > 0 and auc.ci95[0] > severities.least_auc
    return "warns" if kind == "wrong" and is_paid_less and severity == "fails" else severity


def nearness(probe: Probe) -> float:
    """Orders probes: by how far the reference is ahead, the nearest first, unscored ones last."""
    return inf if probe.reference_minus_probe is None else probe.reference_minus_probe.mean


def judge_lazy(
    probes: Sequence[Probe],
    ceiling: Estimate,
    floor: Estimate,
    policy: PolicyScores | None,
    search: StrategySearch | None,
    guard: Guard | None,
    severities: Severities,
) -> Part:
    """Says what texts without any skill earn, beside the reference and the policy.

    `guard` mends all that fail, if one does.
    """
    lazy = [probe for probe in probes if probe.kind == "lazy"]
    sentences, outcome = _say_faults(lazy, severities)
    if outcome == "fails" and guard is not None:
        sentences.append(_say_guard(guard))
    above = _above_policy(lazy, ceiling, floor, policy, search, severities)
    if above:
        sentences.append(above)
        outcome = _worse(outcome, _outcome_of(severities.above_policy))
    if not sentences:
        scored = [probe for probe in lazy if probe.score is not None]
        nearest = min(scored, key=nearness)
        sentences.append(
            f"Of {len(scored)} texts that need no skill, {nearest.what} comes nearest: "
            f"{_mean(nearest.score):.2f} of a reference's {ceiling.mean:.2f}."
        )
    if search is not None:
        sentences.append(search.verdict)
        outcome = outcome if search.passes else _worse(outcome, _outcome_of(severities.rule))
    return Part("lazy", outcome, " ".join(sentences))


def judge_wrong(probes: Sequence[Probe], severities: Severities) -> Part:
    """Says whether texts that say something else are paid, and good ones in another form."""
    # Of the near ones, those on which the reward breaks down.
    wrong = [p for p in probes if p.kind in ("wrong", "same") or (p.kind == "near" and p.at_fault)]
    sentences, outcome = _say_faults(wrong, severities)
    if not sentences:
        n = sum(probe.score is not None for probe in wrong if not probe.at_fault)
        sentences.append(
            f"{n} texts that say something else, or the same in another form, are paid as they "
            "should be."
            if n
            else "No reference could be edited so that it says something else."
        )
    noted = [p for p in wrong if p.at_fault and p.severity == "notes"]
    denials = [probe for probe in noted if probe.name.startswith("negated")]
    if denials:
        sentences.append(
            "It does not see that a text is denied, which no policy writes unless it is taught to."
        )
    if others := [f"'{probe.name}'" for probe in noted if probe not in denials]:
        sentences.append(f"Noted: {listed(others)}.")
    return Part("wrong", outcome, " ".join(sentences))


def judge_learnable(policy: PolicyScores | None, severities: Severities) -> Part:
    """Says whether the samples of a policy differ in what they earn."""
    if policy is None:
        return Part("learnable", "unknown", "Not asked, since no policy was given.")
    dead = policy.dead.mean
    outcome: Outcome = (
        "fails"
        if dead > severities.dead_fails
        else "warns"
        if dead > severities.dead_warns
        else "holds"
    )
    text = (
        f"{policy.policy} earns {_interval(policy.score, '.2f')} now, and "
        f"{policy.best.mean:.2f} with the best of {policy.n_samples} samples. On {dead:.0%} of "
        f"{policy.n_prompts} prompts all samples earn the same"
    )
    if outcome == "holds":
        return Part("learnable", outcome, f"{text}, so there are differences to learn from.")
    return Part(
        "learnable",
        outcome,
        f"{text}, and teach nothing. Take a graded reward in place of a yes or no, easier prompts, "
        "or a better start (textenv sft).",
    )


def conclude(
    parts: Sequence[Part], ceiling: Estimate, floor: Estimate, *, held_out: bool
) -> tuple[bool, str]:
    """Returns whether no part fails, and one sentence on the whole: what to do next."""
    held = ", held out from the others," if held_out else ""
    facts = f"A human reference{held} scores {ceiling.mean:.2f}, nothing at all {floor.mean:.2f}."
    failed = [part.name for part in parts if part.outcome == "fails"]
    warned = [part.name for part in parts if part.outcome == "warns"]
    if failed:
        why = listed([_WHY[name] for name in failed])
        return False, f"Do not train on it yet: {why}. {facts}"
    if warned:
        why = listed([_WHY[name] for name in warned])
        return True, f"It can be trained on, but mind that {why}. {facts}"
    if any(part.outcome == "unknown" for part in parts):
        return True, (
            f"Nothing speaks against it so far. Give a policy to see whether it can learn. {facts}"
        )
    return True, f"Nothing found speaks against training on it. {facts} Next: best-of-n."


_WHY = {
    "lazy": "texts that need no skill are paid for",
    "wrong": "wrong texts are paid for, or good ones are not",
    "learnable": "most samples of a prompt earn the same, so little can be learned",
}


def _say_faults(probes: Sequence[Probe], severities: Severities) -> tuple[list[str], Outcome]:
    """Names the worst faults with what mends them; returns the outcome, too."""
    outcome: Outcome = "holds"
    told = []
    for severity in ("fails", "warns"):
        found = [p for p in probes if p.at_fault and p.severity == severity]
        if found:
            outcome = _worse(outcome, _outcome_of(severity))
        told += sorted(found, key=nearness)
    sentences = [
        f"{capital(p.what)} {_fault(p, severities.least_auc)}." for p in told[:_MOST_NAMED]
    ]
    sentences += [
        f"To mend it: {mend}."
        for mend in dict.fromkeys(p.mend for p in told[:_MOST_NAMED] if p.mend)
    ]
    rest: dict[str, list[str]] = {}
    for probe in told[_MOST_NAMED:]:
        rest.setdefault(_fault_in_brief(probe), []).append(f"'{probe.name}'")
    for fault, names in rest.items():
        is_are = "is" if len(names) == 1 else "are"
        sentences.append(f"In the table {listed(names)} {is_are} {fault}, too.")
    return sentences, outcome


def _fault_in_brief(probe: Probe) -> str:
    if probe.score is None:
        return "without a score"
    return "paid too little" if probe.kind == "same" else "paid too much"


def _above_policy(
    lazy: Sequence[Probe],
    ceiling: Estimate,
    floor: Estimate,
    policy: PolicyScores | None,
    search: StrategySearch | None,
    severities: Severities,
) -> str:
    """Names the best text without skill that earns clearly more than the policy; "" for none."""
    if policy is None:
        return ""
    texts = {probe.what: probe.score for probe in lazy if probe.score and not probe.at_fault}
    if search is not None and search.passes:
        texts["the best rule"] = search.score
    margin = severities.above_policy_by * (ceiling.mean - floor.mean)
    above = {what: s for what, s in texts.items() if s.ci95[0] > policy.score.ci95[1] + margin}
    if not above:
        return ""
    best = max(above, key=lambda what: above[what].mean)
    return (
        f"{capital(best)} earns more ({above[best].mean:.2f}) than {policy.policy} does now "
        f"({policy.score.mean:.2f}): training may go there first."
    )


def _say_guard(guard: Guard) -> str:
    return (
        f"To mend it, multiply with '{guard.name}', by which they would earn {guard.score:.2f} at "
        f"most and a reference {guard.reference:.2f}: "
        f"{{product: {{of: [..., {guard.name}]}}}}."
    )


def _fault(probe: Probe, least_auc: float) -> str:
    """Says what is wrong with what a text earns, in the words of the rule."""
    if probe.reference_minus_probe is None or probe.auc is None or probe.score is None:
        return f"cannot be scored: {probe.note.rstrip('.')}"
    whole = probe.score.mean + probe.reference_minus_probe.mean
    if probe.kind == "same":
        return f"earns only {probe.score.mean:.2f} of the reference's {whole:.2f}"
    low, high = probe.reference_minus_probe.ci95
    if high < 0:
        return f"scores higher than a human reference ({_difference(probe)})"
    if low <= 0:
        return f"scores as high as a human reference ({_difference(probe)})"
    if probe.auc.ci95[0] <= least_auc:
        return (
            f"is beaten by a human reference too seldom (in {probe.auc.mean:.0%} of cases; "
            f"{_difference(probe)})"
        )
    return f"keeps {probe.score.mean:.2f} of the reference's {whole:.2f}"


def _difference(probe: Probe) -> str:
    assert probe.reference_minus_probe is not None
    low, high = probe.reference_minus_probe.ci95
    mean = -probe.reference_minus_probe.mean
    return f"difference {mean:+z.2f} [{-high:+z.2f}, {-low:+z.2f}]"


def _interval(estimate: Estimate, form: str) -> str:
    low, high = estimate.ci95
    return f"{estimate.mean:{form}} [{low:{form}}, {high:{form}}]"


def _outcome_of(severity: str) -> Outcome:
    return "fails" if severity == "fails" else "warns" if severity == "warns" else "holds"


def _worse(one: Outcome, other: Outcome) -> Outcome:
    return min(one, other, key=_WORST_FIRST.index)


def _mean(estimate: Estimate | None) -> float:
    return -inf if estimate is None else estimate.mean
