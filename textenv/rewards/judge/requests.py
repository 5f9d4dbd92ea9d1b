"""Asks a chat endpoint many questions with numbers as answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, wait
from dataclasses import dataclass
from functools import partial
from math import nan
from threading import Event

from textenv.chat import ChatError, brief
from textenv.endpoints.answer_cache import AnswerCache
from textenv.endpoints.requests import (
    BudgetSpentError,
    OnTrouble,
    Requester,
    RequestPool,
    StoppedError,
    can_go_on,
    count_tries,
    refuses_this_one,
)
from textenv.errors import RewardError
from textenv.rewards.judge.prompt import Messages


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


@dataclass
class Asker:
    """Asks questions, some at a time; those whose answer is kept cost nothing.

    The options are those of `textenv.rewards.judge.judge.Judge`.
    """

    requester: Requester
    read: Callable[[str], float]  # reads the number from an answer, or raises a ValueError
    concurrency: int
    on_invalid: OnTrouble
    on_failure: OnTrouble
    cache: AnswerCache | None

    def ask_all(self, questions: Mapping[str, Question]) -> dict[str, Verdict]:
        """Answers questions, by their keys.

        Raises a RewardError where the budget is spent, the endpoint is down or refuses, or, by
        choice, an answer cannot be read. What was answered until then is kept.
        """
        verdicts = {key: kept for key in questions if (kept := self._read_kept(key)) is not None}
        unknown = [key for key in questions if key not in verdicts]
        if not unknown:
            return verdicts
        with RequestPool(min(self.concurrency, len(unknown)), "judge") as pool:
            ask = partial(self._ask, stop=pool.stop)
            futures = {key: pool.submit(partial(ask, questions[key])) for key in unknown}
            wait(futures.values(), return_when=FIRST_EXCEPTION)
        errors = []
        for key, future in futures.items():
            error = StoppedError() if future.cancelled() else future.exception()
            if error is None:
                verdicts[key] = future.result()
            elif not isinstance(error, StoppedError):
                errors.append(error)
        for error in errors:
            if not isinstance(error, BudgetSpentError):
                raise error
        if errors:
            n_scored = sum(verdict.reason is None for verdict in verdicts.values())
            n_calls = self.requester.budget.max_calls
            raise RewardError(
                f"All of max_calls = {n_calls} requests to '{self._model}' are spent. "
                f"{n_scored} of the {len(questions)} questions of this batch have an answer"
                f"{', which is kept' if self.cache else ''}. Raise max_calls to go on."
            )
        return verdicts

    def _ask(self, question: Question, stop: Event) -> Verdict:
        """Asks once, and once more if the answer cannot be read."""
        sent: Counter[str] = Counter()
        reason = ""
        for messages in (question.messages, question.again):
            try:
                answer = self.requester.send(question.key, messages, sent, stop).text
            except ChatError as error:
                reason = str(error)
                if refuses_this_one(error):
                    break
                if error.kind != "answer":
                    return self._fail(error, sent[question.key])
                continue
            try:
                score = self.read(answer)
            except ValueError as error:
                reason = (
                    f"The answer of '{self._model}' is not a score, {error}: '{brief(answer)}'."
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
        reason = count_tries(error, n_sent)
        if can_go_on(error, self.on_failure):
            return Verdict(reason=reason, n_requests=n_sent)
        raise RewardError(reason) from error

    @property
    def _model(self) -> str:
        return self.requester.agent.model

    def _read_kept(self, key: str) -> Verdict | None:
        answer = None if self.cache is None else self.cache.get(key)
        if answer is None:
            return None
        try:
            return Verdict(self.read(answer))
        except ValueError:
            return None  # damaged: it is asked again
