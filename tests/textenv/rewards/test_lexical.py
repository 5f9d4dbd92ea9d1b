"""Lexical rewards agree with their reference packages, and with numbers worked by hand."""

from __future__ import annotations

import pickle
import re
import string
from collections import Counter
from functools import partial

import numpy as np
import pytest
import sacrebleu
from sacrebleu.metrics import BLEU, CHRF, TER

from textenv.errors import ConfigError, RewardError
from textenv.rewards import load_reward, score

LEXICAL = (
    *("rouge1", "rouge2", "rougeL", "rougeLsum", "bleu", "chrf", "chrf++", "ter"),
    *("edit_similarity", "exact_match", "token_f1"),
)
TOLERANCE = 1e-6

# Few words, so that they overlap; with marks, capitals, contractions and accents among them.
VOCABULARY = [
    *("the", "a", "An", "cat", "Cat's", "dog", "mat", "on", "sat,", "ran.", "(fast)", "don't", "x"),
    *("half-time", "3.5%", "$12", "e-mail", '"quoted"', "snake_case", "&", "<tag>", "I"),
    *("naïve", "Müller", "für", "α-β", "x—the—y"),
]


def random_cases(
    n: int, seed: int, vocabulary: list[str] = VOCABULARY, space: str = " "
) -> tuple[list[str], list[list[str]]]:
    """Responses, and one to three references each; some of them empty."""
    rng = np.random.default_rng([seed, n])

    def text(longest: int) -> str:
        return space.join(rng.choice(vocabulary, size=rng.integers(0, longest + 1)))

    responses = [text(20) for _ in range(n)]
    return responses, [[text(12) for _ in range(rng.integers(1, 4))] for _ in range(n)]


RESPONSES, REFERENCES = random_cases(300, seed=0)


@pytest.mark.parametrize("name", ["bleu", "chrf", "chrf++", "ter"])
def test_translation_metrics_are_sacrebleus_over_a_hundred(name: str) -> None:
    sentence_score = {
        "bleu": sacrebleu.sentence_bleu,
        "chrf": sacrebleu.sentence_chrf,
        "chrf++": partial(sacrebleu.sentence_chrf, word_order=2),
        "ter": sacrebleu.sentence_ter,
    }[name]
    expected = [
        sentence_score(response, references).score / 100
        for response, references in zip(RESPONSES, REFERENCES, strict=True)
    ]
    if name == "ter":
        expected = [max(0.0, 1 - rate) for rate in expected]
    assert 0 < np.mean(expected) < 1
    np.testing.assert_allclose(
        score(name, RESPONSES, REFERENCES).total, expected, rtol=0, atol=TOLERANCE
    )


@pytest.mark.parametrize(
    ("name", "options", "metric"),
    [
        ("bleu", {"lowercase": True}, BLEU(lowercase=True, effective_order=True)),
        ("bleu", {"tokenize": "char"}, BLEU(tokenize="char", effective_order=True)),
        ("bleu", {"tokenize": "intl"}, BLEU(tokenize="intl", effective_order=True)),
        ("chrf", {"lowercase": True, "beta": 1}, CHRF(lowercase=True, beta=1)),
        ("chrf", {"char_order": 4, "word_order": 1}, CHRF(char_order=4, word_order=1)),
        ("chrf++", {"lowercase": True}, CHRF(lowercase=True, word_order=2)),
        ("ter", {"normalized": True}, TER(normalized=True)),
        (
            "ter",
            {"no_punct": True, "case_sensitive": True},
            TER(no_punct=True, case_sensitive=True),
        ),
    ],
)
def test_options_are_those_of_sacrebleu(name: str, options: dict, metric) -> None:
    responses = [text.title() for text in RESPONSES]
    pairs = zip(responses, REFERENCES, strict=True)
    expected = np.array([metric.sentence_score(*pair).score / 100 for pair in pairs])
    if name == "ter":
        expected = np.maximum(0, 1 - expected)
    total = score({name: options}, responses, REFERENCES).total
    np.testing.assert_allclose(total, expected, rtol=0, atol=TOLERANCE)
    assert (total != score(name, responses, REFERENCES).total).any()


def test_samples_of_one_example_score_as_each_by_itself() -> None:
    # What is counted of references once is shared by their samples.
    responses, references = RESPONSES[:40], [REFERENCES[i % 3] for i in range(40)]
    for name in LEXICAL:
        together = score(name, responses, references).total
        alone = [score(name, [responses[i]], [references[i]]).total[0] for i in range(40)]
        assert together.tolist() == alone


def test_bleu_of_chinese_is_sacrebleus_with_its_chinese_tokenizer() -> None:
    responses, references = random_cases(100, 1, [*"我你他们去了银行，。", "GPU", "3.5"], "")
    han = re.compile("[\u4e00-\u9fff]")
    chinese = [i for i, texts in enumerate(references) if han.search("".join(texts))]
    assert len(chinese) > 80
    expected = [
        sacrebleu.sentence_bleu(responses[i], references[i], tokenize="zh").score / 100
        for i in chinese
    ]
    result = score("bleu", [responses[i] for i in chinese], [references[i] for i in chinese])
    np.testing.assert_allclose(result.total, expected, rtol=0, atol=TOLERANCE)


def test_answers_follow_squads_published_rules() -> None:
    def normal(text: str) -> str:
        text = "".join(c for c in text.lower() if c not in set(string.punctuation))
        return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())

    def f1(response: str, reference: str) -> float:
        ours, theirs = normal(response).split(), normal(reference).split()
        if not ours or not theirs:
            return float(ours == theirs)
        shared = sum((Counter(ours) & Counter(theirs)).values())
        precision, recall = shared / len(ours), shared / len(theirs)
        return 2 * precision * recall / (precision + recall) if shared else 0.0

    pairs = list(zip(RESPONSES, REFERENCES, strict=True))
    np.testing.assert_allclose(
        score("token_f1", RESPONSES, REFERENCES).total,
        [max(f1(response, text) for text in texts) for response, texts in pairs],
        rtol=0,
        atol=TOLERANCE,
    )
    short = ["The Cat.", "a dog", "cat's", "e-mail"]
    gold = [["cat", "dog"], ["dogs"], ["cats"], ["e mail", "email!"]]
    assert score("exact_match", short, gold).total.tolist() == [1, 0, 1, 1]


def test_token_f1_by_hand() -> None:
    # {big, red, dog} and {red, dog, ran, off}: 2 shared, P = 2/3, R = 2/4, F1 = 4/7.
    # Repetition counts once for each partner: {no, no, no} and {no, yes}: F1 = 2*1/(3+2).
    result = score(
        "token_f1", ["The big, red dog!", "no no no"], ["a red dog ran off", ["yes no", "maybe"]]
    )
    assert result.total == pytest.approx([4 / 7, 2 / 5])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # 我爱北京 (4) and 我去北京了 (5) share 我, 北, 京 in this order.
        ("rouge1", 2 * 3 / 9),
        ("rougeL", 2 * 3 / 9),
        ("token_f1", 2 * 3 / 9),
        # 3 and 4 pairs; 北京 is shared.
        ("rouge2", 2 * 1 / 7),
        ("exact_match", 0.0),
    ],
)
def test_words_of_chinese_are_characters(name: str, expected: float) -> None:
    assert score(name, ["我爱北京。"], ["我去北京了！"]).total == pytest.approx([expected])


def test_words_of_every_script_count() -> None:
    # Japanese and Korean by character, a Cyrillic word as a whole, English beside Chinese as words.
    pairs = {
        ("ねこだ", "いぬだ"): 2 * 1 / 6,
        ("서울시", "서울"): 2 * 2 / 5,
        ("Красный дом", "красный кот"): 2 * 1 / 4,
        ("用 GPU 训练", "用GPU计算"): 2 * 2 / 8,
    }
    responses, references = zip(*pairs, strict=True)
    assert score("rouge1", responses, references).total == pytest.approx(list(pairs.values()))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ter", 1 - 2 / 5),  # 爱 for 去, and 了 at the end
        ("edit_similarity", 1 - 2 / 5),
        ("chrf++", None),
    ],
)
def test_words_of_chinese_are_characters_for_edits_too(name: str, expected: float | None) -> None:
    if expected is None:
        metric = CHRF(word_order=2)
        expected = metric.sentence_score("我 爱 北 京", ["我 去 北 京 了"]).score / 100
    assert score(name, ["我爱北京"], ["我去北京了"]).total == pytest.approx([expected])


def test_chinese_answers_ignore_punctuation_and_spaces() -> None:
    result = score("exact_match", ["“北京”。", "1949 年", "北京"], ["北京", "1949年！", "南京"])
    assert result.total.tolist() == [1, 1, 0]


def test_articles_beside_chinese_are_dropped_as_anywhere() -> None:
    assert score("exact_match", ["the电视", "a 电视"], ["电视", "电视"]).total.tolist() == [1, 1]


def test_kana_and_hangul_are_characters_for_bleu_too() -> None:
    assert score("bleu", ["ねこだ"], ["いぬだ"]).total[0] > 0


@pytest.mark.parametrize("name", LEXICAL)
def test_a_reference_gets_the_ceiling_and_empty_text_the_floor(name: str) -> None:
    gold = ["The cat sat on the mat.", "Für Elise & more: 3.5% of it!", "我们明天去北京看看。"]
    references = [["something else entirely", text] for text in gold]
    assert score(name, gold, references).total.tolist() == pytest.approx([1, 1, 1])
    if name == "ter":  # the edits to the shortest reference, of the mean length of all
        references = [[text] for text in gold]
    assert score(name, [""] * 3, references).total.tolist() == [0, 0, 0]
    assert score(name, [" \n"] * 3, references).total.tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", LEXICAL)
def test_scores_are_finite_and_within_0_and_1_on_odd_text(name: str) -> None:
    odd = ["", "...", "the", "\x00", "\ud800", "😀", "़", "a" * 5000, "<|im_end|>", "１２", "\u200b"]
    result = score(name, odd * len(odd), [text for text in odd for _ in odd])
    assert ((result.total >= 0) & (result.total <= 1)).all()


def test_answers_of_which_nothing_is_left_match_each_other() -> None:
    for name in ("exact_match", "token_f1"):
        assert score(name, ["", "cat"], ["The!", "The!"]).total.tolist() == [1, 0]


@pytest.mark.parametrize("name", LEXICAL)
def test_a_lexical_reward_has_one_component_of_its_own_name(name: str) -> None:
    reward = load_reward(name)
    assert reward.name == name
    assert name.rstrip("+").lower() in repr(reward).lower()
    result = score(reward, ["a cat"], ["the cat"])
    assert list(result.components) == [name]
    assert result.components[name] == result.total


@pytest.mark.parametrize("name", LEXICAL)
def test_a_reward_travels_between_processes(name: str) -> None:
    assert pickle.loads(pickle.dumps(load_reward(name))) == load_reward(name)


@pytest.mark.parametrize("name", LEXICAL)
def test_an_example_without_references_is_refused(name: str) -> None:
    with pytest.raises(RewardError, match="has none"):
        score(name, ["text"], [[]])


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ({"bleu": {"tokenize": "flores200"}}, "one of 13a, intl, char, none, zh; not 'flores200'"),
        ({"chrf": {"beta": 0}}, "'beta' of reward 'chrf' must be a whole number"),
        ({"chrf": {"char_order": 2.5}}, "'char_order' of reward 'chrf' must be a whole number"),
        ({"chrf": {"word_order": True}}, "'word_order' of reward 'chrf' must be"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(spec, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        load_reward(spec)


def test_texts_are_not_kept_by_sacrebleus_tokenizers() -> None:
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
    from sacrebleu.tokenizers.tokenizer_re import TokenizerRegexp
    from sacrebleu.tokenizers.tokenizer_ter import TercomTokenizer

    score({"bleu": 1.0, "ter": 1.0}, RESPONSES, REFERENCES)
    for tokenizer in (Tokenizer13a, TokenizerRegexp, TercomTokenizer):
        assert tokenizer.__call__.cache_info().currsize == 0
