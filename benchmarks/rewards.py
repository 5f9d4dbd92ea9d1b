"""Speed of the lexical rewards, beside the packages that they repeat.

    python -m benchmarks.rewards [--data DIR] [--rounds 7] [--json out.json]

600 responses of 5 to 65 words, the beginnings of documents, with their summaries as references:
finished episodes, as an environment scores them, and plain texts for `textenv.score` and the peers.
Each round times every reward and its peer one after the other, in seconds of the CPU; a ratio is
the median over rounds of the ratios within a round, so that a machine's other work falls on both.
That the scores agree is tested in tests/textenv/rewards.
"""

from __future__ import annotations

import json
import re
import statistics
import string
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import sacrebleu
import typer
from rich.console import Console
from rich.progress import track
from rouge_score import rouge_scorer

from benchmarks.measuring import (
    JsonPath,
    Spread,
    describe_machine,
    make_table,
    ratios_of,
    write_json,
)
from textenv.datasets import make_generator
from textenv.examples import Episode, Example, Turn
from textenv.rewards import compute_rewards, load_reward, score
from textenv.rewards.catalog import REWARDS

N_RESPONSES = 600
LENGTHS = (5, 65)  # words of a response
GENERATED_ROWS = 500
LEAST_RATIO = 20.0  # of ROUGE-L
# Peers that take minutes for all responses score the first of them.
SCORED_BY_PEER = {"ter": 30}
WITHOUT_REFERENCES = ("repetition", "distinct")
FROM_TEXTS = "rougeL by score()"

# A response and its references -> a score.
Peer = Callable[[str, Sequence[str]], float]
# A document and its summaries.
Row = tuple[str, tuple[str, ...]]


def _rouge(name: str) -> Peer:
    scorer = rouge_scorer.RougeScorer([name])
    return lambda text, group: scorer.score_multi(group, text)[name].fmeasure


def _normalise_answer(text: str) -> str:
    """Lower case, no punctuation, no articles, single spaces: the rules of SQuAD's script."""
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def _exact(response: str, reference: str) -> float:
    return float(_normalise_answer(response) == _normalise_answer(reference))


def _f1(response: str, reference: str) -> float:
    said, wanted = _normalise_answer(response).split(), _normalise_answer(reference).split()
    shared = sum((Counter(said) & Counter(wanted)).values())
    return 2 * shared / (len(said) + len(wanted)) if shared else float(said == wanted)


PEERS: dict[str, Peer] = {
    **{name: _rouge(name) for name in ("rouge1", "rouge2", "rougeL", "rougeLsum")},
    "bleu": lambda text, group: sacrebleu.sentence_bleu(text, group).score,
    "chrf": lambda text, group: sacrebleu.sentence_chrf(text, group).score,
    "chrf++": lambda text, group: sacrebleu.sentence_chrf(text, group, word_order=2).score,
    "ter": lambda text, group: sacrebleu.sentence_ter(text, group).score,
    "exact_match": lambda text, group: max(_exact(text, other) for other in group),
    "token_f1": lambda text, group: max(_f1(text, other) for other in group),
}


@dataclass(frozen=True)
class Speed:
    """Responses of one reward scored in a second of the CPU."""

    reward: str
    responses_per_s: float  # responses a second, the median over rounds
    peer_responses_per_s: float | None = None  # the peer's; None if there is none
    ratio: Spread | None = None  # ours to the peer's on the same responses; None without a peer


def load_rows(folder: Path | None) -> list[Row]:
    """Returns the rows of the first summ_*.jsonl of a folder, or generated reports."""
    if folder is None:
        generator, rng = make_generator("news", {}), np.random.default_rng(0)
        found = [generator.sample(rng)[1] for _ in range(GENERATED_ROWS)]
        return [(str(row["document"]), (str(row["summary"]),)) for row in found]
    path = min(folder.glob("summ_*.jsonl"), default=None)
    if path is None:
        raise typer.BadParameter(f"'{folder}' has no file summ_*.jsonl.")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [(row["document"], tuple(row["summaries"])) for row in rows]


def make_episodes(rows: Sequence[Row]) -> list[Episode]:
    """Returns finished episodes whose responses are the beginnings of documents."""
    sizes = np.random.default_rng(0).integers(LENGTHS[0], LENGTHS[1] + 1, size=N_RESPONSES)
    episodes = []
    for i, size in enumerate(sizes):
        document, references = rows[i % len(rows)]
        # A short document goes on with the next ones, so that every length can be had.
        words = " ".join(rows[(i + k) % len(rows)][0] for k in range(9)).split()
        metadata = {"concepts": references[0].split()[:5]}
        example = Example(str(i), document, references, metadata)
        turns = (Turn("user", document), Turn("assistant", " ".join(words[:size])))
        episodes.append(Episode(example, turns))
    return episodes


def measure_speeds(episodes: list[Episode], rounds: int) -> list[Speed]:
    """Times every lexical reward and its peer, one after the other in each round."""
    names = [name for name, row in REWARDS.items() if row.family == "lexical"]
    names += WITHOUT_REFERENCES
    ours: dict[str, list[float]] = {name: [] for name in (*names, FROM_TEXTS)}
    pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in ours}
    for name in names:  # what is imported or compiled once is not to count
        _time_reward(name, episodes[:2])
    for _ in track(range(rounds), description="Timing", console=Console(stderr=True)):
        for name in names:
            ours[name].append(_time_reward(name, episodes))
            if name not in PEERS:
                continue
            part = episodes[: SCORED_BY_PEER.get(name, N_RESPONSES)]
            mine = _time_reward(name, part) if name in SCORED_BY_PEER else ours[name][-1]
            theirs = _time_peer(name, part)
            pairs[name].append((mine, theirs))
            if name == "rougeL":
                ours[FROM_TEXTS].append(_time_score(name, episodes))
                pairs[FROM_TEXTS].append((ours[FROM_TEXTS][-1], theirs))
    return [_speed(name, ours[name], pairs[name]) for name in ours]


def _speed(name: str, ours: list[float], pairs: list[tuple[float, float]]) -> Speed:
    if not pairs:
        return Speed(name, statistics.median(ours))
    mine, theirs = zip(*pairs, strict=True)
    return Speed(name, statistics.median(ours), statistics.median(theirs), ratios_of(mine, theirs))


def _rate(n: int, score_all: Callable[[], object]) -> float:
    began = time.process_time()
    score_all()
    return n / (time.process_time() - began)


def _time_reward(name: str, episodes: list[Episode]) -> float:
    reward = load_reward(name)
    return _rate(len(episodes), lambda: compute_rewards(reward, episodes))


def _time_score(name: str, episodes: list[Episode]) -> float:
    responses = [episode.response for episode in episodes]
    references = [episode.example.references for episode in episodes]
    return _rate(len(episodes), lambda: score(name, responses, references))


def _time_peer(name: str, episodes: list[Episode]) -> float:
    pairs = [(episode.response, episode.example.references) for episode in episodes]
    return _rate(len(episodes), lambda: [PEERS[name](*pair) for pair in pairs])


def main(
    data: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="A folder of summ_*.jsonl (document, summaries); by default generated reports.",
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each reward is timed.")] = 7,
    json_path: JsonPath = None,
) -> None:
    """Measure the speed of the lexical rewards beside their reference packages."""
    speeds = measure_speeds(make_episodes(load_rows(data)), rounds)
    columns = ("reward", "ms each", "a second", "peer's", "ratio", "of a round", "wanted")
    table = make_table(f"Throughput, medians of {rounds} rounds", *columns)
    for speed in speeds:
        row = [speed.reward, f"{1e3 / speed.responses_per_s:.3f}", f"{speed.responses_per_s:,.0f}"]
        if speed.ratio is not None:
            row += [f"{speed.peer_responses_per_s:,.0f}", *speed.ratio.cells(1)]
        if speed.reward == "rougeL":
            row += [f"at least {LEAST_RATIO:g}"]
        table.add_row(*row)
    Console().print(table)
    packages = ("textenv", "rouge-score", "sacrebleu", "rapidfuzz", "nltk", "numpy")
    figures = {"rounds": rounds, "machine": describe_machine(*packages)}
    write_json(json_path, {**figures, "throughput": [asdict(speed) for speed in speeds]})


if __name__ == "__main__":
    typer.run(main)
