"""Forms of English words, by hand."""

from __future__ import annotations

import pytest

from textenv.datasets.generated import grammar


@pytest.mark.parametrize(
    ("noun", "expected"),
    [
        ("dog", "a dog"),
        ("apple", "an apple"),
        ("uniform", "a uniform"),
        ("ukulele", "a ukulele"),
        ("uncle", "an uncle"),
        ("useful book", "a useful book"),
        ("honest lady", "an honest lady"),
        ("horse", "a horse"),
        ("European", "a European"),
    ],
)
def test_the_article_follows_the_sound(noun, expected):
    assert grammar.with_article(noun) == expected


@pytest.mark.parametrize(
    ("verb", "third", "gerund", "past"),
    [
        ("carry", "carries", "carrying", "carried"),
        ("play", "plays", "playing", "played"),
        ("wash", "washes", "washing", "washed"),
        ("cut", "cuts", "cutting", "cut"),
        ("stir", "stirs", "stirring", "stirred"),
        ("make", "makes", "making", "made"),
        ("dye", "dyes", "dyeing", "dyed"),
        ("have", "has", "having", "had"),
    ],
)
def test_the_forms_of_a_verb(verb, third, gerund, past):
    forms = grammar.third_person(verb), grammar.gerund(verb), grammar.past(verb)
    assert forms == (third, gerund, past)
