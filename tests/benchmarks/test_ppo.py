"""The PPO benchmark: who plays, what rounds say, and that everyone's work is the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import typer

from benchmarks.measuring import Spread
from benchmarks.peers.contestants import Contestant, ContestantError, make_field, play, work_of
from benchmarks.peers.fixed_work import (
    END_ID,
    even_share,
    make_fixed_work,
    ppo_arguments,
    write_model,
)
from benchmarks.peers.standings import compute_ratios, compute_standings, split_update
from benchmarks.peers.torch_ppo import BareLoop
from benchmarks.peers.work import Outcome, Stopwatch, Work, read_prompts, write_json
from benchmarks.ppo import parse_against, rotate
from textenv import Episode, Example

OURS = Contestant("TextPPO", separate_critic=False, bf16=False)
PEER = Contestant("torch", separate_critic=False, bf16=False)


@pytest.fixture(scope="module")
def small_work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """Prompts of 64 and responses of 32 tokens, with as small a model as can be."""
    work = Work(
        str(tmp_path_factory.mktemp("tiny")), n_episodes=4, n_epochs=2, hidden_size=16,
        n_layers=1, n_heads=2, n_kv_heads=2, vocab_size=128, threads=1, warmup=1, updates=2,
    )  # fmt: skip
    write_model(work)
    return work


def test_the_environment_shows_the_prompts_that_the_peers_read(small_work: Work) -> None:
    env = make_fixed_work(small_work)
    observation, _ = env.reset(seed=0)
    shown = observation["input_ids"][:, :64].tolist()
    assert observation["attention_mask"].sum(axis=1).tolist() == [64] * 4
    assert all(prompt in read_prompts(small_work) for prompt in shown)


def test_an_episode_of_the_environment_ends_after_32_tokens(small_work: Work) -> None:
    env = make_fixed_work(small_work)
    env.reset(seed=0)
    for step in range(32):
        _, _, terminated, truncated, _ = env.step(np.full(4, 5))
        assert terminated.tolist() == [step == 31] * 4
        assert not truncated.any()


def test_the_tiny_model_practically_never_ends_a_turn(small_work: Work) -> None:
    logits = BareLoop(small_work).policy(torch.tensor(read_prompts(small_work)[:32])).logits
    logprobs = logits.log_softmax(-1)[..., END_ID]
    assert logprobs.max() < -30


def test_the_reward_is_the_share_of_even_ids() -> None:
    ids = np.array([2, 3, 4, 6], np.int32)
    episode = Episode(Example("a", "b", ("c",)), (), input_ids=ids)
    assert even_share([episode]).total.tolist() == [0.75]


@pytest.mark.slow
def test_the_bare_loop_plays_and_learns_in_a_process_of_its_own(small_work: Work) -> None:
    outcome = play(PEER, small_work)
    assert len(outcome.update_s) == len(outcome.cpu_s) == 2
    assert len(outcome.phases_s["rollout"]) == 2
    assert outcome.response_tokens == 32.0


@pytest.mark.slow
def test_the_bare_loop_earns_more_of_what_it_is_paid_for(tmp_path: Path) -> None:
    work = Work(
        str(tmp_path), separate_critic=False, n_episodes=32, hidden_size=16, n_layers=1,
        n_heads=2, n_kv_heads=2, vocab_size=128, learning_rate=1e-2, kl_coef=0.0,
    )  # fmt: skip
    write_model(work)
    loop, watch = BareLoop(work), Stopwatch(0)
    prompts = torch.tensor(read_prompts(work)[:32])

    def paid() -> float:
        return float((loop.generate(prompts)[:, 64:] % 2 == 0).float().mean())

    before = paid()
    for number in range(10):
        loop.update(number, watch)
    assert paid() > before + 0.1


def stand_in(folder: Path, script: str) -> str:
    """Returns a program that a contestant is run with in place of Python."""
    program = folder / "python"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    return str(program)


def test_a_contestant_that_fails_says_why(small_work: Work, tmp_path: Path) -> None:
    python = stand_in(tmp_path, "echo 'no such model' >&2; exit 3")
    with pytest.raises(ContestantError, match=r"torch, shared failed:\nno such model"):
        play(PEER, small_work, python)


def test_a_contestant_whose_responses_end_early_is_refused(
    small_work: Work, tmp_path: Path
) -> None:
    write_json(Outcome([1.0], [1.0], response_tokens=31.5), tmp_path / "short.json")
    python = stand_in(tmp_path, f"cp '{tmp_path}/short.json' \"$4\"")
    with pytest.raises(ContestantError, match=r"31\.5 tokens a response instead of 32"):
        play(PEER, small_work, python)


def test_a_contestant_that_takes_fewer_steps_is_refused(small_work: Work, tmp_path: Path) -> None:
    outcome = Outcome([1.0], [1.0], response_tokens=32.0, optimizer_steps=5)
    write_json(outcome, tmp_path / "lazy.json")
    python = stand_in(tmp_path, f"cp '{tmp_path}/lazy.json' \"$4\"")
    with pytest.raises(ContestantError, match=r"5 steps of its optimizer instead of 6"):
        play(PEER, small_work, python)


def test_a_model_whose_output_layer_is_tied_practically_never_ends_a_turn(tmp_path: Path) -> None:
    work = Work(
        str(tmp_path), hidden_size=64, intermediate_size=96, n_layers=3, n_heads=4, n_kv_heads=2,
        vocab_size=128, tied=True, separate_critic=False, n_episodes=8,
    )  # fmt: skip
    write_model(work)
    loop = BareLoop(work)
    logits = loop.policy(loop.generate(torch.tensor(read_prompts(work)[:8]))).logits
    assert logits.log_softmax(-1)[:, 63:, END_ID].max() < -30


def test_a_ratio_is_the_median_of_those_within_rounds() -> None:
    def rounds(*seconds: float) -> list[Outcome]:
        return [Outcome([s], [2 * s], response_tokens=32.0) for s in seconds]

    _, comparisons = make_field(["torch"], [False], bf16=False)
    found = {OURS: rounds(1.0, 2.0, 4.0), PEER: rounds(3.0, 4.0, 4.0)}
    (ratio,) = compute_ratios(found, comparisons)
    assert ratio.ratio == Spread(2.0, 1.0, 3.0)
    assert ratio.cpu_ratio.median == 2.0
    assert ratio.met
    assert not compute_ratios({OURS: found[PEER], PEER: found[OURS]}, comparisons)[0].met


def test_a_standing_takes_the_median_update_of_each_round_and_the_parts_of_an_update_add_up() -> (
    None
):
    phases = {"sampling": [1.0], "rollout": [1.5], "old, reference": [0.5]}
    outcomes = [Outcome([4.0, 2.0, 9.0], [1.0], phases, 32.0), Outcome([8.0], [1.0], phases, 32.0)]
    (standing,) = compute_standings({OURS: outcomes}, n_episodes=32)
    assert standing.episodes_per_s == Spread(6.0, 4.0, 8.0)  # of 32 / 4 and 32 / 8
    parts = split_update(standing)
    assert parts["environment"] == 0.5
    assert sum(parts.values()) == standing.update_s == 6.0


def test_everyone_plays_once_in_each_round_and_first_in_some() -> None:
    field, _ = make_field(["torch"], [True, False], bf16=True)
    orders = [rotate(field, number) for number in range(2 * len(field))]
    assert all(set(order) == set(field) for order in orders)
    assert {order[0] for order in orders} == set(field)


def test_the_field_has_each_form_of_ours_and_each_peer_once() -> None:
    field, comparisons = make_field(["torch", "trl", "sb3"], [True, False], bf16=True)
    assert len(field) == len(set(field)) == 4 + 4 + 2 + 1
    wanted = {(c.ours.name, c.peer.name): c.wanted for c in comparisons}
    assert wanted["TextPPO, separate", "trl, separate"] == 1.15
    assert wanted["TextPPO, shared", "trl, separate"] == 1.9
    assert wanted["TextPPO, shared, bf16", "trl, separate"] == 2.5
    assert wanted["TextPPO, shared, bf16", "trl, separate, bf16"] is None
    assert wanted["TextPPO, shared", "sb3, shared"] == 20.0
    assert wanted["TextPPO, separate, bf16", "torch, separate, bf16"] == 0.9
    _, comparisons = make_field(["trl", "torch"], [False], bf16=True, shape="135m")
    wanted = {(c.ours.name, c.peer.name): c.wanted for c in comparisons}
    assert wanted["TextPPO, shared, bf16", "trl, separate"] == 3.0
    assert wanted["TextPPO, shared", "torch, shared"] == 1.0


def test_compiled_layers_are_compared_with_the_same_peers() -> None:
    plain, _ = make_field(["torch", "trl"], [False], bf16=False)
    field, comparisons = make_field(["torch", "trl"], [False], bf16=False, compiled=True)
    (ours,) = set(field) - set(plain)
    assert ours.name == "TextPPO, shared, compiled"
    assert work_of(ours, Work("")).compiled
    assert not work_of(OURS, Work("")).compiled
    beside = {c.peer.name for c in comparisons if c.ours == ours}
    assert beside == {"torch, shared", "trl, separate"}


def test_peers_are_read_from_a_list_and_unknown_ones_are_named() -> None:
    assert parse_against("trl, torch,trl") == ["trl", "torch"]
    with pytest.raises(typer.BadParameter, match="no peer is called 'rllib'"):
        parse_against("torch,rllib")
    with pytest.raises(typer.BadParameter, match="it names nobody"):
        parse_against(",")


def test_warm_up_updates_are_not_in_the_outcome() -> None:
    watch = Stopwatch(warmup=2)
    for _ in range(5):
        watch.timed("rollout", int)()
        watch.end_update()
    assert len(watch.outcome.update_s) == len(watch.outcome.phases_s["rollout"]) == 3


def test_a_prompt_has_64_tokens_for_the_peers_without_an_environment(small_work: Work) -> None:
    prompts = read_prompts(small_work)
    assert {len(prompt) for prompt in prompts} == {64}
    rows = (Path(small_work.folder) / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(rows) == len(prompts) == len({json.loads(row)["text"] for row in rows})


def test_lora_is_compared_with_the_same_form_of_full_weights(small_work: Work) -> None:
    field, comparisons = make_field([], [False], bf16=True, shape="135m", lora=True)
    assert len(field) == 4
    for low, c in zip((False, True), comparisons, strict=True):
        full = Contestant("TextPPO", separate_critic=False, bf16=low)
        assert (c.ours, c.peer) == (replace(full, lora=True), full)
        # Three quarters of the time is 4/3 of the episodes a second.
        assert c.wanted == pytest.approx(1 / 0.75)
    assert field[0].name == "TextPPO, shared, LoRA"
    policies = [ppo_arguments(work_of(c, small_work))["policy_kwargs"] for c in field]
    assert [policy["lora"] for policy in policies] == [{"r": 16}, None] * 2
