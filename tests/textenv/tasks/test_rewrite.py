"""Laws of rewriting, of the generated set "rewrites", and of constraints and their reward."""

from __future__ import annotations

import json
import re
from collections import Counter

import numpy as np
import pytest

from textenv.datasets.generated.procedural import ProceduralDataset
from textenv.datasets.generated.rewrites import RewritesGenerator
from textenv.errors import ConfigError, DatasetError, UnknownNameError
from textenv.rewards import score
from textenv.rewards.tasks.rewrite import edits_between
from textenv.rewards.verifiable.constraints import CHECKS, check_all, describe_all
from textenv.tasks.rewrite import RewriteTask

TASK = RewriteTask()
KINDS = ("fix", "simplify", "format")
LEVELS = ("easy", "medium", "hard")
ROW = {"source": "he go home home.", "target": "He goes home."}


@pytest.fixture(
    scope="module", params=[(k, level) for k in KINDS for level in LEVELS], ids="-".join
)
def rewrites(request):
    kind, level = request.param
    data = ProceduralDataset("rewrites", RewritesGenerator(level, kind), TASK, "test")
    return kind, level, [data[i] for i in range(100)]


def rate(examples, responses):
    return score(
        "rewrite",
        responses,
        [example.references for example in examples],
        [example.prompt for example in examples],
        [example.metadata for example in examples],
    )


def met(text, **constraint):
    (checked,) = check_all(text, [constraint])
    return checked.met, checked.content


def test_the_opening_says_the_constraints_in_words_and_only_the_text_may_be_cut():
    row = {
        **ROW,
        "kind": "simplify",
        "constraints": [{"check": "max_words", "n": 4}, {"check": "avoid", "words": ["go"]}],
        "keep": ["home"],
    }
    (turn,) = TASK.opening(TASK.example("x", row))
    assert turn.text == (
        "Rewrite this text in short and simple sentences. Write at most 4 words in a sentence. "
        "Do not use: go. Keep: home.\n\nhe go home home."
    )
    assert turn.text[slice(*turn.cut)] == ROW["source"]


def test_the_kind_comes_from_the_row_or_else_from_the_task():
    assert TASK.example("x", ROW).metadata == {"kind": "fix"}
    assert RewriteTask("simplify").example("x", ROW).metadata == {"kind": "simplify"}
    with pytest.raises(UnknownNameError, match="Did you mean 'simplify'"):
        RewriteTask("simplfy")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"source": None}, "'row 3' has no source"),
        ({"target": []}, "'row 3' has an empty target"),
        ({"kind": "fxi"}, "kind of example 'row 3' is 'fxi'"),
        ({"constraints": "short"}, "constraints of example 'row 3' are of type str"),
        ({"constraints": ["short"]}, "There is no check of a constraint 'short'"),
        ({"constraints": [{"check": "max_word", "n": 3}]}, "Did you mean 'max_words'"),
        ({"constraints": [{"check": "max_words"}]}, "needs 'n', a whole number"),
        ({"constraints": [{"check": "avoid", "words": []}]}, "a list that is not empty"),
        ({"constraints": [{"check": "avoid", "words": "go"}]}, "a list that is not empty"),
        ({"candidates": ["a", "b"]}, "is the ideal reply"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_in_plain_words(change, words):
    with pytest.raises(DatasetError, match=re.escape(words)):
        TASK.example("row 3", {**ROW, **change})


def test_only_the_right_candidate_gets_everything_and_no_position_gives_it_away(rewrites):
    _, _, examples = rewrites
    positions = []
    for example in examples:
        offered = TASK.candidates(example)
        assert len(set(offered)) == TASK.n_candidates == 4
        total = rate([example] * 4, offered).total
        assert (total == 1).sum() == 1
        positions.append(int(total.argmax()))
        assert offered[positions[-1]] == TASK.gold(example)
    # Standard deviation of a position's count among 100: 4.3.
    assert all(abs(positions.count(k) - 25) < 4 * 4.3 for k in range(4))


def characters_apart(one, other):
    one, other = Counter(one), Counter(other)
    return sum(((one - other) + (other - one)).values())


def words_shared(one, other):
    one, other = (set(re.findall(r"\w+", text.lower())) for text in (one, other))
    return len(one & other) / len(one | other)


PROMPTLESS = {
    "most central by characters": lambda text, all: -sum(characters_apart(text, t) for t in all),
    "most central by words": lambda text, all: sum(words_shared(text, t) for t in all),
    "outlier by words": lambda text, all: -sum(words_shared(text, t) for t in all),
    "shortest": lambda text, _: -len(text),
    "longest": lambda text, _: len(text),
    "most lines": lambda text, _: text.count("\n"),
    "fewest sentences": lambda text, _: -text.count("."),
}


def test_no_look_at_the_candidates_alone_tells_the_right_one(rewrites):
    kind, level, _ = rewrites
    data = ProceduralDataset("rewrites", RewritesGenerator(level, kind), TASK, "train")
    hits = dict.fromkeys(PROMPTLESS, 0.0)
    for example in (data[i] for i in range(250)):
        offered = TASK.candidates(example)
        for way, rating in PROMPTLESS.items():
            rated = {text: round(rating(text, offered), 9) for text in offered}
            best = [text for text in offered if rated[text] == max(rated.values())]
            hits[way] += (TASK.gold(example) in best) / len(best)
    # Chance is 62.5 with a standard deviation of 6.8.
    assert max(hits.values()) < 0.38 * 250, hits


def test_a_candidate_drawn_by_chance_earns_less_than_half(rewrites):
    _, _, examples = rewrites
    total = [rate([example] * 4, TASK.candidates(example)).total.mean() for example in examples]
    assert np.mean(total) < 0.5


def test_silence_the_source_and_the_prompt_score_nothing(rewrites):
    _, _, examples = rewrites
    for hack in (
        [""] * len(examples),
        [example.prompt for example in examples],
        [TASK.opening(example)[0].text for example in examples],
    ):
        assert rate(examples, hack).total.max() == 0


def test_a_list_of_what_is_to_be_kept_is_no_simplification(rewrites):
    kind, _, examples = rewrites
    if kind == "simplify":
        lists = [". ".join(example.metadata["keep"]) + "." for example in examples]
        assert rate(examples, lists).total.max() == 0


def test_a_text_that_is_cut_into_pieces_is_no_simplification(rewrites):
    kind, _, examples = rewrites
    if kind != "simplify":
        return
    pieces = [cut_up(example) for example in examples]
    for cut in range(4):
        result = rate(examples, [texts[cut] for texts in pieces])
        assert result.total.mean() < 0.35, pieces[0][cut]


def cut_up(example):
    """Ways to make short sentences of a long one, without the words to avoid."""
    _, avoided = example.metadata["constraints"]
    words = [word for word in example.prompt.split() if word.strip(",.") not in avoided["words"]]
    text = " ".join(words).rstrip(".")
    in_fours, in_sevens = (
        ". ".join(" ".join(words[i : i + n]).strip(",.") for i in range(0, len(words), n)) + "."
        for n in (4, 7)
    )
    at_commas = re.sub(r", (?:and |who )?", ". ", text) + "."
    with_pronoun = re.sub(r", (?:and |who )?", ". She ", text) + "."
    return in_fours, in_sevens, at_commas, with_pronoun


def test_a_simplification_in_other_words_keeps_most_of_the_score():
    row = {
        "source": "Clara Smith, who had acquired a diploma in Miami, encountered a benevolent "
        "farmer in Dallas, and subsequently endeavored to learn chess.",
        "target": "Clara Smith had got a diploma in Miami. She met a kind farmer in Dallas. She "
        "then tried to learn chess.",
        "kind": "simplify",
        "constraints": [
            {"check": "max_words", "n": 8},
            {"check": "avoid", "words": ["acquired", "encountered", "endeavored"]},
        ],
        "keep": ["Clara Smith", "Miami", "farmer", "Dallas", "chess"],
    }
    example = TASK.example("x", row)
    texts = [
        row["target"],
        "Clara Smith had a diploma from Miami. She met a kind farmer in Dallas. Then she tried "
        "to learn chess.",
        "Clara Smith. Had a diploma in Miami. A benevolent farmer in Dallas. Subsequently to "
        "learn chess.",
    ]
    gold, paraphrase, cut = rate([example] * 3, texts).total
    assert gold == 1
    assert paraphrase > 0.85
    assert cut < 0.45


def test_difficulty_is_the_number_of_mistakes_clauses_or_values(rewrites):
    kind, level, examples = rewrites
    k = LEVELS.index(level)
    for example in examples:
        if kind == "fix":
            assert len(edits_between(example.prompt, example.references[0])) == (1, 2, 4)[k]
        elif kind == "simplify":
            assert example.references[0].count(".") == (2, 3, 4)[k]
        elif example.metadata["constraints"][0]["check"] == "json":
            assert len(json.loads(example.references[0])) >= (3, 4, 6)[k]


def test_the_source_decides_the_split_and_the_kinds_are_mixed():
    data = ProceduralDataset("rewrites", RewritesGenerator(), TASK)
    examples = [data[i] for i in range(3000)]
    assert len({example.prompt for example in examples}) >= 2995
    counts = [sum(e.metadata["kind"] == kind for e in examples) for kind in KINDS]
    assert min(counts) > 880  # standard deviation 26
    content, row = RewritesGenerator().sample(np.random.default_rng(1))
    assert TASK.opening(TASK.example("x", row))[0].text.endswith(content)
    for options in ({"difficulty": "hart"}, {"kind": "fxi"}):
        with pytest.raises(UnknownNameError, match="Did you mean"):
            RewritesGenerator(**options)


def test_edits_are_counted_one_a_token():
    assert edits_between("he go home home .", "He goes home .") == {
        (0, "He"),
        (1, "goes"),
        (2, ""),
    }
    assert edits_between("he goes .", "he goes to it .") == {(2, "+ to"), (2, "+ it")}
    assert edits_between("same", "same") == frozenset()


def test_without_constraints_the_edits_of_the_nearest_target_count():
    example = TASK.example("x", {**ROW, "target": ["He goes home.", "he went home."]})
    half = "He go home."
    result = rate([example] * 3, [half, "he went home.", "He goes home."])
    # Two of the first target's three edits; of 2 x 4 tokens, 2 x 3 are shared.
    assert result.total[0] == pytest.approx(2 / 3 * 6 / 8)
    assert result.total[1:].tolist() == [1, 1]
    assert result.components["satisfied"].tolist() == [0, 1, 1]


def test_a_text_without_mistakes_is_best_left_alone():
    example = TASK.example("x", {"source": "He goes home.", "target": "He goes home."})
    assert rate([example], ["He goes home."]).total == [1]


def test_style_is_checked_with_what_must_be_kept():
    row = {
        "source": "Anna, who resided in Rome, purchased a mill.",
        "target": "Anna lived in Rome. She bought a mill.",
        "constraints": [{"check": "max_words", "n": 4}, {"check": "avoid", "words": ["purchase"]}],
        "keep": ["Anna", "Rome", "mill"],
    }
    example = TASK.example("x", row)
    result = rate(
        [example] * 3,
        [
            "Anna lived in Rome. She bought a mill.",
            "Anna lived in Rome. She purchased a mill.",
            "Anna lived in Rome. She bought a house.",
        ],
    )
    assert result.total[:2].tolist() == [1, 0]
    assert result.total[2] == pytest.approx(2 / 3 * (0.5 + 0.5 * 7 / 8))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"name": "Anna", "year": 1998}', (1, 1)),
        ('```json\n{"name": "Anna", "year": "1998"}\n```', (1, 1)),
        ('{"name": "Anna"}', (1 / 2, 1 / 2)),
        ('{"name": "Anna", "year": 1999}', (1, 1 / 2)),
        ('{"name": "Anna", "year": 1998, "town": "Rome"}', (2 / 3, 1)),
        ('{"name": "Bob", "name": "Anna", "year": 1998}', (2 / 3, 1)),
        ('{"name": ["Anna", "Bob"], "year": 1998}', (1, 1 / 2)),
        ('{"name": "Anna", "year": 1998', (0, 0)),
        ('[["name", "Anna"], ["year", 1998]]', (0, 0)),
        ("[" * 100_000, (0, 0)),
        ("name: Anna", (0, 0)),
    ],
)
def test_json_is_parsed_and_compared(text, expected):
    values = {"name": "Anna", "year": "1998"}
    assert met(text, check="json", values=values) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name,job\nAnna,nurse\nBob,baker", (1, 1)),
        ("job,name\nnurse,Anna\nbaker,Bob", (1, 1)),
        ('name, job\n"Anna", nurse\nBob,pilot', (1, 3 / 4)),
        ("name,job\nAnna,nurse", (1, 1 / 2)),
        ("name,job\nAnna,nurse,Rome\nBob,baker", (2 / 3, 1)),
        ("name\nAnna\nBob", (0, 0)),
        ("name | job\nAnna | nurse\nBob | baker", (0, 0)),
        ("", (0, 0)),
    ],
)
def test_csv_is_parsed_and_compared(text, expected):
    rows = [["name", "job"], ["Anna", "nurse"], ["Bob", "baker"]]
    assert met(text, check="csv", rows=rows) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1. a map\n2. a rope", (1, 1)),
        ("1) A map\n2) a rope.", (1, 1)),
        ("1. a map", (1 / 2, 1 / 2)),
        ("1. a map\n2. a tent", (1, 1 / 2)),
        ("1. a map\n3. a rope", (1 / 2, 1 / 2)),
        ("1. a map\n2. a rope\n3. a tent\n4. a pan", (1 / 2, 1 / 2)),
        ("- a map\n- a rope", (0, 0)),
    ],
)
def test_a_numbered_list_is_read_line_by_line(text, expected):
    assert met(text, check="numbered_list", items=["a map", "a rope"]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-02-29", (1, 1)),
        ("2024-03-01", (1, 0)),
        ("2023-02-29", (0, 0)),
        ("2024-2-29", (0, 0)),
        ("On 2024-02-29", (0, 0)),
        ("2024-W09-4", (0, 0)),
    ],
)
def test_an_iso_date_must_exist_and_stand_alone(text, expected):
    assert met(text, check="iso_date", value="2024-02-29") == expected


def test_limits_and_words_to_avoid_are_graded():
    text = "One two three. One two three four. He purchased it."
    assert met(text, check="max_words", n=3) == (pytest.approx(2 / 3), None)
    assert met(text, check="max_sentences", n=2) == (pytest.approx(2 / 3), None)
    assert met(text, check="avoid", words=["purchase", "sell"]) == (0.5, None)
    for check, options in (
        ("max_words", {"n": 3}),
        ("max_sentences", {"n": 3}),
        ("avoid", {"words": ["x"]}),
    ):
        assert met("", check=check, **options)[0] == 0


def test_every_check_says_what_it_wants_without_giving_the_content_away():
    options = {
        "max_words": {"n": 3},
        "max_sentences": {"n": 3},
        "avoid": {"words": ["x"]},
        "json": {"values": {"key": "SECRET"}},
        "csv": {"rows": [["key"], ["SECRET"]]},
        "numbered_list": {"items": ["SECRET"]},
        "iso_date": {"value": "SECRET"},
    }
    assert set(options) == set(CHECKS)
    for name, option in options.items():
        text = describe_all([{"check": name, **option}])
        assert text
        assert "SECRET" not in text
    with pytest.raises(ConfigError, match="needs 'n'"):
        describe_all([{"check": "max_words", "n": True}])
