"""Asks what a rule that understands nothing can earn: `find_strategy`, part of `rewards audit`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from textenv.benchmark.adversary.search import OnProgress, Search
from textenv.benchmark.probe_episodes import Case, draw_examples
from textenv.benchmark.results import StrategySearch, StrategyText
from textenv.benchmark.scorer import Scorer
from textenv.benchmark.statistics import Estimate, estimate_mean
from textenv.episode import TextCore
from textenv.errors import ConfigError
from textenv.examples import Example
from textenv.rewards import load_reward
from textenv.rewards.loading import RewardSpec
from textenv.rewards.naming import describe_reward

BUDGET = 2_000
EXAMPLES = 200
_MOST = 0.5  # what a rule may earn
_BELOW_GOLD = 0.3  # how far below the reference it has to stay
_LEAST = 8  # examples: four to choose on, four to judge by
_SHOWN = 3


def find_strategy(
    reward: RewardSpec,
    source: TextCore | Sequence[Example],
    *,
    budget: int = BUDGET,
    n_examples: int = EXAMPLES,
    split: str | None = None,
    samples: Sequence[tuple[int, str]] = (),
    dataset: str = "",
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> StrategySearch:
    """Searches for the rule from prompt to text that a reward pays best.

    A rule is a template whose gaps the prompt fills ("The {item 1} with the {item 2} in the {item
    3}."), perhaps another one for each kind of prompt. It is chosen on one half of the examples,
    and its mean is that of the other half. It never sees a reference. A rule that earns more than
    half, or comes within 0.3 of the reference, is one that a policy may find instead of the task.

    Args:
        reward: A reward as `load_reward` takes it.
        source: An environment's core, of which the task and the dataset are used, or examples of a
            task of one turn.
        budget: Number of rules to try.
        n_examples: Number of examples to draw; all, where there are fewer.
        split: As for `audit`.
        samples: Texts that a policy wrote, each with the number of its example among those drawn;
            they become templates, too.
        dataset: The name of the examples' source in the result.
        seed: Seed of the choice of examples and of the mutations.
        on_progress: Function that is called with the rules tried, the budget, and the best mean.

    Raises:
        ConfigError: The budget is below 1, or there are fewer than eight examples.
        RewardError: The reward cannot score a reference.
    """
    if budget < 1:
        raise ConfigError(f"The budget is a number of rules to try, from 1 up, not {budget}.")
    examples, player = draw_examples(source, n_examples, split, seed)
    if len(examples) < _LEAST:
        raise ConfigError(f"A search needs {_LEAST} examples or more, not {len(examples)}.")
    scorer = Scorer(load_reward(reward))
    cases = [Case(i, example, player.gold(example)) for i, example in enumerate(examples)]
    sees_candidates = isinstance(source, TextCore) and source.action_level == "select"
    search = Search(cases, player, scorer, samples, seed, sees_candidates=sees_candidates)
    gold = [player.play(case, lambda human: human) for case in search.judging]
    references = scorer.score([episode for episode in gold if episode is not None], strict=True)
    best, curve = search.run(budget, on_progress or (lambda done, total, note: None))
    scores = np.nan_to_num(search.score(best.strategy, search.judging))
    shown = []
    for case, score in zip(search.judging[:_SHOWN], scores, strict=False):
        turns = search.play(best.strategy, case).turns
        said = " / ".join(turn.text for turn in turns if turn.role == "assistant")
        opening = next(turn.text for turn in reversed(turns) if turn.role == "user")
        shown.append(StrategyText(opening, said, float(score)))
    score, reference = estimate_mean(scores), estimate_mean(references)
    passes = score.mean <= most_allowed(reference)
    return StrategySearch(
        reward=describe_reward(reward),
        dataset=dataset,
        n_examples=len(examples),
        reference=reference,
        strategy=best.strategy.describe(),
        score=score,
        passes=passes,
        verdict=_write_verdict(score, reference, best.strategy.describe(), curve[-1][0], passes),
        texts=tuple(shown),
        curve=tuple(curve),
    )


def most_allowed(reference: Estimate) -> float:
    """Returns the mean above which a rule earns too much beside the reference."""
    return min(_MOST, reference.mean - _BELOW_GOLD)


def _write_verdict(
    score: Estimate, reference: Estimate, rule: str, tried: int, passes: bool
) -> str:
    low, high = score.ci95
    earned = (
        f"{score.mean:.2f} [{low:.2f}, {high:.2f}], where a reference earns {reference.mean:.2f}"
    )
    short = rule if len(rule) <= 160 else f"{rule[:159]}…"
    if passes:
        return f"Of {tried} rules that understand nothing, the best earns {earned}: {short}"
    return (
        f"A rule that understands nothing earns {earned}: {short} A policy may learn it instead of "
        "the task. Multiply the reward with one that pays nothing for such texts, as in "
        "{product: {of: [yours, prose]}}."
    )
