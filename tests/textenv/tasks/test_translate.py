"""Generated sentence pairs are translations, and the task reads every usual layout of rows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from textenv.datasets import load_dataset
from textenv.datasets.base import split_of
from textenv.datasets.generated import phrase_words, phrases
from textenv.datasets.generated.phrases import ChinesePhrases, GermanPhrases, PhrasesGenerator
from textenv.datasets.generated.procedural import ProceduralDataset
from textenv.errors import ConfigError, DatasetError, UnknownNameError
from textenv.tasks.translate import TranslateTask

# Written by hand: subject, tense, denied, verb, determiner, adjective, noun, place, time, fronted,
# mood -> the three sentences.
_HAND = [
    (
        ("Anna", "past", False, "find", "a", "red", "hat", "in the park", "yesterday", True),
        "statement",
        "yesterday Anna found a red hat in the park",
        "gestern hat Anna im Park einen roten Hut gefunden",
        "昨天安娜在公园里找到了一顶红色的帽子",
    ),
    (
        ("I", "present", False, "need", "this", "new", "key", None, "today", False),
        "statement",
        "I need this new key today",
        "ich brauche heute diesen neuen Schlüssel",
        "我今天需要这把新钥匙",
    ),
    (
        ("you", "future", True, "sell", "the", "old", "car", None, "next week", False),
        "statement",
        "you will not sell the old car next week",
        "du wirst das alte Auto nächste Woche nicht verkaufen",
        "你下周不会卖那辆旧汽车",
    ),
    (
        ("the doctor", "want", False, "buy", "two", "white", "cup", "at the market", None, False),
        "statement",
        "the doctor wants to buy two white cups at the market",
        "der Arzt möchte auf dem Markt zwei weiße Tassen kaufen",
        "医生想在市场上买两个白色的杯子",
    ),
    (
        ("my parents", "past", True, "buy", "a", "big", "lamp", None, "last year", False),
        "statement",
        "my parents did not buy a big lamp last year",
        "meine Eltern haben letztes Jahr keine große Lampe gekauft",
        "我父母去年没有买大灯",
    ),
    (
        ("the boy", "present", True, "repair", "the", "small", "boat", None, "today", True),
        "statement",
        "today the boy does not repair the small boat",
        "heute repariert der Junge das kleine Boot nicht",
        "今天那个男孩不修那条小船",
    ),
    (
        ("we", "past", False, "draw", "many", "strange", "book", "at home", None, False),
        "statement",
        "we drew many strange books at home",
        "wir haben zu Hause viele seltsame Bücher gezeichnet",
        "我们在家里画了很多奇怪的书",
    ),
    (
        ("she", "past", False, "see", "a", "old", "bicycle", "at the lake", "last summer", False),
        "whether",
        "did she see an old bicycle at the lake last summer",
        "hat sie letzten Sommer am See ein altes Fahrrad gesehen",
        "她去年夏天在湖边看见了一辆旧自行车",
    ),
    (
        ("you", "want", True, "clean", "this", "black", "table", None, "tomorrow", False),
        "why",
        "why do you not want to clean this black table tomorrow",
        "warum möchtest du diesen schwarzen Tisch morgen nicht putzen",
        "你明天为什么不想擦这张黑色的桌子",
    ),
    (
        ("Tom", "past", False, "lose", "the", "green", "bag", None, "yesterday", False),
        "where",
        "where did Tom lose the green bag yesterday",
        "wo hat Tom gestern die grüne Tasche verloren",
        "汤姆昨天在哪里丢了那个绿色的包",
    ),
    (
        ("who", "future", False, "look for", "five", "blue", "pen", "in Berlin", "tomorrow", False),
        "who",
        "who will look for five blue pens in Berlin tomorrow",
        "wer wird morgen in Berlin fünf blaue Stifte suchen",
        "谁明天会在柏林找五支蓝色的笔",
    ),
]


def _named(words, name):
    return next(w for w in words if w[0] == name) if name else None


def _clause(subject, tense, negated, verb, determiner, adjective, noun, place, time, fronted):
    subjects = (*phrase_words.SUBJECTS, phrase_words.WHO)
    times = itertools.chain(*phrase_words.TIMES.values(), phrase_words.HABITS)
    return phrases._Clause(
        subject=next(s for s in subjects if s.spelled[0] == subject),
        verb=next(v for v in phrase_words.VERBS if v.english[0] == verb),
        tense=tense,
        negated=negated,
        noun=next(n for n in phrase_words.NOUNS if n.english[0] == noun),
        determiner=determiner,
        adjective=_named(phrase_words.ADJECTIVES, adjective),
        place=_named([spelled for spelled, _ in phrase_words.PLACES], place),
        time=_named(list(times), time),
        fronted=fronted,
    )


@pytest.mark.parametrize(("plan", "mood", "english", "german", "chinese"), _HAND)
def test_a_plan_is_spelled_as_a_person_would_say_it(plan, mood, english, german, chinese):
    assert phrases._spell(_clause(*plan), mood) == (english, german, chinese)


@pytest.mark.parametrize(
    ("noun", "determiner", "tense", "reason", "expected"),
    [
        (
            "hat",
            "a",
            "past",
            "cheap",
            (
                " because it was very cheap",
                ", weil er sehr billig war",
                "，因为它很便宜",
            ),
        ),
        (
            "lamp",
            "the",
            "present",
            "useful",
            (" because it is very useful", ", weil sie sehr nützlich ist", "，因为它很有用"),
        ),
        (
            "car",
            "two",
            "want",
            "heavy",
            (" because they are too heavy", ", weil sie zu schwer sind", "，因为它们太重了"),
        ),
        (
            "car",
            "this",
            "past",
            "no time",
            (" because I had no time", ", weil ich keine Zeit hatte", "，因为我没有时间"),
        ),
        (
            "car",
            "this",
            "future",
            "sick",
            (" because I am sick", ", weil ich krank bin", "，因为我生病了"),
        ),
    ],
)
def test_the_pronoun_of_a_reason_agrees_with_what_it_stands_for(
    noun, determiner, tense, reason, expected
):
    clause = _clause("I", tense, False, "buy", determiner, None, noun, None, None, False)
    assert phrases._because(clause, phrase_words.REASONS[reason]) == expected


def _rows(generator, count=4000):
    rng = np.random.default_rng(5)
    return [generator.sample(rng) for _ in range(count)]


def test_sentences_have_6_to_14_words_and_close_alike():
    for content, row in _rows(GermanPhrases()):
        assert content == row["source"]
        assert 6 <= len(row["source"].split()) <= 14
        assert row["source"][0].isupper()
        assert row["target"][0].isupper()
        assert row["source"][-1] == row["target"][-1]
    for _, row in _rows(ChinesePhrases()):
        assert {"。": ".", "？": "?"}[row["target"][-1]] == row["source"][-1]
        assert " " not in row["target"]
        assert "大大" not in row["target"]


def test_an_english_sentence_has_one_translation():
    for generator in (GermanPhrases(), ChinesePhrases()):
        seen: dict[str, str] = {}
        for content, row in _rows(generator, 10_000):
            assert seen.setdefault(content, row["target"]) == row["target"]


def test_there_are_more_than_a_million_sentences_in_few_words():
    rows = _rows(GermanPhrases(), 10_000)
    # 10^4 draws from 10^6 equally likely sentences would repeat about 50 times.
    assert len({content for content, _ in rows}) > 9_950
    for side in ("source", "target"):
        words = {word.strip(".,?").lower() for _, row in rows for word in row[side].split()}
        assert len(words) <= 350


def test_splits_share_no_sentence_and_examples_are_pure():
    task = TranslateTask()
    splits = [
        ProceduralDataset("phrases", GermanPhrases(), task, split=split)
        for split in ("train", "validation", "test")
    ]
    prompts = [{dataset[i].prompt for i in range(300)} for dataset in splits]
    assert all(a.isdisjoint(b) for a, b in itertools.combinations(prompts, 2))
    assert splits[0][17] == splits[0][17]


def test_both_languages_show_the_same_english_sentences():
    german, chinese = _rows(GermanPhrases(), 50), _rows(ChinesePhrases(), 50)
    assert [content for content, _ in german] == [content for content, _ in chinese]


def test_the_opening_names_the_language_and_only_the_source_may_be_cut():
    task = TranslateTask(target_language="zh")
    (turn,) = task.opening(task.example("a", {"source": "Good day.", "target": "你好。"}))
    assert turn.text == "Translate to Chinese: Good day."
    assert turn.text[slice(*turn.cut)] == "Good day."


@pytest.mark.parametrize(
    ("code", "name"), [("zh-CN", "Chinese"), ("pt_BR", "Portuguese"), ("tlh", "tlh")]
)
def test_a_language_code_is_named_where_it_is_known(code, name):
    task = TranslateTask(target_language=code)
    (turn,) = task.opening(task.example("a", {"source": "Hi.", "target": "x"}))
    assert turn.text == f"Translate to {name}: Hi."


def test_rows_in_the_layout_of_wmt_follow_the_direction_of_the_task():
    row = {"translation": {"en": "Good day.", "de": "Guten Tag."}}
    example = TranslateTask("de", "en").example("a", row)
    assert (example.prompt, example.references) == ("Guten Tag.", ("Good day.",))
    with pytest.raises(DatasetError, match="has no 'fr', only en, de"):
        TranslateTask("en", "fr").example("a", row)


def test_a_translation_may_be_just_the_target():
    example = TranslateTask().example("a", {"source": "Good day.", "translation": "Guten Tag."})
    assert example.references == ("Guten Tag.",)


def test_the_languages_of_a_row_win_over_those_of_the_task():
    row = {"source": "Hi.", "target": ["Salut."], "target_language": "fr"}
    example = TranslateTask("en", "de").example("a", row)
    assert example.metadata == {"source_language": "en", "target_language": "fr"}
    assert TranslateTask().gold(example) == "Salut."


def test_every_reference_is_kept():
    row = {"source": "Hello.", "target": ["Hallo.", "Guten Tag."]}
    assert TranslateTask().example("a", row).references == ("Hallo.", "Guten Tag.")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"target": "Hallo."}, "source"),
        ({"source": " ", "target": "Hallo."}, "source"),
        ({"source": "Hello."}, "target"),
        ({"source": "Hello.", "target": []}, "target"),
        ({"source": "Hello.", "target": True}, "target"),
    ],
)
def test_a_row_without_its_texts_is_refused(row, message):
    with pytest.raises(DatasetError, match=message):
        TranslateTask().example("a", row)


def test_a_language_must_be_a_code():
    with pytest.raises(ConfigError, match="target_language"):
        TranslateTask("en", "")


_PAIRS = list(itertools.permutations(("en", "de", "zh"), 2))


@pytest.mark.parametrize(("source", "target"), _PAIRS)
def test_one_set_serves_every_direction(source, target):
    data = ProceduralDataset("phrases", PhrasesGenerator(), TranslateTask(source, target), "train")
    known = {row[source]: row for row in _train_rows()}
    for i in range(50):
        example = data[i]
        assert example.references == (known[example.prompt][target],)


def _train_rows(count=50):
    """Draws the rows of the training split as the dataset does: until one belongs to it."""
    for i in range(count):
        rng = np.random.default_rng([i, 0])
        content, row = PhrasesGenerator().sample(rng)
        while split_of(content) != "train":
            content, row = PhrasesGenerator().sample(rng)
        yield row["translation"]


def test_the_english_sentence_decides_the_split_in_every_direction():
    def english(split, source, target):
        task = TranslateTask(source, target)
        data = ProceduralDataset("phrases", PhrasesGenerator(), task, split)
        examples = [data[i] for i in range(60)]
        sentences = {e.prompt if source == "en" else e.references[0] for e in examples}
        assert {split_of(sentence) for sentence in sentences} == {split}
        return sentences

    directions = (("en", "de"), ("de", "en"), ("zh", "en"))
    train = set.union(*(english("train", *pair) for pair in directions))
    test = set.union(*(english("test", *pair) for pair in directions))
    assert not train & test
    assert english("test", "de", "en") == english("test", "zh", "en") == english("test", "en", "de")


@pytest.mark.parametrize("difficulty", ["easy", "medium", "hard"])
def test_no_two_sentences_share_a_translation(difficulty):
    rows = [row["translation"] for _, row in _rows(PhrasesGenerator(difficulty), 2000)]
    sentences = len({row["en"] for row in rows})
    assert sentences >= 1990
    for code in ("de", "zh"):
        assert len({row[code] for row in rows}) == sentences


def test_words_that_english_tells_apart_are_told_apart_in_every_language():
    times = {time for times in phrase_words.TIMES.values() for time in times}
    lists = {
        "adjectives": list(phrase_words.ADJECTIVES),
        "places": [spelled for spelled, _ in phrase_words.PLACES],
        "times": list(times | set(phrase_words.HABITS)),
        "reasons": [reason.spelled for reason in phrase_words.REASONS.values()],
        "nouns": [(n.english[0], n.german[0], n.chinese[1]) for n in phrase_words.NOUNS],
        "verbs": [(v.english[0], v.german[4], v.chinese) for v in phrase_words.VERBS],
    }
    for name, words in lists.items():
        for language in range(3):
            assert len({word[language] for word in words}) == len(words), (name, language)


@pytest.mark.parametrize(("difficulty", "fewest", "most"), [("easy", 4, 8), ("hard", 14, 24)])
def test_difficulty_sets_the_length(difficulty, fewest, most):
    lengths = [len(text.split()) for text, _ in _rows(PhrasesGenerator(difficulty), 500)]
    assert fewest <= min(lengths) <= max(lengths) <= most


def test_a_hard_sentence_gives_a_reason_and_joins_two_clauses():
    for text, row in _rows(PhrasesGenerator("hard"), 200):
        assert " because " in text
        assert " and " in text or ", but " in text
        assert ", weil " in row["translation"]["de"]
        assert "，因为" in row["translation"]["zh"]


def test_the_two_old_sets_take_the_same_sentences_as_the_new_one():
    new = [row["translation"] for _, row in _rows(PhrasesGenerator(), 50)]
    for code, generator in (("de", GermanPhrases()), ("zh", ChinesePhrases())):
        rows = [row for _, row in _rows(generator, 50)]
        assert [(row["source"], row["target"]) for row in rows] == [
            (row["en"], row[code]) for row in new
        ]


@pytest.mark.parametrize(
    ("path", "source", "target"),
    [("phrases-en-de", "en", "zh"), ("phrases-en-de", "de", "en"), ("phrases-en-zh", "en", "de")],
)
def test_a_set_of_one_direction_refuses_a_task_of_another(path, source, target):
    task = TranslateTask(source, target)
    with pytest.raises(ConfigError, match='dataset="phrases" has every direction'):
        load_dataset(path, task, "train")
    example = load_dataset("phrases", task, "train")[0]
    assert example.metadata == {"source_language": source, "target_language": target}


def test_a_set_of_one_direction_takes_its_own_by_any_code_of_the_languages():
    for path, source, target in (
        ("phrases-en-de", "en", "de"),
        ("phrases-en-zh", "en_GB", "zh-CN"),
    ):
        example = load_dataset(path, TranslateTask(source, target), "train")[0]
        assert example.metadata["target_language"] == target[:2]


def test_an_unknown_difficulty_is_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'hard'"):
        GermanPhrases("hardd")
