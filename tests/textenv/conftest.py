"""A made-up benchmark with everything in it that a report may have to show."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from textenv.benchmark.power import Noise
from textenv.benchmark.results import (
    Audit,
    Bench,
    BestOfN,
    Cell,
    Comparison,
    Curve,
    Design,
    Fit,
    Metric,
    Part,
    Point,
    PolicyScores,
    Probe,
    RunRecord,
    Sample,
    SampleText,
)
from textenv.benchmark.statistics import Estimate

HOSTILE = (
    "<script>window.pwned = 1</script></script><!-- <img src=x onerror='window.pwned = 2'> "
    "\"quoted\" 'single' & \u2028line\u2029 {{ 7 * 7 }} {% raw %} \x00 ]]> \ud800 \u202eabc\u202c"
)
DESIGNS = ("rougeL", "rouge_faithful", "keyword_coverage", "length_window", "bertscore")
GOLD = ("chrf", "nli_faithful", "judge_quality")
# Own gain, gold gain at the end, and the distance at which gold peaks (None: it does not turn).
TRUTH: dict[str, tuple[float, float, float | None]] = {
    "rougeL": (1.32, 0.71, 3.4),
    "rouge_faithful": (1.18, 1.05, None),
    "keyword_coverage": (3.05, -0.62, 1.3),
    "length_window": (0.09, 0.03, None),
    "bertscore": (0.95, 0.58, None),
    "random": (0.0, -0.04, None),
    "untrained": (0.0, 0.0, None),
}
JUDGED = {
    "rougeL": (
        "drifts",
        "Gold rises until KL 11 and falls after it; stop early or penalise the KL.",
    ),
    "rouge_faithful": ("sound", "Gold rises along with the reward, as far as the runs went."),
    "keyword_coverage": (
        "hacked",
        "The reward gains 3.05 sd while gold loses 0.62 sd: keyword lists.",
    ),
    "length_window": ("inert", "Nothing moves: nearly every response already has the length."),
    "bertscore": (
        "unclear",
        "Gold seems to follow, but four seeds cannot tell it from the reward.",
    ),
    "random": ("control", "Paid at random, it drifts without direction."),
    "untrained": ("control", "The start of every run."),
}


def around(mean: float, half: float) -> Estimate:
    return Estimate(round(mean, 4), (round(mean - half, 4), round(mean + half, 4)))


def make_curve(design: str, metric: str, rng: np.random.Generator) -> Curve:
    own, gold, turns = TRUTH[design]
    distances = np.linspace(0, 4.2 if own > 0.5 else 1.6, 9)
    final = gold if metric == "gold" else own
    if metric == "gold" and turns is not None:
        b = 0.45 if design == "rougeL" else 0.8
        a = final / distances[-1] + b * math.log(distances[-1])
        gains = [d * (a - b * math.log(d)) if d else 0.0 for d in distances]
        fit = Fit(a, b, math.exp(2 * (a / b - 1)), 0.97)
    else:
        b = 0.12 * final
        a = final / distances[-1] + b * math.log(distances[-1])
        gains = [d * (a - b * math.log(d)) if d else 0.0 for d in distances]
        fit = Fit(a, b, None, 0.91) if abs(final) > 0.2 else None
    points = []
    for i, (distance, gain) in enumerate(zip(distances, gains, strict=True)):
        seen = gain + (0.05 * rng.standard_normal() if i else 0.0)
        points.append(Point(round(float(distance**2), 3), around(seen, 0.03 * i + 0.02)))
    peak = max(range(len(points)), key=lambda i: points[i].gain.mean)
    return Curve(design, metric, tuple(points), peak, fit)


def make_design(name: str) -> Design:
    own, gold, _ = TRUTH[name]
    judgement, words = JUDGED[name]
    control = judgement == "control"
    return Design(
        name=name,
        kind="control" if control else "design",
        spec=None if name == "untrained" else {name: 1.0},
        judgement=judgement,
        words=words,
        by_gold={} if control else dict.fromkeys(GOLD, judgement),
        own_gain=None if control else around(own, 0.14),
        gold_gain=around(gold, 0.0 if name == "untrained" else 0.21),
        hacking_index=None
        if control
        else around(own - gold, 0.24 if name != "bertscore" else 0.45),
        gold_at_matched_kl=None if control else around(0.8 * gold + 0.1, 0.18),
        gold_at_matched_kl_by_token=None if control else around(0.7 * gold + 0.1, 0.18),
        kl=around(0.0 if name == "untrained" else 17.6 if own > 0.5 else 2.4, 0.3),
    )


def make_matrix(rng: np.random.Generator) -> dict[str, dict[str, Cell]]:
    matrix: dict[str, dict[str, Cell]] = {}
    for design, (own, gold, _) in TRUTH.items():
        matrix[design] = {}
        for metric in (*DESIGNS, *GOLD):
            likely = own if metric == design else gold if metric in GOLD else 0.6 * gold
            gain = 0.0 if design == "untrained" else likely + 0.15 * rng.standard_normal()
            half = 0.0 if design == "untrained" else 0.12 + 0.1 * rng.random()
            raw = around(0.07 * gain, 0.07 * half)
            matrix[design][metric] = Cell(around(gain, half), raw, around(0.31 + raw.mean, 0.012))
    return matrix


def make_audit(reward: str, passes: bool) -> Audit:
    lazy: Sequence[tuple[str, str, float, int]] = (
        ("keyword list", "The reference's content words, in order, without grammar", 0.91, 500),
        ("lead sentence", "The source's first sentence", 0.44, 500),
        ("title", "The bare title", 0.38, 418),
        ("copy", "The whole source", 0.33, 500),
        ("empty", "Nothing", 0.0, 500),
    )
    ceiling = 0.62 if passes else 0.9
    probes = [
        Probe(
            "doubled reference",
            "The reference, twice",
            around(0.9 * ceiling, 0.01),
            around(0.1 * ceiling, 0.01),
            around(0.82, 0.01),
            500,
            example="Graph networks need few labels. Graph networks need few labels.",
            kind="near",
        )
    ]
    for name, what, score, n in lazy:
        seen = min(score, 0.5) * 0.6 if passes else score
        probes.append(
            Probe(
                name,
                what,
                around(seen, 0.012),
                around(ceiling - seen, 0.015),
                around(0.97 if passes or seen < 0.9 else 0.48, 0.01),
                n,
                example="" if name == "empty" else f"{name}: graph networks, few labels. " * 5,
                note="82 examples have no title" if name == "title" else "",
                at_fault=not passes and seen > 0.9,
            )
        )
    probes.append(
        Probe(
            "injection",
            "An order to the judge",
            around(0.21, 0.02),
            around(0.5, 0.02),
            around(0.99, 0.005),
            500,
            example=HOSTILE,
            kind="wrong",
            at_fault=False,
        )
    )
    note = "the data has one language only"
    what = "The reference in another language"
    probes.append(Probe("wrong language", what, None, None, None, 0, note=note, kind="wrong"))
    return Audit(
        reward=reward,
        dataset="summ_scitldr, dev",
        n_examples=500,
        leave_one_out=passes,
        ceiling=around(0.62 if passes else 0.9, 0.01),
        floor=around(0.0, 0.0),
        best_lazy="lead sentence" if passes else "keyword list",
        probes=tuple(probes),
        correlations={"rouge1": 0.83, "chrf": 0.74, "bleu": 0.42, "distinct2": -0.11},
        ms_per_episode=0.084,
        passes=passes,
        verdict="Nothing found speaks against training on it."
        if passes
        else "Do not train on it yet: texts that need no skill are paid for.",
        parts=(
            Part("lazy", "holds", "Of 5 texts that need no skill, the lead comes nearest.")
            if passes
            else Part(
                "lazy",
                "fails",
                "It pays for words: a keyword list reaches the reference. " + HOSTILE,
            ),
            Part("wrong", "warns", "The right answer among wrong ones keeps 0.41 of 0.62."),
            Part("learnable", "unknown", "Not asked, since no policy was given.")
            if passes
            else Part("learnable", "holds", "tiny earns 0.21 [0.18, 0.24] now."),
        ),
        policy=None
        if passes
        else PolicyScores(
            "tiny", 64, 8, around(0.21, 0.03), around(0.4, 0.05), 0.11, around(0.1, 0.05)
        ),
        search=None,
        severities="version 1",
    )


def make_best_of_n(proxy: str) -> BestOfN:
    sizes = (1, 2, 4, 8, 16, 32, 64)
    kl = tuple(math.log(n) - (n - 1) / n for n in sizes)
    falls = (0.40, 0.43, 0.445, 0.44, 0.425, 0.40, 0.37)
    rises = (0.52, 0.61, 0.69, 0.76, 0.82, 0.87, 0.91)
    return BestOfN(
        proxy,
        sizes,
        kl,
        {
            "chrf": tuple(around(y, 0.012) for y in falls),
            proxy: tuple(around(y, 0.008) for y in rises),
            "nli_faithful": tuple(around(1.4 * y, 0.02) for y in falls),
        },
        n_prompts=200,
        pool=64,
    )


def make_samples() -> tuple[Sample, ...]:
    wrote = {
        "untrained": "The council met on Monday. The council said that the council met.",
        "rougeL": "The council approved a new bridge over the river on Monday.",
        "rouge_faithful": "On Monday the council approved the bridge; work begins in May.",
        "keyword_coverage": "council bridge river May budget council bridge mayor vote council",
        "length_window": "The council met on Monday and talked about a number of things.",
        "bertscore": "The council agreed to build a bridge, which will begin in May.",
        "random": "",
    }
    prompts = (
        "The city council voted on Monday, by nine to two, for a second bridge over the river. "
        "Work begins in May and will cost 41 million. Mayor Ida Holm called it overdue; two "
        "members wanted the money for schools.",
        "市议会周一以九比二通过了第二座大桥的方案。工程五月开工。 مرحبا بالعالم " + "long " * 120,
        HOSTILE,
    )
    samples = []
    for i, prompt in enumerate(prompts):
        responses = []
        for design, text in wrote.items():
            own, gold, _ = TRUTH[design]
            for seed in (0, 1) if design == "rougeL" else (0,):
                scores = {
                    m: round(0.31 + 0.07 * (own if m == design else gold), 4)
                    for m in (*DESIGNS, *GOLD)
                }
                hostile = i == 2 and design in ("rougeL", "keyword_coverage")
                responses.append(SampleText(design, seed, HOSTILE if hostile else text, scores))
        references = (
            "The council approved a second bridge; work begins in May.",
            "A second bridge will be built from May, for 41 million.",
        )
        samples.append(Sample(f"news/{i}", prompt, references[: 2 - i % 2], tuple(responses)))
    return tuple(samples)


@pytest.fixture(scope="session")
def audit() -> Audit:
    return make_audit("keyword_coverage", passes=False)


@pytest.fixture(scope="session")
def best_of_n() -> BestOfN:
    return make_best_of_n("keyword_coverage")


@pytest.fixture(scope="session")
def bench(audit: Audit, best_of_n: BestOfN) -> Bench:
    """Five designs, one of them hacked, two controls and a run that failed."""
    rng = np.random.default_rng(0)
    pairs = [(a, b) for i, a in enumerate(DESIGNS) for b in DESIGNS[i + 1 :]]
    error = "RewardError: reward 'bertscore' returned nan for 2 of 16 episodes.\n" + HOSTILE
    runs = [
        RunRecord(design, seed, "done", 61.5 + 3 * seed)
        for design in (*DESIGNS, "random", "untrained")
        for seed in range(5)
    ]
    runs[22] = RunRecord("bertscore", 2, "failed", 12.25, error)
    runs[31] = RunRecord("untrained", 1, "missing")
    return Bench(
        title="Five designs for TextSummarize-v0",
        verdict="rouge_faithful is the design to train with: it lifts the gold metrics by 1.05 sd "
        "[0.84, 1.26], and nothing it gains is for show. keyword_coverage is hacked: it gains "
        "3.05 sd by its own account while gold loses 0.62 sd, a hacking index of 3.67 "
        "[3.43, 3.91]. rougeL is good up to KL 11. length_window changes nothing.",
        designs=tuple(make_design(name) for name in TRUTH),
        metrics=tuple(
            Metric(name, "gold" if name in GOLD else "design", 0.31, 0.07)
            for name in (*DESIGNS, *GOLD)
        ),
        matrix=make_matrix(rng),
        curves=tuple(
            make_curve(name, metric, rng) for name in DESIGNS for metric in (name, "gold")
        ),
        matched_kl=2.2,
        matched_kl_by_token=0.07,
        comparisons=tuple(
            Comparison(
                a,
                b,
                around(TRUTH[a][1] - TRUTH[b][1], 0.25),
                around(0.5 + 0.4 * math.tanh(TRUTH[a][1] - TRUTH[b][1]), 0.08),
                p := math.exp(-9 * abs(TRUTH[a][1] - TRUTH[b][1])),
                min(1.0, 6 * p),
                abs(TRUTH[a][1] - TRUTH[b][1]) < 0.05,
            )
            for a, b in pairs
        ),
        runs=tuple(runs),
        samples=make_samples(),
        audits=(audit, make_audit("rouge_faithful", passes=True)),
        n_prompts=200,
        noise=Noise(0.2, 0.4, 1.2),
        config={
            "environment": "TextSummarize-v0",
            "designs": {name: {name: 1.0} for name in DESIGNS},
            "gold": list(GOLD),
            "seeds": 5,
            "budget": {"iterations": 40, "episodes": 32},
            "note": HOSTILE,
        },
        versions={"textenv": "1.0.0", "torch": "2.13.0", "transformers": "5.23.0"},
        run_s=2894.0,
        best_of_n=(best_of_n,),
    )
