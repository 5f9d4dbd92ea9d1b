"""An agent behind any endpoint that speaks OpenAI's chat-completions protocol.

    agent = ChatAgent("my-model", base_url="http://localhost:8000/v1")
    env = gym.make("TextSummarize-v0", action_level="text")
    messages, info = env.reset(seed=0)
    messages, reward, terminated, truncated, info = env.step(agent.reply(messages))

vLLM, llama.cpp's server, Ollama and most hosted models speak it. Needs the package `openai`:
`pip install 'textenv[chat]'`.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from textenv.errors import ConfigError, TextEnvError
from textenv.examples import Example, Turn, to_messages

__all__ = ["ChatAgent", "ChatError"]

Messages = Sequence[Mapping[str, str]]


class ChatError(TextEnvError):
    """A chat endpoint cannot be reached, refuses, or answers with something other than text.

    Attributes:
        kind: Kind of failure: no connection, no answer in time, a status of refusal, or an answer
            that is no text.
        status: The status of a refusal, else None.
        retry_after_s: Pause that the server asks for, in seconds, or None.
    """

    def __init__(
        self,
        message: str,
        kind: Literal["connection", "timeout", "status", "answer"] = "answer",
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
        return self.kind in ("connection", "timeout")


class ChatAgent:
    """Asks a chat endpoint for the agent's next turn.

    Timeouts, dropped connections, rate limits (429) and errors of the server (5xx) are tried again,
    with growing pauses, or after the time that the server names. May be called from many threads.

    Args:
        model: The model's name at the endpoint.
        base_url: URL of the endpoint, usually ending in "/v1"; by default the environment
            variable OPENAI_BASE_URL, else OpenAI's own.
        api_key: API key; by default the environment variable OPENAI_API_KEY; a local server needs
            none.
        system: A system prompt for conversations that do not begin with one.
        timeout_s: Longest wait for the endpoint to send something, in seconds.
        max_retries: Maximum number of retries.
        concurrency: Maximum number of simultaneous requests of `reply_all`.
        request: Further fields of the request's body, as they are, such as `temperature` or
            `max_tokens`.

    Raises:
        ConfigError: The package `openai` is missing, or there is no API key.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        system: str | None = None,
        timeout_s: float = 60.0,
        max_retries: int = 4,
        concurrency: int = 8,
        **request: Any,
    ) -> None:
        try:
            import openai
        except ImportError as error:
            raise ConfigError(
                "ChatAgent needs the package 'openai': pip install 'textenv[chat]'."
            ) from error
        base_url = base_url or os.environ.get("OPENAI_BASE_URL") or None
        api_key = api_key or os.environ.get("OPENAI_API_KEY") or ("none" if base_url else None)
        if api_key is None:
            raise ConfigError(
                "OpenAI's endpoint needs an API key: give api_key=..., set OPENAI_API_KEY, or name "
                "another endpoint with base_url=..."
            )
        self.model = model
        self.system = system
        self.concurrency = concurrency
        self._request = request
        self._client = openai.OpenAI(
            base_url=base_url, api_key=api_key, timeout=timeout_s, max_retries=max_retries
        )
        self.base_url = str(self._client.base_url)

    def __call__(self, example: Example, transcript: tuple[Turn, ...]) -> str:
        """Answers a conversation: the agent that `TextCore.play` and `evaluate_speaker` take."""
        return self.reply(to_messages(transcript))

    def reply(self, messages: Messages) -> str:
        """Returns the next turn of a conversation.

        Args:
            messages: {"role", "content"} each, as a text-level environment shows them.

        Raises:
            ChatError: There was no answer after every retry, or one without text.
        """
        import openai

        asked = [dict(message) for message in messages]
        if self.system is not None and (not asked or asked[0]["role"] != "system"):
            asked.insert(0, {"role": "system", "content": self.system})
        where = f"'{self.model}' at {self.base_url}"
        try:
            answer: Any = self._client.chat.completions.create(
                model=self.model,
                messages=asked,  # type: ignore[arg-type] # any role goes: the endpoint judges
                extra_body=self._request,
            )
        except openai.APITimeoutError as error:
            raise ChatError(
                f"{where} did not answer in time. Give a longer timeout_s, or ask for fewer "
                "tokens.",
                "timeout",
            ) from error
        except openai.APIConnectionError as error:
            raise ChatError(
                f"{where} cannot be reached: {error.__cause__ or error}. Is the server running, "
                "and is base_url right?",
                "connection",
            ) from error
        except openai.APIStatusError as error:
            raise ChatError(
                f"{where} refused with status {error.status_code}: {brief(error.message)}"
                f"{_HINTS.get(error.status_code, '')}",
                "status",
                error.status_code,
                parse_retry_after(error.response.headers),
            ) from error
        except (openai.OpenAIError, ValueError) as error:
            raise ChatError(
                f"{where} answered with something that is not a chat completion: "
                f"{brief(str(error))}"
            ) from error
        return _text(answer, where)

    def reply_all(self, conversations: Iterable[Messages]) -> tuple[str, ...]:
        """Answers many conversations, `concurrency` at a time; answers are in order.

        Raises:
            ChatError: As for `reply`, for the first conversation that has no answer.
        """
        with ThreadPoolExecutor(self.concurrency) as pool:
            return tuple(pool.map(self.reply, conversations))


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
        until = parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError, OverflowError):
        return None
    return max(0.0, until.timestamp() - time.time())


_HINTS = {
    401: " Give a valid api_key.",
    404: " Check base_url, which usually ends in '/v1', and the model's name.",
    429: " Lower the concurrency, or give more max_retries.",
}


def _text(answer: Any, where: str) -> str:
    """Returns the text of an answer's first choice."""
    try:
        choice = answer.choices[0]
        text, reason = choice.message.content, choice.finish_reason
    except (AttributeError, IndexError, TypeError):
        raise ChatError(
            f"{where} answered with something that is not a chat completion: {brief(str(answer))} "
            "Check base_url, which usually ends in '/v1'."
        ) from None
    if not isinstance(text, str):
        raise ChatError(
            f"{where} answered without text (finish_reason '{reason}'). A model that thinks before "
            "it answers may need more max_tokens."
        )
    return text


def brief(text: str, most: int = 200) -> str:
    """Returns a text on one line, cut to `most` characters."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[:most]} ..."


def shorten(text: str, head: int, tail: int) -> str:
    """Leaves out the middle of a long text, since a prompt often ends with its question."""
    if len(text) <= head + tail:
        return text
    return f"{text[:head].rstrip()} … {text[-tail:].lstrip()}"
