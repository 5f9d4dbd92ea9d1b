"""What `textenv plan` says a run holds is what a run holds."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from stable_baselines3.common.logger import Logger
from typer.testing import CliRunner

from agents.memory.plan import MemoryUse, count_memory, find_largest
from agents.memory.weightless import Weightless
from agents.models.loading import load_model
from agents.policy.episode_batch import make_batch
from agents.ppo.ppo import TextPPO
from agents.training.config import TrainConfig, load_config
from agents.training.run import make_agent
from textenv.cli.main import make_app
from textenv.errors import ModelError
from textenv.rollout import PlayedEpisode
from textenv.vector import environment_arguments

ID = "TextSummarize-v0"
SMALL = ("n_envs=3", "n_episodes=4", "batch_size=4", "max_tokens_per_batch=100", "bf16=false")
SHORT = ("env.max_prompt_tokens=24", "env.max_new_tokens=8")


def _config(model: str, *overrides: str) -> TrainConfig:
    return load_config(None, (*SMALL, *SHORT, *overrides), id=ID, model=model, device="cpu")


@functools.cache
def _count(model: str, *overrides: str) -> MemoryUse:
    return count_memory(_config(model, *overrides))


def _agent(config: TrainConfig) -> TextPPO:
    arguments = environment_arguments(config.model, config.dataset, config.reward, config.env)
    agent = make_agent(config, arguments)
    agent.set_logger(Logger(None, []))
    return agent


def _bytes(tensors: Any) -> int:
    return sum(
        {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}.values()
    )


@pytest.fixture(
    params=["llama", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gpt2", "qwen3"))]
)
def model(request: pytest.FixtureRequest, save_model: Callable[..., str]) -> str:
    return save_model(request.param, tokenizer="embedded")


@pytest.mark.parametrize(
    "changes", [(), pytest.param(("lora.r=4", "bf16=true"), marks=pytest.mark.slow)]
)
def test_sizes_are_those_of_the_real_agent(model: str, changes: tuple[str, ...]) -> None:
    config = _config(model, "critic_warmup=0", *changes)
    use = _count(model, *changes)
    agent = _agent(config)
    agent.learn(total_episodes=4)
    policy = agent.policy
    learning = [p for group in policy.optimizer.param_groups for p in group["params"]]
    lm = [*policy.lm.parameters(), *policy.lm.buffers()]

    assert use.trainable == sum(p.numel() for p in learning)
    assert use.frozen == sum(p.numel() for p in policy.parameters()) - use.trainable
    assert use.weights == _bytes(lm)
    assert use.gradients == _bytes(learning)
    states = [t for s in policy.optimizer.state.values() for t in s.values()]
    assert use.optimizer == pytest.approx(_bytes(states), rel=0.01)


def test_quantized_weights_take_the_bytes_of_real_ones(save_model: Callable[..., str]) -> None:
    source = save_model("llama", tokenizer="embedded")
    plain, use = (_count(source, "lora.r=4", *more) for more in ((), ("quantize=4bit",)))
    lm = _agent(_config(source, "lora.r=4", "quantize=4bit")).policy.lm
    assert use.weights == pytest.approx(_bytes([*lm.parameters(), *lm.buffers()]), rel=0.02)
    assert (use.trainable, use.frozen) == (plain.trainable, plain.frozen)
    assert use.update_peak < plain.update_peak


def test_what_is_kept_for_the_backward_pass_is_what_autograd_saves(model: str) -> None:
    config = _config(model)
    use = _count(model)
    policy = _agent(config).policy
    known = {t.untyped_storage().data_ptr() for t in policy.parameters()}
    saved: dict[int, int] = {}
    kept = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            saved[storage.data_ptr()] = storage.nbytes()
        kept.append(tensor)
        return tensor.detach()

    window = use.window
    mask = torch.arange(window).numpy() >= window - use.written
    # Of different prompts, since equal ones are read once.
    texts = torch.randint(10, 50, (use.rows, window), dtype=torch.int32).numpy()
    batch = make_batch([PlayedEpisode(ids, mask, mask.astype("float32")) for ids in texts])
    policy.set_training_mode(True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        policy.evaluate_sequences(batch)
    assert use.activations == pytest.approx(sum(saved.values()), rel=0.05)


@pytest.mark.parametrize("changes", [("lora.r=4", "bf16=true"), ("gradient_checkpointing=true",)])
def test_peaks_are_those_of_a_real_iteration(model: str, changes: tuple[str, ...]) -> None:
    # The same counter, but on tensors that have memory, in a training of its own.
    config = _config(model, "critic_warmup=0", *changes)
    use = _count(model, *changes)
    with Weightless() as counter:
        agent = _agent(config)
        models = (agent.policy, agent.reference.model)
        # Read from files, not made by operations.
        counter.count([t for m in models for t in (*m.parameters(), *m.buffers())])
        agent.learn(total_episodes=4)
        counter.peak_bytes = counter.live_bytes
        agent.learn(total_episodes=4)
    longest = max(len(episode.input_ids) for episode in agent.episodes)
    assert longest > 0.9 * use.window, "the run must be one that fills the window"
    assert use.peak == pytest.approx(counter.peak_bytes, rel=0.15)


def test_a_plan_reads_no_weights(save_model: Callable[..., str], tmp_path: Any) -> None:
    source = save_model("llama", tokenizer="embedded")
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (tmp_path / name).write_bytes(Path(source, name).read_bytes())
    with pytest.raises(ModelError):
        load_model(tmp_path)
    assert _count(str(tmp_path)) == _count(source)


def test_gradient_checkpointing_keeps_less(model: str) -> None:
    plain, checkpointed = _count(model), _count(model, "gradient_checkpointing=true")
    assert checkpointed.activations < plain.activations
    assert checkpointed.update_peak < plain.update_peak


@pytest.mark.slow
@pytest.mark.parametrize("changes", [(), ("lora.r=4", "bf16=true")])
def test_the_largest_settings_fit_and_the_next_do_not(
    save_model: Callable[..., str], changes: tuple[str, ...]
) -> None:
    many = ("n_episodes=1024", "batch_size=256", *changes)
    source = save_model("llama", tokenizer="embedded")
    start = ("n_envs=16", "max_tokens_per_batch=1024", *many)
    use = _count(source, *start)
    usable = 2 * use.peak
    largest = find_largest(use, _config(source, *start), usable)

    def peak(tokens: float, n_envs: float) -> int:
        sizes = (f"max_tokens_per_batch={int(tokens)}", f"n_envs={int(n_envs)}")
        return _count(source, *many, *sizes).peak

    tokens, slots = largest["max_tokens_per_batch"], largest["n_envs"]
    assert 1024 < tokens < 256 * use.window
    assert peak(tokens, 16) <= usable < peak(1.15 * tokens, 16)
    assert peak(1024, slots) <= usable < peak(1024, 1.15 * slots)


def test_nothing_fits_a_device_that_is_too_small_and_no_more_than_an_iteration_is_wanted(
    save_model: Callable[..., str],
) -> None:
    source = save_model("llama", tokenizer="embedded")
    use, config = _count(source), _config(source)
    assert find_largest(use, config, 1000) == {"max_tokens_per_batch": 0, "n_envs": 0}
    largest = find_largest(use, config, 1 << 40)
    assert largest == {"max_tokens_per_batch": 4 * use.window, "n_envs": 4}


def test_the_command_prints_json_that_adds_up(save_model: Callable[..., str]) -> None:
    source = save_model("llama", tokenizer="embedded")
    words = ["plan", ID, "--model", source, "--memory-gib", "2", "--json", *SMALL, *SHORT]
    result = CliRunner().invoke(make_app(), words)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    use = found["use"]
    held = sum(use[name] for name in ("weights", "critic", "reference", "gradients", "optimizer"))
    assert held < use["rollout_peak"] < found["usable"] < found["memory"] == 2 << 30
    assert found["largest"]["n_envs"] > 3
    assert (use["window"], use["written"]) == (32, 8)
    assert found["fits"]


@pytest.mark.slow
def test_a_run_that_does_not_fit_is_told_what_to_change(save_model: Callable[..., str]) -> None:
    source = save_model("llama", tokenizer="embedded")
    words = ["plan", ID, "--model", source, "--memory-gib", "1.0001", *SMALL, *SHORT]
    result = CliRunner().invoke(make_app(), words)
    assert result.exit_code == 0, result.output
    assert "does not fit" in result.stdout
    assert "gradient_checkpointing=true" in result.stdout.replace("\n", " ")


def test_a_missing_model_is_said_in_the_users_words() -> None:
    result = CliRunner().invoke(make_app(), ["plan", ID, "--model", "./nowhere"])
    assert result.exit_code == 2
    assert "'./nowhere'" in result.stderr
    assert "Traceback" not in result.stderr
