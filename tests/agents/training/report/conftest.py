"""Folders of made-up runs, finished or not, whose numbers are known."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from agents.training.config import load_config, write_config
from textenv.benchmark.statistics import estimate_gain, estimate_mean

HOSTILE = (
    "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 2'> </p></details> "
    "\"q\" 'q' & {{ 7 * 7 }} \u202eabc\u202c"
)
BEFORE, AFTER = (0.1, 0.2, 0.3, 0.2), (0.9, 0.8, 0.7, 0.6)


def answer(text: str, reward: float) -> dict[str, Any]:
    return {"response": text, "stop_reason": "end_of_turn", "reward": reward, "metrics": {}}


def summary(rewards: Sequence[float]) -> dict[str, Any]:
    one = {"mean": 1.0, "ci95": [1.0, 1.0]}
    return {
        "examples": len(rewards),
        "reward": estimate_mean(rewards).to_json(),
        "metrics": {"ended_by_agent": one, "response_tokens": one},
    }


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def metrics_row(iteration: int, reward: float) -> dict[str, Any]:
    return {
        "iteration": iteration,
        "time/episodes": 8.0 * iteration,
        "rollout/reward_mean": reward,
        "rollout/reward_std": 0.2,
        "rollout/facts": reward / 2,
        "rollout/invalid_episodes": 0.0,
        "kl/ref": 0.1 * iteration,
        "train/entropy": 1.5,
        "train/explained_variance": None,
        "time/tokens_per_s": 1000.0,
    }


@pytest.fixture
def hostile() -> str:
    """A text that would do harm as markup."""
    return HOSTILE


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Writes the folder of a run of four iterations with a look after every second one."""

    def make(
        name: str = "run",
        *,
        before: Sequence[float] = BEFORE,
        after: Sequence[float] = AFTER,
        best: Sequence[float] | None = None,
        text: str = "the answer",
        parts: Sequence[str] = ("result", "samples", "rollouts", "looks", "about", "before"),
        result: Mapping[str, Any] | None = None,
        **config: Any,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        keys = {"total_episodes": 32, "n_episodes": 8, "eval_examples": 4, **config}
        write_config(load_config(None, **{"id": "TextQA-v0", **keys}), folder / "config.yaml")
        rows = [metrics_row(i, 0.2 * i) for i in (1, 2, 3, 4)]
        for row in rows[1::2]:
            reward = row["rollout/reward_mean"] + 0.05
            row |= {
                "validation/reward": reward,
                "validation/reward_low": reward - 0.1,
                "validation/reward_high": reward + 0.1,
            }
        write_lines(folder / "metrics.jsonl", rows)
        stages = {"before": before, **({"best": best} if best else {}), "after": after}
        if "before" in parts:
            content = json.dumps({"rewards": list(before)})
            (folder / "before.json").write_text(content, encoding="utf-8")
        if "samples" in parts:
            samples = [
                {"id": f"e{i}", "prompt": f"prompt {i} {text}", "references": [f"r{i} {text}"]}
                | {s: answer(f"{s} {i} {text}", rewards[i]) for s, rewards in stages.items()}
                for i in range(len(before))
            ]
            write_lines(folder / "samples.jsonl", samples)
        asked = {"id": f"v0 {text}", "prompt": f"asked {text}", "references": [text]}
        if "looks" in parts:
            looks = [
                {"iteration": i, **asked, **answer(f"{said} {text}", 0.2 * i)}
                for i, said in ((0, "red green"), (2, "red blue"), (4, "red blue"))
            ]
            write_lines(folder / "looks.jsonl", looks)
        if "rollouts" in parts:
            rollouts = [{"iteration": i, **asked, **answer(text, 0.1 * i)} for i in (1, 2, 3, 4)]
            write_lines(folder / "rollouts.jsonl", rollouts)
        if "about" in parts:
            about = {
                "versions": {"torch": f"2.0 {text}"},
                "data": {"train": {"examples": 123, "hash": "0123456789abcdef"}},
                "warnings": [f"Mind {text}."],
            }
            (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")
        if "result" in parts:
            content = {
                "id": "TextQA-v0",
                "reward": "token_f1",
                "before": summary(before),
                "after": summary(after),
                "gain": estimate_gain(after, before).to_json(),
                "best": None,
                "kl_ref": 0.4,
                "iterations": 4,
                "total_episodes": 32,
                "stop_reason": "budget",
                "train_wall_s": 75.0,
                "findings": [f"Mind {text}."],
            }
            if best:
                content["best"] = {
                    "iteration": 2,
                    "after": summary(best),
                    "gain": estimate_gain(best, before).to_json(),
                    "gain_over_last": estimate_gain(best, after).to_json(),
                }
            (folder / "result.json").write_text(
                json.dumps({**content, **(result or {})}), encoding="utf-8"
            )
        return folder

    return make
