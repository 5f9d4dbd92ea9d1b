"""Useful tokens per second with responses of mixed length: slots that go on against waves.

    python -m benchmarks.decoding [--rounds 5] [--threads 1] [--model embedded] [--json out.json]

Responses have uniform random lengths from 4 to 128 tokens, the same in all arms: a table says when
each one ends, and the end-of-turn token is forced there and withheld before. Each round runs the
arms one after the other, every other round backwards, so that a machine's other work falls on all
of them; ratios are medians over rounds of the ratios within a round, in seconds of the clock and of
the processor. All arms play the same environment with the same decoder:

- slots: what `TextPPO` does. A slot that ends takes its next prompt at once.
- waves: all slots start together, and the next wave starts when the longest response is done.
  Until then finished rows are computed along, as in a padded batch (transformers' `generate`).
- waves, resting: the same, but the decoder leaves finished rows out.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import gymnasium as gym
import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

import textenv  # noqa: F401 - registers the environments
from agents.policy.lm_policy import LMPolicy
from agents.ppo.rollout import collect_episodes
from agents.ppo.vec_env import TextVecEnv
from agents.training.held_out import load_policy
from benchmarks.measuring import (
    JsonPath,
    Spread,
    describe_machine,
    make_table,
    ratios_of,
    write_json,
)

ID = "TextSummarize-v0"
SHORTEST, LONGEST = 4, 128

Ints = NDArray[np.int64]
# The responses' lengths, and how many steps they took.
Played = tuple[list[int], int]


@dataclass(frozen=True)
class Arm:
    """One way to play the episodes."""

    name: str
    tokens_per_s: float  # response tokens a second, the median over rounds
    ratio: Spread  # the slots' tokens a second to its own
    cpu_ratio: Spread  # the same in seconds of the processor
    n_steps: int  # tokens that the slots wrote one after another


class PrescribedLengths:
    """Writes a policy's tokens, but ends each response where a table says.

    Args:
        policy: What samples.
        lengths: Tokens of each response, in the order in which they start.
        end_id: The end-of-turn token.
        n_slots: Slots in play.
        compute_finished: Have the policy compute a token of every slot in each step, in play or
            not.
    """

    reading_share = 0.0  # no slot waits for others to have a prompt to read, too

    def __init__(
        self, policy: LMPolicy, lengths: Ints, end_id: int, n_slots: int, compute_finished: bool
    ) -> None:
        self._policy = policy
        self._lengths = lengths
        self._end_id = end_id
        self._n_started = 0
        self.n_steps = 0
        self._left = np.zeros(n_slots, np.int64)
        self._compute_finished = compute_finished
        self._ids = np.zeros((n_slots, policy.window), np.int32)
        self._n_ids = np.zeros(n_slots, np.int64)

    def act(
        self, input_ids: NDArray[np.int32], lengths: Ints, rows: Ints, deterministic: bool = False
    ) -> tuple[Ints, NDArray[np.float32]]:
        """Chooses the next token of some slots; see `LMPolicy.act`."""
        self.n_steps += 1
        starting = rows[self._left[rows] == 0]
        stop = self._n_started + len(starting)
        self._left[starting] = self._lengths[self._n_started : stop]
        self._n_started = stop
        if self._compute_finished:
            self._ids[rows] = input_ids
            self._n_ids[rows] = lengths
            everyone = np.arange(len(self._ids))
            tokens = self._policy.act(self._ids, self._n_ids, everyone, deterministic)[0]
            resting = np.setdiff1d(everyone, rows)
            self._ids[resting, self._n_ids[resting]] = tokens[resting]
            self._n_ids[resting] += 1
            tokens = tokens[rows]
        else:
            tokens = self._policy.act(input_ids, lengths, rows, deterministic)[0]
        self._left[rows] -= 1
        other = 0 if self._end_id else 1
        tokens = np.where(tokens == self._end_id, other, tokens)
        tokens = np.where(self._left[rows] == 0, self._end_id, tokens)
        return tokens, np.zeros(len(rows), np.float32)  # nobody learns from these episodes


def make_arms(policy: LMPolicy, env: TextVecEnv, lengths: Ints) -> dict[str, Callable[[], Played]]:
    """Returns name -> a function that plays all episodes."""
    n = env.num_envs
    end_id = env.core.tokenizer.end_id

    def play(n_episodes: int, table: Ints, compute_finished: bool) -> Played:
        writer: Any = PrescribedLengths(policy, table, end_id, n, compute_finished)
        episodes = collect_episodes(env, writer, n_episodes, lambda *_: True)
        assert episodes is not None
        return [int(episode.action_mask.sum()) for episode in episodes], writer.n_steps

    def slots() -> Played:
        return play(len(lengths), lengths, False)

    def waves(compute_finished: bool) -> Played:
        starts = range(0, len(lengths), n)
        found = [play(n, lengths[at : at + n], compute_finished) for at in starts]
        return [length for part, _ in found for length in part], sum(steps for _, steps in found)

    return {"slots": slots, "waves": lambda: waves(True), "waves, resting": lambda: waves(False)}


def measure(
    arms: dict[str, Callable[[], Played]], policy: LMPolicy, lengths: Ints, rounds: int
) -> list[Arm]:
    """Runs the arms in turn, a round to warm up and then those that count."""
    steps: dict[str, int] = {}
    # Seconds of the clock and of the processor, a pair for each round.
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in arms}
    for number in track(range(rounds + 1), description="Measuring", console=Console(stderr=True)):
        order = list(arms) if number % 2 else list(reversed(arms))
        for name in order:
            for decoder in policy.cached.decoders:
                # As after an update: nothing is known of the prompts.
                decoder.forget()
            began = time.perf_counter(), time.process_time()
            played, steps[name] = arms[name]()
            spent = time.perf_counter() - began[0], time.process_time() - began[1]
            assert sorted(played) == sorted(lengths), "the table was not kept"
            if number:
                found[name].append(spent)
    results = []
    walls, cpus = zip(*found["slots"], strict=True)
    for name, seconds in found.items():
        wall, cpu = zip(*seconds, strict=True)
        tokens_per_s = float(lengths.sum()) / statistics.median(wall)
        ratios = ratios_of(wall, walls), ratios_of(cpu, cpus)
        results.append(Arm(name, tokens_per_s, *ratios, steps[name]))
    return results


def main(
    rounds: Annotated[int, typer.Option(min=1, help="How often each arm is measured.")] = 5,
    model: Annotated[str, typer.Option(help="The language model.")] = "embedded",
    n_slots: Annotated[int, typer.Option(min=1, help="Slots that play at a time.")] = 32,
    n_waves: Annotated[int, typer.Option(min=1, help="Episodes a slot.")] = 12,
    bf16: Annotated[bool, typer.Option(help="Decode in bfloat16.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the processor.")] = 2,
    device: Annotated[str, typer.Option(help="Where to decode.")] = "cpu",
    json_path: JsonPath = None,
) -> None:
    """Measure decoding with responses of mixed length."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    env = TextVecEnv(gym.make_vec(ID, num_envs=n_slots, max_new_tokens=LONGEST, tokenizer=model))
    policy = load_policy(model, env.core, device, bf16=bf16)
    lengths = np.random.default_rng(0).integers(SHORTEST, LONGEST + 1, n_slots * n_waves)
    arms = measure(make_arms(policy, env, lengths), policy, lengths, rounds)
    columns = ("arm", "tokens/s", "slots to it", "of a round", "of CPU s", "steps")
    table = make_table(f"Medians of {rounds} rounds", *columns)
    for arm in arms:
        tokens, cpu_ratio = f"{arm.tokens_per_s:,.0f}", f"{arm.cpu_ratio.median:.2f}"
        table.add_row(arm.name, tokens, *arm.ratio.cells(), cpu_ratio, f"{arm.n_steps:,}")
    Console().print(table)
    settings = {"model": model, "n_slots": n_slots, "n_waves": n_waves, "bf16": bf16}
    settings |= {"device": device, "threads": torch.get_num_threads(), "rounds": rounds}
    machine = describe_machine("torch")
    figures = {"settings": settings, "machine": machine, "arms": [asdict(arm) for arm in arms]}
    write_json(json_path, figures)


if __name__ == "__main__":
    typer.run(main)
