"""A chat model behind an endpoint that plays an environment: each turn is asked for once."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from threading import Event, Lock

from textenv.chat import ChatAgent, ChatError, ChatReply
from textenv.endpoints.answer_cache import AnswerCache, default_cache_folder
from textenv.endpoints.chat_options import ChatOptions
from textenv.endpoints.concurrent_play import Ask, NoAnswer
from textenv.endpoints.requests import (
    BudgetSpentError,
    Requester,
    can_go_on,
    count_tries,
    refuses_this_one,
)
from textenv.errors import ConfigError, TextEnvError
from textenv.examples import UnfinishedText, to_messages
from textenv.named_paths import named_path

_VERSION = 1  # of how a question is put; part of the key of what is kept
_HOPELESS = 16  # questions without any answer after which a run ends
_PER_PRICE = 1_000_000  # tokens that a price is of


class NoAnswersError(TextEnvError):
    """An endpoint does not answer, refuses, or the budget of requests is spent."""


@dataclass(frozen=True)
class Usage:
    """What the answers of an evaluation took, whether they were asked for now or kept from before.

    Attributes:
        answers: Number of different answers.
        prompt_tokens: Tokens of their questions, as the server counted them.
        completion_tokens: Tokens of the answers, as the server counted them.
        uncounted: Number of answers for which the server told no numbers.
        cost: What the tokens cost, where prices are known.
    """

    answers: int
    prompt_tokens: int
    completion_tokens: int
    uncounted: int
    cost: float | None


class ChatPlayer:
    """Answers for the agent; may be called from many threads.

    An answer that was cut off ("length") is a turn that did not end. There is no answer where the
    endpoint refuses a question (400, 413, 422), answers twice without text, filters what was said
    ("content_filter"), or, if `on_failure` is "mark", where a request failed after all retries.
    Everything else ends the run: a server that is away, or that refuses whatever it is asked (401,
    403, 404).

    Args:
        model: The model's name at the endpoint.
        options: Where it is and how it is asked.
        temperature: Temperature of its sampling. At 0 equal conversations have equal answers;
            otherwise each sample of each example has its own.
        max_new_tokens: Most tokens of a turn, as the environment has it.
        seed: Number of the draw, where answers are drawn. It is not sent.
        samples: Episodes of each example.

    Attributes:
        n_calls: Requests that were sent.
        n_kept: Answers that were kept from before.

    Raises:
        ConfigError: There is no API key, or the URL is no address.
    """

    def __init__(
        self,
        model: str,
        options: ChatOptions,
        *,
        temperature: float | None = 0.0,
        max_new_tokens: int,
        seed: int = 0,
        samples: int = 1,
    ) -> None:
        self.fields = options.fields(temperature, max_new_tokens)
        agent = ChatAgent(
            model,
            base_url=options.base_url,
            api_key_env=options.api_key_env,
            timeout_s=options.timeout_s,
            max_retries=0,
            **self.fields,
        )
        self._requester = Requester(agent, options.max_retries, options.backoff_s, options.budget)
        folder = default_cache_folder("chat") if options.cache is True else options.cache
        self.cache = AnswerCache(named_path(folder)) if folder else None
        self._options = options
        self._draws = options.draws(temperature)
        self._seed, self._samples = seed, samples
        self.n_calls = self.n_kept = 0
        self._replies: dict[str, ChatReply] = {}
        self._n_without, self._has_answers = 0, False
        self._lock = Lock()
        self._of_key: dict[str, Lock] = {}

    @property
    def base_url(self) -> str:
        """Address of the endpoint."""
        return self._requester.agent.base_url

    def __call__(self, ask: Ask, stop: Event) -> str | NoAnswer:
        """Returns the agent's turn, or why there is none.

        Raises:
            NoAnswersError: The endpoint answers nothing, or the budget of requests is spent.
            StoppedError: `stop` was set.
        """
        messages = to_messages(ask.transcript)
        key = self._key(messages, ask)
        with self._lock:
            own = self._of_key.setdefault(key, Lock())
        with own:  # what is asked twice at a time is sent once
            reply = self._replies.get(key) or self._read_kept(key)
            if reply is None:
                sent: Counter[str] = Counter()
                try:
                    found = self._ask(key, messages, sent, stop)
                finally:
                    with self._lock:
                        self.n_calls += sent[key]
                if isinstance(found, NoAnswer):
                    return self._note(found)
                reply = found
            self._replies[key] = reply
        return self._note(self._turn(reply))

    def usage(self) -> Usage:
        """Sums up the answers so far."""
        replies = list(self._replies.values())
        asked = sum(reply.prompt_tokens or 0 for reply in replies)
        said = sum(reply.completion_tokens or 0 for reply in replies)
        uncounted = sum(None in (r.prompt_tokens, r.completion_tokens) for r in replies)
        prices = self._options.prices
        cost = prices and (asked * prices[0] + said * prices[1]) / _PER_PRICE
        return Usage(len(replies), asked, said, uncounted, cost)

    def _key(self, messages: Sequence[Mapping[str, str]], ask: Ask) -> str:
        agent = self._requester.agent
        draw = [self._seed, ask.example.id, ask.number % self._samples] if self._draws else None
        asked = [_VERSION, agent.base_url, agent.model, self.fields, messages, draw]
        text = json.dumps(asked, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _ask(
        self,
        key: str,
        messages: Sequence[Mapping[str, str]],
        sent: Counter[str],
        stop: Event,
    ) -> ChatReply | NoAnswer:
        reason = ""
        for _ in range(2):
            try:
                reply = self._requester.send(key, messages, sent, stop)
            except BudgetSpentError:
                kept = " What was answered is kept." if self.cache else ""
                raise NoAnswersError(
                    f"All of max_calls = {self._options.max_calls} requests to "
                    f"'{self._requester.agent.model}' are spent.{kept} Raise it to go on."
                ) from None
            except ChatError as error:
                reason = str(error)
                if refuses_this_one(error):
                    break
                if error.kind != "answer":
                    return self._fail(error, sent[key])
                continue
            if self.cache is not None:
                self.cache.put(key, json.dumps(asdict(reply)))
            return reply
        return NoAnswer(reason)

    def _turn(self, reply: ChatReply) -> str | NoAnswer:
        """Returns what the environment hears of an answer."""
        if reply.finish_reason == "content_filter":
            return NoAnswer("The endpoint has filtered the answer.")
        if not reply.is_cut:
            return reply.text
        if reply.text.strip():
            return UnfinishedText(reply.text)
        return NoAnswer(
            f"'{self._requester.agent.model}' said nothing in the tokens that it may have "
            "(finish_reason 'length'). A model that thinks before it answers needs more: give "
            "max_tokens in request."
        )

    def _fail(self, error: ChatError, n_sent: int) -> NoAnswer:
        """A request has failed for good: no answer to this question, or the end of the run."""
        reason = count_tries(error, n_sent)
        if can_go_on(error, self._options.on_failure):
            return NoAnswer(reason)
        kept = " What was answered until then is kept: go on with the same command."
        raise NoAnswersError(f"{reason}{kept if self._replies and self.cache else ''}") from error

    def _note(self, said: str | NoAnswer) -> str | NoAnswer:
        """Ends a run in which nothing at all is answered, since the rest would not be, either."""
        with self._lock:
            self._has_answers |= isinstance(said, str)
            self._n_without += isinstance(said, NoAnswer)
            hopeless = self._n_without >= _HOPELESS and not self._has_answers
        if hopeless and isinstance(said, NoAnswer):
            raise NoAnswersError(
                f"None of the first {_HOPELESS} questions has an answer. The last one: "
                f"{said.reason}"
            )
        return said

    def _read_kept(self, key: str) -> ChatReply | None:
        kept = None if self.cache is None else self.cache.get(key)
        reply = None if kept is None else _read_reply(kept)
        if reply is not None:
            with self._lock:
                self.n_kept += 1
        return reply


def _read_reply(kept: str) -> ChatReply | None:
    """Reads a kept answer; None where it is damaged, so that it is asked for again."""
    try:
        reply = ChatReply(**json.loads(kept))
        counts = (reply.prompt_tokens, reply.completion_tokens)
        is_whole = isinstance(reply.text, str) and isinstance(reply.finish_reason, str)
        return reply if is_whole and all(isinstance(n, int | None) for n in counts) else None
    except (ValueError, TypeError, RecursionError):
        return None


def check_level(action_level: str) -> None:
    """Checks that a chat model can play an environment.

    Raises:
        ConfigError: It would have to choose among candidates that it is not shown.
    """
    if action_level == "select":
        raise ConfigError(
            "A chat model answers in text, and at select level a candidate's number is chosen. "
            "Leave out env.action_level=select."
        )
