"""Probes are what they are called: lazy ones know no answer, wrong ones are never right."""

from __future__ import annotations

import pytest

from textenv.benchmark.negating import deny, deny_inside, language_of
from textenv.benchmark.probe_material import ProbeMaterial
from textenv.benchmark.probes import ATTACKS, write_probe
from textenv.examples import Example

BY_NAME = {attack.name: attack for attack in ATTACKS}
REPORT = Example(
    "report",
    "The river rose on Monday. The mill was closed, and the bridge, too. The river fell again.",
    ("A flood was stopped at the mill.", "The flood at the mill was stopped."),
    {"title": "River in flood"},
)
SCENE = ProbeMaterial(
    REPORT, REPORT.references[0], ("A fair opened.", "Two boats sank."), "It rained."
)


def written(name: str, material: ProbeMaterial = SCENE) -> str | None:
    return write_probe(BY_NAME[name], material)


def test_each_probe_is_the_text_that_its_name_says() -> None:
    river = "The river rose on Monday."
    assert written("empty") == ""
    assert written("source") == REPORT.prompt
    assert written("lead sentence") == river
    assert written("title") == "River in flood"
    # "river" stands twice in the source, and the reference has seven words.
    assert written("repeated word") == "river river river river river river river"
    assert written("repeated sentence") == f"{river} {river} {river}"
    assert written("keyword list") == "river rose monday mill closed bridge too"
    assert written("constant") == "It rained."
    assert written("another's reference") == "A fair opened."
    assert written("sorted content") == "flood mill stopped"
    assert written("negated") == "It is not A flood was stopped at the mill."
    assert written("negated inside") == "A flood was not stopped at the mill."
    assert written("truncated") == "A flood was"
    assert written("doubled") == f"{SCENE.reference} {SCENE.reference}"
    assert written("zero width").replace("\u200b", "") == SCENE.reference
    assert written("full width")[:4] == "Ａ ｆｌ"
    assert written("homoglyphs").encode()[:2] == "А".encode()  # the Cyrillic one


def test_shuffled_has_the_same_words_in_another_order() -> None:
    shuffled = written("shuffled")
    assert sorted(shuffled.split()) == sorted(SCENE.reference.split())
    assert shuffled != SCENE.reference
    assert written("shuffled") == shuffled


def test_several_answers_holds_the_right_one_and_wrong_ones() -> None:
    parts = sorted(written("several answers").split(", "))
    assert parts == ["A fair opened.", "A flood was stopped at the mill.", "Two boats sank."]
    choice = Example("q", "Who?", ("Ann",), {"candidates": ["Bea", "Ann", "Cy"]})
    assert written("several answers", ProbeMaterial(choice, "Ann")) == "Bea, Ann, Cy"


def test_what_cannot_be_written_is_none() -> None:
    bare = ProbeMaterial(Example("bare", "Who came?", ("Ann",)), "Ann")
    for name in (
        *("question", "lead sentence", "title", "constant", "another's reference"),
        *("shuffled", "sorted content", "negated inside", "several answers", "truncated"),
    ):
        assert written(name, bare) is None, name


def test_keywords_and_slots_are_the_keyword_list() -> None:
    keywords = Example("k", "dog, park", ("A dog in a park.",), {"concepts": ["dog", "park"]})
    assert written("keyword list", ProbeMaterial(keywords, keywords.references[0])) == "dog, park"
    slots = Example("s", "name: Fox", ("It is Fox.",), {"slots": (("name", "Fox"), ("n", "5"))})
    assert written("keyword list", ProbeMaterial(slots, slots.references[0])) == "Fox, 5"


def test_a_context_is_the_source_and_the_question_is_a_probe() -> None:
    asked = Example("q", "Who came?", ("Ann",), {"context": "Ann came. Bea left."})
    material = ProbeMaterial(asked, "Ann")
    assert written("source", material) == "Ann came. Bea left."
    assert written("question", material) == "Who came?"


def test_lazy_probes_do_not_know_the_answer() -> None:
    other = ProbeMaterial(
        REPORT, "Nobody ever wrote seven such odd words", SCENE.strangers, SCENE.constant
    )
    for attack in ATTACKS:
        if attack.kind == "lazy":
            assert write_probe(attack, SCENE) == write_probe(attack, other), attack.name


def test_wrong_and_near_probes_are_no_right_answers() -> None:
    # The stranger is the same answer but for its capital and full stop.
    same = ProbeMaterial(Example("q", "?", ("Ann Lee",)), "Ann Lee", ("ann lee.", "Bo"))
    assert written("another's reference", same) == "Bo"
    # Whatever their order, equal words are the same answer.
    assert written("shuffled", ProbeMaterial(Example("q", "?", ("no no no",)), "no no no")) is None
    for attack in ATTACKS:
        text = write_probe(attack, same)
        if attack.kind in ("wrong", "near") and text is not None:
            assert not same.is_right(text), attack.name


@pytest.mark.parametrize("reference", ["", "\ud800", "大坝在河上。", "...", "x" * 5000, "a\u200bb"])
def test_odd_references_give_texts_or_none(reference: str) -> None:
    material = ProbeMaterial(Example("odd", "", (reference,)), reference, ("\udfff", ""))
    for attack in ATTACKS:
        text = write_probe(attack, material)
        assert text is None or isinstance(text, str)


def test_a_short_text_is_denied_as_an_answer_and_a_long_one_as_a_sentence() -> None:
    assert deny("Paris") == "It is not Paris"
    assert deny("The mill was closed on Monday since the water rose").startswith("It is not true")
    assert deny("Paris", "de") == "Es ist nicht Paris"
    assert deny("巴黎", "zh") == "不是巴黎"


def test_not_goes_beside_the_first_auxiliary() -> None:
    assert deny_inside("He can swim and is old.") == "He can not swim and is old."
    assert deny_inside("She is not old.") is None
    assert deny_inside("Er ist alt.", "de") == "Er ist nicht alt."
    assert deny_inside("他是老师。", "zh") == "他不是老师。"
    assert deny_inside("Paris") is None


def test_the_language_is_the_declared_one_or_that_of_the_script() -> None:
    assert language_of("Haus", "de-AT") == "de"
    assert language_of("房子", "zh_CN") == language_of("房子") == "zh"
    assert language_of("maison", "fr") == "en"
