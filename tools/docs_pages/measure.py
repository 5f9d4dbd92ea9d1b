"""Scores of simple agents in an environment, and the hash that tells when they are outdated."""

from __future__ import annotations

import hashlib
import json
from functools import cache

import numpy as np

from agents.training.evaluation import Evaluation
from agents.training.held_out import (
    evaluate_policy_on_split,
    evaluate_random,
    evaluate_speaker,
    load_policy,
)
from textenv.benchmark.statistics import Estimate, estimate_mean
from textenv.episode import TextCore
from textenv.examples import Example, Turn
from textenv.registry import environment_row
from textenv.rewards import compute_rewards
from textenv.rollout import play_text
from textenv.tokenization import EMBEDDED_PATH
from tools.docs_pages.records import EXAMPLE, SPLIT, Measurement, make_core_quietly, talk_of

N_EXAMPLES = 64
_DIGITS = 4  # of the numbers that are kept
_DIGEST_EXAMPLES = 16
_CHOICE_ROUNDS = 16  # of random choices, whose mean varies much with few candidates


def digest(id: str, core: TextCore) -> str:
    """Returns a hash of what an environment's scores depend on.

    That is its row of the registry, the first examples of the test split as the ideal agent plays
    them, what good, half-good and no answers to each earn, and the embedded model's files.
    """

    def say_half(example: Example, transcript: tuple[Turn, ...]) -> str:
        words = core.task.gold(example, transcript).split()
        return " ".join(words[: len(words) // 2])

    dataset = core.dataset(SPLIT)
    examples = [dataset[index] for index in range(min(_DIGEST_EXAMPLES, len(dataset)))]
    ideal = [play_text(core, example, core.task.gold) for example in examples]
    others = [play_text(core, e, speak) for e in examples for speak in (say_half, _say_nothing)]
    earned = compute_rewards(core.reward, [*ideal, *others]).total
    facts = {
        "row": environment_row(id).make_kwargs(),
        "turns": [[(turn.role, turn.text) for turn in episode.turns] for episode in ideal],
        # The last digits of a score may differ between machines.
        "earned": np.round(earned, _DIGITS).tolist(),
        "model": _digest_embedded(),
    }
    text = json.dumps(facts, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def measure(id: str, n_examples: int = N_EXAMPLES) -> Measurement:
    """Plays the first test examples of an environment with each of the simple agents."""
    core = make_core_quietly(id, n_examples)
    model = evaluate_policy_on_split(load_policy("embedded", core), core, SPLIT, n_examples)
    return Measurement(
        digest=digest(id, core),
        n_examples=len(model.rewards),
        random=_measure_random(core, n_examples),
        empty=_mean(evaluate_speaker(_say_nothing, core, SPLIT, n_examples)),
        gold=_mean(evaluate_speaker(core.task.gold, core, SPLIT, n_examples)),
        model=_rounded(estimate_mean(model.rewards)),
        reply=talk_of(model.episodes[EXAMPLE], round(float(model.rewards[EXAMPLE]), _DIGITS)),
    )


def _measure_random(core: TextCore, n_examples: int) -> float:
    """Plays with tokens drawn uniformly or, at select level, candidates, several times over."""
    rounds = _CHOICE_ROUNDS if core.action_level == "select" else 1
    found = [evaluate_random(core, SPLIT, n_examples, seed) for seed in range(rounds)]
    return round(float(np.mean([evaluation.rewards.mean() for evaluation in found])), _DIGITS)


def _say_nothing(example: Example, transcript: tuple[Turn, ...]) -> str:
    return ""


def _mean(evaluation: Evaluation) -> float:
    return round(float(evaluation.rewards.mean()), _DIGITS)


def _rounded(estimate: Estimate) -> Estimate:
    low, high = estimate.ci95
    return Estimate(round(estimate.mean, _DIGITS), (round(low, _DIGITS), round(high, _DIGITS)))


@cache
def _digest_embedded() -> str:
    found = hashlib.blake2b(digest_size=8)
    for path in sorted(EMBEDDED_PATH.iterdir()):
        found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()
