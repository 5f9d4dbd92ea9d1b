"""Which words of a text are marked as new."""

from __future__ import annotations

import pytest

from textenv.report.changes import mark_changes


def marked(text: str, other: str) -> str:
    """Returns a text with its new words in brackets."""
    (pieces,) = mark_changes([text], [other]).texts
    assert "".join(piece.text for piece in pieces) == text
    return "".join(f"[{p.text}]" if p.is_new else p.text for p in pieces)


@pytest.mark.parametrize(
    ("text", "other", "wanted"),
    [
        ("a cat sat", "a dog sat", "a [cat] sat"),
        ("a big red cat", "a cat", "a [big red] cat"),
        ("a cat", "a big red cat", "a cat"),
        ("a  cat\nsat ", "a cat sat", "a  cat\nsat "),
        ("the cat.", "the cat", "the [cat.]"),
        ("all new", "", "[all new]"),
        (" new ", "", " [new] "),
        ("我喜欢猫", "我喜欢狗", "我喜欢[猫]"),
        ("", "gone", ""),
    ],
)
def test_words_that_the_other_text_lacks_are_new(text, other, wanted):
    assert marked(text, other) == wanted


def test_new_and_gone_words_are_counted_over_all_turns():
    change = mark_changes(["How many people?", "Booked for 6 people."], ["Booked for 3 people."])
    assert [[(p.text, p.is_new) for p in pieces] for pieces in change.texts] == [
        [("How many people?", True)],
        [("Booked for ", False), ("6", True), (" people.", False)],
    ]
    assert (change.n_new, change.n_gone) == (4, 1)


def test_without_another_text_nothing_is_new():
    change = mark_changes(["a cat"], None)
    assert [piece.is_new for piece in change.texts[0]] == [False]
    assert (change.n_new, change.n_gone) == (0, 0)
