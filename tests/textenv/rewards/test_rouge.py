"""ROUGE is rouge-score's: types, stems and measures, and the union over lines of summaries."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from rouge_score import rouge_scorer

from textenv.errors import ConfigError, RewardError
from textenv.rewards import load_reward, score
from textenv.rewards.lexical import subsequences
from textenv.rewards.lexical.rouge import rouge_words, stemmed_words
from textenv.rewards.lexical.subsequences import common_indices

TOLERANCE = 1e-6
TYPES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
VOCABULARY = [
    *("the", "a", "cat", "Cats", "running", "runs", "on", "mat", "mats,", "relational", "x-rays"),
    *("don't", "1980s", "naïve", "für", "the\ncat", "mat.\n", "\n\n"),
]


def random_cases(n: int, seed: int) -> tuple[list[str], list[list[str]]]:
    rng = np.random.default_rng([seed, n])

    def text(longest: int) -> str:
        return " ".join(rng.choice(VOCABULARY, size=rng.integers(0, longest + 1)))

    references = [[text(18) for _ in range(rng.integers(1, 4))] for _ in range(n)]
    return [text(25) for _ in range(n)], references


RESPONSES, REFERENCES = random_cases(300, seed=0)


@pytest.mark.parametrize("stem", [False, True])
@pytest.mark.parametrize("name", TYPES)
def test_rouge_is_rouge_scores_best_f1(name: str, stem: bool) -> None:
    scorer = rouge_scorer.RougeScorer([name], use_stemmer=stem)
    expected = [
        scorer.score_multi(references, response)[name].fmeasure
        for response, references in zip(RESPONSES, REFERENCES, strict=True)
    ]
    assert 0 < np.mean(expected) < 1
    total = score({name: {"stem": stem}}, RESPONSES, REFERENCES).total
    np.testing.assert_allclose(total, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("measure", ["precision", "recall"])
@pytest.mark.parametrize("name", TYPES)
def test_precision_and_recall_are_rouge_scores_best_over_the_references(
    name: str, measure: str
) -> None:
    scorer = rouge_scorer.RougeScorer([name])
    expected = [
        max(getattr(scorer.score(text, response)[name], measure) for text in references)
        for response, references in zip(RESPONSES, REFERENCES, strict=True)
    ]
    total = score({name: {"measure": measure}}, RESPONSES, REFERENCES).total
    np.testing.assert_allclose(total, expected, rtol=0, atol=TOLERANCE)


def test_precision_is_of_the_response_and_recall_of_the_reference() -> None:
    # "the cat" of {the, cat} and {the, cat, sat, down}.
    for measure, expected in (("precision", 1.0), ("recall", 0.5), ("fmeasure", 2 / 3)):
        result = score({"rouge1": {"measure": measure}}, ["the cat"], ["the cat sat down"])
        assert result.total == pytest.approx([expected])


def test_lsum_finds_sentences_in_another_order_and_l_does_not() -> None:
    response, reference = "the dog ran\nthe cat sat", "the cat sat\nthe dog ran"
    assert score("rougeLsum", [response], [reference]).total.tolist() == [1.0]
    # The longest common subsequence of the whole: "the cat sat" or "the dog ran", and one "the".
    assert score("rougeL", [response], [reference]).total == pytest.approx([2 * 3 / 12])


def test_lsum_counts_a_word_as_often_as_the_response_has_it() -> None:
    # Both lines of the reference find the one "cat": it counts once of 1 and 2 words.
    assert score("rougeLsum", ["cat"], ["cat\ncat"]).total == pytest.approx([2 * 1 / 3])
    # The paper's example: w1..w5 against "w1 w2 w6 w7 w8" and "w1 w3 w8 w9 w5" holds w1 w2 w3 w5.
    response, reference = "w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5", "w1 w2 w3 w4 w5"
    result = score({"rougeLsum": {"measure": "recall"}}, [response], [reference])
    assert result.total == pytest.approx([4 / 5])


def test_lsum_of_single_lines_is_l() -> None:
    responses = [text.replace("\n", " ") for text in RESPONSES]
    references = [[text.replace("\n", " ") for text in group] for group in REFERENCES]
    lsum = score("rougeLsum", responses, references).total
    assert lsum.tolist() == score("rougeL", responses, references).total.tolist()


def test_common_indices_are_those_of_a_table_read_by_hand() -> None:
    def by_table(first: list[str], second: list[str]) -> list[int]:
        lengths = np.zeros((len(first) + 1, len(second) + 1), int)
        for i, a in enumerate(first, 1):
            for j, b in enumerate(second, 1):
                longest = max(lengths[i - 1, j], lengths[i, j - 1])
                lengths[i, j] = lengths[i - 1, j - 1] + 1 if a == b else longest
        i, j, found = len(first), len(second), []
        while i and j:
            if first[i - 1] == second[j - 1]:
                i, j = i - 1, j - 1
                found.append(i)
            elif lengths[i, j - 1] > lengths[i - 1, j]:
                j -= 1
            else:
                i -= 1
        return found

    rng = np.random.default_rng(0)
    for _ in range(300):
        first, second = (list(rng.choice(list("abcd"), size=rng.integers(0, 90))) for _ in range(2))
        assert common_indices(first, second) == by_table(first, second)


def test_lines_that_cannot_be_aligned_in_memory_are_refused(monkeypatch) -> None:
    monkeypatch.setattr(subsequences, "_MOST_BITS", 8)
    with pytest.raises(RewardError, match="cannot align lines of 3 and 3 words"):
        score("rougeLsum", ["a b c\nd"], ["a b c\nd"])


def test_stems_join_the_forms_of_a_word() -> None:
    assert stemmed_words("Running cats; the runs") == ["run", "cat", "the", "run"]
    # Words of three characters, and those of other scripts, stay.
    assert stemmed_words("was 我们 дома") == rouge_words("was 我们 дома")


def test_stems_without_nltk_say_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "nltk.stem.porter", None)
    with pytest.raises(ConfigError, match="pip install nltk"):
        load_reward({"rougeL": {"stem": True}})
    assert score("rougeL", ["a cat"], ["a cat"]).total.tolist() == [1.0]


def test_a_measure_of_another_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="'fmeasure', 'precision' or 'recall', not 'f1'"):
        load_reward({"rouge2": {"measure": "f1"}})
