"""Asks a chat endpoint many questions with numbers as answers: retries, a budget, a cache."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, wait
from dataclasses import dataclass, field
from functools import partial
from math import nan
from typing import Literal

from textenv.chat import ChatAgent, ChatError, brief, compute_pause
from textenv.daemon_pool import DaemonPool
from textenv.errors import RewardError
from textenv.rewards.judge.answer_cache import AnswerCache
from textenv.rewards.judge.prompt import Messages

# Refusals of one question, not of all: too long, or filtered for what it says.
_REFUSES_THIS_ONE = (400, 413, 422)

OnTrouble = Literal["mark", "raise"]


@dataclass(frozen=True)
class Question:
    """A question to the endpoint."""

    key: str  # of the cached answer, in hexadecimal digits
    messages: Messages
    again: Messages  # the question with a reminder, after an answer that could not be read


@dataclass(frozen=True)
class Verdict:
    """A number, or the reason why there is none."""

    score: float = nan
    reason: str | None = None
    n_requests: int = 0


class _StoppedError(Exception):
    """Another question of the batch has failed; this one is not asked any more."""


class _BudgetSpentError(Exception):
    """No request is left."""


@dataclass
class Asker:
    """Asks questions, some at a time; those whose answer is kept cost nothing.

    The options are those of `textenv.rewards.judge.judge.Judge`.
    """

    agent: ChatAgent  # without retries of its own: here each is counted, and stops with the batch
    read: Callable[[str], float]  # reads the number from an answer, or raises a ValueError
    max_retries: int
    backoff_s: float
    concurrency: int
    max_calls: int | None
    on_invalid: OnTrouble
    on_failure: OnTrouble
    cache: AnswerCache | None
    n_calls: int = 0  # requests sent so far
    _was_there: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ask_all(self, questions: Mapping[str, Question]) -> dict[str, Verdict]:
        """Answers questions, by their keys.

        Raises a RewardError where the budget is spent, the endpoint is down or refuses, or, by
        choice, an answer cannot be read. What was answered until then is kept.
        """
        verdicts = {key: kept for key in questions if (kept := self._read_kept(key)) is not None}
        unknown = [key for key in questions if key not in verdicts]
        if not unknown:
            return verdicts
        stop = threading.Event()
        pool = DaemonPool(min(self.concurrency, len(unknown)), "judge")
        futures = {key: pool.submit(partial(self._ask, questions[key], stop)) for key in unknown}
        try:
            wait(futures.values(), return_when=FIRST_EXCEPTION)
        finally:
            stop.set()
            for future in futures.values():
                future.cancel()
            pool.close()
        # What is under way comes to its end and is kept, since it was paid for.
        wait(futures.values())
        errors = []
        for key, future in futures.items():
            error = _StoppedError() if future.cancelled() else future.exception()
            if error is None:
                verdicts[key] = future.result()
            elif not isinstance(error, _StoppedError):
                errors.append(error)
        for error in errors:
            if not isinstance(error, _BudgetSpentError):
                raise error
        if errors:
            n_scored = sum(verdict.reason is None for verdict in verdicts.values())
            raise RewardError(
                f"All of max_calls = {self.max_calls} requests to '{self.agent.model}' are spent. "
                f"{n_scored} of the {len(questions)} questions of this batch have an answer"
                f"{', which is kept' if self.cache else ''}. Raise max_calls to go on."
            )
        return verdicts

    def _ask(self, question: Question, stop: threading.Event) -> Verdict:
        """Asks once, and once more if the answer cannot be read."""
        sent: Counter[str] = Counter()
        reason = ""
        for messages in (question.messages, question.again):
            try:
                answer = self._send(question.key, messages, sent, stop)
            except ChatError as error:
                reason = str(error)
                if error.status in _REFUSES_THIS_ONE:
                    break
                if error.kind != "answer":
                    return self._fail(error, sent[question.key])
                continue
            try:
                score = self.read(answer)
            except ValueError as error:
                reason = (
                    f"The answer of '{self.agent.model}' is not a score, {error}: "
                    f"'{brief(answer)}'."
                )
                continue
            if self.cache is not None:
                self.cache.put(question.key, answer)
            return Verdict(score, n_requests=sent[question.key])
        if self.on_invalid == "raise":
            raise RewardError(f"{reason} With on_invalid='mark' the episode has no score instead.")
        return Verdict(reason=reason, n_requests=sent[question.key])

    def _fail(self, error: ChatError, n_sent: int) -> Verdict:
        """A request has failed for good: no answer to this question, or the end of the batch."""
        reason = f"{error} ({n_sent} {'try' if n_sent == 1 else 'tries'})"
        # A server that is away, or refuses whatever it is asked, would fail the next one, too.
        if self.on_failure == "mark" and error.passes and error.kind != "connection":
            return Verdict(reason=reason, n_requests=n_sent)
        raise RewardError(reason) from error

    def _send(self, key: str, messages: Messages, sent: Counter[str], stop: threading.Event) -> str:
        """Sends a request until it is answered, or there is no point in trying again."""
        for n_retries in range(self.max_retries + 1):
            if stop.is_set():
                raise _StoppedError
            self._spend()
            sent[key] += 1
            try:
                answer = self.agent.reply(messages)
            except ChatError as error:
                self._was_there |= error.kind != "connection"
                # Who was never there is not there: a wrong base_url shows at once.
                if (
                    n_retries == self.max_retries
                    or not error.is_worth_waiting
                    or not self._was_there
                ):
                    raise
                # Spread by the key, so that what was refused together does not come back together.
                spread, asked_s = int(key[:4], 16) / 0x10000, error.retry_after_s
                stop.wait(compute_pause(n_retries, self.backoff_s, asked_s, spread))
            else:
                self._was_there = True
                return answer
        raise AssertionError("the last try returns or raises")

    def _spend(self) -> None:
        with self._lock:
            if self.max_calls is not None and self.n_calls >= self.max_calls:
                raise _BudgetSpentError
            self.n_calls += 1

    def _read_kept(self, key: str) -> Verdict | None:
        answer = None if self.cache is None else self.cache.get(key)
        if answer is None:
            return None
        try:
            return Verdict(self.read(answer))
        except ValueError:
            return None  # damaged: it is asked again
