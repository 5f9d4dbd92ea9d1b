"""Guards on learning: what a run's numbers show of it, while it trains and afterwards.

    agent.learn(total_episodes=4000, after_iteration=GuardWatch(stop_on=["kl"]))

warns, and ends the training where a guard of `stop_on` warns. `textenv train` does the same, and
`replay_guards` reads the rows of a run that has ended. docs/guards.md is made of `GUARDS`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from agents.training import guard_rules as rules
from agents.training.guard_rules import GuardSettings, History
from textenv.errors import UnknownNameError

__all__ = ["GuardSettings", "GuardWatch", "Sighting", "replay_guards"]

GuardName = Literal[
    "kl",
    "entropy",
    "length",
    "turns",
    "critic",
    "first_ratio",
    "dead_groups",
    "gold",
    "repetition",
]
CALM = 5  # iterations without a sighting, after which a guard may warn again
_STOPPED_BY = "guard:"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Guard:
    """A guard, as docs and warnings tell of it."""

    watches: str  # what it watches
    threshold: str  # when it warns
    remedy: str  # what to do
    see: Callable[[History], str | None]  # what it sees after an iteration


GUARDS: Mapping[GuardName, Guard] = {
    "kl": Guard(
        "`kl/ref` over `rollout/response_tokens`; `train/approx_kl`",
        f"more than {rules.MOST_KL:g} nats a token from the reference (mean of "
        f"{rules.SHORT_SPAN} iterations), or updates of more than {rules.MOST_UPDATE_KL:g} nats a "
        f"token (median of {rules.SPAN})",
        "Lower learning_rate, raise kl_coef or set kl_target, or set target_kl to end updates "
        "early.",
        rules.see_kl,
    ),
    "entropy": Guard(
        "`train/entropy`",
        f"below {rules.LEAST_ENTROPY_SHARE:.0%} of its start, while sampled episodes earn no more "
        f"than at the start; or below {rules.LEAST_ENTROPY:g} nats a response while the rewards' "
        f"standard deviation is above {rules.VARIED_SHARE:.0%} of its start (means of "
        f"{rules.SPAN} iterations)",
        "Raise ent_coef or temperature, or lower learning_rate; nothing new is tried otherwise.",
        rules.see_entropy,
    ),
    "length": Guard(
        "`rollout/response_tokens`",
        f"{rules.LONGER:g} times the start and {rules.LEAST_TOKENS_MORE} tokens more; or "
        f"{rules.SHORTER:g} times the start and {rules.LEAST_TOKENS_FEWER} tokens fewer (mean of "
        f"{rules.SHORT_SPAN} iterations)",
        "Read rollouts.jsonl. If the reward pays for the length itself, multiply it by 'length'; "
        "otherwise raise kl_coef.",
        rules.see_length,
    ),
    "turns": Guard(
        "`rollout/ended_share`, `rollout/empty_share`",
        f"at most {rules.NONE_END:.0%} of the turns end; or at most {rules.FEW_END:.0%}, and "
        f"{rules.FEWER_END:.0%} fewer than at the start (mean of {rules.SPAN} iterations); or at "
        f"least {rules.MANY_EMPTY:.0%} end at once (mean of {rules.SHORT_SPAN})",
        "Give room with env.max_new_tokens, or pay less for a text that breaks off; pay nothing "
        "for an empty one; or raise kl_coef.",
        rules.see_turns,
    ),
    "critic": Guard(
        "`train/explained_variance`, weighted by `train/return_std`",
        f"squared error above {rules.CRITIC_ERROR:g} times the variance of the returns, or of "
        f"{rules.CRITIC_LEAST_VARIANCE:.0%} of their variance at the start if that is more, over "
        f"{rules.CRITIC_SPAN} iterations, from {rules.CRITIC_AFTER} iterations after critic_warmup "
        "on",
        "Lower value_lr_factor or vf_coef, or set max_grad_norm_critic or clip_range_vf; or "
        "compare episodes instead: advantage=rloo group_size=4.",
        rules.see_critic,
    ),
    "first_ratio": Guard(
        "`train/first_ratio`, `train/first_kl`",
        f"{rules.RATIO_SPAN} iterations whose first mean ratio is more than "
        f"{rules.RATIO_FLOAT32:g} from 1, or whose first mean of (r - 1) - log r is above "
        f"{rules.FIRST_KL_FLOAT32:g}; in bfloat16 {rules.RATIO_BF16:g} and "
        f"{rules.FIRST_KL_BF16:g}",
        "Sampled and learned probabilities differ: try bf16=false and gradient_checkpointing="
        "false, and look for dropout or code of your own that changes the model between rollout "
        "and update.",
        rules.see_first_ratio,
    ),
    "dead_groups": Guard(
        "`rollout/equal_groups`, `rollout/reward_std`",
        f"{rules.DEAD_GROUPS:.0%} of the groups, or all episodes, earn the same (mean of "
        f"{rules.SPAN} iterations), unless rewards have risen and their standard deviation is "
        "halved, as where most prompts are solved",
        "Nothing is learned from equal rewards: take a reward with steps in between, easier "
        "examples (levels, or prompts=curriculum), a larger group_size, or resample_rounds.",
        rules.see_dead_groups,
    ),
    "gold": Guard(
        "`validation/reward` and `validation/gold`; `rollout/reward_mean` and `validation/reward`",
        "from any look to the last one the first rises, by more than its error, and the interval "
        "of the second falls below what it was",
        "Read looks.jsonl, and take the agent in best/ or an earlier one; textenv rewards audit "
        "tries the reward with texts that should not be paid.",
        rules.see_gold,
    ),
    "repetition": Guard(
        "`rollout/looping_share`, `rollout/same_text_share`",
        f"{rules.MORE_REPEATED:.0%} more episodes than at the start in which a turn repeats its "
        f"own words, or {rules.MORE_REPEATED:.0%} more prompts that get one text of eight words or "
        f"more (mean of {rules.SHORT_SPAN} iterations)",
        "Read rollouts.jsonl. Multiply the reward by 'repetition' or 'prose', or raise kl_coef.",
        rules.see_repetition,
    ),
}
assert tuple(GUARDS) == get_args(GuardName)


@dataclass(frozen=True)
class Sighting:
    """A guard that warns."""

    guard: GuardName
    iteration: int
    seen: str  # what it saw, in numbers

    @property
    def warning(self) -> str:
        """What it saw, and what to do, as sentences."""
        return (
            f"Guard '{self.guard}', iteration {self.iteration}: {self.seen}. "
            f"{GUARDS[self.guard].remedy}"
        )


class GuardWatch:
    """Watches the iterations of a training: an `after_iteration` of `TextPPO.learn`.

    A guard warns once. It warns again only after it has seen nothing for `CALM` iterations.

    Args:
        stop_on: Names of guards whose warning ends the training.
        settings: What guards have to know of the run's configuration.

    Attributes:
        stopped_by: Guard of `stop_on` that warned in the last iteration; None if none did.

    Raises:
        UnknownNameError: There is no guard of a name.
    """

    def __init__(self, stop_on: Sequence[str] = (), settings: GuardSettings | None = None) -> None:
        for name in stop_on:
            if name not in GUARDS:
                raise UnknownNameError("guard", name, GUARDS)
        self._stop_on = frozenset(stop_on)
        self._history = History(settings or GuardSettings())
        self._seen_at: dict[GuardName, int] = {}
        self.stopped_by: GuardName | None = None

    def __call__(self, row: Mapping[str, Any]) -> bool:
        """Logs what guards see after an iteration; returns whether to go on.

        Args:
            row: The iteration's numbers, as `metrics.jsonl` names them.
        """
        for sighting in self.see(row):
            _log.warning(sighting.warning)
        return self.stopped_by is None

    def see(self, row: Mapping[str, Any]) -> list[Sighting]:
        """Returns the guards that warn after an iteration, and logs nothing."""
        self._history.add(row)
        iteration = self._history.iteration
        found = []
        for name, guard in GUARDS.items():
            seen = guard.see(self._history)
            if seen is None:
                continue
            before = self._seen_at.get(name)
            self._seen_at[name] = iteration
            if before is None or iteration - before > CALM:
                found.append(Sighting(name, iteration, seen))
        stops = [sighting.guard for sighting in found if sighting.guard in self._stop_on]
        self.stopped_by = stops[0] if stops else None
        return found


def replay_guards(
    rows: Iterable[Mapping[str, Any]], settings: GuardSettings | None = None
) -> list[Sighting]:
    """Returns what the guards would have warned of, or did, over the rows of a run."""
    watch = GuardWatch(settings=settings)
    return [sighting for row in rows for sighting in watch.see(row)]


def stop_reason_of(guard: str) -> str:
    """Returns the stop reason of a run that a guard has ended, as `result.json` says it."""
    return f"{_STOPPED_BY}{guard}"


def is_guard_stop(stop_reason: str) -> bool:
    """Tells whether a guard has ended a run."""
    return stop_reason.startswith(_STOPPED_BY)
