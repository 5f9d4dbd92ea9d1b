import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

import textenv
from textenv.benchmark import agree
from textenv.benchmark.agreement.records import LENGTH
from textenv.errors import ConfigError
from textenv.rewards import RewardResult

WORDS = ["red", "green", "blue", "black", "white", "grey", "pink", "brown", "gold", "teal"]


def make_rows(seed=0, n_items=12, n_systems=6, noise=1.0):
    """Systems copy more or less of a reference; people rate how much, with noise."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n_items):
        reference = list(rng.permutation(WORDS))
        for s in range(n_systems):
            kept = int(np.clip(rng.normal(2 + s, 1), 1, 10))
            others = [f"x{k}" for k in range(rng.integers(1, 8))]
            quality = kept + noise * rng.normal()
            rows.append(
                {
                    "item": i,
                    "system": f"s{s}",
                    "prompt": f"say {i}",
                    "response": " ".join(reference[:kept] + others),
                    "references": [" ".join(reference)],
                    "quality": round(quality),
                    "other": round(quality + rng.normal()),
                    "worse": -kept,
                }
            )
    return rows


def by_reward(rating):
    return {row.reward: row for row in rating.rewards}


def column(rows, name):
    return np.array([float(row[name]) for row in rows])


def scores_of(rows, reward):
    return textenv.score(
        reward, [row["response"] for row in rows], [row["references"] for row in rows]
    ).total


@pytest.mark.parametrize("reward", ["rouge1", "chrf"])
def test_correlations_are_scipys_at_every_level(reward):
    rows = make_rows()
    found = agree(rows, reward, "quality", resamples=100)
    x, y = scores_of(rows, reward), column(rows, "quality")
    length = np.array([len(row["response"].split()) for row in rows], float)
    items, systems = column(rows, "item"), np.array([row["system"] for row in rows])
    levels = by_reward(found.ratings[0])[reward].levels

    def within(function, a, b):
        return np.mean([function(a[items == i], b[items == i]).statistic for i in range(12)])

    def between(function, a, b):
        means = [[v[systems == s].mean() for s in np.unique(systems)] for v in (a, b)]
        return function(*means).statistic

    for name, function in (("kendall", kendalltau), ("spearman", spearmanr)):
        pooled = function(x, y).statistic
        assert getattr(levels["pooled"], name).mean == pytest.approx(pooled, abs=1e-12)
        assert getattr(levels["within"], name).mean == pytest.approx(within(function, x, y))
        assert getattr(levels["systems"], name).mean == pytest.approx(between(function, x, y))
        xz, yz = function(x, length).statistic, function(y, length).statistic
        partial = (pooled - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
        assert getattr(levels["pooled"], f"{name}_without_length").mean == pytest.approx(partial)
    baseline = by_reward(found.ratings[0])[LENGTH].levels["pooled"].kendall
    assert baseline.mean == pytest.approx(kendalltau(length, y).statistic)
    assert (levels["within"].n, levels["pooled"].n, levels["systems"].n) == (12, 72, 6)


def test_pairwise_accuracy_is_that_of_a_plain_loop():
    rows = make_rows(1)
    found = agree(rows, "rouge1", "quality", resamples=100)
    row = by_reward(found.ratings[0])["rouge1"]
    x, y = scores_of(rows, "rouge1"), column(rows, "quality")

    def accuracy(threshold):
        shares = []
        for start in range(0, 72, 6):
            right = [
                (np.sign(x[i] - x[j]) * (abs(x[i] - x[j]) > threshold)) == np.sign(y[i] - y[j])
                for i in range(start, start + 6)
                for j in range(i + 1, start + 6)
            ]
            shares.append(np.mean(right))
        return np.mean(shares)

    assert row.pairwise_accuracy.mean == pytest.approx(accuracy(row.tie_threshold))
    differences = {abs(a - b) for a in x for b in x}
    assert row.pairwise_accuracy.mean == pytest.approx(max(map(accuracy, differences)))


def test_a_reward_that_people_contradict_stands_last():
    found = agree(make_rows(), ["rouge1", "chrf"], "worse")
    (rating,) = found.ratings
    assert (
        rating.rewards[0].levels["within"].kendall.mean
        > rating.rewards[-1].levels["within"].kendall.mean
    )
    assert "Against people's order: " in found.verdict
    assert "no reward is shown to agree with people within items" in found.verdict


def test_intervals_hold_the_value_of_all_texts():
    """Of 24 sets of texts, most intervals hold what a large one shows."""
    truth = agree(make_rows(99, n_items=400), "rouge1", "quality", resamples=100)
    target = by_reward(truth.ratings[0])["rouge1"].levels["within"].kendall.mean
    held = 0
    for seed in range(24):
        found = agree(make_rows(seed), "rouge1", "quality", resamples=100)
        low, high = by_reward(found.ratings[0])["rouge1"].levels["within"].kendall.ci95
        held += low <= target <= high
    assert held >= 20


def test_noise_is_told_from_a_good_reward_and_corrected_for():
    rng = np.random.default_rng(5)
    noise = {f"noise {k}": _scorer(rng.random(320)) for k in range(6)}
    rows = make_rows(n_items=40, n_systems=8)
    found = agree(rows, {"rouge1": "rouge1", **noise}, "quality")
    (rating,) = found.ratings
    assert rating.rewards[0].reward == "rouge1"
    pairs = {(pair.first, pair.second): pair for pair in rating.comparisons}
    assert len(pairs) == 8 * 7 / 2
    for pair in pairs.values():
        assert pair.p_holm >= pair.p
        if LENGTH not in (pair.first, pair.second):
            assert (pair.p_holm < 0.05) == ("rouge1" in (pair.first, pair.second))
    assert "better than every other reward" in found.verdict


def _scorer(values):
    def reward(episodes):
        return RewardResult(values[: len(episodes)])

    return reward


def test_annotators_are_compared_with_the_others():
    rows = make_rows()
    found = agree(rows, "rouge1", "quality,other", resamples=100)
    (rating,) = found.ratings
    assert rating.n_annotators == 2
    expected = kendalltau(column(rows, "quality"), column(rows, "other")).statistic
    assert rating.annotators.levels["pooled"].kendall.mean == pytest.approx(expected)
    assert "One annotator beside the others" in found.verdict


def test_several_ratings_stand_beside_each_other():
    rows = make_rows()
    found = agree(rows, "rouge1", ["quality", "worse"], level="pooled", resamples=100)
    expected = kendalltau(column(rows, "quality"), column(rows, "worse")).statistic
    assert found.between_ratings == (("quality", "worse", pytest.approx(expected)),)
    assert len(found.verdict.splitlines()) == 2


def test_rows_that_cannot_be_scored_count_for_no_reward():
    rows = make_rows()

    def half(episodes):
        valid = np.arange(len(episodes)) % 2 == 0
        return RewardResult(scores_of(rows, "rouge1"), valid=valid)

    found = agree(rows, {"half": half, "rouge1": "rouge1"}, "quality", resamples=100)
    assert (found.n_texts, found.left_out) == (36, 36)
    half_row, whole_row = (by_reward(found.ratings[0])[name] for name in ("half", "rouge1"))
    assert half_row.levels == whole_row.levels


def test_a_partial_correlation_is_of_the_rated_texts_alone():
    rows = make_rows()
    bare = [dict(row, quality=None) if i % 3 == 0 else row for i, row in enumerate(rows)]
    kept = [row for i, row in enumerate(rows) if i % 3]
    options = {"human": ["quality", "worse"], "resamples": 100, "level": "pooled"}
    found, expected = (agree(some, "rouge1", **options).ratings[0] for some in (bare, kept))
    for name in ("kendall", "kendall_without_length", "spearman_without_length"):
        values = [
            getattr(by_reward(one)["rouge1"].levels["pooled"], name).mean
            for one in (found, expected)
        ]
        assert values[0] == pytest.approx(values[1])


def test_without_systems_items_alone_are_drawn():
    rows = [{k: v for k, v in row.items() if k != "system"} for row in make_rows()]
    found = agree(rows, "rouge1", "quality", resamples=100)
    row = by_reward(found.ratings[0])["rouge1"]
    assert set(row.levels) == {"within", "pooled"}
    assert found.n_systems is None
    assert row.soft_pairwise_accuracy is None
    assert row.levels["within"].kendall.ci95[0] < row.levels["within"].kendall.mean


def test_texts_without_a_fellow_are_compared_over_all():
    rows = [dict(row, item=i) for i, row in enumerate(make_rows())]
    found = agree(rows, "rouge1", "quality", resamples=100)
    assert found.level == "pooled"
    assert "within" not in found.ratings[0].rewards[0].levels
    with pytest.raises(ConfigError, match="No item has two texts"):
        agree(rows, "rouge1", "quality", level="within")


def test_the_same_seed_gives_the_same_result():
    first, second, third = (
        agree(make_rows(), "rouge1", "quality", resamples=100, seed=seed).ratings
        for seed in (1, 1, 2)
    )
    assert first == second != third


def test_preferences_are_paid_more_or_not():
    rows = [
        {
            "prompt": str(i % 5),
            "response_a": "red green",
            "response_b": other,
            "references": "red green",
            "said": said,
        }
        for i, (other, said) in enumerate(
            [("red", "a")] * 6 + [("red", "b")] * 2 + [("red green", "tie")] * 2
        )
    ]
    found = agree(rows, "rouge1", "said")
    first = {row.reward: row for row in found.preferences}["rouge1"]
    assert first.accuracy.mean == 6 / 8
    assert first.accuracy_with_ties.mean == 8 / 10
    assert first.tied == 0
    assert "rouge1 pays the preferred text more in 75 %" in found.verdict


def test_a_tie_of_the_reward_counts_half():
    rows = [
        {"prompt": "p", "chosen": "red", "rejected": other, "references": "red"}
        for other in ("red", "blue")
    ]
    (first, _) = agree(rows, "rouge1").preferences
    assert (first.accuracy.mean, first.tied, first.accuracy_with_ties) == (0.75, 0.5, None)


@pytest.mark.parametrize(
    ("reward", "options", "message"),
    [
        ("rouge11", {}, "rouge1"),
        ([], {}, "Name at least one reward"),
        ({LENGTH: "rouge1"}, {}, "always stands beside"),
        ("rouge1", {"level": "sentence"}, "There is no level 'sentence'"),
    ],
)
def test_wrong_arguments_are_said(reward, options, message):
    with pytest.raises(textenv.TextEnvError, match=message):
        agree(make_rows(), reward, "quality", **options)


def test_systems_need_names_to_be_compared():
    rows = [dict(row, system="one") for row in make_rows()]
    with pytest.raises(ConfigError, match="Fewer than three systems are known"):
        agree(rows, "rouge1", "quality", level="systems")
