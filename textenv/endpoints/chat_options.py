"""The options of a chat model that plays: where it is, what is sent, and what it may cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from textenv.endpoints.requests import CallBudget, OnTrouble
from textenv.errors import ConfigError, UnknownNameError
from textenv.keys import DEFAULT_KEY, refuse_secrets

_OURS = ("model", "messages", "stream")  # fields of the request that options do not change
_LONGEST_S = 1_000_000  # sockets take no time without bounds


@dataclass(frozen=True)
class ChatOptions:
    """Where a chat model is, and how it is asked.

    Attributes:
        base_url: URL of the endpoint, usually ending in "/v1"; by default the environment
            variable OPENAI_BASE_URL, else OpenAI's own.
        api_key_env: Name of the environment variable that holds the API key, with API_KEY or
            API_TOKEN in it; a local server needs none.
        request: Further fields of the request's body, such as {"top_p": 0.9, "stop": ["END"]}.
            `max_tokens` is the environment's `max_new_tokens` unless it, or
            `max_completion_tokens`, is given here. null leaves a field out, such as the temperature
            where a model takes none.
        concurrency: Maximum number of requests at a time.
        timeout_s: Time for a whole answer, in seconds, from the connection to the last byte.
        max_retries: Maximum number of retries of a failed request.
        backoff_s: First pause before a retry, in seconds; it doubles each time, up to 30.
        max_calls: Maximum number of requests of all that is evaluated with this object, retries
            included; kept answers cost none.
        cache: Folder of the kept answers, by default one of the user's own; False keeps none.
        on_failure: "raise" when a request failed after all retries, or "mark" the episode as
            invalid and go on.
        prices: What a million tokens cost, of the question and of the answer, in any currency.

    Raises:
        ConfigError: An option makes no sense, or holds a key.
    """

    base_url: str | None = None
    api_key_env: str = DEFAULT_KEY
    request: Mapping[str, Any] = field(default_factory=dict)
    concurrency: int = 8
    timeout_s: float = 120.0
    max_retries: int = 6
    backoff_s: float = 0.5
    max_calls: int | None = None
    cache: str | Path | bool = True
    on_failure: OnTrouble = "raise"
    prices: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.request, Mapping):
            raise ConfigError(
                f"request holds fields of the request's body by name, not {self.request!r}."
            )
        refuse_secrets(self.request)
        for name in sorted(self.request.keys() & set(_OURS)):
            raise ConfigError(f"request cannot hold '{name}': the evaluation sets it.")
        if self.request.get("temperature") is not None:
            raise ConfigError("request cannot hold 'temperature': it is an option of its own.")
        for name, least in (("concurrency", 1), ("max_retries", 0), ("max_calls", 0)):
            value = getattr(self, name)
            if value is None and name == "max_calls":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(f"{name} is a whole number from {least} up, not {value!r}.")
        for name, above in (("timeout_s", 1e-3), ("backoff_s", 0.0)):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not above <= value <= _LONGEST_S:
                raise ConfigError(
                    f"{name} is a number of seconds from {above:g} to {_LONGEST_S:,}, not {value}."
                )
        if self.on_failure not in ("mark", "raise"):
            raise UnknownNameError("on_failure", self.on_failure, ("mark", "raise"))
        if self.prices is not None and not (
            len(self.prices) == 2 and all(0 <= price < math.inf for price in self.prices)
        ):
            raise ConfigError(
                "prices are those of a million tokens of questions and of answers, such as "
                f"(0.15, 0.6), not {self.prices}."
            )

    @cached_property
    def budget(self) -> CallBudget:
        """The requests of all that is evaluated with this object."""
        return CallBudget(self.max_calls)

    def fields(self, temperature: float | None, max_new_tokens: int) -> dict[str, Any]:
        """Returns what is sent besides the model and the messages.

        Args:
            temperature: Temperature of the model's sampling; None for one that takes none.
            max_new_tokens: Most tokens of a turn, as the environment has it.
        """
        fields: dict[str, Any] = {"temperature": temperature}
        if "max_completion_tokens" not in self.request:
            fields["max_tokens"] = max_new_tokens
        fields |= self.request
        return {name: value for name, value in fields.items() if value is not None}

    def draws(self, temperature: float | None) -> bool:
        """Whether answers to equal questions may differ, since the temperature is not 0."""
        return self.fields(temperature, 1).get("temperature") != 0
