"""An independent gold: what a run's texts are worth to a small embedding model.

    python -m benchmarks.gain_gold runs/demo-lm

prints it before and after training for the folder of any run of `textenv train`. The rewards count
words; all-MiniLM-L6-v2 (the extra `semantic`) compares meanings, and shares no lexicon and no
n-grams with them. Two judges:

- direction, for continuations: 1 if the text alone is nearer to sentences in the direction that was
  asked for than to those of any other direction, else 0. Empty texts get 0. Of 80 real
  continuations of the set "reviews" 91 % were judged rightly.
- meaning, for everything else: the cosine with the nearest reference.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from agents.cli.display import interval, print_facts
from agents.training.config import load_config
from textenv.benchmark.statistics import FloatArray, estimate_gain, estimate_mean
from textenv.errors import ConfigError
from textenv.examples import Episode, Example, Turn
from textenv.rewards.learned.embedding import EmbeddingCosine
from textenv.rewards.tasks.continuation import SENTIMENTS
from textenv.rewards.tasks.topics import TOPICS
from textenv.tasks.base import Task
from textenv.tasks.continuation import ContinueTask
from textenv.vector import environment_arguments, make_core

Judge = Callable[[Sequence[Example], Sequence[str]], FloatArray]

# Of each direction, sentences without names and without the words of the generated sets.
_SENTIMENT_ANCHORS = {
    "positive": (
        "What a treat! Everybody ought to see this at least once.",
        "A joy from beginning to end, warm and full of life.",
        "My favorite of the whole season, and a real pleasure.",
        "It moved me deeply, and I came out happier than I went in.",
    ),
    "negative": (
        "What a mess! Nobody ought to sit through this.",
        "A bore from beginning to end, cold and lifeless.",
        "The low point of the whole season, and a real ordeal.",
        "It left me cold, and I came out sadder than I went in.",
    ),
}
_TOPIC_ANCHOR = "This text is about {topic}."


def judge_of(task: Task) -> tuple[str, Judge]:
    """Returns the name and the judge of a task's texts."""
    if isinstance(task, ContinueTask):
        return "direction, by MiniLM", judge_direction
    return "meaning, by MiniLM", judge_meaning


def judge_meaning(examples: Sequence[Example], responses: Sequence[str]) -> FloatArray:
    """Returns the cosine of each response with its nearest reference, (n,) in [0, 1]."""
    episodes = [
        Episode(example, (Turn("assistant", response),))
        for example, response in zip(examples, responses, strict=True)
    ]
    return np.asarray(_minilm()(episodes).total)


def judge_direction(examples: Sequence[Example], responses: Sequence[str]) -> FloatArray:
    """Returns whether each response goes where it was to, (n,) of 0 and 1."""
    said = _minilm().embed(responses)[0].numpy()
    right = np.zeros(len(examples))
    for i, example in enumerate(examples):
        names, centers = _centers(example.metadata["target"] in SENTIMENTS)
        # The smallest distance to a center; a center's own length must not favor it.
        nearest = names[int((centers @ said[i] - (centers**2).sum(axis=1) / 2).argmax())]
        right[i] = bool(responses[i].strip()) and nearest == example.metadata["target"]
    return right


@lru_cache(maxsize=2)
def _centers(of_sentiments: bool) -> tuple[tuple[str, ...], FloatArray]:
    """Returns the directions, and the mean embedding of the sentences of each, (k, hidden)."""
    anchors = (
        _SENTIMENT_ANCHORS
        if of_sentiments
        else {topic: (_TOPIC_ANCHOR.format(topic=topic),) for topic in TOPICS}
    )
    return tuple(anchors), np.stack(
        [_minilm().embed(texts)[0].numpy().mean(axis=0) for texts in anchors.values()]
    ).astype(np.float64)


@lru_cache(maxsize=1)
def _minilm() -> EmbeddingCosine:
    return EmbeddingCosine(device="cpu")


def judge_run(folder: Path) -> dict[str, Any]:
    """Judges the held-out texts of a run before and after training.

    Raises:
        ConfigError: The folder holds no finished run, or its examples are not to be had any more.
    """
    samples = folder / "samples.jsonl"
    if not samples.is_file():
        raise ConfigError(f"'{folder}' holds no samples.jsonl of a finished run.")
    rows = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
    config = load_config(folder / "config.yaml")
    arguments = environment_arguments(config.model, config.dataset, config.reward, config.env)
    core = make_core(config.id, 1, arguments)
    data = core.dataset(config.eval_split)
    examples = [data[i] for i in range(len(rows))]
    if [example.id for example in examples] != [row["id"] for row in rows]:
        raise ConfigError(f"The data set of the run in '{folder}' has changed since.")
    name, judge = judge_of(core.task)
    stages = {
        stage: judge(examples, [row[stage]["response"] for row in rows])
        for stage in ("before", "after")
    }
    return {
        "gold": name,
        **{stage: estimate_mean(scores).to_json() for stage, scores in stages.items()},
        "gain": estimate_gain(stages["after"], stages["before"]).to_json(),
        "gains": (stages["after"] - stages["before"]).tolist(),
    }


def main(folder: Annotated[Path, typer.Argument(help="Folder of a finished run.")]) -> None:
    """Judge a run's texts by a metric that the training did not see."""
    found = judge_run(folder)
    facts = {stage: interval(found[stage]) for stage in ("before", "after")}
    facts["gain"] = interval(found["gain"], signed=True)
    print_facts(Console(highlight=False), f"Independent gold: {found['gold']}", facts)


if __name__ == "__main__":
    typer.run(main)
