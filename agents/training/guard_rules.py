"""What each guard looks at: functions of the rows of `metrics.jsonl`, without a model or a file.

A rule returns what it sees in numbers, or None. It says what happened, and not why: the same curve
may be a policy that cheats or one that has learned its task.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from textenv.report.metric_rows import LOOK, REWARD, is_number

Row = Mapping[str, Any]

START = 3  # first iterations, whose means the later ones are compared with
SPAN = 5  # last iterations that a rule looks at, unless it says otherwise
SHORT_SPAN = 3
CRITIC_SPAN = 10

MOST_KL = 2.0  # nats a token
MOST_UPDATE_KL = 0.3  # nats a token
LEAST_ENTROPY_SHARE = 0.1  # of the entropy at the start
LEAST_ENTROPY = 0.02  # nats a response
VARIED_SHARE = 0.25  # of the rewards' standard deviation at the start
LONGER = 2.0  # times as many tokens
SHORTER = 0.25
LEAST_TOKENS_MORE = 8
LEAST_TOKENS_FEWER = 4
FEW_END = 0.5  # share of turns that end, where more did before
FEWER_END = 0.3  # share of turns by which fewer end
NONE_END = 0.05
MANY_EMPTY = 0.5
CRITIC_ERROR = 1.5  # times the variance of returns
CRITIC_LEAST_VARIANCE = 0.25  # share of the variance at the start that is not gone below
CRITIC_AFTER = 20  # iterations after the critic's warm-up
RATIO_SPAN = 2
# How far the first ratio may be from 1, and the largest mean of (r - 1) - log r.
RATIO_FLOAT32, FIRST_KL_FLOAT32 = 1e-3, 1e-5
RATIO_BF16, FIRST_KL_BF16 = 0.02, 5e-3
DEAD_GROUPS = 0.9
EQUAL = 1e-6  # relative size of a standard deviation that is rounding
MORE_REPEATED = 0.25  # share of episodes, or of prompts
SURE = 2.0  # standard errors


@dataclass(frozen=True)
class GuardSettings:
    """What guards have to know of a run's configuration.

    Attributes:
        bf16: Whether the policy computes in bfloat16.
        critic_warmup: Iterations in which only the critic learns.
        group_size: Episodes of each prompt.
    """

    bf16: bool = False
    critic_warmup: int = 0
    group_size: int = 1

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> GuardSettings:
        """Reads a configuration, of which an older run may lack a part."""
        return cls(
            bool(config.get("bf16")),
            int(config.get("critic_warmup") or 0),
            max(1, int(config.get("group_size") or 1)),
        )


@dataclass(frozen=True)
class Point:
    """A look at validation examples, and what sampled episodes earned at that time.

    Attributes:
        iteration: Number of the iteration.
        reward: Mean reward of the look, and the ends of its interval.
        gold: The same of the metric that is not paid; None where none is measured.
        sampled: Mean reward of sampled episodes, and its standard error; None if it is not known.
    """

    iteration: int
    reward: tuple[float, float, float]
    gold: tuple[float, float, float] | None
    sampled: tuple[float, float] | None


class History:
    """The rows that rules need: the first few, the last few, and every look.

    Args:
        settings: What is known of the run's configuration.
    """

    def __init__(self, settings: GuardSettings) -> None:
        self.settings = settings
        self.iteration = 0
        self._first: list[Row] = []
        self._last: deque[Row] = deque(maxlen=max(SPAN, CRITIC_SPAN))
        self.looks: list[Point] = []
        # What `see_gold` has found in how many looks
        self.compared: tuple[int, str | None] = (0, None)

    def add(self, row: Row) -> None:
        """Adds the row of the next iteration."""
        self.iteration += 1
        if is_number(row.get("iteration")):
            self.iteration = int(row["iteration"])
        if len(self._first) < START:
            self._first.append(row)
        self._last.append(row)
        reward = _interval(row, LOOK)
        if reward is not None:
            gold = _interval(row, "validation/gold")
            self.looks.append(Point(self.iteration, reward, gold, self._sampled(self.last(SPAN))))

    def last(self, n: int) -> Sequence[Row]:
        """Returns the last n rows, or as many as there are."""
        return list(self._last)[-n:]

    def lately(self, key: str, n: int = SPAN) -> list[float]:
        """Returns a number in the last n iterations.

        Nothing is returned unless they come after the first few, and all have the number.
        """
        values = _values(self.last(n), key)
        return values if len(values) == n and self.iteration >= START + n else []

    def start(self, key: str) -> float | None:
        """Returns the mean of a number over the first iterations; None where one lacks it."""
        values = _values(self._first, key)
        return fmean(values) if len(values) == START else None

    @property
    def has_risen(self) -> bool:
        """Whether sampled episodes earn more than in the first iterations, by twice its error."""
        first, last = self._sampled(self._first), self._sampled(self.last(SPAN))
        return first is not None and last is not None and is_above(last, first)

    def _sampled(self, rows: Sequence[Row]) -> tuple[float, float] | None:
        means, stds = _values(rows, REWARD), _values(rows, "rollout/reward_std")
        if not means or len(stds) != len(means):
            return None
        played = self._last[-1].get("time/episodes") if self._last else None
        episodes = float(played) / self.iteration if is_number(played) and played else 1.0
        n = max(1.0, episodes / self.settings.group_size) * len(means)
        return fmean(means), math.sqrt(fmean(std**2 for std in stds) / n)


def is_above(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Tells whether a mean is above another by `SURE` standard errors; each is (mean, error)."""
    return one[0] - other[0] > SURE * math.hypot(one[1], other[1])


def see_kl(history: History) -> str | None:
    """Sees a policy far from the reference, or updates that move it far."""
    tokens = history.lately("rollout/response_tokens", SHORT_SPAN)
    distances = history.lately("kl/ref", SHORT_SPAN)
    if tokens and distances:
        kl, per_token = fmean(distances), fmean(distances) / max(fmean(tokens), 1.0)
        if per_token > MOST_KL:
            return (
                f"the policy is {per_token:.2f} nats a token from the reference ({kl:.0f} nats a "
                f"response, the mean of {SHORT_SPAN} iterations)"
            )
    updates = history.lately("train/approx_kl")
    if updates and median(updates) > MOST_UPDATE_KL:
        return (
            f"one update moves the policy by {median(updates):.2f} nats a token (the median of "
            f"{SPAN} iterations)"
        )
    return None


def see_entropy(history: History) -> str | None:
    """Sees a policy that has become certain, though there is something to find."""
    entropies, start = history.lately("train/entropy"), history.start("train/entropy")
    if not entropies or start is None:
        return None
    now = fmean(entropies)
    if now < LEAST_ENTROPY_SHARE * start and not history.has_risen:
        return (
            f"entropy has fallen from {start:.3f} to {now:.3f} nats a token, and sampled episodes "
            "earn no more than at the start"
        )
    tokens = history.lately("rollout/response_tokens")
    stds, varied = history.lately("rollout/reward_std"), history.start("rollout/reward_std")
    if tokens and stds and varied is not None:
        a_response = now * fmean(tokens)
        if a_response < LEAST_ENTROPY and fmean(stds) > VARIED_SHARE * varied:
            return (
                f"a response has {a_response:.4f} nats of entropy, so samples of a prompt are "
                f"nearly always one text, and rewards still differ by {fmean(stds):.3g} (standard "
                "deviation)"
            )
    return None


def see_length(history: History) -> str | None:
    """Sees responses that have grown or shrunk."""
    tokens = history.lately("rollout/response_tokens", SHORT_SPAN)
    start = history.start("rollout/response_tokens")
    if not tokens or start is None:
        return None
    now = fmean(tokens)
    if now >= LONGER * start and now >= start + LEAST_TOKENS_MORE:
        return f"responses have grown from {start:.0f} to {now:.0f} tokens"
    if now <= SHORTER * start and now <= start - LEAST_TOKENS_FEWER:
        return f"responses have shrunk from {start:.0f} to {now:.1f} tokens"
    return None


def see_turns(history: History) -> str | None:
    """Sees turns that hardly ever end, that have stopped ending, or that end at once."""
    ended, start = history.lately("rollout/ended_share"), history.start("rollout/ended_share")
    if ended:
        now = fmean(ended)
        if now <= NONE_END:
            return f"{now:.0%} of the turns end by themselves, the others are cut off"
        if start is not None and now <= FEW_END and now <= start - FEWER_END:
            return (
                f"{now:.0%} of the turns end by themselves, and {start:.0%} did at the start; the "
                "others are cut off"
            )
    empty = history.lately("rollout/empty_share", SHORT_SPAN)
    if empty and fmean(empty) >= MANY_EMPTY:
        return f"{fmean(empty):.0%} of the turns are ended at once, without a word"
    return None


def see_critic(history: History) -> str | None:
    """Sees values whose errors are larger than those of a constant."""
    if history.iteration < history.settings.critic_warmup + CRITIC_AFTER:
        return None
    rows = [
        row
        for row in history.last(CRITIC_SPAN)
        if is_number(row.get("train/explained_variance")) and is_number(row.get("train/return_std"))
    ]
    start = history.start("train/return_std")
    if not rows or start is None:
        return None
    # An iteration counts by the variance that there was to explain.
    variances = [row["train/return_std"] ** 2 for row in rows]
    errors = [
        (1 - row["train/explained_variance"]) * variance
        for row, variance in zip(rows, variances, strict=True)
    ]
    error, variance = fmean(errors), fmean(variances)
    if error <= CRITIC_ERROR * max(variance, CRITIC_LEAST_VARIANCE * start**2) or variance == 0:
        return None
    return (
        f"the critic's squared error is {error / variance:.1f} times that of a constant (over the "
        f"last {CRITIC_SPAN} iterations; explained variance {1 - error / variance:.2f})"
    )


def see_first_ratio(history: History) -> str | None:
    """Sees that learning computes other log-probabilities than those that it starts from."""
    bf16 = history.settings.bf16
    most, most_kl = (RATIO_BF16, FIRST_KL_BF16) if bf16 else (RATIO_FLOAT32, FIRST_KL_FLOAT32)
    rows = history.last(RATIO_SPAN)
    ratios, kls = _values(rows, "train/first_ratio"), _values(rows, "train/first_kl")
    precision = "bfloat16" if bf16 else "float32"
    if len(ratios) == RATIO_SPAN and min(abs(ratio - 1) for ratio in ratios) > most:
        return (
            f"the first minibatch has a mean ratio of {ratios[-1]:.4f} before any step; in "
            f"{precision} it should be within {most:g} of 1"
        )
    if len(kls) == RATIO_SPAN and min(kls) > most_kl:
        return (
            f"the ratios of the first minibatch scatter before any step: the mean of (r - 1) - "
            f"log r is {kls[-1]:.2g}, in {precision} at most {most_kl:g}"
        )
    return None


def see_dead_groups(history: History) -> str | None:
    """Sees rollouts in which hardly anything can be compared."""
    stds, means = history.lately("rollout/reward_std"), history.lately(REWARD)
    start = history.start("rollout/reward_std")
    if not stds or not means or start is None:
        return None
    if history.has_risen and fmean(stds) <= start / 2:
        return None  # most prompts are solved
    if max(stds) <= EQUAL * max(1.0, max(map(abs, means))):
        return f"all episodes of the last {SPAN} iterations earned the same ({means[-1]:.3g})"
    equal = history.lately("rollout/equal_groups")
    if equal and fmean(equal) >= DEAD_GROUPS:
        return (
            f"in {fmean(equal):.0%} of the groups of the last {SPAN} iterations all episodes "
            f"earned the same (mean reward {fmean(means):.3g})"
        )
    return None


def see_gold(history: History) -> str | None:
    """Sees reward that rises while an independent measurement falls, from any look to the last."""
    looks = history.looks
    if history.compared[0] != len(looks):
        history.compared = (len(looks), _compare_looks(looks))
    return history.compared[1]


def _compare_looks(looks: Sequence[Point]) -> str | None:
    *earlier, now = looks
    for then in earlier:
        found = _find_gold_fall(then, now) or _find_validation_fall(then, now)
        if found is not None:
            return f"between the looks of iterations {then.iteration} and {now.iteration} {found}"
    return None


def _find_gold_fall(then: Point, now: Point) -> str | None:
    if now.gold is None or then.gold is None:
        return None
    if now.reward[1] <= then.reward[0] or now.gold[2] >= then.gold[1]:
        return None
    return (
        f"validation reward rose from {_shown(then.reward)} to {_shown(now.reward)}, and gold fell "
        f"from {_shown(then.gold)} to {_shown(now.gold)}"
    )


def _find_validation_fall(then: Point, now: Point) -> str | None:
    if now.sampled is None or then.sampled is None:
        return None
    if not is_above(now.sampled, then.sampled) or now.reward[2] >= then.reward[1]:
        return None
    return (
        f"the reward of sampled training episodes rose from {then.sampled[0]:.3f} to "
        f"{now.sampled[0]:.3f}, and validation reward fell from {_shown(then.reward)} to "
        f"{_shown(now.reward)}"
    )


def see_repetition(history: History) -> str | None:
    """Sees more texts that loop, or one text for many prompts."""
    for key, said in (
        ("rollout/looping_share", "of the episodes say the same words again and again"),
        ("rollout/same_text_share", "of the prompts get one and the same text"),
    ):
        shares, start = history.lately(key, SHORT_SPAN), history.start(key)
        if shares and start is not None and fmean(shares) >= start + MORE_REPEATED:
            return f"{fmean(shares):.0%} {said}, and {start:.0%} at the start"
    return None


def _values(rows: Sequence[Row], key: str) -> list[float]:
    return [float(row[key]) for row in rows if is_number(row.get(key))]


def _interval(row: Row, key: str) -> tuple[float, float, float] | None:
    """Returns a number of a look, and the ends of its interval."""
    found = tuple(row.get(name) for name in (key, f"{key}_low", f"{key}_high"))
    if not all(map(is_number, found)):
        return None
    mean, low, high = (float(value) for value in found if value is not None)
    return mean, low, high


def _shown(interval: tuple[float, float, float]) -> str:
    return f"{interval[0]:.3f} [{interval[1]:.3f}, {interval[2]:.3f}]"
