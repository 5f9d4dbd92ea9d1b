"""An agent behind any endpoint that speaks OpenAI's chat-completions protocol.

    agent = ChatAgent("my-model", base_url="http://localhost:8000/v1")
    env = gym.make("TextSummarize-v0", action_level="text")
    messages, info = env.reset(seed=0)
    messages, reward, terminated, truncated, info = env.step(agent.reply(messages))

vLLM, llama.cpp's server, Ollama and most hosted models speak it.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from textenv.errors import ConfigError, TextEnvError
from textenv.examples import Example, Turn, UnfinishedText, to_messages
from textenv.http_post import Answer, PostError, check_url, post_json
from textenv.keys import DEFAULT_KEY, read_key
from textenv.secrets import MASK, mask_text

__all__ = ["ChatAgent", "ChatError", "ChatReply", "UnfinishedText"]

LONGEST_PAUSE_S = 30.0
LONGEST_RETRY_AFTER_S = 120.0  # a server that asks for more is not waited for
_OPENAI = "https://api.openai.com/v1"
_BACKOFF_S = 0.5

_LARGEST_COUNT = 10**9  # tokens of one answer that are believed

Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class ChatReply:
    """The answer of a chat endpoint.

    Attributes:
        text: What the model said.
        finish_reason: Why it ended, in the server's word: "length" where it was cut off, "stop"
            where the model was done; "" where the server does not say.
        prompt_tokens: Number of tokens that the server counted in the question, or None.
        completion_tokens: Number of tokens that it counted in the answer, or None.
    """

    text: str
    finish_reason: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None

    @property
    def is_cut(self) -> bool:
        """Whether the answer ended at the most tokens that it may have."""
        return self.finish_reason == "length"


class ChatError(TextEnvError):
    """A chat endpoint cannot be reached, refuses, or answers with something other than text.

    Attributes:
        kind: Kind of failure: no connection, one that broke, no whole answer in time, a status of
            refusal, or an answer that is no text.
        status: The status of a refusal, else None.
        retry_after_s: Pause that the server asks for, in seconds, or None.
    """

    def __init__(
        self,
        message: str,
        kind: Literal["connection", "broken", "timeout", "status", "answer"] = "answer",
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.status = status
        self.retry_after_s = retry_after_s

    @property
    def passes(self) -> bool:
        """Whether the same request may well succeed later."""
        if self.status is not None:
            return self.status in (408, 409, 429) or self.status >= 500
        return self.kind in ("connection", "broken", "timeout")

    @property
    def is_worth_waiting(self) -> bool:
        """Whether the same request may well succeed later, and the server asks for no more time."""
        return self.passes and (self.retry_after_s or 0) <= LONGEST_RETRY_AFTER_S


class ChatAgent:
    """Asks a chat endpoint for the agent's next turn.

    Timeouts, dropped connections, rate limits (429) and errors of the server (5xx) are tried again,
    with growing pauses, or after the time that the server names. Redirects are not followed: what
    is sent goes to the host that is named and to no other. May be called from many threads.

    Args:
        model: The model's name at the endpoint.
        base_url: URL of the endpoint, usually ending in "/v1"; by default the environment
            variable OPENAI_BASE_URL, else OpenAI's own.
        api_key_env: Name of the environment variable that holds the API key, with API_KEY or
            API_TOKEN in it; a local server needs none.
        system: A system prompt for conversations that do not begin with one.
        timeout_s: Time for a whole answer, in seconds, from the connection to the last byte.
        max_retries: Maximum number of retries.
        concurrency: Maximum number of simultaneous requests of `reply_all`.
        request: Further fields of the request's body, as they are, such as `temperature` or
            `max_tokens`.

    Raises:
        ConfigError: There is no API key, the URL is no address or holds a password, or a field of
            the request is nothing that JSON can hold.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key_env: str = DEFAULT_KEY,
        system: str | None = None,
        timeout_s: float = 60.0,
        max_retries: int = 4,
        concurrency: int = 8,
        **request: Any,
    ) -> None:
        self._key = read_key(api_key_env)
        base_url = base_url or os.environ.get("OPENAI_BASE_URL") or None
        if self._key is None and base_url is None:
            raise ConfigError(
                f"OpenAI's endpoint needs an API key: set the environment variable {api_key_env}, "
                "or name another endpoint with base_url=..."
            )
        if "api_key" in request:
            raise ConfigError(
                "A key is not given as such: set an environment variable to it, by default "
                f"{DEFAULT_KEY}, and name the variable with api_key_env=..."
            )
        self.base_url = (base_url or _OPENAI).rstrip("/")
        check_url(self.base_url)
        try:
            json.dumps([model, request], allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"The request holds what JSON cannot: {error}.") from error
        self.model = model
        self.system = system
        self.concurrency = concurrency
        self._request = request
        self._timeout_s = timeout_s
        self._max_retries = max_retries

    def __call__(self, example: Example, transcript: tuple[Turn, ...]) -> str:
        """Answers a conversation: the agent that `TextCore.play` and `evaluate_speaker` take."""
        return self.reply(to_messages(transcript))

    def reply(self, messages: Messages) -> str:
        """Returns the text of `complete`."""
        return self.complete(messages).text

    def complete(self, messages: Messages) -> ChatReply:
        """Returns the next turn of a conversation.

        Args:
            messages: {"role", "content"} each, as a text-level environment shows them.

        Raises:
            ChatError: There was no answer after every retry, or one without text.
        """
        asked = [dict(message) for message in messages]
        if self.system is not None and (not asked or asked[0]["role"] != "system"):
            asked.insert(0, {"role": "system", "content": self.system})
        body = {"model": self.model, "messages": asked, **self._request}
        for n_retries in range(self._max_retries + 1):
            try:
                return self._ask(body)
            except ChatError as error:
                if n_retries == self._max_retries or not error.is_worth_waiting:
                    raise
                time.sleep(compute_pause(n_retries, _BACKOFF_S, error.retry_after_s))
        raise AssertionError("the last try returns or raises")

    def _ask(self, body: Mapping[str, Any]) -> ChatReply:
        """Sends a request once."""
        where = f"'{self.model}' at {self.base_url}"
        headers = {} if self._key is None else {"Authorization": f"Bearer {self._key}"}
        try:
            answer = post_json(f"{self.base_url}/chat/completions", body, headers, self._timeout_s)
        except PostError as error:
            reason = brief(mask_text(str(error)))
            raise ChatError(f"{where} {_FAILURES[error.kind].format(reason)}", error.kind) from None
        if 200 <= answer.status < 300:
            # A server that repeats the key must not have it written down.
            reply = _read_reply(answer, where)
            if self._key is None:
                return reply
            said, reason = (t.replace(self._key, MASK) for t in (reply.text, reply.finish_reason))
            return replace(reply, text=said, finish_reason=reason)
        raise _refusal(answer, where)

    def reply_all(self, conversations: Iterable[Messages]) -> tuple[str, ...]:
        """Answers many conversations, `concurrency` at a time; answers are in order.

        Raises:
            ChatError: As for `reply`, for the first conversation that has no answer.
        """
        with ThreadPoolExecutor(self.concurrency) as pool:
            return tuple(pool.map(self.reply, conversations))


def compute_pause(
    n_retries: int, backoff_s: float, asked_s: float | None = None, spread: float = 0.0
) -> float:
    """Returns the seconds to wait before a request is sent again.

    The pause that the server asks for takes precedence. One of ours doubles with each retry, up to
    `LONGEST_PAUSE_S`, and is shortened by a quarter of `spread`, a number from 0 to 1.
    """
    if asked_s:
        return asked_s
    return float(min(backoff_s * 2 ** min(n_retries, 99), LONGEST_PAUSE_S) * (1 - spread / 4))


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds that a refusal asks to wait, or None where it says nothing to be read.

    The header Retry-After holds seconds or a date; retry-after-ms, which some servers send, is
    more exact and goes first.
    """
    for header, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            wait_s = float(headers[header]) * unit_s
        except (KeyError, ValueError):
            continue
        if math.isfinite(wait_s):
            return max(0.0, wait_s)
    try:
        until = parsedate_to_datetime(headers["retry-after"]).timestamp()
    except (KeyError, ValueError, TypeError, OverflowError, OSError):
        return None
    return max(0.0, until - time.time())


_FAILURES = {
    "connection": "cannot be reached: {}. Is the server running, and is base_url right?",
    "broken": "was reached, but {}. Is base_url right, and is the server well?",
    "timeout": "did not answer in time: {}. Give a longer timeout_s, or ask for fewer tokens.",
    "answer": "answered with something that is not a chat completion: {}.",
}
_HINTS = {
    401: " Set the environment variable that api_key_env names to a valid key.",
    404: " Check base_url, which usually ends in '/v1', and the model's name.",
    429: " Lower the concurrency, or give more max_retries.",
}


def _refusal(answer: Answer, where: str) -> ChatError:
    """Returns the error that a status of refusal is."""
    hint = _HINTS.get(answer.status, "")
    if 300 <= answer.status < 400:
        elsewhere = brief(mask_text(answer.headers.get("location", "somewhere else")))
        hint = (
            f" It sends on to '{elsewhere}', which is not followed, since a prompt is for the host "
            "that is named: give its address as base_url if you trust it."
        )
    said = brief(mask_text(_said(answer.body)))
    return ChatError(
        f"{where} refused with status {answer.status}: {said}{hint}",
        "status",
        answer.status,
        parse_retry_after(answer.headers),
    )


def _said(body: bytes) -> str:
    """Returns what a refusal says, by the protocol's field or else as it is."""
    with suppress(ValueError, RecursionError, TypeError, KeyError):
        return str(json.loads(body)["error"]["message"])
    return body[:2000].decode("utf-8", "replace")


def _read_reply(answer: Answer, where: str) -> ChatReply:
    """Reads an answer's first choice."""
    try:
        content = json.loads(answer.body)
        choice = content["choices"][0]
        text, reason = choice["message"]["content"], choice.get("finish_reason")
    except (ValueError, RecursionError, AttributeError, LookupError, TypeError):
        said = brief(mask_text(answer.body[:2000].decode("utf-8", "replace")))
        raise ChatError(
            f"{where} answered with something that is not a chat completion: {said} "
            "Check base_url, which usually ends in '/v1'."
        ) from None
    if not isinstance(text, str):
        raise ChatError(
            f"{where} answered without text (finish_reason '{brief(str(reason))}'). A model that "
            "thinks before it answers may need more max_tokens."
        )
    usage = content.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    return ChatReply(
        text,
        reason if isinstance(reason, str) else "",
        _read_count(counts.get("prompt_tokens")),
        _read_count(counts.get("completion_tokens")),
    )


def _read_count(value: object) -> int | None:
    """Returns a number of tokens as a server tells it; None where it is no such number."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= _LARGEST_COUNT else None


def brief(text: str, most: int = 200) -> str:
    """Returns a text on one line, cut to `most` characters."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[:most]} ..."


def shorten(text: str, head: int, tail: int) -> str:
    """Leaves out the middle of a long text, since a prompt often ends with its question."""
    if len(text) <= head + tail:
        return text
    return f"{text[:head].rstrip()} … {text[-tail:].lstrip()}"
