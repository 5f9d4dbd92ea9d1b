"""Laws of the keyword task, of the generated set "keywords", and of the rewards of keywords."""

from __future__ import annotations

import re
from itertools import cycle

import numpy as np
import pytest

from textenv.datasets.generated.grammar import gerund, past, third_person
from textenv.datasets.generated.keyword_scenes import TABLES
from textenv.datasets.generated.keywords import KeywordsGenerator
from textenv.datasets.generated.procedural import ProceduralDataset
from textenv.errors import ConfigError, DatasetError, RewardError, UnknownNameError
from textenv.rewards import load_reward, score
from textenv.rewards.lexical.rouge import rouge_words
from textenv.rewards.style.inflection import contains, lemmas
from textenv.rewards.tasks.keywords import split_concepts
from textenv.tasks.keywords import KeywordsTask

TASK = KeywordsTask()
ROW = {"concepts": ["dog", "catch", "park"], "references": "A dog catches a ball in the park."}
LEVELS = {"easy": 4, "medium": 5, "hard": 7}


@pytest.fixture(scope="module", params=LEVELS)
def keywords(request):
    data = ProceduralDataset("keywords", KeywordsGenerator(request.param), TASK, "test")
    return request.param, [data[i] for i in range(200)]


def rate(examples, responses, reward="keyword_sentence"):
    return score(
        reward,
        responses,
        [example.references for example in examples],
        [example.prompt for example in examples],
        [example.metadata for example in examples],
    )


def test_the_opening_names_the_words_and_gold_is_the_first_reference():
    example = TASK.example("x", {**ROW, "references": ["One.", "Two."]})
    (turn,) = TASK.opening(example)
    assert turn.text == "Write one sentence with all of these words: dog, catch, park"
    assert TASK.gold(example) == "One."
    assert TASK.candidates(example) == ()
    assert TASK.reply(example, (turn,)) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dog catch park", ("dog", "catch", "park")),
        ("dog#catch#park", ("dog", "catch", "park")),
        ("ice cream, eat ,boy", ("ice cream", "eat", "boy")),
        (" dog ", ("dog",)),
    ],
)
def test_concepts_may_be_one_text(text, words):
    assert split_concepts(text) == words
    assert TASK.example("x", {**ROW, "concepts": text}).metadata["concepts"] == words


def test_a_row_of_common_gen_works_as_it_is():
    names = {name for field in TASK.fields for name in (field.name, *field.aliases)}
    assert {"concepts", "target", "references", "scene"} <= names


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"concepts": []}, "'row 3' has no concepts"),
        ({"concepts": None}, "concepts of example 'row 3' are of type NoneType"),
        ({"concepts": [1, True]}, "has a concept of type bool"),
        ({"references": None}, "'row 3' has no references"),
        ({"candidates": ["a", "b"]}, "None of the candidates of example 'row 3'"),
        ({"candidates": [ROW["references"], *"abcd"]}, "5 candidates; the task allows 4"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_in_plain_words(change, words):
    with pytest.raises(DatasetError, match=re.escape(words)):
        TASK.example("row 3", {**ROW, **change})


def test_candidates_of_ones_own_are_kept_in_their_order():
    offered = ("A dog.", ROW["references"])
    assert TASK.candidates(TASK.example("x", {**ROW, "candidates": list(offered)})) == offered


def test_difficulty_is_the_number_of_words_and_each_is_in_every_reference(keywords):
    level, examples = keywords
    for example in examples:
        concepts = example.metadata["concepts"]
        assert len(set(concepts)) == LEVELS[level]
        assert list(concepts) == sorted(concepts, key=str.lower)
        assert len(set(example.references)) == 3
    for k in range(3):
        assert (rate(examples, [e.references[k] for e in examples]).total == 1).all()


def test_only_one_candidate_has_all_words_and_no_position_gives_it_away(keywords):
    _, examples = keywords
    positions = []
    for example in examples:
        offered = TASK.candidates(example)
        assert len(set(offered)) == TASK.n_candidates == 4
        scores = rate([example] * 4, offered, "coverage").total
        assert (scores == 1).sum() == 1
        positions.append(int(scores.argmax()))
        assert offered[positions[-1]] == TASK.gold(example)
    # Standard deviation of a position's count among 200: 6.1.
    assert all(abs(positions.count(k) - 50) < 4 * 6.1 for k in range(4))


def test_no_candidate_is_nearer_to_the_others_than_the_right_one_is(keywords):
    _, examples = keywords

    def distance(one, other):
        pairs = zip(one.split(), other.split(), strict=False)
        return sum(a != b for a, b in pairs)

    nearest = 0
    for example in examples:
        offered = TASK.candidates(example)
        near = {one: sum(distance(one, other) for other in offered) for one in offered}
        gold = near.pop(TASK.gold(example))
        nearest += gold < min(near.values())
    assert nearest / len(examples) < 0.1


def test_n_keywords_overrides_the_difficulty_and_what_cannot_be_is_refused():
    _, row = KeywordsGenerator("easy", n_keywords=8).sample(np.random.default_rng(0))
    assert len(row["concepts"]) == 8
    for wrong in (3, 9, True, "5"):
        with pytest.raises(ConfigError, match="4 to 8"):
            KeywordsGenerator(n_keywords=wrong)
    with pytest.raises(UnknownNameError, match="Did you mean 'hard'"):
        KeywordsGenerator("hart")


def test_the_words_decide_the_split_and_hardly_ever_repeat():
    data = ProceduralDataset("keywords", KeywordsGenerator(), TASK)
    assert len({data[i].prompt for i in range(3000)}) >= 2998
    content, row = KeywordsGenerator().sample(np.random.default_rng(1))
    assert TASK.opening(TASK.example("x", row))[0].text.endswith(content)


def test_every_form_of_a_verb_in_the_set_counts_as_the_verb():
    for verb in {action.verb for scene in TABLES.scenes for action in scene.actions}:
        for form in (gerund(verb), past(verb), third_person(verb)):
            assert verb in lemmas(form), (verb, form)


@pytest.mark.parametrize(
    ("base", "forms"),
    [
        ("run", "run runs running ran"),
        ("carry", "carries carried carrying"),
        ("box", "boxes boxed boxing"),
        ("make", "makes making made"),
        ("child", "children"),
        ("knife", "knives"),
        ("dish", "dishes"),
        ("see", "saw seen seeing"),
    ],
)
def test_inflected_forms_lead_back_to_their_base(base, forms):
    assert all(base in lemmas(form) for form in forms.split())


@pytest.mark.parametrize(
    ("word", "other"),
    [("thing", "the"), ("seed", "see"), ("king", "k"), ("teacher", "teach"), ("glass", "glas")],
)
def test_a_word_that_only_looks_inflected_stays_itself(word, other):
    assert other not in lemmas(word)


def test_a_keyword_of_several_words_must_stand_in_a_row():
    words = rouge_words("The boys ate two ice creams with cold ice and cream.")
    assert contains(words, ("ice", "cream"))
    assert not contains(words[5:], ("ice", "cream"))
    assert not contains(words, ())


def test_the_bare_list_has_full_coverage_but_is_no_sentence(keywords):
    _, examples = keywords
    for joint in (" ", ", ", " and ", " and the "):
        lists = [joint.join(example.metadata["concepts"]) for example in examples]
        assert (rate(examples, lists, "coverage").total == 1).all()
        assert rate(examples, lists).total.max() == 0
    copies = [TASK.opening(example)[0].text for example in examples]
    assert rate(examples, copies).total.mean() < 0.05


def test_what_is_said_twice_or_left_out_costs():
    example = TASK.example("x", ROW)
    gold = ROW["references"]
    twice, without, silent = rate(
        [example] * 3, [f"{gold} {gold}", gold.replace("dog", "cat"), ""]
    ).total
    # Two sentences halve it; 7 of 16 words and 8 of 15 pairs are distinct; ROUGE-L is 2/3, and 7 of
    # 15 and of 7 pairs are shared: ROUGE-2 is 7/11.
    close = (2 / 3 + 7 / 11) / 2
    assert twice == pytest.approx(0.5 * (7 / 16 / 0.5) * (8 / 15 / 0.75) * (0.15 + 0.85 * close))
    assert without == pytest.approx(2 / 3 * (0.15 + 0.85 * (7 / 8 + 5 / 7) / 2))
    assert silent == 0


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("first", "joints"),
    [
        ("The ", (" with the ", " in the ", " on the ")),
        ("A ", (" with a ", " in a ", " on a ")),
        ("A ", (" in the ", " on the ")),
        ("The ", (" the ",)),
        ("A ", (" is in the ", " with the ")),
        ("Someone ", (" a ",)),
        ("We saw it: ", (" ",)),
    ],
)
def test_keywords_joined_by_rote_earn_less_than_half(keywords, first, joints, reverse):
    _, examples = keywords
    texts = []
    for example in examples:
        words = list(example.metadata["concepts"])[:: -1 if reverse else 1]
        joined = "".join(w + j for w, j in zip(words, cycle(joints), strict=False))
        texts.append(f"{first}{joined.strip().removesuffix('the').strip()}.")
    assert rate(examples, texts).total.mean() < 0.5


def test_a_prompt_by_hand_gives_its_own_keywords_and_none_at_all_is_an_error():
    assert score("coverage", ["dogs ran"], ["x"], ["run, dog"]).total == [1]
    with pytest.raises(RewardError, match="has none"):
        score("coverage", ["dogs ran"], ["x"])
    assert load_reward({"coverage": 1.0})


def test_keywords_may_be_the_same_for_every_response():
    house_style = {"coverage": {"keywords": ["on", "percent", "dog park"]}}
    found = score(house_style, ["On the park, dog", "Dog parks, 5 percent on"], ["x", "y"])
    assert found.total == pytest.approx([1 / 3, 1])
    with pytest.raises(ConfigError, match="a list of words, not 'on'"):
        load_reward({"coverage": {"keywords": "on"}})
    with pytest.raises(ConfigError, match="a list of words"):
        load_reward({"coverage": {"keywords": ["on", "..."]}})


def test_the_ideal_sentence_is_the_reference_that_uses_most_words():
    references = ["A dog runs along the river.", "A dog catches a ball in the park."]
    task = KeywordsTask()
    row = {"concepts": ["dog", "ball", "park"], "references": references}
    assert task.gold(task.example("x", row)) == references[1]
