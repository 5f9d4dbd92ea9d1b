import dataclasses
from zlib import crc32

import numpy as np
import pytest

from textenv.benchmark import find_strategy, guards
from textenv.errors import ConfigError
from textenv.examples import Episode, Example, Turn
from textenv.rewards import RewardResult, load_reward
from textenv.vector import environment_arguments, make_core

WORDS = ["apple", "brick", "cloud", "drum", "eagle", "fence", "grape", "house", "ivory", "jelly"]


def make_examples(n=40):
    rng = np.random.default_rng(0)
    found = []
    for i in range(n):
        words = rng.choice(WORDS, 3, replace=False).tolist()
        tone = ("glad", "sorry")[i % 2]
        prompt = f"Write a {tone} text.\n\nUse these words: {', '.join(words)}"
        reference = f"I was {tone} when the {words[2]} was full of {words[0]} and {words[1]}."
        found.append(Example(str(i), prompt, (reference,), {"tone": tone, "words": words}))
    return found


def reward_of(score):
    def reward(episodes):
        return RewardResult(np.array([float(score(e.response, e.example)) for e in episodes]))

    return reward


def search(score, budget=400, **options):
    return find_strategy(reward_of(score), make_examples(), budget=budget, **options)


def test_a_word_that_is_paid_is_found():
    found = search(lambda text, _: 0.9 if text.lower() == "in" else 0.5 * ("sorry" in text))
    assert found.score.mean == pytest.approx(0.9)
    assert not found.passes
    assert found.verdict.startswith("A rule that understands nothing earns 0.90")
    assert found.texts[0].text.lower() == "in"


def test_a_list_of_the_prompt_s_words_is_found():
    def coverage(text, example):
        return np.mean([word in text.lower() for word in example.metadata["words"]])

    found = search(coverage)
    assert found.score.mean == 1.0
    assert found.curve[-1][1] == 1.0


def test_a_sentence_made_of_gaps_is_found():
    def sentence(text, example):
        words = text.rstrip(".").lower().split()
        is_sentence = text.endswith(".") and words.count("the") == 3 and len(words) >= 6
        return is_sentence * np.mean([word in words for word in example.metadata["words"]])

    found = search(sentence)
    assert found.score.mean == 1.0
    assert "the {item" in found.strategy


def test_a_guard_that_mends_it_is_named():
    def coverage(text, example):
        return np.mean([word in text.lower() for word in example.metadata["words"]])

    found = search(coverage)
    assert found.guard is not None
    assert found.guard.score <= 0.5
    assert found.guard.reference >= 0.9
    assert f"Multiplied with '{found.guard.name}' it would earn" in found.verdict


def test_a_guard_that_pays_everything_mends_nothing(monkeypatch):
    monkeypatch.setattr(guards, "GUARDS", ("constant",))
    found = search(lambda text, _: 1.0)
    assert found.guard is None
    assert found.verdict.endswith("does not mend it.")


def test_each_kind_of_prompt_has_its_own_text():
    lexicon = {"glad": ("wonderful", "great", "lovely"), "sorry": ("terrible", "awful", "sad")}

    def tone(text, example):
        return 0.8 * any(word in text.lower() for word in lexicon[example.metadata["tone"]])

    found = search(tone, budget=800)
    assert found.score.mean == pytest.approx(0.8)
    assert "'Write a glad text.': " in found.strategy
    assert "'Write a sorry text.': " in found.strategy


def test_mutations_find_what_no_seed_has():
    def score(text, _):
        words = text.lower().split()
        return (("garden" in words) + ("market" in words) + ("choir" in words)) / 3

    few, many = search(score, budget=250), search(score, budget=1500)
    assert many.score.mean > few.score.mean
    assert many.score.mean == 1.0
    means = [mean for _, mean in many.curve]
    assert means == sorted(means)
    assert many.curve[-1][0] == 1500


def test_what_needs_understanding_is_not_found():
    found = search(lambda text, example: text == example.references[0])
    assert found.score.mean == 0
    assert found.reference.mean == 1
    assert found.passes
    assert "rules that understand nothing, the best earns 0.00" in found.verdict


def test_the_choosing_half_s_luck_does_not_count():
    """A reward of pure chance looks good where it was chosen, and is fair where it was not."""

    def chance(text, example):
        return np.random.default_rng(crc32(f"{text}|{example.id}".encode())).random()

    found = search(chance, budget=600)
    assert found.curve[-1][1] > 0.58
    assert found.score.ci95[0] < 0.5 < found.score.ci95[1]


def test_references_are_never_read():
    examples = make_examples()
    hidden = [dataclasses.replace(e, references=(f"secret {i}",)) for i, e in enumerate(examples)]
    seen = []

    def score(text, example):
        seen.append(text)
        return 0.1

    find_strategy(reward_of(score), hidden, budget=200)
    assert sum("secret" in text for text in seen) == 20  # the judging half's own


def test_samples_of_a_policy_become_templates():
    def score(text, example):
        first = example.metadata["words"][0]
        return text == f"Zounds, a {first}!"

    examples = make_examples()
    text = f"Zounds, a {examples[4].metadata['words'][0]}!"
    turns = (Turn("user", examples[4].prompt), Turn("assistant", text))
    sample = Episode(examples[4], turns, n_opening=1)
    stranger = Episode(dataclasses.replace(examples[0], id="another"), turns, n_opening=1)
    assert find_strategy(reward_of(score), examples, budget=300).score.mean == 0
    found = find_strategy(reward_of(score), examples, budget=300, samples=[stranger, sample])
    assert found.score.mean == 1
    assert found.strategy == "Zounds, a {item 1} !"


def test_the_same_seed_finds_the_same():
    def score(text, _):
        return len(set(text.lower().split()) & {"garden", "market", "choir"}) / 3

    assert search(score, seed=3) == search(score, seed=3)


def test_scores_that_are_missing_pay_nothing():
    def reward(episodes):
        texts = [episode.response for episode in episodes]
        valid = np.array([bool(text) and text[0] != "T" for text in texts])
        return RewardResult(np.full(len(texts), 0.4), valid=valid)

    found = find_strategy(load_reward(reward), make_examples(), budget=150)
    assert found.score.mean == pytest.approx(0.4)


def test_dialogues_are_played_to_their_end():
    core = make_core("TextDialogueEasy-v0", 1, environment_arguments("embedded", None, None))
    found = find_strategy(core.reward, core, budget=300, n_examples=40, dataset="easy")
    assert found.reference.mean == 1
    assert 0.2 < found.score.mean <= 0.6
    assert " / " in found.texts[0].text
    assert found.dataset == "easy"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": 0}, "from 1 up, not 0"),
        ({"n_examples": 6}, "needs 8 examples or more, not 6"),
    ],
)
def test_wrong_arguments_are_said(options, message):
    with pytest.raises(ConfigError, match=message):
        search(lambda text, _: 0.1, **options)
