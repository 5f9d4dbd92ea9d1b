"""Text of every script: its spellings, marks and words; Latin text as the packages have it."""

from __future__ import annotations

import json
import string
import unicodedata
from collections import Counter, defaultdict

import numpy as np
import pytest
import sacrebleu
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rouge_score import rouge_scorer

from textenv.errors import ConfigError
from textenv.rewards import load_reward, score
from textenv.rewards.lexical import scripts
from textenv.rewards.lexical.rouge import _ruled_words, reference_words, rouge_words
from textenv.rewards.lexical.scripts import fold
from textenv.rewards.lexical.squad import answer_words, reference_answer_words
from textenv.rewards.lexical.words import caseless, find_words, join_words, set_apart
from textenv.rewards.style.writing import split_sentences, variety
from textenv.rewards.verifiable.constraints import check_all

WORDS = ("rouge1", "rougeL", "rougeLsum", "bleu", "chrf", "chrf++", "ter", "edit_similarity")
ANSWERS = ("exact_match", "token_f1", "substring_match")
EVERY = (*WORDS, *ANSWERS)


def one(name: str, response: str, reference: str) -> float:
    return float(score(name, [response], [[reference]]).total[0])


def nfd(text: str) -> str:
    return unicodedata.normalize("NFD", text)


# An answer as people write it, and the gold.
SAME = {
    # It ends with its own language's mark.
    "Hindi": ("दिल्ली।", "दिल्ली"),
    "Sanskrit": ("वेद॥", "वेद"),
    "Arabic": ("القاهرة؟", "القاهرة"),
    "Arabic comma": ("القاهرة،", "القاهرة"),
    "Urdu": ("لاہور۔", "لاہور"),
    "a number in Chinese": ("308。", "308"),
    "a Latin name in Chinese": ("Paris。", "Paris"),
    "Japanese, half-width": ("東京｡", "東京"),
    "Greek": ("Αθήνα\u037e", "Αθήνα"),
    "Armenian": ("Երևան։", "Երևան"),
    "Ethiopic": ("አዲስ አበባ።", "አዲስ አበባ"),
    "Tibetan": ("ལྷ་ས།", "ལྷ་ས"),
    "Burmese": ("ရန်ကုန်။", "ရန်ကုန်"),
    "Khmer": ("ភ្នំពេញ។", "ភ្នំពេញ"),
    "Mongolian": ("ᠮᠣᠩᠭᠣᠯ᠃", "ᠮᠣᠩᠭᠣᠯ"),
    "N'Ko": ("ߒߞߏ߹", "ߒߞߏ"),
    # Quotation marks, and marks within words.
    "Greek quotes": ("«Αθήνα»", "Αθήνα"),
    "Russian quotes": ("„Москва“", "Москва"),
    "quotes apart": ("« Москва »", "Москва"),
    "Japanese quotes": ("「東京」", "東京"),
    "vertical quotes": ("﹁東京﹂", "「東京」"),
    "Armenian question": ("ինչո՞ւ", "ինչու"),
    "gershayim": ("צה״ל", 'צה"ל'),
    "maqaf": ("בית־ספר", "בית-ספר"),
    "Ukrainian apostrophe": ("об’єкт", "об'єкт"),
    "Ukrainian letter": ("обʼєкт", "об'єкт"),
    "Ethiopic word space": ("አዲስ፡አበባ", "አዲስ አበባ"),
    # Digits and widths.
    "Devanagari digits": ("१९४७", "1947"),
    "Thai digits": ("๑๙๔๗", "1947"),
    "Arabic decimals": ("٣٫١٤", "3.14"),
    "Arabic thousands": ("١٬٠٠٠", "1,000"),
    "full-width digits": ("３，５００", "3,500"),
    "full-width letters": ("ＮＡＳＡ", "NASA"),
    "half-width katakana": ("ﾊﾞﾅﾅ", "バナナ"),
    # Spellings in Unicode.
    "Vietnamese, decomposed": (nfd("Việt Nam"), "Việt Nam"),
    "Hangul, decomposed": (nfd("서울"), "서울"),
    "Greek, decomposed": (nfd("Αθήνα"), "Αθήνα"),
    "directions": ("\u200fالقاهرة\u200e", "القاهرة"),
    "byte-order mark": ("\ufeffПариж", "Париж"),
    "Persian joiner": ("می\u200cروم", "میروم"),
    "Sinhala joiner": ("ක්\u200dෂ", "ක්ෂ"),
    "tatweel": ("كـــتاب", "كتاب"),
    "Arabic forms": ("ﻛﺘﺎﺏ", "كتاب"),
    "zero-width space": ("ภาษา\u200bไทย", "ภาษาไทย"),
    "Thai vowels in parts": ("เเม่นํ้า", "แม่น้ำ"),
    "Lao vowel in parts": ("ນໍ້າ", "ນ້ຳ"),
    "ideographic variation": ("葛\U000e0100城", "葛城"),
    "emoji variation": ("❤\ufe0f", "❤"),
    # Case.
    "Cherokee": ("ᏣᎳᎩ", "ꮳꮃꭹ"),
    "final sigma": ("ΟΔΟΣ", "οδοσ"),
    "Georgian": ("ᲐᲑ", "აბ"),
    "Adlam": ("𞤀𞤁", "𞤢𞤣"),
}


@pytest.mark.parametrize("spelling", SAME)
def test_a_right_answer_is_right_however_it_is_written(spelling: str) -> None:
    response, gold = SAME[spelling]
    assert [one(name, response, gold) for name in ("exact_match", "token_f1", "rouge1")] == [1] * 3
    assert one("exact_match", gold, response) == 1


@pytest.mark.parametrize(
    ("response", "gold"),
    [
        *(("2½", "2"), ("2½", "21/2"), ("10²", "102"), ("①", "1"), ("㎡", "㎥"), ("x₂", "x2")),
        *(("👩\u200d👩\u200d👧", "👩\u200d👩\u200d👦"), ("👍🏽", "👍🏿"), ("🇩🇪", "🇫🇷")),
        *(("ラーメン", "ラメン"), ("Αθήνα", "Αθηνά"), ("हिन्दी", "हिन्द"), ("שָׁלוֹם", "שלום")),
        # As SQuAD's script has it.
        *(("“Paris”", "Paris"), ("Paris…", "Paris"), ("Café", "Cafe")),
    ],
)
def test_another_answer_is_another(response: str, gold: str) -> None:
    assert one("exact_match", response, gold) == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("हिन्दी भाषा।", ["हिन्दी", "भाषा"]),
        ("ภาษา", ["ภ", "า", "ษ", "า"]),
        ("ပြည်", ["ပြ", "ည်"]),  # a letter with its signs
        ("ꦗꦮꦶ", ["ꦗ", "ꦮꦶ"]),
        ("서울 시", ["서", "울", "시"]),
        ("འབྲས་ལྗོངས།", ["འབྲས", "ལྗོངས"]),
        ("𠀋東", ["𠀋", "東"]),
        ("ⴰⵣⵓⵍ ᐃᓄᒃ ⠓⠑", ["ⴰⵣⵓⵍ", "ᐃᓄᒃ", "⠓⠑"]),
        ("об’єкт Ту-154", ["обєкт", "ту", "154"]),
        ("конец.Начало", ["конец", "начало"]),
        ("用 GPU 训练３天", ["用", "gpu", "训", "练", "3", "天"]),
        ("I like it 😀👍🏽 ❤\ufe0f", ["i", "like", "it", "😀", "👍🏽", "❤"]),
        ("naïve α-helix – 5 µm", ["na", "ve", "α", "helix", "5", "m"]),
        ("é", ["é"]),  # rouge-score sees nothing in these
        ("+", ["+"]),
        ("...", []),
    ],
)
def test_words_of_rouge(text: str, words: list[str]) -> None:
    assert rouge_words(text) == words


def test_words_of_other_rewards_keep_accents() -> None:
    assert find_words("L’été, Straße, İzmir; don't 2½ m²") == [
        *("l", "été", "strasse", "izmir", "don", "t", "2½", "m²")
    ]


# Of the same lengths as before: 16 characters, less four.
@pytest.mark.parametrize(
    "phrase", ["ภาษาไทยสวยงามมาก", "ພາສາລາວງາມຫລາຍແທ້", "ភាសាខ្មែរពិរោះណាស់", "မြန်မာဘာသာစကားလှသည်"]
)
def test_a_phrase_less_its_end_is_nearly_the_phrase(phrase: str) -> None:
    for name in ("rouge1", "rougeL", "token_f1"):
        assert 0.75 < one(name, phrase[:-4], phrase) < 1


LETTERS: dict[str, list[str]] = defaultdict(list)
for _code in range(0x110000):
    if unicodedata.category(chr(_code)).startswith("L"):
        LETTERS[unicodedata.name(chr(_code), "?").split()[0]].append(chr(_code))


@pytest.mark.parametrize("name", EVERY)
def test_a_text_of_any_script_equals_itself_and_no_other(name: str) -> None:
    # Two words of each script, of which the other text has another letter.
    rng = np.random.default_rng(0)
    texts, others = [], []
    for letters in LETTERS.values():
        drawn = [str(letter) for letter in rng.permutation(letters)[:9]]
        texts.append("".join(drawn[:4]) + " " + "".join(drawn[4:8]))
        others.append(texts[-1].replace(drawn[0], drawn[8]) if len(drawn) == 9 else "")
    assert len(texts) > 150
    assert score(name, texts, texts).total == pytest.approx(np.ones(len(texts)))
    assert score(name, [*map(nfd, texts)], texts).total == pytest.approx(np.ones(len(texts)))
    assert (score(name, others, texts).total < 1).all()


@pytest.mark.parametrize("name", EVERY)
def test_any_text_with_a_letter_a_digit_or_a_symbol_equals_itself(name: str) -> None:
    reward = load_reward(name)

    @settings(max_examples=200, deadline=None, derandomize=True)
    @given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12))
    def check(text: str) -> None:
        assume(any(unicodedata.category(c)[0] in "LNS" for c in text))
        assert score(reward, [text], [text]).total == pytest.approx([1.0])

    check()


_PLAIN = "the a An cat Cat’s mat on sat, naïve Müller für İzmir à m² 2½ → ≥5 Đặng x—the—y"
_MARKED = "“quoted” ‘so’ «dit» ¿qué? ¡no! 1990–95 wait… • 50€ £5 20°C 3×4 Donau\u00addampf"
LATIN = [*_PLAIN.split(), *_MARKED.split(), "10\u00a0%", "– said"]


def latin_cases(n: int) -> tuple[list[str], list[list[str]]]:
    rng = np.random.default_rng(n)

    def text() -> str:
        return " ".join(rng.choice(LATIN, size=rng.integers(2, 16)))

    return [text() for _ in range(n)], [[text(), text()] for _ in range(n)]


def squad_f1(response: str, reference: str) -> float:
    def words(text: str) -> list[str]:
        text = "".join(c for c in text.lower() if c not in set(string.punctuation))
        return [word for word in text.replace("—the—", "— —").split() if word not in _ARTICLES]

    ours, theirs = words(response), words(reference)
    shared = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * shared / (len(ours) + len(theirs))


_ARTICLES = ("a", "an", "the")
_ROUGE = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"])
PEERS = {
    **{
        name: lambda a, refs, name=name: _ROUGE.score_multi(refs, a)[name].fmeasure
        for name in ("rouge1", "rouge2", "rougeL", "rougeLsum")
    },
    "bleu": lambda a, refs: sacrebleu.sentence_bleu(a, refs).score / 100,
    "chrf": lambda a, refs: sacrebleu.sentence_chrf(a, refs).score / 100,
    "chrf++": lambda a, refs: sacrebleu.sentence_chrf(a, refs, word_order=2).score / 100,
    "ter": lambda a, refs: max(0.0, 1 - sacrebleu.sentence_ter(a, refs).score / 100),
    "token_f1": lambda a, refs: max(squad_f1(a, reference) for reference in refs),
}


@pytest.mark.parametrize("name", PEERS)
def test_latin_text_with_its_typographic_marks_scores_as_in_the_package(name: str) -> None:
    responses, references = latin_cases(150)
    expected = [*map(PEERS[name], responses, references)]
    assert 0 < np.mean(expected) < 1
    for rules in ("unicode", "reference"):
        total = score({name: {"rules": rules}}, responses, references).total
        np.testing.assert_allclose(total, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", PEERS)
def test_the_packages_rules_are_an_option_for_every_script(name: str) -> None:
    pairs = [("我爱北京。", "我爱 北京"), ("यह घर है। 5", "यह घर है 5"), ("ＡＢ c", "AB c")]
    responses, references = zip(*((a, [b]) for a, b in pairs), strict=True)
    expected = [*map(PEERS[name], responses, references)]
    total = score({name: {"rules": "reference"}}, responses, references).total
    np.testing.assert_allclose(total, expected, rtol=0, atol=1e-6)
    assert not np.allclose(score(name, responses, references).total, expected)


def test_bleu_of_chinese_with_quotes_and_names_is_sacrebleus() -> None:
    rng = np.random.default_rng(0)
    parts = [*"我你他们去了银行，。！？、", "“GPU”", "《书》", "3.5", "3，5", "…", "·", "——"]
    texts = ["我" + "".join(rng.choice(parts, size=rng.integers(4, 20))) for _ in range(120)]
    pairs = [*zip(texts[:60], texts[60:], strict=True)]
    expected = [sacrebleu.sentence_bleu(a, [b], tokenize="zh").score / 100 for a, b in pairs]
    total = score("bleu", texts[:60], texts[60:]).total
    np.testing.assert_allclose(total, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("stray", ["α", "😀", "东", "я", "।", "ש"])
def test_one_sign_of_another_script_does_not_change_how_the_rest_is_split(stray: str) -> None:
    latin = "The “naïve” Cat’s mat – e-mail 3.5%…"
    for split in (rouge_words, answer_words, find_words):
        assert [word for word in split(f"{latin} x {stray}") if word != stray] == split(
            f"{latin} x"
        )
    assert answer_words(latin) == reference_answer_words(latin)
    assert set_apart(f"{latin} {stray}", " ").split()[:-1] == latin.split() or stray == "।"


def test_marks_beside_words_of_other_scripts_are_words_of_bleu() -> None:
    assert one("bleu", "यह घर है।", "यह घर है ।") == pytest.approx(1)
    assert one("bleu", "Это «дом».", "Это « дом » .") == pytest.approx(1)
    assert set_apart("об’єкт 3，5", r" \g<0> ").split() == ["об’єкт", "3", ",", "5"]


def test_ter_drops_and_sets_apart_marks_of_every_script() -> None:
    for spec in ({"ter": {"normalized": True}}, {"ter": {"no_punct": True}}):
        assert score(spec, ["घर है।"], ["घर है ।"]).total.tolist() == [1]
    assert score({"ter": {"no_punct": True}}, ["घर है।"], ["घर है"]).total.tolist() == [1]


def test_folding_twice_is_folding_once() -> None:
    for response, gold in SAME.values():
        assert fold(fold(response)) == fold(response)
        assert fold(fold(gold)) == fold(gold)


def test_words_are_put_together_as_their_scripts_are_written() -> None:
    for text in ("the cat", "我爱北京", "ภาษาไทย", "我用 GPU 和 TPU", "रवि घर", "see 😀 now"):
        assert join_words(set_apart(text).split()).replace(" ", "") == text.replace(" ", "")
    assert join_words(["用", "New", "York", "的"]) == "用New York的"
    assert join_words(["see", "😀", "now"]) == "see 😀 now"


def test_sentences_end_at_the_marks_of_every_script() -> None:
    assert split_sentences("他来了。“好！”她说。") == ["他来了。", "“好！”", "她说。"]
    assert split_sentences("यह है। वह है।") == ["यह है।", "वह है।"]
    assert split_sentences("هل؟ نعم.") == ["هل؟", "نعم."]
    assert split_sentences("It is “so…” – e.g. here. Yes!") == ["It is “so…” – e.g. here.", "Yes!"]


def test_letters_without_spaces_may_come_back_and_groups_of_three_may_not() -> None:
    # Each of the 27 groups of three letters once.
    latin = "aaabaacabbabcacbaccbbbcbccc"
    assert variety(find_words(latin.translate(str.maketrans("abc", "กขค")))) == 1
    # 58 groups, of which two differ, and so do two of 57 pairs of them.
    expected = (2 / 58 / 0.5) * (2 / 57 / 0.75)
    assert variety(find_words("ไป" * 30)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "n_words"),
    [("我爱。", 2), ("यह घर है ।", 3), ("สวย", 3), ("so 😀", 2), ("a – b", 3), ("Париж — да", 3)],
)
def test_length_counts_words_and_no_marks(text: str, n_words: int) -> None:
    assert score({"length": {"most": 5}}, [text], [[]]).components["length/n_words"] == n_words


def test_length_in_characters_is_that_of_the_composed_text() -> None:
    spec = {"length": {"most": 5, "unit": "characters"}}
    assert score(spec, [nfd("été 서울")], [[]]).components["length/n_characters"] == 6


def test_keywords_with_accents_are_whole_words() -> None:
    spec = {"coverage": {"keywords": ["été", "हिन्दी", "北京"]}}
    assert score(spec, ["don't", nfd("L’Été हिन्दी। 去北京")], [[], []]).total.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("said", "wanted"), [(-5, 5), ("3 5", 3.5), ("+", "*"), ("Ý", "Ỹ"), ("हिन्दी", "हिन्दु")]
)
def test_constraints_tell_values_apart_that_share_their_plain_words(said, wanted) -> None:
    for value, content in ((said, 0), (wanted, 1)):
        text = json.dumps({"x": value}, ensure_ascii=False)
        (checked,) = check_all(text, [{"check": "json", "values": {"x": wanted}}])
        assert checked.content == content


def test_invented_names_with_accents_are_unfaithful() -> None:
    example = {"prompts": ["name: Zoé"], "metadata": [{"slots": [("name", "Zoé")]}]}
    told = [
        score("data_to_text", [f"It is Zoé{rest}."], ["It is Zoé."], **example)
        for rest in ("", " Émile")
    ]
    assert [one.components["faithful"][0] for one in told] == [1, 0.5]


def test_constraints_tell_accented_words_apart() -> None:
    (checked,) = check_all('{"name": "Zoé"}', [{"check": "json", "values": {"name": "Zoë"}}])
    assert checked.content == 0
    (checked,) = check_all("Naïve café.", [{"check": "max_words", "n": 2}])
    assert checked.met == 1


@pytest.mark.parametrize("name", [*EVERY, "rouge2"])
def test_rules_of_another_name_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="no rules 'latin'"):
        load_reward({name: {"rules": "latin"}})


@given(st.text("abz 09'.éßÿ–“…€、。，？！：；\ufffdあんアン中国가힣", max_size=20))
def test_simple_text_has_the_same_words_by_the_quick_and_by_the_general_rule(text):
    assert scripts.is_simple(text)
    folded = fold(text)
    general = [caseless(word) for word in scripts.patterns().word.findall(folded.lower())]
    if scripts.is_latin(folded):
        general = reference_words(folded)
    assert _ruled_words(text) == general


@pytest.mark.parametrize("text", ["中\ufe00", "か\u3099", "각\u11a8", "ー", "ａ", "٣", "🙂", "я"])
def test_what_needs_properties_of_unicode_is_not_simple(text):
    assert not scripts.is_simple(text)
