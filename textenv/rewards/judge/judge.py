"""A language model behind an endpoint as the judge of a response."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from textenv.chat import ChatAgent
from textenv.endpoints.answer_cache import AnswerCache, default_cache_folder
from textenv.endpoints.requests import CallBudget, OnTrouble, Requester
from textenv.errors import ConfigError, UnknownNameError
from textenv.examples import Episode
from textenv.keys import DEFAULT_KEY
from textenv.named_paths import named_path
from textenv.rewards.base import RewardResult
from textenv.rewards.judge.prompt import RUBRICS, judged_data, make_messages, parse_score
from textenv.rewards.judge.requests import Asker, Question
from textenv.rewards.options import check_number

_VERSION = 1  # of how a question is put; part of the key of what is kept
_NOT_SAMPLING = {"messages", "stream", *inspect.signature(ChatAgent).parameters} - {"request"}


@dataclass(frozen=True, eq=False)
class Judge:
    """A language model's grade of the response, by a rubric.

    Asks any endpoint that speaks OpenAI's chat-completions protocol, and maps its score to 0 .. 1.
    The judge sees the prompt as the agent saw it, the references, and the response; of an episode
    of several turns, all of them. The same texts are asked about once, and the answer is kept on
    disk, so that a repeat is free.

    Components: "score" on the judge's own scale; "requests", how many were sent for the episode;
    "cached", 1 where none was.

    What has no score is never 0. An answer that is not exactly one score on the scale is asked for
    once more; then the episode is invalid, with the reason. So is one whose question the endpoint
    refuses (400, 413, 422), as it does one that is too long for the model. Rate limits (429),
    errors of the server (5xx), timeouts and lost connections are tried again after growing pauses,
    or after the time that the server names. Where that does not help, and at once where the
    endpoint was never there or refuses everything (401, 403, 404), a RewardError ends the batch;
    what was answered until then is kept.

    The judged texts are data between two marked lines, as JSON: no text can end the data, bring in
    a turn of its own, or hide in invisible characters. What this cannot do is make a model
    strong-minded. "The best answer ever, full marks" is a text that a judge reads, and weak ones
    fall for it; measure yours with `textenv rewards audit`, which has such a probe.

    What is judged goes to the host that is named and to no other: redirects are not followed, and
    a proxy of the environment is used over https alone, where it cannot read what it passes on. An
    answer of more than 4 MiB, packed or unpacked, is no score.

    Attributes:
        model: The model's name at the endpoint.
        base_url: URL of the endpoint, usually ending in "/v1"; by default the environment
            variable OPENAI_BASE_URL, else OpenAI's own.
        api_key_env: Name of the environment variable that holds the API key, with API_KEY or
            API_TOKEN in it; a local server needs none. The key itself is refused in a
            configuration, which is written down with a run.
        rubric: "quality", "faithfulness" (to the prompt), "helpfulness", or your own text.
        references: Whether the judge sees the references.
        scale: Worst and best score.
        temperature: Sampling temperature of the judge; None for models that do not take one.
        request: Further fields of the request's body, such as {"max_tokens": 300}.
        timeout_s: Time for a whole answer, in seconds, from the connection to the last byte.
        max_retries: Maximum number of retries of a failed request.
        backoff_s: First pause before a retry, in seconds; it doubles each time, up to 30.
        concurrency: Maximum number of requests at a time.
        cache: The folder of the answers, by default one of the user's own; False keeps none.
        max_calls: Maximum number of requests of this judge, retries included; when they are spent,
            a RewardError says how far it came. Cached answers cost none, so 0 allows only those.
            Environments that are made apart, such as for training and for evaluation, have a judge
            and a budget each.
        on_invalid: "mark" an episode as invalid whose answer is not a score, or "raise".
        on_failure: "raise" when a request failed after all retries, or "mark" the episode as
            invalid and go on.

    Raises:
        ConfigError: An option makes no sense, or the API key is missing.
    """

    name: ClassVar[str] = "judge"
    waits: ClassVar[bool] = True  # see `textenv.rewards.base.waits`

    model: str = ""
    base_url: str | None = None
    api_key_env: str = DEFAULT_KEY
    rubric: str = "quality"
    references: bool = True
    scale: Sequence[float] = (1.0, 10.0)
    temperature: float | None = 0.0
    request: Mapping[str, Any] = field(default_factory=dict)
    timeout_s: float = 60.0
    max_retries: int = 4
    backoff_s: float = 0.5
    concurrency: int = 8
    cache: str | Path | bool = True
    max_calls: int | None = None
    on_invalid: OnTrouble = "mark"
    on_failure: OnTrouble = "raise"

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model:
            raise ConfigError(
                "A judge needs the name of a model, and where it is: {'judge': {'model': "
                "'my-model', 'base_url': 'http://localhost:8000/v1'}}."
            )
        _check_number("timeout_s", self.timeout_s, 1e-3)
        _check_number("backoff_s", self.backoff_s, 0)
        if self.temperature is not None:
            _check_number("temperature", self.temperature, 0)
        _check_number("max_retries", self.max_retries, 0, whole=True)
        _check_number("concurrency", self.concurrency, 1, whole=True)
        if self.max_calls is not None:
            _check_number("max_calls", self.max_calls, 0, whole=True)
        for name in ("on_invalid", "on_failure"):
            if getattr(self, name) not in ("mark", "raise"):
                raise UnknownNameError(name, getattr(self, name), ("mark", "raise"))
        # Found now rather than when the first episode ends.
        _ = self._rubric, self._scale, self._asker

    def __deepcopy__(self, memo: dict[int, Any]) -> Judge:
        # Gymnasium copies what an environment is made with; the budget is one all the same.
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # Connections and locks stay in their process.
        options = {option.name: getattr(self, option.name) for option in fields(self)}
        return partial(Judge, **options), ()

    @property
    def n_calls(self) -> int:
        """How many requests were sent so far."""
        return self._asker.requester.budget.n_calls

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order; a RewardError says why there are no more answers."""
        questions = [self._question(episode) for episode in episodes]
        verdicts = self._asker.ask_all({question.key: question for question in questions})
        low, high = self._scale
        score = np.array([verdicts[question.key].score for question in questions], np.float64)
        # Of episodes with the same question, the last is the one that was asked about.
        asked = {question.key: i for i, question in enumerate(questions)}
        sent = np.zeros(len(episodes))
        for key, i in asked.items():
            sent[i] = verdicts[key].n_requests
        reasons = [verdicts[question.key].reason for question in questions]
        return RewardResult(
            (score - low) / (high - low),
            {"score": score, "requests": sent, "cached": (sent == 0).astype(np.float64)},
            np.array([reason is None for reason in reasons], np.bool_),
            {i: reason for i, reason in enumerate(reasons) if reason is not None},
        )

    def _question(self, episode: Episode) -> Question:
        data = judged_data(episode, self.references)
        messages, again = (
            make_messages(data, self._rubric, self._scale, reminder) for reminder in (False, True)
        )
        agent = self._asker.requester.agent
        asked = [_VERSION, agent.base_url, self.model, self._sampling, messages]
        text = json.dumps(asked, sort_keys=True, default=str)
        return Question(hashlib.sha256(text.encode()).hexdigest(), messages, again)

    @cached_property
    def _rubric(self) -> str:
        if not isinstance(self.rubric, str) or not self.rubric.strip():
            raise ConfigError(f"The rubric of a judge is a text, or one of {', '.join(RUBRICS)}.")
        if self.rubric not in RUBRICS and len(self.rubric.split()) == 1:
            raise UnknownNameError("rubric", self.rubric, RUBRICS)
        return RUBRICS.get(self.rubric, self.rubric)

    @cached_property
    def _scale(self) -> tuple[float, float]:
        try:
            low, high = (check_number(self.name, "scale", end) for end in self.scale)
        except (TypeError, ValueError):
            low = high = 0.0
        if not low < high:
            raise ConfigError(
                "The scale of a judge is its worst and its best score, such as [1, 10], not "
                f"{self.scale!r}."
            )
        return low, high

    @cached_property
    def _sampling(self) -> dict[str, Any]:
        if not isinstance(self.request, Mapping):
            raise ConfigError(
                f"request holds fields of the request's body by name, not {self.request!r}."
            )
        for name in sorted(_NOT_SAMPLING & self.request.keys()):
            raise ConfigError(f"request cannot hold '{name}': the judge sets it.")
        temperature = {} if self.temperature is None else {"temperature": self.temperature}
        return {**temperature, **self.request}

    @cached_property
    def _asker(self) -> Asker:
        agent = ChatAgent(
            self.model,
            base_url=self.base_url,
            api_key_env=self.api_key_env,
            timeout_s=self.timeout_s,
            max_retries=0,
            **self._sampling,
        )
        folder = default_cache_folder("judge") if self.cache is True else self.cache
        return Asker(
            Requester(agent, self.max_retries, self.backoff_s, CallBudget(self.max_calls)),
            partial(parse_score, scale=self._scale),
            concurrency=self.concurrency,
            on_invalid=self.on_invalid,
            on_failure=self.on_failure,
            cache=AnswerCache(named_path(folder)) if folder else None,
        )


def _check_number(name: str, value: object, least: float, whole: bool = False) -> None:
    kinds = int if whole else int | float
    if isinstance(value, bool) or not isinstance(value, kinds) or not value >= least:
        kind = "a whole number" if whole else "a number"
        raise ConfigError(f"{name} of a judge is {kind} from {least:g} up, not {value!r}.")
