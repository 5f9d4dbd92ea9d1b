"""The tasks of `benchmarks.gain`, with their rows and a heuristic to compare with."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.training.speakers import speak_lead_sentence
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
    """A task, on real data or on the environment's own."""

    name: str  # name on the command line
    id: str  # id of the environment, whose default reward is the metric
    metric: str  # what the reward is
    max_prompt_tokens: int  # most tokens of a prompt
    max_new_tokens: int  # most tokens of a response
    has_heuristic: bool = False  # whether `speak_contribution` makes sense
    # Files with the rows that train and those that are held out; none: the environment's own data.
    files: tuple[str, ...] = ()
    # Of a single file, rows whose `article` is below this train; None: the first two thirds do.
    n_train_groups: int | None = None


_XQUAD = ("qa_xquad_en.jsonl",)
_COMMONGEN = ("gen_commongen_dev.jsonl",)
_SCITLDR = ("summ_scitldr_train.jsonl", "summ_scitldr_dev.jsonl")
TASKS = {
    task.name: task
    for task in (
        GainTask("sentiment", "TextContinue-v0", "sentiment", 96, 48),
        GainTask("topic", "TextContinueTopic-v0", "topic", 96, 48),
        GainTask("qa", "TextQA-v0", "token F1", 320, 24, files=_XQUAD, n_train_groups=36),
        GainTask("keywords", "TextKeywords-v0", "keywords", 64, 32, files=_COMMONGEN),
        GainTask("summary", "TextSummarize-v0", "ROUGE-L", 320, 64, True, _SCITLDR),
    )
}


def write_splits(task: GainTask, data: Path, out: Path) -> None:
    """Writes `train.jsonl` and `test.jsonl` as `dataset=` reads them.

    Held-out rows are shuffled, always alike, so that the first ones are drawn from all of them.
    There is a `validation.jsonl`, too, which nothing reads: a split that is missing would be taken
    out of the training rows.
    """
    first, *others = (_read(data / name) for name in task.files)
    if others:
        train, held_out = first, others[0]
    elif task.n_train_groups is not None:
        train = [row for row in first if row["article"] < task.n_train_groups]
        held_out = [row for row in first if row["article"] >= task.n_train_groups]
    else:
        # CommonGen's rows are in the order of their number of words.
        random.Random(0).shuffle(first)
        train, held_out = first[: 2 * len(first) // 3], first[2 * len(first) // 3 :]
        known = {frozenset(row["concepts"]) for row in train}
        held_out = [row for row in held_out if frozenset(row["concepts"]) not in known]
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
