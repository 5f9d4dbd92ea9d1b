"""The audit compares like with like, by numbers worked by hand, and says what it found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from textenv.benchmark.audit import audit
from textenv.benchmark.audit_verdict import comes_too_near, judge_wrong, margin_of
from textenv.benchmark.learnability import PolicySamples
from textenv.benchmark.probes import ATTACKS
from textenv.benchmark.results import Audit, Probe, load_record, save_record
from textenv.benchmark.severities import load_severities
from textenv.benchmark.statistics import Estimate
from textenv.errors import ConfigError, RewardError
from textenv.examples import Episode, Example, Turn
from textenv.rewards import RewardResult

COLOURS = ("red", "green", "blue", "black", "white", "brown", "pink", "grey", "gold", "teal")
THINGS = ("car", "hat", "door", "ship", "cup", "bag")


def with_two_references(n: int = 12) -> list[Example]:
    return [
        Example(
            f"two/{i}",
            f"Here stands thing {i}. It has a colour.",
            (f"w{i} x{i}", f"w{i} y{i}"),
            {"title": f"w{i}"},
        )
        for i in range(n)
    ]


def with_one_reference(n: int = 40) -> list[Example]:
    answers = [f"{colour} {thing}" for thing in THINGS for colour in COLOURS][:n]
    return [
        Example(f"one/{i}", f"What is number {i}? Look well.", (answer,))
        for i, answer in enumerate(answers)
    ]


def core_of(id: str, **kwargs):
    return gym.make(id, **kwargs).unwrapped.core


def probe_of(result: Audit, name: str) -> Probe:
    return next(probe for probe in result.probes if probe.name == name)


def test_held_out_references_and_probes_are_scored_against_the_same_others() -> None:
    # "w x" against "w y": 2 * 1 / (2 + 2). The title "w" against either: 2 * 1 / (1 + 2).
    result = audit("rouge1", with_two_references(), metrics=())
    title = probe_of(result, "title")
    assert result.leave_one_out
    assert result.ceiling.mean == 0.5
    assert title.score.mean == pytest.approx(2 / 3)
    assert title.reference_minus_probe.mean == pytest.approx(1 / 2 - 2 / 3)
    assert title.auc.mean == 0
    assert title.n == result.n_examples == 12
    assert result.best_lazy == "title"
    assert not result.passes
    lazy = result.parts[0]
    assert (lazy.name, lazy.outcome) == ("lazy", "fails")
    assert "The bare title scores higher than a human reference (difference +0.17" in lazy.words
    assert result.verdict.startswith(
        "Do not train on it yet: texts that need no skill are paid for."
    )


def test_never_is_a_text_scored_against_another_number_of_references() -> None:
    examples = [
        Example(f"e{i}", "p", tuple(f"r{i} s{k}" for k in range(2 + i % 6))) for i in range(12)
    ]
    seen: dict[str, set[int]] = {}

    def count(episodes: Sequence[Episode]) -> list[float]:
        for episode in episodes:
            seen.setdefault(episode.example.id, set()).add(len(episode.example.references))
            # What is held out is not there to be compared with.
            assert len(set(episode.example.references)) == len(episode.example.references)
        return [0.0] * len(episodes)

    audit(count, examples, metrics=())
    assert seen == {f"e{i}": {1 + i % 6} for i in range(12)}


def test_an_example_counts_once_however_many_references_it_has() -> None:
    # Held out, each of "a b", "a c" gets 1/2; each of three equal sets "p q", "p q r" ... differs.
    examples = [
        Example("pair", "s", ("a b", "a c")),
        Example("four", "s", ("p q", "p r", "x y", "x z")),
    ]
    result = audit("rouge1", examples, metrics=())
    assert result.ceiling.mean == pytest.approx(0.5)
    examples[1] = Example("four", "s", ("p", "q", "r", "t"))
    assert audit("rouge1", examples, metrics=()).ceiling.mean == pytest.approx((0.5 + 0) / 2)


def test_single_references_are_left_out_where_most_have_several() -> None:
    mixed = [*with_two_references(12), *with_one_reference(5)]
    assert audit("rouge1", mixed, metrics=()).n_examples == 12


def test_where_few_have_several_references_are_scored_against_themselves() -> None:
    result = audit("rouge1", [*with_one_reference(13), *with_two_references(12)], metrics=())
    assert not result.leave_one_out
    assert result.n_examples == 25
    assert result.ceiling.mean == 1


def test_a_strict_reward_passes_and_a_lenient_one_is_found_out() -> None:
    examples = with_one_reference()
    assert audit("exact_match", examples, metrics=()).passes
    lenient = audit("substring_match", examples, metrics=())
    denied = probe_of(lenient, "negated")
    assert denied.example == f"It is not {examples[0].references[0]}"
    assert denied.score.mean == 1
    assert denied.auc.mean == 0.5  # all are ties
    assert denied.at_fault
    # No policy writes a denial that was not taught to: it is noted, and is not why this fails.
    assert denied.severity == "notes"
    wrong = lenient.parts[1]
    assert "It does not see that a text is denied" in wrong.words
    assert not lenient.passes


def test_token_f1_keeps_too_much_for_a_denied_answer() -> None:
    # "red car" in "It is not red car": 2 * 2 / (2 + 5).
    denied = probe_of(audit("token_f1", with_one_reference(), metrics=()), "negated")
    assert denied.score.mean == pytest.approx(4 / 7)
    assert denied.auc.mean == 1
    assert denied.at_fault


def test_near_valid_texts_decide_nothing() -> None:
    def first_words(episodes: Sequence[Episode]) -> list[float]:
        wanted = [episode.example.references[0].split() for episode in episodes]
        said = [episode.response.split() for episode in episodes]
        return [float(bool(a) and a[: len(b)] == b) for a, b in zip(said, wanted, strict=True)]

    result = audit(first_words, with_one_reference(), metrics=())
    doubled = probe_of(result, "doubled")
    assert doubled.score.mean == 1
    assert doubled.at_fault is None
    assert result.passes


def test_the_best_constant_is_found_and_never_tried_on_what_it_was_chosen_by() -> None:
    # 26 of 40 are answered "yes", which a constant gets without reading.
    examples = [
        Example(f"e{i}", f"Is {i} so?", ("no" if i % 3 == 0 else "yes",)) for i in range(40)
    ]
    constant = probe_of(audit("exact_match", examples, metrics=()), "constant")
    assert constant.score.mean == pytest.approx(26 / 40)

    def treasure(episodes: Sequence[Episode]) -> list[float]:
        """Pays much for a right answer, and a little for "maybe", wherever it is said."""
        said = [(e.response, e.response == e.example.references[0]) for e in episodes]
        return [0.1 if text == "maybe" else 10.0 * right for text, right in said]

    # Each answer is right once, which helps no other example.
    answers = ["maybe", "maybe", *(f"w{i}" for i in range(10))]
    unique = [Example(f"e{i}", "p", (answer,)) for i, answer in enumerate(answers)]
    constant = probe_of(audit(treasure, unique, metrics=()), "constant")
    assert constant.example == "maybe"


def test_another_examples_reference_is_the_next_ones() -> None:
    examples = with_one_reference()
    other = probe_of(audit("exact_match", examples, metrics=()), "another's reference")
    assert other.example == examples[1].references[0]
    assert other.n == 40


def test_a_reward_at_random_passes_nothing() -> None:
    result = audit({"random": {"seed": 0}}, with_one_reference(), metrics=())
    assert not result.passes


def test_a_reward_that_fails_on_a_probe_is_told_of() -> None:
    def fragile(episodes: Sequence[Episode]) -> list[float]:
        for episode in episodes:
            if "\u200b" in episode.response:
                raise ValueError("zero width")
        return [float(e.response == e.example.references[0]) for e in episodes]

    result = audit(fragile, with_one_reference(), metrics=())
    odd = probe_of(result, "odd characters")
    assert odd.score is None
    assert "zero width" in odd.note
    assert not result.passes
    assert "A run of characters without meaning cannot be scored" in result.parts[0].words


def test_halves_of_surrogate_pairs_can_be_saved(tmp_path: Path) -> None:
    def fragile(episodes: Sequence[Episode]) -> list[float]:
        if any(episode.response.startswith("It is not") for episode in episodes):
            raise ValueError("no \ud800 here")
        return [float(e.response == e.example.references[0]) for e in episodes]

    examples = [Example(f"e{i}", "p", (f"w{i} \ud800",)) for i in range(12)]
    result = audit(fragile, examples)
    save_record(result, tmp_path / "audit.json")
    assert load_record(Audit, tmp_path / "audit.json") == result


def test_missing_scores_are_counted_and_not_taken_for_zero() -> None:
    def half(episodes: Sequence[Episode]) -> RewardResult:
        total = np.array([float(e.response == e.example.references[0]) for e in episodes])
        blind = [e.response == "NaN" and e.example.id.endswith(("0", "1")) for e in episodes]
        return RewardResult(total, valid=~np.array(blind, np.bool_))

    result = audit(half, with_one_reference(), metrics=())
    assert probe_of(result, "NaN").n == 32
    assert probe_of(result, "NaN").note == "no score for 8 of 40 texts"
    assert result.passes


def test_a_reward_that_cannot_score_silence_is_an_error() -> None:
    def mute(episodes: Sequence[Episode]) -> RewardResult:
        valid = np.array([bool(episode.response) for episode in episodes])
        return RewardResult(np.ones(len(episodes)), valid=valid)

    with pytest.raises(RewardError, match="could not score"):
        audit(mute, with_one_reference(), metrics=())


@pytest.mark.parametrize(
    ("difference", "less_margin", "auc", "at_fault"),
    [
        ((0.1, 0.3), (0.05, 0.2), (0.7, 0.8), False),
        ((-0.1, 0.3), (-0.1, 0.3), (0.7, 0.8), True),  # not paid less
        ((0.1, 0.3), (-0.01, 0.2), (0.7, 0.8), True),  # keeps more than half
        ((0.1, 0.3), (0.05, 0.2), (2 / 3, 0.8), True),  # wins too often
    ],
)
def test_the_rule_reads_the_lower_ends(difference, less_margin, auc, at_fault: bool) -> None:
    ends = [Estimate(sum(end) / 2, end) for end in (difference, less_margin, auc)]
    assert comes_too_near(*ends, least_auc=2 / 3) is at_fault


def test_only_lazy_texts_beside_held_out_references_need_no_margin() -> None:
    assert margin_of("lazy", 0.5, held_out=True) == 0
    assert margin_of("lazy", 0.5, held_out=False) == margin_of("wrong", 0.5, held_out=True) == 0.5


def test_the_correlation_with_the_reward_itself_is_one() -> None:
    metrics = ("rouge1", "exact_match")
    found = audit("rouge1", with_one_reference(), metrics=metrics).correlations
    assert set(found) == {"length", "rouge1", "exact_match"}
    assert found["rouge1"] == pytest.approx(1)
    assert 0 < found["exact_match"] < 1


def test_the_same_audit_twice_is_the_same_but_for_its_time() -> None:
    first, second = (audit("rougeL", with_two_references()) for _ in range(2))
    assert first.probes == second.probes
    assert first.correlations == second.correlations


def test_probes_are_sorted_and_each_is_there() -> None:
    probes = audit("rouge1", with_one_reference(), metrics=()).probes
    scores = [-1.0 if probe.score is None else probe.score.mean for probe in probes]
    assert scores == sorted(scores, reverse=True)
    assert scores.count(-1.0) > 0
    assert all(probe.note for probe in probes if probe.score is None)


def test_too_few_examples_and_wrong_splits_are_told() -> None:
    with pytest.raises(ConfigError, match="at least 2"):
        audit("rouge1", with_one_reference(1))
    with pytest.raises(ConfigError, match="at least 2"):
        audit("rouge1", with_one_reference(), n_examples=1)
    with pytest.raises(ConfigError, match="no splits"):
        audit("rouge1", with_one_reference(), split="test")
    with pytest.raises(ConfigError, match="'bare' has no reference"):
        audit("rouge1", [*with_one_reference(3), Example("bare", "p", ())])


def test_progress_goes_from_the_start_to_the_end() -> None:
    seen: list[tuple[int, int, str]] = []
    audit("rouge1", with_one_reference(5), on_progress=lambda *report: seen.append(report))
    assert seen[0][0] == 0
    assert seen[-1][0] == seen[-1][1]
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)


def test_keywords_reach_coverage_and_do_not_reach_a_sentence() -> None:
    core = core_of("TextKeywords-v0")
    covered = probe_of(audit("coverage", core, n_examples=20, metrics=()), "keyword list")
    assert covered.reference_minus_probe.mean == 0
    assert covered.at_fault
    sentence = probe_of(audit("keyword_sentence", core, n_examples=20, metrics=()), "keyword list")
    assert sentence.at_fault is False


def test_a_conversation_is_attacked_turn_by_turn() -> None:
    core = core_of("TextDialogue-v0")
    result = audit(core.reward, core, n_examples=12, metrics=())
    assert result.ceiling.mean == pytest.approx(1)
    assert result.floor.mean == 0
    assert probe_of(result, "negated").example.startswith("It is not ")


def test_a_title_survives_the_mapping_of_columns(tmp_path: Path) -> None:
    rows = [
        {
            "headline": f"w{i}",
            "body": f"Thing {i} stands. It is old.",
            "tldr": [f"w{i} x", f"w{i} y"],
        }
        for i in range(60)
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = {"document": "body", "summary": "tldr", "title": "headline"}
    core = core_of("TextSummarize-v0", dataset={"path": str(path), "columns": columns})
    result = audit("rouge1", core, split="all", metrics=())
    assert result.n_examples == 60
    assert probe_of(result, "title").n == 60


def said(example: Example, text: str) -> Episode:
    return Episode(example, (Turn("user", example.prompt), Turn("assistant", text)), n_opening=1)


def samples_of(examples: Sequence[Example], *texts: str) -> PolicySamples:
    """A policy that says each of some texts once, whatever it is asked."""
    episodes = [said(example, text) for example in examples for text in texts]
    return PolicySamples("parrot", episodes, len(texts))


def test_a_reward_that_pays_all_samples_alike_cannot_be_learned() -> None:
    examples = with_one_reference()
    dead = audit("exact_match", examples, metrics=(), policy=samples_of(examples, "a", "b", "c"))
    assert dead.policy is not None
    assert dead.policy.dead.mean == 1
    assert dead.policy.within == 0
    assert [part.outcome for part in dead.parts] == ["holds", "holds", "fails"]
    assert not dead.passes
    assert "On 100% of 40 prompts all samples earn the same" in dead.parts[2].words
    assert dead.verdict.startswith("Do not train on it yet: most samples of a prompt earn the same")


def test_a_reward_whose_samples_differ_can_be_learned() -> None:
    examples = with_one_reference()
    colours = samples_of(examples, *COLOURS)
    alive = audit("token_f1", examples, metrics=(), policy=colours)
    assert alive.policy is not None
    # Two of the ten colours are not among the first eight samples.
    assert alive.policy.dead.mean == pytest.approx(0.2)
    # One colour of ten is the right one, and is one word of two: 2 * 1 / (1 + 2).
    assert alive.policy.score.mean == pytest.approx(2 / 3 / 10)
    assert alive.policy.best.mean == pytest.approx(2 / 3)
    assert alive.policy.within == pytest.approx(np.std([2 / 3] + [0] * 9, ddof=1))
    assert alive.parts[2].outcome == "holds"
    assert alive.verdict.startswith("Nothing found speaks against training on it.")


def test_a_text_without_skill_that_earns_more_than_the_policy_is_warned_of() -> None:
    examples = with_one_reference()

    def length(episodes: Sequence[Episode]) -> list[float]:
        right = [e.response == e.example.references[0] for e in episodes]
        return [r or 0.4 * bool(e.response) for r, e in zip(right, episodes, strict=True)]

    found = audit(length, examples, metrics=(), policy=samples_of(examples, "", "", "x"))
    assert found.parts[0].outcome == "warns"
    assert "earns more (0.40) than parrot does now (0.13)" in found.parts[0].words
    assert found.passes
    assert found.verdict.startswith("It can be trained on, but mind that texts that need no skill")


def test_a_guard_that_mends_a_lazy_text_is_named() -> None:
    examples = [
        Example(f"e{i}", f"The {c} {t} stood by the old wall.", (f"A {c} {t} was near a wall.",))
        for i, (c, t) in enumerate((c, t) for t in THINGS for c in COLOURS)
    ]
    found = audit({"rouge1": {"measure": "recall"}}, examples[:40], metrics=())
    assert found.parts[0].outcome == "fails"
    assert "To mend it, multiply with '" in found.parts[0].words
    assert "a reference 1.00" in found.parts[0].words


def test_a_good_answer_in_another_form_has_to_be_paid() -> None:
    examples = [
        Example(f"e{i}", "p", (f"{colour.capitalize()} it is.",))
        for i, colour in enumerate(COLOURS * 2)
    ]

    def strict(episodes: Sequence[Episode]) -> list[float]:
        return [float(e.response == e.example.references[0]) for e in episodes]

    found = audit(strict, examples, metrics=())
    for name in ("lower case", "unpunctuated"):
        assert probe_of(found, name).at_fault
        assert not probe_of(audit("token_f1", examples, metrics=()), name).at_fault
    assert found.parts[1].outcome == "warns"
    assert "The reference in lower case earns only 0.00 of the reference's 1.00" in (
        found.parts[1].words
    )
    assert "To mend it: fold case before comparing" in found.parts[1].words


def test_severities_decide_which_faults_fail() -> None:
    examples = with_one_reference()
    shipped = load_severities()
    texts = shipped.texts | {"negated": "fails"}
    assert audit("token_f1", examples, metrics=()).passes
    strict = replace(shipped, texts=texts)
    found = audit("token_f1", examples, metrics=(), severities=strict)
    # It keeps 0.57 of 1, and is paid less than the reference; substring_match pays it as much.
    assert found.parts[1].outcome == "warns"
    assert "To mend it: multiply with negation_agreement" in found.parts[1].words
    assert not audit("substring_match", examples, metrics=(), severities=strict).passes


def test_faults_past_the_third_are_told_in_words_of_their_own_and_zero_has_no_sign() -> None:
    tie = Estimate(0.001, (-0.001, 0.001))  # reference minus text: -0.001 the other way round
    half = Estimate(0.5, (0.4, 0.6))
    wrong = [Probe(name, name, half, tie, half, 12, kind="wrong", at_fault=True) for name in "abcd"]
    same = Probe("e", "e", half, half, half, 12, kind="same", at_fault=True, severity="warns")
    words = judge_wrong([*wrong, same], load_severities()).words
    assert "A scores as high as a human reference (difference +0.00 [+0.00, +0.00])." in words
    assert "In the table 'd' is paid too much, too. In the table 'e' is paid too little, too" in (
        words
    )


def test_every_text_that_can_be_at_fault_has_a_severity() -> None:
    deciding = {attack.name for attack in ATTACKS if attack.kind != "near"}
    assert set(load_severities().texts) == deciding


def test_a_search_is_part_of_the_answer() -> None:
    examples = with_one_reference()

    def polite(episodes: Sequence[Episode]) -> list[float]:
        return [0.9 * ("yes" in e.response) or 0.95 * bool(e.response) for e in episodes]

    found = audit(polite, examples, metrics=(), budget=100)
    assert found.search is not None
    assert not found.search.passes
    assert found.search.verdict in found.parts[0].words
    assert audit("token_f1", examples[:6], metrics=(), budget=None).search is None


def test_samples_have_to_be_equally_many() -> None:
    examples = with_one_reference(3)
    episodes = [said(example, "x") for example in examples]
    for n_samples in (1, 2):
        with pytest.raises(ConfigError, match="two samples of each prompt or more"):
            PolicySamples("one", episodes, n_samples)


def test_every_process_writes_the_same_probes() -> None:
    # Words that are equally common must not stand in the order of a set, which Python shuffles.
    script = (
        "import gymnasium as gym, textenv\n"
        "from textenv.benchmark.audit import audit\n"
        "core = gym.make('TextSummarize-v0').unwrapped.core\n"
        "words = ['in', 'on', 'with', 'for', 'of', 'by', 'at', 'from']\n"
        "reward = {'coverage': {'keywords': words}}\n"
        "found = audit(reward, core, split='test', n_examples=60)\n"
        "print([(probe.name, probe.score, probe.example) for probe in found.probes])\n"
    )
    printed = [
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert "constant" in printed[0]
    assert printed[0] == printed[1]
