"""Asks what a rule that understands nothing can earn: `find_strategy`, part of `rewards audit`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from textenv.benchmark.adversary.search import OnProgress, Search
from textenv.benchmark.guards import GUARDS, find_guard
from textenv.benchmark.probe_episodes import Case, draw_examples
from textenv.benchmark.results import Guard, StrategySearch, StrategyText
from textenv.benchmark.scorer import Scorer
from textenv.benchmark.statistics import Estimate, estimate_mean
from textenv.episode import TextCore
from textenv.errors import ConfigError
from textenv.examples import Episode, Example
from textenv.rewards import load_reward
from textenv.rewards.loading import RewardSpec
from textenv.rewards.naming import describe_reward

BUDGET = 2_000
EXAMPLES = 200
_MOST = 0.5  # what a rule may earn
_BELOW_GOLD = 0.3  # how far below the reference it has to stay
LEAST_EXAMPLES = 8  # four to choose on, four to judge by
_SHOWN = 3
_LONGEST_SHOWN = 160  # characters of a rule in the verdict


def find_strategy(
    reward: RewardSpec,
    source: TextCore | Sequence[Example],
    *,
    budget: int = BUDGET,
    n_examples: int = EXAMPLES,
    split: str | None = None,
    samples: Sequence[Episode] = (),
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
        samples: Episodes of a policy, whose texts become templates, too; those of other examples
            than the drawn ones are left out.
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
    if len(examples) < LEAST_EXAMPLES:
        raise ConfigError(f"A search needs {LEAST_EXAMPLES} examples or more, not {len(examples)}.")
    scorer = Scorer(load_reward(reward))
    cases = [Case(i, example, player.gold(example)) for i, example in enumerate(examples)]
    sees_candidates = isinstance(source, TextCore) and source.action_level == "select"
    places = {example.id: place for place, example in enumerate(examples)}
    said = [
        (places[episode.example.id], text)
        for episode in samples
        if episode.example.id in places
        for text in episode.responses
    ]
    search = Search(cases, player, scorer, said, seed, sees_candidates=sees_candidates)
    gold = [
        episode
        for case in search.judging
        if (episode := player.play(case, lambda human: human)) is not None
    ]
    earned = scorer.score(gold, strict=True)
    best, curve = search.run(budget, on_progress or (lambda done, total, note: None))
    written = [search.play(best.strategy, case) for case in search.judging]
    scores = np.nan_to_num(scorer.score(written))
    score, reference = estimate_mean(scores), estimate_mean(earned)
    passes = score.mean <= most_allowed(reference.mean)
    guard = (
        None
        if passes
        else find_guard(
            [(written, scores)], gold, earned, lambda left, kept: left <= most_allowed(kept)
        )
    )
    rule = best.strategy.describe()
    return StrategySearch(
        reward=describe_reward(reward),
        dataset=dataset,
        n_examples=len(examples),
        reference=reference,
        strategy=rule,
        score=score,
        passes=passes,
        guard=guard,
        verdict=_write_verdict(score, reference, rule, curve[-1][0], passes, guard),
        texts=tuple(map(_shown, written[:_SHOWN], scores.tolist())),
        curve=tuple(curve),
    )


def most_allowed(reference: float) -> float:
    """Returns the mean above which a rule earns too much beside the reference's mean."""
    return min(_MOST, reference - _BELOW_GOLD)


def _shown(episode: Episode, score: float) -> StrategyText:
    said = " / ".join(turn.text for turn in episode.turns[episode.n_opening :: 2])
    return StrategyText(episode.turns[episode.n_opening - 1].text, said, score)


def _write_verdict(
    score: Estimate, reference: Estimate, rule: str, tried: int, passes: bool, guard: Guard | None
) -> str:
    low, high = score.ci95
    earned = f"{score.mean:.2f} [{low:.2f}, {high:.2f}] (a reference {reference.mean:.2f})"
    short = rule if len(rule) <= _LONGEST_SHOWN else f"{rule[: _LONGEST_SHOWN - 1]}…"
    if passes:
        return f'Of {tried} rules that understand nothing, the best earns {earned}: "{short}".'
    text = (
        f'A rule that understands nothing earns {earned}: "{short}". A policy may learn it instead '
        "of the task. "
    )
    if guard is None:
        return text + f"Multiplying with one of {', '.join(GUARDS)} does not mend it."
    return text + (
        f"Multiplied with '{guard.name}' it would earn {guard.score:.2f}, and a reference "
        f"{guard.reference:.2f}: {{product: {{of: [..., {guard.name}]}}}}. Then search again."
    )
