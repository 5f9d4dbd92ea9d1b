"""The agent of the best look is kept, through every kind of end, and measured beside the last."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import agents.training.loop
import agents.training.run
from agents.ppo.ppo import TextPPO
from agents.training.config import TrainConfig, load_config
from agents.training.held_out import evaluate_policy_on_split, load_policy
from agents.training.looks import Look, read_best, take_look
from agents.training.model_lookup import find_model
from agents.training.run_folder import read_setting
from textenv.benchmark.statistics import Estimate
from textenv.errors import DamagedError, StorageError
from textenv.vector import environment_arguments, make_core

_RUN = (
    "n_episodes=4", "n_envs=4", "batch_size=4", "n_epochs=1", "validation_every=1", "save_every=0",
    "validation_examples=4", "eval_examples=4", "env.max_new_tokens=4", "device=cpu", "bf16=false",
    "critic_warmup=0", "learning_rate=0.01", "learning_rate_warmup=0", "learning_rate_end=1",
    "temperature=0.7",
)  # fmt: skip


@pytest.fixture(scope="module")
def config(save_model) -> TrainConfig:
    model = save_model(tokenizer="embedded", spread=0.3)
    words = [*_RUN, "total_episodes=16"]
    return load_config(None, words, id="TextQA-v0", model=model, reward="chrf")


@pytest.fixture
def script(monkeypatch) -> Any:
    """Gives looks the rewards of a list, by iteration, and keeps the weights that they saw."""

    def write(*rewards: float) -> dict[int, torch.Tensor]:
        seen: dict[int, torch.Tensor] = {}

        def look(agent: TextPPO, core: Any, config: TrainConfig, gold: Any) -> Look:
            found = take_look(agent, core, config, gold)
            seen[agent.n_iterations] = (
                agent.policy.lm.get_input_embeddings().weight.detach().clone()
            )
            mean = rewards[agent.n_iterations - 1]
            return replace(found, reward=Estimate(mean, (mean - 0.1, mean + 0.1)))

        monkeypatch.setattr(agents.training.loop, "take_look", look)
        return seen

    return write


def kept_weights(out: Path) -> torch.Tensor:
    return AutoModelForCausalLM.from_pretrained(out / "best/model").get_input_embeddings().weight


def train(config: TrainConfig, out: Path, resume: bool = False, **changes: Any) -> dict[str, Any]:
    config = config.model_copy(update=changes)
    return agents.training.run.train(config, out, resume=resume)


def test_the_first_of_the_highest_looks_is_kept_and_measured_beside_the_last(
    config, script, tmp_path
):
    seen = script(0.1, 0.5, 0.5, 0.3)
    out = tmp_path / "run"
    result = train(config, out)
    assert torch.equal(kept_weights(out), seen[2])
    assert not torch.equal(seen[2], seen[3])
    assert {p.name for p in (out / "best").iterdir()} == {
        "best.json", "config.yaml", "model", "textenv-manifest.json"
    }  # fmt: skip
    assert len(AutoTokenizer.from_pretrained(out / "best/model")) == 4096
    best = result["best"]
    assert (best["iteration"], result["iterations"]) == (2, 4)
    assert best["validation"]["reward"] == {"mean": 0.5, "ci95": [0.4, 0.6]}
    # As `textenv evaluate --model RUN/best` finds it, wherever the folder is moved to.
    shutil.move(out / "best", tmp_path / "moved")
    model, acting = find_model(str(tmp_path / "moved"))
    assert (model, acting["temperature"]) == (str(tmp_path / "moved/model"), 0.7)
    setting = read_setting(tmp_path / "moved")
    assert setting is not None
    assert (setting.ids, setting.env) == (("TextQA-v0",), {"max_new_tokens": 4})
    arguments = environment_arguments(model, reward=setting.reward, env=setting.env)
    core = make_core(config.id, 4, arguments)
    again = evaluate_policy_on_split(load_policy(model, core, **acting), core, "test", 4)
    assert json.loads(json.dumps(again.summary())) == best["after"]
    assert best["gain_over_last"]["mean"] == pytest.approx(
        best["after"]["reward"]["mean"] - result["after"]["reward"]["mean"]
    )
    rows = [json.loads(line) for line in (out / "samples.jsonl").read_text().splitlines()]
    assert [row["best"]["response"] for row in rows] == [e.response for e in again.episodes]


def test_a_run_that_goes_on_knows_its_best(config, script, tmp_path):
    first = script(0.1, 0.5)
    # The last agent is the best: it is measured once.
    result = train(config, tmp_path, total_episodes=8)
    assert result["best"]["after"] == result["after"]
    assert "best" not in json.loads((tmp_path / "samples.jsonl").read_text().splitlines()[0])
    script(0.1, 0.5, 0.4)
    assert train(config, tmp_path, resume=True, total_episodes=12)["best"]["iteration"] == 2
    assert torch.equal(kept_weights(tmp_path), first[2])
    later = script(0.1, 0.5, 0.4, 0.6)
    assert train(config, tmp_path, resume=True, total_episodes=16)["best"]["iteration"] == 4
    assert torch.equal(kept_weights(tmp_path), later[4])


def test_the_best_outlives_an_end_before_the_first_checkpoint(
    config, script, tmp_path, monkeypatch
):
    seen = script(0.5, 0.1, 0.1)
    update = TextPPO.train

    def interrupted(agent: TextPPO) -> None:
        for _ in range(2 if agent.n_iterations == 2 else 0):
            signal.raise_signal(signal.SIGINT)
        update(agent)

    monkeypatch.setattr(TextPPO, "train", interrupted)
    monkeypatch.setattr("agents.training.interrupts._SAME_REQUEST_S", 0.0)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path)
    best = read_best(tmp_path)
    assert best is not None
    assert best.iteration == 1
    assert torch.equal(kept_weights(tmp_path), seen[1])


def test_a_best_that_is_half_written_leaves_the_one_before(config, script, tmp_path, monkeypatch):
    seen = script(0.1, 0.5)
    save = agents.training.looks.save_language_model

    def full_disk(policy: Any, folder: Path, weights: Any, card: str) -> None:
        save(policy, folder, weights)
        if (tmp_path / "best").exists():
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(agents.training.looks, "save_language_model", full_disk)
    with pytest.raises(StorageError, match=r"No space left.*free some space.*is kept"):
        train(config, tmp_path)
    assert torch.equal(kept_weights(tmp_path), seen[1])
    assert read_best(tmp_path).iteration == 1


def test_without_a_look_there_is_no_best(config, tmp_path):
    result = train(config, tmp_path, validation_every=0, total_episodes=4)
    assert result["best"] is None
    assert not (tmp_path / "best").exists()
    assert set(json.loads((tmp_path / "samples.jsonl").read_text().splitlines()[0])) == {
        "id", "prompt", "references", "before", "after"
    }  # fmt: skip


def test_an_adapter_is_merged_into_the_best(config, script, tmp_path):
    script(0.5)
    result = train(config.replace(lora={"r": 2}), tmp_path, total_episodes=4)
    start = AutoModelForCausalLM.from_pretrained(config.model).state_dict()
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "best/model").state_dict()
    assert merged.keys() == start.keys()
    assert any(not torch.equal(merged[name], start[name]) for name in start)
    assert result["best"]["iteration"] == 1


def test_a_lost_or_damaged_best_is_said(config, script, tmp_path, caplog):
    script(0.1, 0.5, 0.4, 0.3)
    train(config, tmp_path, total_episodes=8)
    kept = (tmp_path / "best/best.json").read_text()
    (tmp_path / "best/best.json").write_text(kept[:40])
    with pytest.raises(DamagedError, match=r"best\.json' is cut.*Or remove '.*best'"):
        train(config, tmp_path, resume=True, total_episodes=12)
    shutil.rmtree(tmp_path / "best")
    result = train(config, tmp_path, resume=True, total_episodes=12)
    assert "has lost its best agent" in caplog.text
    assert result["best"]["iteration"] == 3


def test_a_look_tells_its_interval_lengths_and_divergence(config, tmp_path):
    result = train(config, tmp_path, total_episodes=8)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    agent = TextPPO.load(tmp_path, device="cpu")
    arguments = environment_arguments(config.model, reward="chrf", env=config.env)
    core = make_core(config.id, 4, arguments)
    found = evaluate_policy_on_split(agent.policy, core, "validation", 4)
    last = rows[-1]
    low, high = found.summary()["reward"]["ci95"]
    assert (last["validation/reward_low"], last["validation/reward_high"]) == (low, high)
    assert last["validation/reward"] == found.rewards.mean()
    assert last["validation/response_tokens"] == found.metrics["response_tokens"].mean()
    assert last["validation/ended_share"] == found.metrics["ended_by_agent"].mean()
    # The answers' tokens, one by one, under this model and the one before the training.
    ratios = []
    models = [AutoModelForCausalLM.from_pretrained(m) for m in (tmp_path / "model", config.model)]
    for episode in found.episodes:
        ids = torch.from_numpy(episode.input_ids).long()
        written = torch.from_numpy(episode.action_mask)[1:]
        with torch.no_grad():
            sums = [
                (model(ids[None]).logits[0, :-1, : core.tokenizer.vocab_size] / 0.7)
                .log_softmax(-1)
                .gather(1, ids[1:, None])[written, 0]
                .sum()
                for model in models
            ]
        ratios.append(float(sums[0] - sums[1]))
    assert last["validation/kl"] == pytest.approx(sum(ratios) / 4, abs=1e-3)
    assert last["validation/kl"] > 0.01
    assert result["best"]["validation"]["kl"] in [row["validation/kl"] for row in rows]
