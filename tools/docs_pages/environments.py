"""The page of environments, as a pure function of records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from textenv.benchmark.statistics import Estimate
from textenv.env import TextEnv
from textenv.examples import Turn
from tools.docs_pages.markdown import entries_of, render_page
from tools.docs_pages.records import EnvironmentRecord

_SPEAKERS = {"system": "system", "user": "environment", "assistant": "agent"}


def render_environments(records: Sequence[EnvironmentRecord]) -> str:
    """Returns the page; environments of the same task stand together."""
    tasks: dict[str, list[EnvironmentRecord]] = {}
    for record in records:
        tasks.setdefault(record.row.task, []).append(record)
    return render_page(
        "environments",
        n_examples=max(record.measured.n_examples for record in records),
        families={family_name(r.row.id for r in family): family for family in tasks.values()},
        environment_class=TextEnv,
        arguments=entries_of(TextEnv),
        spec_text=spec_text,
        short=_short,
        choices=_choices,
        settings=_settings,
        said=_said,
        candidates=_candidates,
        number=_number,
        interval=_interval,
    )


def family_name(ids: Iterable[str]) -> str:
    """Returns the heading under which the environments of a task stand, such as "TextQA"."""
    return min((id.rpartition("-v")[0] for id in ids), key=len)


def spec_text(value: Any) -> str:
    """Returns a dataset or a reward of the registry as one writes it in code."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _choices(record: EnvironmentRecord) -> str:
    """Returns how many candidates there are at select level, bold where it is the default."""
    n_candidates = record.core.task.n_candidates
    if not n_candidates:
        return ""
    return f"**{n_candidates}**" if record.core.action_level == "select" else str(n_candidates)


def _settings(record: EnvironmentRecord) -> dict[str, str]:
    """Returns what an environment is made with, as JSON."""
    row, core = record.row, record.core
    settings: dict[str, Any] = {"dataset": row.kwargs.dataset, "reward": row.kwargs.reward}
    if core.action_level != "token":
        settings["action_level"] = core.action_level
    for name in ("max_prompt_tokens", "max_new_tokens", "max_turns"):
        settings[name] = getattr(core, name)
    if row.task_kwargs:
        settings["task_kwargs"] = dict(row.task_kwargs)
    return {name: json.dumps(value, ensure_ascii=False) for name, value in settings.items()}


def _candidates(record: EnvironmentRecord) -> str:
    """Returns the candidates of the example that is shown, a line each."""
    task, example = record.core.task, record.example
    texts = task.candidates(example, task.opening(example))
    return "\n".join(f"{i}: {text}" for i, text in enumerate(texts))


def _said(turns: Sequence[Turn], named: bool = True) -> str:
    """Returns turns as text, each after its speaker; an empty one as "(nothing)"."""
    texts = [turn.text or "(nothing)" for turn in turns]
    if not named:
        return "\n".join(texts)
    return "\n\n".join(
        f"{_SPEAKERS[turn.role]}: {text}" for turn, text in zip(turns, texts, strict=True)
    )


def _short(dataset: Any) -> str:
    """Returns a dataset by its name, and its options without their names."""
    if not isinstance(dataset, Mapping):
        return spec_text(dataset)
    options = [str(value) for key, value in dataset.items() if key != "path"]
    return f"{dataset['path']}, {', '.join(options)}" if options else str(dataset["path"])


def _number(value: float) -> str:
    return f"{value:.3f}"


def _interval(estimate: Estimate) -> str:
    low, high = estimate.ci95
    return f"{_number(estimate.mean)} [{_number(low)}, {_number(high)}]"
