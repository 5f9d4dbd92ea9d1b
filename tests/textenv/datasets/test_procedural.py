"""Laws of generated datasets, for the machinery and for the sets "news" and "facts"."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pytest

from textenv.datasets.base import SPLITS, split_of
from textenv.datasets.generated.facts import FactsGenerator
from textenv.datasets.generated.news import NewsGenerator
from textenv.datasets.generated.procedural import Picker, ProceduralDataset
from textenv.errors import ConfigError, DatasetError, UnknownNameError
from textenv.tasks.qa import QATask
from textenv.tasks.summarize import SummarizeTask

SETS = {"news": (NewsGenerator(), SummarizeTask()), "facts": (FactsGenerator(), QATask())}
GOLDEN = {
    "news": "a3002743db33e1ce",
    "facts": "82ae36326a213ecc",
}


def dataset(name, split="train", seed=0, size=1_000_000):
    generator, task = SETS[name]
    return ProceduralDataset(name, generator, task, split, seed, size)


def prompts(data, n):
    return [data.task.opening(data[i])[-1].text for i in range(n)]


@pytest.mark.parametrize("name", SETS)
def test_items_are_the_same_on_every_machine(name):
    items = [dataset(name, split, seed)[i] for split in SPLITS for seed in (0, 7) for i in (0, 5)]
    digest = hashlib.blake2b(repr(items).encode(), digest_size=8).hexdigest()
    assert digest == GOLDEN[name]


@pytest.mark.parametrize("name", SETS)
def test_an_item_does_not_depend_on_what_was_read_before(name):
    data = dataset(name)
    forwards = [data[i] for i in range(20)]
    assert [dataset(name)[i] for i in reversed(range(20))] == forwards[::-1]


@pytest.mark.parametrize("name", SETS)
def test_splits_share_no_prompt_whatever_the_seed(name):
    train = {text for seed in (0, 1) for text in prompts(dataset(name, "train", seed), 2000)}
    validation = set(prompts(dataset(name, "validation"), 500))
    test = set(prompts(dataset(name, "test"), 500))
    assert not train & validation
    assert not train & test
    assert not validation & test


@pytest.mark.parametrize("name", SETS)
def test_what_decides_the_split_is_shown_to_the_agent(name):
    generator, task = SETS[name]
    for i in range(200):
        content, row = generator.sample(np.random.default_rng([i]))
        assert content in task.opening(task.example("x", row))[-1].text
        assert len(content) > 100  # all of the document or context, not just a word of it


@pytest.mark.parametrize("name", SETS)
def test_an_item_lies_in_the_split_that_its_content_hashes_to(name):
    for split in SPLITS:
        for i in range(50):
            example = dataset(name, split)[i]
            assert split_of(example.metadata.get("context", example.prompt)) == split


@pytest.mark.parametrize("name", SETS)
def test_prompts_hardly_ever_repeat(name):
    assert len(set(prompts(dataset(name), 20_000))) >= 19_980


@pytest.mark.parametrize("name", SETS)
def test_neighbouring_seeds_give_unrelated_streams(name):
    assert not set(prompts(dataset(name, seed=0), 2000)) & set(prompts(dataset(name, seed=1), 2000))


def test_large_seeds_differ_from_their_low_32_bits():
    assert dataset("news", seed=5)[1] != dataset("news", seed=5 + 2**32)[1]
    assert dataset("news", seed=5)[1].prompt != dataset("news", seed=5 + 2**32)[0].prompt


def test_ids_name_dataset_split_seed_and_index():
    assert dataset("news", "test", 3)[17].id == "news/test/3/17"


def test_a_dataset_ends_at_its_size():
    data = dataset("facts", size=3)
    assert len(data) == 3
    assert [example.id for example in data] == [f"facts/train/0/{i}" for i in range(3)]
    with pytest.raises(IndexError, match="from 0 to 2"):
        data[3]
    with pytest.raises(IndexError):
        data[-1]


def test_arguments_that_cannot_work_are_refused_at_once():
    with pytest.raises(UnknownNameError, match="Did you mean 'train'"):
        dataset("news", "trian")
    with pytest.raises(ConfigError, match="seed"):
        dataset("news", seed=-1)
    with pytest.raises(ConfigError, match="size"):
        dataset("news", size=0)


class OneRow:
    """A generator that has a single content, which hashes to one split only."""

    def sample(self, rng):
        return "same", {"document": "same", "summary": "same"}


def test_a_generator_too_poor_for_its_splits_is_an_error_not_a_hang():
    other = next(split for split in SPLITS if split != split_of("same"))
    data = ProceduralDataset("poor", OneRow(), SummarizeTask(), other)
    with pytest.raises(DatasetError, match="too few distinct contents"):
        data[0]


def test_picker_draws_each_option_equally_often():
    picker = Picker(np.random.default_rng(0))
    counts = Counter(picker.pick(("a", "b", "c", "d")) for _ in range(40_000))
    # Standard deviation sqrt(40000 * 1/4 * 3/4) = 87.
    assert all(abs(counts[option] - 10_000) < 4 * 87 for option in "abcd")


def test_picker_distinct_draws_every_order_and_never_the_same_option_twice():
    picker = Picker(np.random.default_rng(0))
    pairs = {picker.distinct(("a", "b", "c"), 2) for _ in range(500)}
    assert pairs == {(x, y) for x in "abc" for y in "abc" if x != y}
