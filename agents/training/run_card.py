"""The model cards of a run: of its last agent, and of the best by validation reward."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents.ppo.model_card import CARD, Measured, ModelFacts, render_card, versions
from agents.training.checked_files import read_json
from agents.training.config import TrainConfig
from agents.training.looks import BEST
from agents.training.report.run_record import to_estimate
from agents.training.run_folder import ABOUT_FILE, METRICS_FILE
from textenv.report.metric_rows import read_rows
from textenv.storage.checksums import MANIFEST, write_checked
from textenv.storage.faults import storage_faults


def run_facts(config: TrainConfig, reward: Any, out: Path) -> ModelFacts:
    """Returns what is known of a run's agent before it is measured.

    Args:
        config: Configuration of the run.
        reward: Description of its reward.
        out: The run's folder.
    """
    return ModelFacts(
        base=config.model,
        method=f"PPO (advantage={config.advantage}, kl_coef={config.kl_coef})",
        ids=(config.id,),
        reward=reward,
        dataset=config.dataset,
        data=read_json(out / ABOUT_FILE).get("data", {}),
        seed=config.seed,
        versions=versions(),
    )


def write_cards(out: Path, facts: ModelFacts, result: Mapping[str, Any]) -> None:
    """Writes what a finished run has measured into the cards of its models."""
    last = replace(
        facts,
        episodes=result["episodes"],
        kl=result["kl_ref"],
        measured=[_measured(facts, result, result)],
    )
    write_card(out, render_card(last))
    best = result["best"]
    if best is None:
        return
    if best["iteration"] != result["iterations"]:
        # How far the best agent went from the start is not measured.
        row = read_rows(out / METRICS_FILE)[best["iteration"] - 1]
        last = replace(
            facts,
            episodes=round(row["time/episodes"]),
            measured=[_measured(facts, result, best)],
        )
    write_card(out / BEST, render_card(last))


def write_card(folder: Path, card: str) -> None:
    """Writes the card of the model in a folder, and its checksum into the folder's manifest."""
    path = folder / "model" / CARD
    with storage_faults(path):
        write_checked(path, card, folder / MANIFEST)


def _measured(facts: ModelFacts, result: Mapping[str, Any], of: Mapping[str, Any]) -> Measured:
    return Measured(
        facts.ids[0],
        result["eval_split"],
        of["after"]["examples"],
        to_estimate(result["before"]["reward"]),
        to_estimate(of["after"]["reward"]),
        to_estimate(of["gain"]),
    )
