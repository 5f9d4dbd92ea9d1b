"""TER counts edits and moves as sacrebleu does; edit similarity counts characters."""

from __future__ import annotations

import numpy as np
import pytest
from sacrebleu.metrics import TER

from textenv.errors import RewardError
from textenv.rewards import score
from textenv.rewards.lexical import edit, ter_edits
from textenv.rewards.lexical.ter_edits import count_edits


def edits_of_sacrebleu(response: list[str], reference: list[str]) -> int:
    return TER().sentence_score(" ".join(response), [" ".join(reference)]).num_edits


def random_words(rng: np.random.Generator, longest: int, vocabulary: int) -> list[str]:
    return [f"w{k}" for k in rng.integers(vocabulary, size=rng.integers(0, longest + 1))]


def test_edits_by_hand() -> None:
    # A phrase of three moves as one edit; a word is added, one dropped, one replaced.
    assert count_edits(["d", "e", "f", "a", "b", "c"], ["a", "b", "c", "d", "e", "f"]) == 1
    assert count_edits(["a", "b"], ["a", "b", "c"]) == 1
    assert count_edits(["a", "b", "c", "d"], ["a", "b", "d"]) == 1
    assert count_edits(["a", "x", "c"], ["a", "b", "c"]) == 1
    assert count_edits([], ["a", "b"]) == 2
    assert count_edits(["a", "b"], []) == 2


@pytest.mark.parametrize("vocabulary", [2, 5, 30])
def test_edits_are_sacrebleus(vocabulary: int) -> None:
    rng = np.random.default_rng(vocabulary)
    for _ in range(120):
        pair = random_words(rng, 24, vocabulary), random_words(rng, 24, vocabulary)
        assert count_edits(*pair) == edits_of_sacrebleu(*pair)


def test_edits_of_moved_phrases_are_sacrebleus() -> None:
    rng = np.random.default_rng(0)
    for _ in range(15):
        reference = random_words(rng, 60, 200)
        phrases = np.array_split(np.array(reference), rng.integers(1, 9))
        response = [str(word) for k in rng.permutation(len(phrases)) for word in phrases[k]]
        assert count_edits(response, reference) == edits_of_sacrebleu(response, reference)


def test_beyond_the_band_sacrebleu_itself_counts(monkeypatch) -> None:
    # What response and reference share is at the end of the one and at the start of the other.
    shared = [f"w{k}" for k in range(40)]
    response = [f"x{k}" for k in range(40)] + shared
    reference = shared + [f"y{k}" for k in range(20)]
    asked = []
    counted = ter_edits._count

    def watch(written: str, wanted: str) -> int:
        try:
            return counted(written, wanted)
        except ter_edits._BeyondBandError:
            asked.append(written)
            raise

    monkeypatch.setattr(ter_edits, "_count", watch)
    assert count_edits(response, reference) == edits_of_sacrebleu(response, reference)
    assert asked


def test_the_rate_is_of_the_references_mean_length() -> None:
    # 1 edit to the nearer one, of 4 words; the other has 2: mean 3.
    assert score("ter", ["a b c"], [["a b c d", "x y"]]).total == pytest.approx([1 - 1 / 3])
    # More edits than words do not go below 0.
    assert score("ter", ["a b c d e f"], ["x"]).total.tolist() == [0.0]
    # Silence is 2 edits from the shorter one, of 3.
    assert score("ter", [""], [["a b c d", "x y"]]).total == pytest.approx([1 - 2 / 3])
    assert score("ter", ["", "word"], ["", ""]).total.tolist() == [1.0, 0.0]


def test_texts_that_cannot_be_aligned_are_refused() -> None:
    with pytest.raises(RewardError, match=r"'ter' cannot align 2,000 words with 600"):
        score("ter", ["a " * 2000], ["b " * 600])


def test_edit_similarity_by_hand() -> None:
    # kitten to sitting: 3 edits of 7 characters. The best of two references; the ends are stripped.
    assert score("edit_similarity", ["kitten"], [["sitting", ""]]).total == pytest.approx([4 / 7])
    assert score("edit_similarity", [" kitten\n"], ["kitten"]).total.tolist() == [1.0]


def test_edit_similarity_is_that_of_a_table() -> None:
    def distance(a: str, b: str) -> int:
        row = list(range(len(b) + 1))
        for i, x in enumerate(a, 1):
            last, row[0] = row[0], i
            for j, y in enumerate(b, 1):
                last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
        return row[-1]

    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abé我"), size=rng.integers(1, 30))) for _ in range(100)]
    pairs = zip(texts, texts[::-1], strict=True)
    expected = [1 - distance(a, b) / max(len(a), len(b)) for a, b in pairs]
    assert score("edit_similarity", texts, texts[::-1]).total == pytest.approx(expected)


def test_texts_that_would_take_minutes_are_refused(monkeypatch) -> None:
    monkeypatch.setattr(edit, "_MOST_PAIRS", 20)
    with pytest.raises(RewardError, match="cannot compare 7 characters with 3"):
        score("edit_similarity", ["kittens"], ["sit"])
