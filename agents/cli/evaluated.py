"""How evaluations are shown on a terminal, and summed up over ids and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from agents.cli.display import (
    print_answers,
    print_comparison,
    print_evaluation,
    print_facts,
    spec_text,
)
from agents.training.agent_specs import CHAT, AgentSpec, EvaluationSetting
from textenv.cli.console import print_findings

if TYPE_CHECKING:
    from agents.training.agent_evaluation import EvaluationRecord

SUMMARY_FILE = "summary.json"
_SHOWN = 3  # answers that are printed
_COUNTS = ("answers", "prompt_tokens", "completion_tokens", "uncounted")

Records = Mapping[str, Sequence["EvaluationRecord"]]


@dataclass(frozen=True)
class Shown:
    """What a command was asked for.

    Attributes:
        spec: Who played.
        model: The option --model, as it was given.
        settings: What was played, by id.
        given: What the command line says of it, for all ids.
        run_ids: Environments of which the model's run has brought the setting.
    """

    spec: AgentSpec
    model: str | None
    settings: Mapping[str, EvaluationSetting]
    given: EvaluationSetting
    run_ids: Sequence[str] = ()


def has_own(setting: EvaluationSetting, name: str) -> bool:
    """Tells whether a data set or a reward is given."""
    return getattr(setting, name) is not None or name in setting.env


def summarize(records: Records, seeds: Sequence[int], shown: Shown) -> dict[str, Any]:
    """Returns what several evaluations found, as plain values: one entry an id, over its seeds.

    Seeds count as further samples of the same examples.
    """
    from agents.training.evaluation import pool_samples

    entries = []
    for id, of_id in records.items():
        first, pooled = of_id[0].result, pool_samples([record.evaluation for record in of_id])
        entry = {
            "id": id,
            **{name: first[name] for name in ("dataset", "reward_spec")},
            **pooled.summary(),
            "by_seed": {str(r.result["seed"]): r.result["reward"] for r in of_id},
        }
        setting = shown.settings[id]
        if setting.pass_at:
            found = pooled.pass_at(setting.pass_at, setting.pass_reward)
            entry["pass_at"] = {str(k): estimate.to_json() for k, estimate in found.items()}
        entries.append(entry)
    results = [record.result for of_id in records.values() for record in of_id]
    first = results[0]
    summary = {name: first[name] for name in ("agent", "model", "split", "temperature")}
    summary |= {"seeds": list(seeds), "evaluations": entries}
    if shown.spec.name == CHAT:
        summary["chat"] = _sum_usage([result["chat"] for result in results])
    return summary


def _sum_usage(used: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    costs = [one["cost"] for one in used]
    return {
        "base_url": used[0]["base_url"],
        **{name: sum(one[name] for one in used) for name in _COUNTS},
        "cost": None if None in costs else sum(costs),
    }


def print_record(console: Console, record: EvaluationRecord, shown: Shown) -> None:
    """Prints one evaluation: what was played, every metric, and some answers."""
    result, spec = record.result, shown.spec
    setting = shown.settings[result["id"]]
    from_run = "the run's" if result["id"] in shown.run_ids else "the environment's"
    source = {
        name: "given" if has_own(shown.given, name) else from_run for name in ("dataset", "reward")
    }
    facts = {
        "agent": _agent(result, shown),
        "dataset": f"{spec_text(result['dataset'])} ({source['dataset']})",
        "reward": f"{spec_text(result['reward_spec'])} ({source['reward']})",
        "examples": f"{result['examples']} of {setting.split}",
    }
    if spec.draws:
        at = "" if result["temperature"] is None else f" at temperature {result['temperature']:g}"
        facts["samples"] = f"{spec.samples} of each example{at}"
    if setting.pass_at:
        facts["passes"] = f"reward of {setting.pass_reward:g} or more"
    if spec.name == CHAT:
        facts |= _chat_facts(result["chat"], [record])
    print_facts(console, result["id"], facts)
    console.print()
    print_findings(console, result["findings"])
    print_evaluation(console, "", result)
    print_answers(console, record.rows[: _SHOWN * spec.samples : spec.samples])


def print_summary(
    console: Console, summary: Mapping[str, Any], records: Records, shown: Shown
) -> None:
    """Prints several evaluations: a line an id, and with several seeds a line each."""
    results = [record for of_id in records.values() for record in of_id]
    seeds = summary["seeds"]
    facts = {"agent": _agent(summary, shown), "seeds": ", ".join(map(str, seeds))}
    if shown.spec.name == CHAT:
        facts |= _chat_facts(summary["chat"], results)
    print_facts(
        console, f"{len(records)} environments" if len(records) > 1 else next(iter(records)), facts
    )
    console.print()
    for id, of_id in records.items():
        told = dict.fromkeys(finding for record in of_id for finding in record.result["findings"])
        print_findings(console, [f"{id}: {finding}" for finding in told])
    lines: dict[str, Mapping[str, Any]] = {}
    for entry in summary["evaluations"]:
        lines[entry["id"]] = entry
        if len(seeds) > 1:
            own = records[entry["id"]]
            lines |= {f"  {entry['id']}, seed {r.result['seed']}": r.result for r in own}
    print_comparison(console, f"{shown.given.split} examples", lines)


def _agent(result: Mapping[str, Any], shown: Shown) -> str:
    """Says who played."""
    spec = shown.spec
    if spec.name == CHAT:
        return f"{spec.name}, {spec.model} at {result['chat']['base_url']}"
    return f"{spec.name}, {result['model']}{_whose(shown.model)}" if spec.needs_model else spec.name


def _chat_facts(used: Mapping[str, Any], records: Sequence[EvaluationRecord]) -> dict[str, str]:
    """Says what the answers took, and which of them were not asked for now."""
    asked, kept = (sum(getattr(r, name) for r in records) for name in ("n_requests", "n_kept"))
    tokens = f"{used['prompt_tokens']:,} in, {used['completion_tokens']:,} out"
    if used["uncounted"]:
        tokens += f"; the server counted none for {used['uncounted']} of {used['answers']} answers"
    facts = {"tokens": tokens}
    if used["cost"] is not None:
        facts["cost"] = f"{used['cost']:.4g}, kept answers included"
    facts["requests"] = f"{asked} sent now"
    if kept:
        facts["requests"] += (
            f"; {kept} answers were kept from before. If the model behind the name has changed "
            "since, give another --cache."
        )
    return facts


def _whose(model: str | None) -> str:
    """Says which agent a run's folder stands for, where it has two."""
    from agents.training.looks import BEST

    folder = Path(model or "")
    has_best = model is not None and (folder / BEST / "model").is_dir()
    return f" (the last agent; the best is {folder / BEST})" if has_best else ""
