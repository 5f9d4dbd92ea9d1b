"""The two tasks of `benchmarks.gain`, with their rows and a heuristic to compare with."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.training.evaluation import speak_lead_sentence
from textenv.errors import DatasetError
from textenv.examples import Example, Turn

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_CONTRIBUTION = re.compile(
    r"\b(?:we|paper|work|article)\s+(?:\w+\s+)?"
    r"(?:propos|introduc|present|show|develop|describ|stud|demonstrat|investigat)\w*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class GainTask:
    """A task on real data."""

    name: str  # name on the command line
    id: str  # id of the environment, whose default reward is the metric
    metric: str  # what the reward is
    max_prompt_tokens: int  # most tokens of a prompt
    max_new_tokens: int  # most tokens of a response
    kl_coef: float  # coefficient of the KL penalty
    has_heuristic: bool  # whether `speak_contribution` makes sense
    # Rows whose `article` is below this train, the others are held out; None where there is a file
    # for each.
    n_train_groups: int | None


TASKS = {
    task.name: task
    for task in (
        GainTask("qa", "TextQA-v0", "token F1", 320, 32, 0.02, False, 36),
        GainTask("summary", "TextSummarize-v0", "ROUGE-L", 320, 64, 0.02, True, None),
    )
}


def write_splits(task: GainTask, data: Path, out: Path) -> None:
    """Writes `train.jsonl` and `test.jsonl` as `dataset=` reads them.

    Held-out rows are shuffled, always alike, so that the first ones are drawn from all of them.
    There is a `validation.jsonl`, too, which nothing reads: a split that is missing would be taken
    out of the training rows.
    """
    if task.n_train_groups is None:
        train = _read(data / "summ_scitldr_train.jsonl")
        held_out = _read(data / "summ_scitldr_dev.jsonl")
    else:
        rows = _read(data / "qa_xquad_en.jsonl")
        train = [row for row in rows if row["article"] < task.n_train_groups]
        held_out = [row for row in rows if row["article"] >= task.n_train_groups]
    random.Random(0).shuffle(held_out)
    out.mkdir(parents=True, exist_ok=True)
    for name, rows in (("train", train), ("test", held_out), ("validation", held_out)):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (out / f"{name}.jsonl").write_text(text, encoding="utf-8")


def speak_contribution(example: Example, transcript: tuple[Turn, ...]) -> str:
    """Repeats the first sentence that says what the authors did, or else the first of all."""
    for sentence in _SENTENCE_END.split(example.prompt.strip()):
        if _CONTRIBUTION.search(sentence):
            return sentence
    return speak_lead_sentence(example, transcript)


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise DatasetError(f"'{path}' is missing. --data is the folder that holds it.")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
