"""Whatever a text holds, a lexical reward scores it within its range, or says what is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textenv.errors import RewardError
from textenv.rewards import load_reward, score

REWARDS = {
    name: load_reward(name)
    for name in (
        *("rouge1", "rouge2", "rougeL", "rougeLsum", "bleu", "chrf", "chrf++", "ter"),
        *("edit_similarity", "exact_match", "token_f1", "repetition", "distinct"),
    )
}
REWARDS["rougeLsum, stems"] = load_reward({"rougeLsum": {"stem": True, "measure": "recall"}})
REWARDS["bleu, international"] = load_reward({"bleu": {"tokenize": "intl", "lowercase": True}})
REWARDS["ter, normalized"] = load_reward({"ter": {"normalized": True, "no_punct": True}})

ODD = (
    *("", " ", "\n", "\x00", "\x00\x01\x1b[2J\x7f", "\ud83d", "\udc00\ud800", "a\ud800b", "�"),
    *("İ", "ß", "ﬁ", "e\u0301", "\u0301", "़", "\u200b", "\u202e", "\u2028\u2029\u0085", "\ufeff"),
    *("🙂👩‍👩‍👧‍👦", "你好，世界。", "１２", "서울", "ねこ", "שלום", "مرحبا", "हिन्दी", "ไทย", "ναι"),
    *("&quot;&amp;", "<skipped>", "-\n", "the", "a an the", "...", "'s", "x" * 3000, "no " * 300),
    *("\U0010ffff", "\U00020000", "{}%s", "0" * 400, "a\nb\n\nc", "\r\n", "1,000.5-6"),
)
PIECE = st.one_of(st.sampled_from(ODD), st.text(st.characters(), max_size=12))
TEXT = st.lists(PIECE, max_size=5).map(" ".join)
RUN = settings(max_examples=150, deadline=None, derandomize=True)


@pytest.mark.parametrize("name", REWARDS)
def test_scores_lie_between_0_and_1_and_repeat(name: str) -> None:
    reward = REWARDS[name]

    @RUN
    @given(TEXT, st.lists(TEXT, min_size=1, max_size=3))
    def check(response: str, references: list[str]) -> None:
        responses = [response, references[0], response]
        total = score(reward, responses, [references] * 3).total
        assert ((total >= 0) & (total <= 1)).all()
        assert total[0] == total[2]

    check()


LONG = {
    "words": "word " * 2_000_000,
    "letters": "x" * 10_000_000,
    "lines": "a line of a text that has many of them\n" * 250_000,
    "Chinese": "我爱北京。" * 2_000_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("text", LONG)
@pytest.mark.parametrize("name", ["rougeLsum", "bleu", "chrf++", "ter", "edit_similarity"])
def test_ten_megabytes_are_scored_or_refused_in_words(name: str, text: str) -> None:
    for pair in ((LONG[text], "a word\nor two"), ("a word\nor two", LONG[text])):
        message, total = "", 0.0
        try:
            total = score(name, [pair[0]], [pair[1]]).total[0]
        except RewardError as error:
            message = str(error)
        if message:
            assert "characters" in message or "words" in message
            assert len(message) < 300
        assert 0.0 <= total < 0.5
