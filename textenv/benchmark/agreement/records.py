"""What was found of rewards beside people, as plain values for the report and for JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from textenv.benchmark.statistics import Estimate

Level = Literal["within", "pooled", "systems"]
LEVELS: tuple[Level, ...] = ("within", "pooled", "systems")
LENGTH = "number of words"  # of the text, as if it were a reward


@dataclass(frozen=True)
class RankAgreement:
    """Rank correlations with people at one level; None where they are not defined."""

    kendall: Estimate | None  # tau-b
    spearman: Estimate | None
    # The same with the length of the text partialled out.
    kendall_without_length: Estimate | None
    spearman_without_length: Estimate | None
    n: int  # items that count, texts, or systems


@dataclass(frozen=True)
class RewardAgreement:
    """How one reward agrees with one rating."""

    reward: str
    levels: dict[Level, RankAgreement]
    # Share of pairs that answer the same item in which reward and people say the same, ties
    # included; None where no item has two texts.
    pairwise_accuracy: Estimate | None
    tie_threshold: float | None  # differences up to it count as a tie
    # Over pairs of systems, the interval over systems alone; None for fewer than two of them.
    soft_pairwise_accuracy: Estimate | None


@dataclass(frozen=True)
class RewardComparison:
    """Two rewards beside the same people."""

    first: str
    second: str
    difference: Estimate  # of Kendall's tau, or of accuracy, first minus second
    p: float  # two-sided, by the bootstrap
    p_holm: float  # the same, corrected for all comparisons (Holm 1979)


@dataclass(frozen=True)
class RatingAgreement:
    """All rewards beside one rating."""

    rating: str  # its column, or columns
    n_annotators: int
    rewards: tuple[RewardAgreement, ...]  # highest first at the level of the comparisons
    # Each annotator against the mean of the others; None where there is one.
    annotators: RewardAgreement | None
    comparisons: tuple[RewardComparison, ...]  # at the level of `Agreement.level`


@dataclass(frozen=True)
class PreferenceAgreement:
    """How one reward agrees with preferences."""

    reward: str
    # Share of decided pairs in which the preferred text earns more; a tie of rewards counts half.
    accuracy: Estimate
    tied: float  # share of the decided pairs that earn the same
    # With people's ties as pairs of their own, and the threshold that suits the reward best; None
    # where people always preferred one.
    accuracy_with_ties: Estimate | None
    tie_threshold: float | None
    # Kendall's tau of the systems' mean rewards with people's strengths; None for fewer than three.
    systems_kendall: Estimate | None


@dataclass(frozen=True)
class SystemStrength:
    """How people prefer one system to the others (Bradley and Terry)."""

    system: str
    chance: Estimate  # to be preferred to an average one
    n: int  # pairs that it was in


@dataclass(frozen=True)
class Agreement:
    """Everything that `textenv rewards agree` found."""

    source: str  # the file's name
    verdict: str  # in words, the main finding first
    rewards: dict[str, str]  # their descriptions, by name
    n_texts: int
    n_items: int
    n_systems: int | None
    left_out: int  # rows without a rating, or that a reward could not score
    level: Level  # that rewards are compared and ordered at
    ratings: tuple[RatingAgreement, ...]
    between_ratings: tuple[tuple[str, str, float | None], ...]  # Kendall's tau at that level
    preferences: tuple[PreferenceAgreement, ...]
    preference_comparisons: tuple[RewardComparison, ...]
    strengths: tuple[SystemStrength, ...]  # of the systems in the pairs, the strongest first
    resamples: int
    ms_per_text: dict[str, float]
