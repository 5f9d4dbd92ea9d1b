"""A run of two processes over gloo: the gradient of one, and nobody waits for the dead."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from stable_baselines3.common.logger import Logger

from agents.ppo.distributed import ALONE, Ranks
from agents.ppo.ppo import TextPPO
from agents.training.held_out import evaluate_policy_on_split, load_policy
from textenv.errors import ConfigError
from textenv.vector import make_core

_SCRIPT = Path(__file__).with_name("one_rank.py")
_ROOT = Path(__file__).parents[3]


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def start(size: int, *arguments: str) -> list[subprocess.Popen[str]]:
    env = {
        **os.environ, "PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1", "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "GLOO_SOCKET_IFNAME": "lo",
    }  # fmt: skip
    return [
        subprocess.Popen(
            [sys.executable, str(_SCRIPT), *arguments], text=True, stderr=subprocess.PIPE,
            env={**env, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(size)
    ]  # fmt: skip


@pytest.fixture
def run(save_model: Any, echo_rows: str, tmp_path: Path) -> Callable[..., list[Any]]:
    """Runs a scenario on each case in so many processes; returns what each found, by case."""

    def run(size: int, scenario: str, *cases: dict[str, Any]) -> list[Any]:
        given = [{"model": save_model(spread=0.3), "rows": echo_rows, **case} for case in cases]
        processes = start(size, scenario, str(tmp_path), json.dumps(given))
        outputs = [process.communicate(timeout=200)[1] for process in processes]
        assert [process.returncode for process in processes] == [0] * size, outputs
        found = [
            torch.load(tmp_path / f"{scenario}-{rank}.pt", weights_only=False)
            for rank in range(size)
        ]
        return list(zip(*found, strict=True))

    return run


def difference(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> float:
    """The norm of the difference over that of what is wanted."""
    assert found.keys() == wanted.keys()
    both = [
        torch.cat([tensors[n].flatten() for n in sorted(wanted)]) for tensors in (found, wanted)
    ]
    return float((both[0] - both[1]).norm() / both[1].norm())


@pytest.mark.slow
@pytest.mark.parametrize("families", [("llama",), ("gpt2", "qwen3")])
def test_two_processes_equal_one_whether_weights_are_divided_or_not(run, save_model, families):
    """Of eleven episodes one has eight and the other three, in unequal numbers of passes."""
    ppo = {"n_epochs": 1, "kl_target": 1.0, "kl_coef": 0.1, "kl_horizon": 20}
    models = [
        {"model": save_model(family, spread=0.3), "policy": {"separate_critic": family == "gpt2"}}
        for family in families
    ]
    alone = [found for (found,) in run(1, "one_update", *({**m, "ppo": ppo} for m in models))]
    kinds = ("ddp", "fsdp")
    cases = [{**m, "ppo": {**ppo, "parallel": kind}} for kind in kinds for m in models]
    for both, wanted in zip(run(2, "one_update", *cases), alone * len(kinds), strict=True):
        assert difference(wanted["after"], wanted["before"]) > 1e-5
        for found in both:
            assert difference(found["gradient"], wanted["gradient"]) < 1e-4
            assert difference(found["after"], wanted["after"]) < 1e-4
            for name in ("train/loss", "train/approx_kl", "train/grad_norm", "kl/ref"):
                number = wanted["metrics"][name]
                assert found["metrics"][name] == pytest.approx(number, rel=1e-3, abs=1e-5)
            assert found["kl_coef"] == pytest.approx(wanted["kl_coef"], rel=1e-6) != 0.1


@pytest.mark.slow
def test_processes_play_slots_of_their_own_and_what_they_save_goes_on_in_one(
    run, make_env, make_agent, tmp_path
):
    ((alone,),) = run(1, "learn", {"look": True})
    kinds = ("ddp", "fsdp")
    cases = [
        {"look": True, "save": str(tmp_path / kind), "ppo": {"parallel": kind}} for kind in kinds
    ]
    drawn = {"ppo": {"prompts": "curriculum", "group_size": 2}}
    *saved, (one, other) = run(2, "learn", *cases, drawn)
    # What prompts teach is known to both, of the three prompts that each plays in an iteration.
    known = [[row["curriculum/known_prompts"] for row in found["rows"]] for found in (one, other)]
    assert known == [[6, 12], [6, 12]]
    assert one["rows"][1]["curriculum/variance"] == other["rows"][1]["curriculum/variance"]
    for first, second in saved:
        # Slots are numbered over processes: together they begin as those of one process do.
        both = torch.cat([torch.from_numpy(one["first"]) for one in (first, second)])
        assert torch.equal(both, torch.from_numpy(alone["first"]))
        assert len(first["texts"]) == len(second["texts"]) == 6
        assert first["texts"] != second["texts"]
        assert difference(first["after"], second["after"]) == 0.0
        for name in ("n_episodes_done", "num_timesteps"):
            assert first[name] == second[name]
        assert first["n_episodes_done"] == alone["n_episodes_done"] == 24
        for ours, theirs in zip(first["rows"], second["rows"], strict=True):
            for name in ("rollout/reward_mean", "kl/ref", "train/loss", "train/grad_norm"):
                assert ours[name] == theirs[name]
            assert ours["train/first_ratio"] == pytest.approx(1.0, abs=1e-4)
        assert first["rows"][0]["kl/ref"] == pytest.approx(0.0, abs=1e-4)

        folder = tmp_path / first["parallel"]
        agent = TextPPO.load(folder, env=make_env(), device="cpu")
        parameters = {n: p.detach() for n, p in agent.policy.named_parameters()}
        assert difference(parameters, first["after"]) == 0.0
        names = {id(p): name for name, p in agent.policy.named_parameters()}
        moments = {names[id(p)]: s["exp_avg"] for p, s in agent.policy.optimizer.state.items()}
        assert difference(moments, first["moments"]) == 0.0
        assert (agent.n_episodes_done, agent.n_iterations) == (24, 2)
        assert len([state for state in agent.env.env.random_states if state is not None]) == 4
        agent.set_logger(Logger(None, []))
        agent.learn(total_episodes=36, resume=True)
        agent.save(folder)
    cases = [{"folder": str(tmp_path / kind), "ppo": {"parallel": kind}} for kind in kinds]
    for kind, loaded in zip(kinds, run(2, "load", *cases), strict=True):
        agent = TextPPO.load(tmp_path / kind, device="cpu")
        wanted = {n: p.detach() for n, p in agent.policy.named_parameters()}
        for found in loaded:
            assert difference(found["before"], wanted) == 0.0
            assert found["n_episodes_done"] == 48


@pytest.mark.slow
def test_what_is_sent_in_an_iteration(run):
    """In units of the weights, with 2 epochs of 2 minibatches, each of a single pass."""
    ppo = {"n_epochs": 2, "batch_size": 6}
    policy = {"max_tokens_per_batch": 1024}
    cases = [{"ppo": {**ppo, "parallel": kind}, "policy": policy} for kind in ("ddp", "fsdp")]
    ddp, fsdp = (first for first, _ in run(2, "traffic", *cases))
    # The gradient once a step of the optimizer.
    assert ddp == pytest.approx({"gathered": 0, "scattered": 0, "summed": 4}, abs=0.02)
    # Weights for each pass, forward and backward, and for the rollout; gradients once a step.
    assert fsdp == pytest.approx({"gathered": 10, "scattered": 4, "summed": 0}, abs=0.1)


@pytest.mark.slow
def test_accelerates_launcher_runs_the_same_command(tmp_path):
    words = [
        "TextTranslate-v0", "n_episodes=8", "n_envs=8", "batch_size=8", "total_episodes=16",
        "validation_every=1", "validation_examples=5", "eval_examples=7", "env.max_new_tokens=12",
        "bf16=false", "learning_rate=0.01", "learning_rate_warmup=0", "critic_warmup=0",
    ]  # fmt: skip
    # What starts several processes, with GPUs or without; with --cpu it would be one.
    launcher = [
        sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2",
        f"--main_process_port={free_port()}", "-m", "textenv",
    ]  # fmt: skip
    out = tmp_path / "run"
    done = subprocess.run(
        [*launcher, "train", *words, "--out", str(out)], text=True, capture_output=True,
        timeout=200, check=False, env={**os.environ, "PYTHONPATH": str(_ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads((out / "result.json").read_text())
    assert result["episodes"] == 16
    # The first process keeps the best agent, and all of them measure it.
    best = json.loads((out / "best/best.json").read_text())["look"]
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    looks = [row["validation/reward"] for row in rows]
    assert (best["iteration"], best["reward"]["mean"]) == (1 + looks.index(max(looks)), max(looks))
    core = make_core("TextTranslate-v0", 4, {"max_new_tokens": 12})
    kept = load_policy(str(out / "best/model"), core, bf16=False)
    measured = evaluate_policy_on_split(kept, core, "test", 7).summary()["reward"]
    assert result["best"]["after"]["reward"] == measured
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 2
    assert done.stdout.count("Training on TextTranslate-v0") == 1
    with safe_open(out / "agent.safetensors", "pt") as tensors:
        assert {"random/cpu/0", "random/cpu/1"} <= set(tensors.keys())
    # Each has played half of the held-out examples.
    core = make_core("TextTranslate-v0", 4, {"max_new_tokens": 12})
    wanted = evaluate_policy_on_split(load_policy("embedded", core), core, "test", 7)
    samples = [json.loads(line) for line in (out / "samples.jsonl").read_text().splitlines()]
    assert [row["id"] for row in samples] == [e.example.id for e in wanted.episodes]
    assert [row["before"]["response"] for row in samples] == [e.response for e in wanted.episodes]
    assert [row["before"]["reward"] for row in samples] == wanted.rewards.tolist()


@pytest.mark.slow
def test_the_death_of_one_ends_the_others_with_a_word(save_model, echo_rows, tmp_path):
    """Without a launcher that would end them."""
    given = json.dumps([{"model": save_model(spread=0.3), "rows": echo_rows}])
    survivor, dying = start(2, "die", str(tmp_path), given)
    dying.communicate(timeout=100)
    assert dying.returncode == -9
    died_at = time.monotonic()
    _, errors = survivor.communicate(timeout=60)
    assert time.monotonic() - died_at < 60
    assert survivor.returncode == 1
    assert "RankLostError: Process 0 of 2 cannot continue: another one has ended" in errors


def test_what_does_not_divide_is_refused():
    assert Ranks(1, 4).share(12, "n_episodes") == 3
    with pytest.raises(ConfigError, match=r"n_envs = 6 .* all 4 processes .* multiple of 4"):
        Ranks(0, 4).share(6, "n_envs")


def test_alone_nothing_meets():
    numbers = torch.arange(3)
    assert ALONE.sum(numbers) is numbers
    assert ALONE.gather("x") == ["x"]
    assert ALONE.most(3) == 3
    assert not ALONE.any(False)
    layer = torch.nn.Linear(2, 2)
    ALONE.sum_gradients(layer.parameters())
    assert layer.weight.grad is None
    assert ALONE.sent_bytes == {"numbers": 0, "gradients": 0}
