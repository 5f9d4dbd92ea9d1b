"""One process of a run of several, started by the tests: one_rank.py SCENARIO FOLDER CASES.

It makes its agents by the fixtures of the tests, one for each case of the JSON list, trains them,
and writes what it found to FOLDER.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from stable_baselines3.common.logger import Logger

from agents.ppo.ppo import TextPPO
from agents.ppo.sharding import whole
from textenv.rollout import PlayedEpisode
from textenv.vector import TextVectorEnv

RANK, SIZE = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
_SPEC = importlib.util.spec_from_file_location(
    "conftest", Path(__file__).parents[1] / "conftest.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
conftest = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(conftest)


def make_env(given: dict[str, Any]) -> TextVectorEnv:
    return TextVectorEnv(
        4 // SIZE,
        task=conftest.EchoTask(),
        dataset=given["rows"],
        reward=conftest.red_reward,
        tokenizer=given["model"],
        max_prompt_tokens=16,
        max_new_tokens=6,
    )


def make_agent(given: dict[str, Any]) -> TextPPO:
    env = make_env(given)
    settings = {"n_episodes": 12, "batch_size": 32, "device": "cpu", "seed": 0, "critic_warmup": 0}
    policy = {
        "model": given["model"],
        "max_tokens_per_batch": 48,
        "bf16": False,
        **given.get("policy", {}),
    }
    agent = TextPPO("LMPolicy", env, policy_kwargs=policy, **{**settings, **given.get("ppo", {})})
    agent.set_logger(Logger(None, []))
    # A head of its own opinion, so that values matter; the same in all processes.
    rng = np.random.default_rng(5)
    if not given.get("plain_head"):
        with torch.no_grad():
            weight = agent.policy.value_head.weight
            values = torch.from_numpy(rng.normal(size=tuple(weight.shape))).float()
            if SIZE > 1 and agent.options.parallel == "fsdp":
                from torch.distributed.tensor import distribute_tensor

                weight.copy_(distribute_tensor(values, weight.device_mesh, weight.placements))
            else:
                weight.copy_(values)
    return agent


def episodes(n: int) -> list[PlayedEpisode]:
    """The same in every process: random tokens of very different lengths."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(n):
        length = int(rng.integers(4, 22))
        mask = np.arange(length) >= rng.integers(1, length)
        rewards = np.where(mask, rng.normal(size=length), 0.0).astype(np.float32)
        found.append(PlayedEpisode(rng.integers(0, 20, length).astype(np.int32), mask, rewards))
    return found


def one_update(given: dict[str, Any]) -> dict[str, Any]:
    """One update on a minibatch of 11 episodes, of which process 0 has the most."""
    agent = make_agent(given)
    everything = episodes(11)
    share = everything if SIZE == 1 else (everything[:8], everything[8:])[RANK]
    agent.episodes = share
    agent._current_progress_remaining = 1.0
    before = {n: whole(p).detach().clone() for n, p in agent.policy.named_parameters()}
    agent.train()
    return {
        "before": before,
        "gradient": {
            n: whole(p.grad) for n, p in agent.policy.named_parameters() if p.grad is not None
        },
        "after": {n: whole(p).detach() for n, p in agent.policy.named_parameters()},
        "metrics": dict(agent.logger.name_to_value),
        "kl_coef": agent.kl_controller.coef,
        "sent_bytes": agent.ranks.sent_bytes,
    }


def learn(given: dict[str, Any]) -> dict[str, Any]:
    """Two iterations from rollouts of its own."""
    agent = make_agent(given)
    rows: list[Any] = []
    first = agent.env.reset()["input_ids"].copy() if "look" in given else None
    agent.learn(
        total_episodes=24, after_iteration=lambda metrics: rows.append(dict(metrics)) or True
    )
    if "save" in given:
        agent.save(given["save"])
    return {
        "after": {n: whole(p).detach() for n, p in agent.policy.named_parameters()},
        "rows": rows,
        "parallel": agent.options.parallel,
        "moments": {
            n: whole(agent.policy.optimizer.state[p]["exp_avg"])
            for n, p in agent.policy.named_parameters()
        },
        "first": first,
        "texts": [e.input_ids.tolist() for e in agent.episodes],
        "n_episodes_done": agent.n_episodes_done,
        "num_timesteps": agent.num_timesteps,
        "sent_bytes": agent.ranks.sent_bytes,
    }


def traffic(given: dict[str, Any]) -> dict[str, float]:
    """What an iteration hands to each kind of collective operation, in units of the weights."""
    operations = {
        "gathered": ("all_gather_single", "all_gather_into_tensor"),
        "scattered": ("reduce_scatter_single", "reduce_scatter_tensor"),
        "summed": ("all_reduce",),
    }
    sent: Counter[str] = Counter()

    def counted(kind: str, operation: Any) -> Any:
        def count(*tensors: Any, **more: Any) -> Any:
            found = [t for t in (*tensors, *more.values()) if isinstance(t, torch.Tensor)]
            # The larger of two is the one that all parts lie in.
            sent[kind] += max(t.numel() * t.element_size() for t in found)
            return operation(*tensors, **more)

        return count

    for kind, names in operations.items():
        for name in names:
            if hasattr(dist, name):
                setattr(dist, name, counted(kind, getattr(dist, name)))
    agent = make_agent(given)
    totals: list[Counter[str]] = []
    agent.learn(total_episodes=24, after_iteration=lambda _: totals.append(Counter(sent)) is None)
    weights = sum(p.numel() * p.element_size() for p in agent.policy.parameters())
    return {kind: (totals[1][kind] - totals[0][kind]) / weights for kind in operations}


def load(given: dict[str, Any]) -> dict[str, Any]:
    """Goes on for an iteration from what was saved."""
    agent = TextPPO.load(given["folder"], env=make_env(given), device="cpu", **given["ppo"])
    agent.set_logger(Logger(None, []))
    before = {n: whole(p).detach().clone() for n, p in agent.policy.named_parameters()}
    agent.learn(total_episodes=48, resume=True)
    return {"before": before, "n_episodes_done": agent.n_episodes_done}


def die(given: dict[str, Any]) -> dict[str, Any]:
    """Process 1 is killed in its second iteration."""
    agent = make_agent(given)

    def after_iteration(metrics: Any) -> bool:
        if RANK == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return True

    agent.learn(total_episodes=1200, after_iteration=after_iteration)
    return {}


if __name__ == "__main__":
    scenario, folder = sys.argv[1], Path(sys.argv[2])
    play = {"one_update": one_update, "learn": learn, "load": load, "die": die, "traffic": traffic}[
        scenario
    ]
    results = [play(given) for given in json.loads(sys.argv[3])]
    torch.save(results, folder / f"{scenario}-{RANK}.pt")
