"""Command-line options of a chat endpoint that plays, for every command that takes an agent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from textenv.cli.console import parse_spec
from textenv.endpoints.chat_options import ChatOptions
from textenv.errors import ConfigError

_PANEL = "Chat endpoint (--agent chat)"
_NO_CACHE = "none"
_DEFAULTS = ChatOptions()

BaseUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Address of the endpoint, usually ending in /v1.",
        show_default="OPENAI_BASE_URL, else OpenAI's own",
        rich_help_panel=_PANEL,
    ),
]
ApiKeyEnv = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Environment variable that holds the API key; a local server needs none.",
        show_default=_DEFAULTS.api_key_env,
        rich_help_panel=_PANEL,
    ),
]
Concurrency = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Requests at a time.",
        show_default=f"{_DEFAULTS.concurrency}",
        rich_help_panel=_PANEL,
    ),
]
Request = Annotated[
    str | None,
    typer.Option(
        metavar="{FIELD: VALUE}",
        help="Further fields of the request, such as {top_p: 0.9, max_tokens: 900}; null leaves a "
        "field out.",
        rich_help_panel=_PANEL,
    ),
]
TimeoutS = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        help="Time for one whole answer.",
        show_default=f"{_DEFAULTS.timeout_s:g}",
        rich_help_panel=_PANEL,
    ),
]
Retries = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Retries of a request that failed.",
        show_default=f"{_DEFAULTS.max_retries}",
        rich_help_panel=_PANEL,
    ),
]
OnFailure = Annotated[
    str | None,
    typer.Option(
        metavar="raise|mark",
        help="When the retries are spent: end the evaluation, or mark the episode as invalid.",
        show_default=_DEFAULTS.on_failure,
        rich_help_panel=_PANEL,
    ),
]
MaxCalls = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Most requests, retries included; kept answers cost none.",
        rich_help_panel=_PANEL,
    ),
]
Cache = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER",
        help=f"Where answers are kept, so that nothing is asked twice; '{_NO_CACHE}' keeps none.",
        show_default="~/.cache/textenv/chat",
        rich_help_panel=_PANEL,
    ),
]
Prices = Annotated[
    str | None,
    typer.Option(
        metavar="IN,OUT",
        help="Prices of a million tokens of questions and of answers; the cost is told then.",
        rich_help_panel=_PANEL,
    ),
]


def read_chat_options(
    *,
    base_url: str | None = None,
    api_key_env: str | None = None,
    concurrency: int | None = None,
    request: str | None = None,
    timeout: float | None = None,
    retries: int | None = None,
    on_failure: str | None = None,
    max_calls: int | None = None,
    cache: str | None = None,
    prices: str | None = None,
) -> ChatOptions | None:
    """Reads the options of a chat endpoint; None where none is given.

    Raises:
        ConfigError: One makes no sense.
    """
    given: dict[str, Any] = {
        "base_url": base_url,
        "api_key_env": api_key_env,
        "concurrency": concurrency,
        "request": parse_spec(request),
        "timeout_s": timeout,
        "max_retries": retries,
        "on_failure": on_failure,
        "max_calls": max_calls,
        "cache": None if cache is None else cache != _NO_CACHE and Path(cache),
        "prices": None if prices is None else _read_prices(prices),
    }
    given = {name: value for name, value in given.items() if value is not None}
    return ChatOptions(**given) if given else None


def _read_prices(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise ConfigError(f"--prices {text}: give two numbers, such as 0.15,0.6.") from None
