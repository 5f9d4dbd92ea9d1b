"""Laws of steered continuation, of the sets "reviews" and "stories", and of their rewards."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from textenv.datasets.generated.procedural import ProceduralDataset
from textenv.datasets.generated.reviews import ReviewsGenerator
from textenv.datasets.generated.stories import LINES, StoriesGenerator
from textenv.errors import ConfigError, DatasetError, RewardError, UnknownNameError
from textenv.examples import Episode, Example, Turn
from textenv.rewards import load_reward, score
from textenv.rewards.lexical.rouge import rouge_words
from textenv.rewards.tasks.continuation import OWN_WORDS, topic_of
from textenv.rewards.tasks.topics import TOPICS
from textenv.tasks.continuation import ContinueTask

TASK = ContinueTask()
REVIEW = "A farmer buys a boat.<br /><br />The film is  wonderful, and I loved every minute of it."
GENERATORS = {"reviews": (ReviewsGenerator, "sentiment"), "stories": (StoriesGenerator, "topic")}
CASES = [(name, level) for name in GENERATORS for level in ("easy", "medium", "hard")]


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def generated(request):
    name, level = request.param
    generator, reward = GENERATORS[name]
    data = ProceduralDataset(name, generator(level), TASK, "test")
    return name, level, reward, [data[i] for i in range(200)]


def rate(reward, examples, responses):
    return score(
        reward,
        responses,
        [example.references for example in examples],
        [TASK.opening(example)[0].text for example in examples],
        [example.metadata for example in examples],
    )


def sentiment_of(response, target="positive", prompt="", **options):
    """Returns the share that it earns of what a text in its own words can."""
    spec = {"sentiment": {"weight": 1.0, **options}}
    references = [("the film and its evening with a mother we love", "A.")]
    earned = score(spec, [response], references, [prompt], [{"target": target}]).total[0]
    return earned / OWN_WORDS


def test_a_text_is_cut_into_an_opening_and_its_continuation():
    example = ContinueTask(opening_words=6).example("x", {"text": REVIEW, "label": 1})
    assert example.prompt == "A farmer buys a boat. The"
    assert example.references == ("film is wonderful, and I loved every minute of it.",)
    assert example.metadata == {"target": "positive"}
    (turn,) = TASK.opening(example)
    assert turn.text == (
        "Continue this text so that it ends up positive.\n\nA farmer buys a boat. The"
    )
    assert turn.text[slice(*turn.cut)] == example.prompt
    assert TASK.candidates(example) == ()


def test_a_short_text_is_cut_in_the_middle():
    example = TASK.example("x", {"text": "one two three four five", "label": 0})
    assert (example.prompt, example.references) == ("one two", ("three four five",))


@pytest.mark.parametrize(
    ("label", "target"),
    [
        (0, "negative"),
        (1, "positive"),
        ("neg", "negative"),
        ("Positive", "positive"),
        (True, "positive"),
    ],
)
def test_labels_of_imdb_are_targets(label, target):
    example = TASK.example("x", {"text": REVIEW, "label": label})
    assert example.metadata["target"] == target


def test_the_tasks_target_overrides_the_rows_and_topics_are_asked_for_in_words():
    example = ContinueTask(target="negative").example("x", {"text": REVIEW, "label": 1})
    assert example.metadata["target"] == "negative"
    example = TASK.example("x", {"text": REVIEW, "target": "cooking"})
    assert TASK.opening(example)[0].text.startswith("Continue this text so that it turns to cook")


def test_a_row_may_bring_continuations_in_several_directions_as_candidates():
    ways = {"negative": "It is bad.", "positive": "It is good."}
    row = {"opening": "A film.", "continuation": ways, "target": "positive"}
    example = TASK.example("x", row)
    assert TASK.gold(example) == "It is good."
    assert TASK.candidates(example) == ("It is bad.", "It is good.")
    assert TASK.gold(ContinueTask(target="negative").example("x", row)) == "It is bad."
    with pytest.raises(DatasetError, match="no continuation towards 'cooking', only towards"):
        ContinueTask(target="cooking").example("x", row)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"text": REVIEW}, "neither a 'label' nor a 'target'"),
        ({"text": REVIEW, "label": -1}, "target of example 'row 3' is -1; use 0 or 1"),
        ({"label": 1}, "'row 3' has no text"),
        ({"text": "word", "label": 1}, "a single word"),
        ({"opening": "a", "label": 1}, "'row 3' has no continuation"),
        (
            {"opening": "a", "label": 1, "continuation": dict.fromkeys(["positive", *"abcd"], "b")},
            "in 5 directions; give 4",
        ),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_in_plain_words(row, words):
    with pytest.raises(DatasetError, match=re.escape(words)):
        TASK.example("row 3", row)


def test_arguments_that_cannot_work_are_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'positive'"):
        ContinueTask(target="positiv")
    for wrong in (0, True, "9"):
        with pytest.raises(ConfigError, match="opening_words"):
            ContinueTask(opening_words=wrong)
    for generator, _ in GENERATORS.values():
        with pytest.raises(UnknownNameError, match="Did you mean 'hard'"):
            generator("hart")
    for reward, enough in (("sentiment", 0), ("sentiment", 1.5), ("topic", 0), ("topic", 1.5)):
        with pytest.raises(ConfigError, match="enough"):
            load_reward({reward: {"enough": enough}})


def test_gold_is_the_only_candidate_that_gets_everything_and_silence_gets_nothing(generated):
    _, _, reward, examples = generated
    positions = []
    for example in examples:
        offered = TASK.candidates(example)
        assert len(set(offered)) == TASK.n_candidates == 4
        total = rate(reward, [example] * 4, offered).total
        assert total.max() == 1
        assert (total >= 0.8).sum() == 1
        positions.append(int(total.argmax()))
        assert offered[positions[-1]] == TASK.gold(example)
    # Standard deviation of a position's count among 200: 6.1.
    assert all(abs(positions.count(k) - 50) < 4 * 6.1 for k in range(4))
    assert rate(reward, examples, [""] * len(examples)).total.max() == 0


def test_no_review_looks_more_like_the_others_than_the_right_one_does(generated):
    name, _, _, examples = generated
    if name != "reviews":
        return

    def apart(one, other):
        one, other = Counter(one), Counter(other)
        return sum(((one - other) + (other - one)).values())

    central, long = 0.0, 0.0
    for example in examples:
        offered, gold = TASK.candidates(example), TASK.gold(example)
        distances = [sum(apart(text, other) for other in offered) for text in offered]
        best = [t for t, d in zip(offered, distances, strict=True) if d == min(distances)]
        central += (gold in best) / len(best)
        long += len(gold) == sorted(map(len, offered))[2]
    # Chance is 50, with a standard deviation of 6.
    assert central < 0.37 * 200
    assert long < 0.4 * 200


def test_copying_the_prompt_does_not_pay_even_where_it_leans_the_right_way(generated):
    _, _, reward, examples = generated
    copies = [TASK.opening(example)[0].text for example in examples]
    assert rate(reward, examples, copies).total.max() == 0
    assert rate(reward, examples, [e.prompt for e in examples]).total.max() == 0


def test_the_words_of_the_opening_in_another_order_do_not_pay(generated):
    _, _, reward, examples = generated
    backwards = [" ".join(reversed(e.prompt.split())) for e in examples]
    by_length = [" ".join(sorted(e.prompt.split(), key=len)) for e in examples]
    for hack in (backwards, by_length):
        assert rate(reward, examples, hack).total.max() == 0


def test_words_of_the_opening_among_some_new_ones_are_honest():
    prompt = "Everyone had called it wonderful. The film is about a farmer who moves to Rome"
    text = "and the film about the farmer is wonderful, because the music was lovely."
    assert sentiment_of(text, prompt=prompt) == pytest.approx(1)


def test_the_argument_target_keeps_gold_ideal_on_generated_rows():
    task = ContinueTask(target="negative")
    data = ProceduralDataset("reviews", ReviewsGenerator(), task)
    examples = [data[i] for i in range(100)]
    assert (rate("sentiment", examples, [task.gold(e) for e in examples]).total == 1).all()


def test_openings_lean_as_the_difficulty_says():
    def lean(level):
        data = ProceduralDataset("reviews", ReviewsGenerator(level), TASK)
        examples = [data[i] for i in range(100)]
        totals = score(
            {"sentiment": 1.0},
            [f"We heard of it and then went. {e.prompt}" for e in examples],
            ["x"] * 100,
            metadata=[e.metadata for e in examples],
        )
        return totals.components["sentiment/tone"].mean()

    assert lean("hard") < lean("medium") + 0.05 < lean("easy") - 0.3


@pytest.mark.parametrize("name", GENERATORS)
def test_the_opening_decides_the_split_and_hardly_ever_repeats(name):
    generator = GENERATORS[name][0]()
    data = ProceduralDataset(name, generator, TASK)
    assert len({data[i].prompt for i in range(3000)}) == 3000
    content, row = generator.sample(np.random.default_rng(1))
    assert TASK.opening(TASK.example("x", row))[0].text.endswith(content)


def test_every_line_of_a_topic_has_three_words_of_it_and_none_of_another():
    assert set(LINES) == set(TOPICS)
    for topic, lines in LINES.items():
        for line in lines:
            found = {word: topic_of(word) for word in rouge_words(line) if topic_of(word)}
            assert len(found) >= 3
            assert set(found.values()) == {topic}, line


def test_no_word_belongs_to_two_topics():
    words = [word for vocabulary in TOPICS.values() for word in vocabulary]
    assert len(words) == len(set(words))


def test_sentiment_follows_vader_and_saturates():
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    text = "The film is good, and we went to see it with my mother."
    compound = SentimentIntensityAnalyzer().polarity_scores(text)["compound"]
    assert 0.3 < compound < 0.6
    assert sentiment_of(text) == pytest.approx(compound / 0.6)
    assert sentiment_of(text, enough=0.3) == pytest.approx(1)
    assert sentiment_of(text, "negative") == 0
    assert sentiment_of("The film is bad, and we left it before my mother did.", "negative") > 0.5


@pytest.mark.parametrize(
    "hack",
    [
        "great",
        "great great great great great great great great great great",
        "great wonderful excellent superb amazing brilliant lovely happy perfect joy",
        "Great. Wonderful. Excellent. Superb. Amazing. Brilliant. Lovely. Happy. Perfect. Joy.",
        "Film great actor wonderful ending superb story table lamp green wood chair",
        "I love it. " * 10,
    ],
)
def test_lists_and_repetition_of_praise_do_not_pay(hack):
    assert sentiment_of(hack) < 0.35
    assert sentiment_of("I love it, and it was a great evening for all of us.") == pytest.approx(1)


@pytest.mark.parametrize(
    ("response", "share"),
    [
        ("I love the film, and it was a great evening with my mother.", 1.0),
        ("I love the film, and it was a great evening with my", 0.25),
        # Of 13 groups of three words three come back, and one may; of 14 pairs 10 are distinct.
        (
            "a lovely and charming film of a mother, it is a lovely and charming film.",
            (1 - 4 * 2 / 13) * (10 / 14 / 0.75),
        ),
        ("It is all very lovely here, and we had a great time.", 1 / 3),
        ("It is all very lovely here, and we had a great evening.", 2 / 3),
    ],
)
def test_what_breaks_off_loops_or_fits_nothing_earns_a_part(response, share):
    assert sentiment_of(response) == pytest.approx(share)


@pytest.mark.parametrize(
    "denial",
    ["It is not true that", "It isn't the case that", "It is false that", "Nobody could say that"],
)
def test_a_sentiment_that_is_denied_does_not_pay(denial):
    praise = "we love the film, and it was a great evening with my mother."
    assert sentiment_of(praise) == pytest.approx(1)
    assert sentiment_of(f"{denial} {praise}") == 0


def test_a_turn_that_is_cut_is_unfinished_even_after_a_full_stop():
    example = Example("x", "A film", ("It is lovely.",), {"target": "positive"})
    turn = Turn("assistant", "It is a lovely film, and we had a great time.")
    ended, cut = (Episode(example, (turn,), reason) for reason in ("end_of_turn", "max_new_tokens"))
    totals = load_reward("sentiment")([ended, cut]).total
    assert totals[1] == pytest.approx(totals[0] / 4)
    assert totals[0] > 0.2


STOCK = {
    "positive": [
        "I loved every minute of it, and the acting was wonderful.",
        "and looks for Anna, a cousin nobody has seen since May. I found the acting superb, and it "
        "runs for 90 minutes. I enjoyed every minute of it.",
    ],
    "negative": [
        "I hated every minute of it, and the acting was terrible.",
        "and looks for Anna, a cousin nobody has seen since May. I found the acting dreadful, and "
        "it runs for 90 minutes. I regret every minute that I gave to it.",
    ],
}
TEMPLATES = {
    "positive": "{title} is wonderful, and I enjoyed every minute of it in {place}.",
    "negative": "{title} is terrible, and I regret every minute that I gave to it in {place}.",
    **{topic: lines[0] + " It was {title} in {place}." for topic, lines in LINES.items()},
}


def lazy_texts(example):
    """What one rule makes of a prompt: constants for each target, templates, keywords, copies."""
    target, words = example.metadata["target"], example.prompt.split()
    named = [word.strip(".,") for word in words if word[0].isupper()]
    slots = {"title": " ".join(named[:2]), "place": named[-1], "other": named[-1]}
    slots |= {word: word.lower() for word in ("He", "he", "His", "his")}
    constants = [*STOCK.get(target, ()), *LINES.get(target, ())]
    constants += [" ".join(pair) for pair in pairwise(constants)]
    charged = "great superb lovely love" if target == "positive" else "awful terrible bad hate"
    known = " ".join(sorted(TOPICS[target])[:12]) if target in TOPICS else charged
    texts = [text.format_map(slots) for text in (*constants, TEMPLATES[target])]
    denied = [f"It is not true that {text[0].lower()}{text[1:]}" for text in texts[:2]]
    return [
        *texts,
        *denied,
        known,
        f"{known}. " * 4,
        example.prompt,
        f"{example.prompt} {texts[0]}",
    ]


def test_no_rule_from_prompt_to_text_earns_half(generated):
    _, _, reward, examples = generated
    lazy = [lazy_texts(example) for example in examples]
    for strategy in range(min(map(len, lazy))):
        earned = rate(reward, examples, [texts[strategy] for texts in lazy]).total.mean()
        assert earned <= 0.5, lazy[0][strategy]


def test_the_real_continuation_of_another_opening_earns_less_than_half(generated):
    _, _, reward, examples = generated
    one = {example.metadata["target"]: TASK.gold(example) for example in examples}
    other = [one[example.metadata["target"]] for example in examples]
    assert rate(reward, examples, other).total.mean() <= 0.5


@pytest.mark.parametrize(
    ("response", "low"),
    [
        ("She baked bread in the oven and went to bed after a long day.", False),
        ("bake bread oven flour dough butter sugar recipe kitchen", True),
        ("The bread and the oven and the rain and the goal and the bank and the song.", True),
        ("She went to bed after a long day and slept until the evening.", True),
    ],
)
def test_topic_wants_enough_words_of_one_topic_in_sentences(response, low):
    row = [("she went to bed", "A.")], ["She had bread."], [{"target": "cooking"}]
    total = score("topic", [response], *row).total[0]
    assert total < 0.35 * OWN_WORDS if low else total == pytest.approx(OWN_WORDS)


def test_a_target_that_a_reward_does_not_know_is_an_error():
    for reward, target in (("sentiment", "cooking"), ("topic", "positive"), ("sentiment", None)):
        with pytest.raises(RewardError, match="needs a target among"):
            score(reward, ["a"], ["x"], metadata=[{"target": target}])


def test_importing_textenv_does_not_load_vader():
    code = "import sys, textenv, textenv.tasks.continuation; print('vaderSentiment' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
