"""The loop that plays for verl: on stand-ins for its classes, and in verl itself where it is."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from pydantic import BaseModel
from transformers import AutoTokenizer

from agents.integrations import verl
from textenv.errors import ConfigError
from textenv.rollout import PlayedEpisode
from textenv.tokenization import EMBEDDED_PATH
from textenv.vector import make_core

SHORT = {"max_new_tokens": 12}


# verl's classes as far as the loop uses them; a test compares them with the package's.
class TokenOutput(BaseModel):
    token_ids: list[int]
    log_probs: list[float] | None = None
    num_preempted: int | None = None
    extra_fields: dict[str, Any] = {}


class AgentLoopMetrics(BaseModel):
    generate_sequences: float = 0.0
    num_preempted: int = -1


class AgentLoopOutput(BaseModel):
    prompt_ids: list[int]
    response_ids: list[int]
    response_mask: list[int]
    response_logprobs: list[float] | None = None
    reward_score: float | None = None
    num_turns: int = 0
    metrics: AgentLoopMetrics
    extra_fields: dict[str, Any] = {}


class AgentLoopBase:
    def __init__(
        self, trainer_config: Any, server_manager: Any, tokenizer: Any, **kwargs: Any
    ) -> None:
        self.rollout_config = trainer_config.config.actor_rollout_ref.rollout
        self.server_manager = server_manager
        self.tokenizer = tokenizer


@contextmanager
def simple_timer(name: str, timing_raw: dict[str, float]) -> Iterator[None]:
    yield
    timing_raw[name] = timing_raw.get(name, 0.0) + 1.0


class Server:
    """Writes what depends on the tokens so far alone, as verl's LLMServerClient answers."""

    def __init__(self, id: str, output: Any = TokenOutput) -> None:
        self.tokenizer = make_core(id, 1, SHORT).tokenizer
        self.output = output
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def write(self, ids: list[int], most: int) -> list[int]:
        rng = np.random.default_rng(ids)
        tokens: list[int] = rng.integers(0, self.tokenizer.vocab_size, most // 2).tolist()
        return [*tokens, self.tokenizer.end_id] if rng.random() < 0.5 else tokens

    async def generate(
        self,
        request_id: str,
        *,
        prompt_ids: list[int],
        sampling_params: dict[str, Any],
        **kwargs: Any,
    ) -> Any:
        self.asked.append((request_id, sampling_params))
        await asyncio.sleep(0)
        tokens = self.write(prompt_ids, sampling_params.get("max_tokens", 12))
        versions = {"min_global_steps": len(self.asked), "max_global_steps": len(self.asked)}
        return self.output(
            token_ids=tokens, log_probs=[-0.5] * len(tokens), num_preempted=1, extra_fields=versions
        )

    def play(self, row: dict[str, Any]) -> PlayedEpisode:
        async def generate(ids: list[int], most: int) -> Any:
            tokens = self.write(ids, most)
            return tokens, [-0.5] * len(tokens)

        played = verl.play_episode(row["data_source"], row["extra_info"], generate)
        return asyncio.run(played)


def rows_of(id: str, tmp_path: Path, n: int) -> list[dict[str, Any]]:
    path = tmp_path / "rows.parquet"
    verl.export_parquet(id, path, n, **SHORT)
    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    return rows


@pytest.fixture
def make_loop(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Makes our loop on top of the classes above."""
    names = ("verl", "verl.experimental", "verl.experimental.agent_loop", "verl.utils")
    for name in names:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    base: Any = ModuleType("verl.experimental.agent_loop.agent_loop")
    base.AgentLoopBase, base.AgentLoopOutput = AgentLoopBase, AgentLoopOutput
    profiler: Any = ModuleType("verl.utils.profiler")
    profiler.simple_timer = simple_timer
    monkeypatch.setitem(sys.modules, base.__name__, base)
    monkeypatch.setitem(sys.modules, profiler.__name__, profiler)
    # Under no name that a later import could find.
    path = Path(verl.__file__).with_name("verl_loop.py")
    spec: Any = importlib.util.spec_from_file_location("loop_on_stand_ins", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    loop_class: Any = module.TextEnvAgentLoop

    def make(server: Server, **rollout: int) -> Any:
        lengths = SimpleNamespace(**{"prompt_length": 300, "response_length": 400} | rollout)
        config = SimpleNamespace(actor_rollout_ref=SimpleNamespace(rollout=lengths))
        tokenizer = AutoTokenizer.from_pretrained(str(EMBEDDED_PATH))
        return loop_class(SimpleNamespace(config=config), server, tokenizer)

    return make


def test_the_agent_loop_fills_verls_output(as_lists, tmp_path, make_loop):
    id, row = "TextDialogue-v0", rows_of("TextDialogue-v0", tmp_path, 1)[0]
    server = Server(id)
    output = asyncio.run(make_loop(server).run({"temperature": 0.7}, **row))
    played = as_lists(server.play(row))
    assert played.n_turns > 1
    assert output.prompt_ids == played.prompt_ids
    assert output.response_ids == played.response_ids
    assert output.response_mask == played.response_mask
    assert output.response_logprobs == played.logprobs
    assert output.reward_score == played.reward
    assert output.num_turns == 2 * played.n_turns
    assert output.extra_fields["reward_extra_info"] == {**played.components, "score": played.reward}
    n_asked = len(server.asked)
    assert output.metrics.generate_sequences == output.metrics.num_preempted == n_asked
    # The first version of the weights that wrote, and the last: the trainer asks for both.
    assert output.extra_fields["min_global_steps"] == 1
    assert output.extra_fields["max_global_steps"] == n_asked
    assert len({request for request, _ in server.asked}) == 1
    assert all(0 < params["max_tokens"] <= 12 for _, params in server.asked)
    assert all(params["temperature"] == 0.7 for _, params in server.asked)


def test_a_cut_episode_ends_with_a_token_of_the_model(as_lists, tmp_path, make_loop):
    """verl pays at the last token, and drops a reward where the mask is 0."""
    id, row = "TextDialogue-v0", rows_of("TextDialogue-v0", tmp_path, 1)[0]
    written = as_lists(Server(id).play(row)).response_mask.index(0)
    output = asyncio.run(make_loop(Server(id), response_length=written + 2).run({}, **row))
    assert output.response_mask == [1] * written
    assert len(output.response_ids) == len(output.response_logprobs) == written


def test_what_verl_would_break_at_later_is_said(tmp_path, make_loop):
    id, row = "TextQA-v0", rows_of("TextQA-v0", tmp_path, 1)[0]
    with pytest.raises(ConfigError, match=r"max_prompt_length is 9.* max_prompt_tokens=9"):
        asyncio.run(make_loop(Server(id), prompt_length=9).run({}, **row))
    loop = make_loop(Server(id))
    loop.tokenizer = SimpleNamespace(decode=lambda ids, **options: "other words")
    with pytest.raises(ConfigError, match="made with the tokenizer 'embedded'"):
        asyncio.run(loop.run({}, **row))


def verl_config(*overrides: str) -> Any:
    hydra = pytest.importorskip("hydra")
    with hydra.initialize_config_module("verl.trainer.config", version_base=None):
        model = f"actor_rollout_ref.model.path={EMBEDDED_PATH}"
        lengths = ("data.max_prompt_length=300", "data.max_response_length=400")
        given = [model, "actor_rollout_ref.rollout.name=vllm", *lengths, *overrides]
        return hydra.compose("ppo_trainer", given)


def generate_with_verl(config: Any, server: Server, path: Any) -> Any:
    """Lets verl's own data set and worker play the rows of a file."""
    from verl.experimental.agent_loop.agent_loop import AgentLoopWorker
    from verl.protocol import DataProto
    from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn

    worker = AgentLoopWorker(config, server)
    data = RLHFDataset(str(path), worker.tokenizer, config.data)
    batch = DataProto.from_single_dict(collate_fn([data[i] for i in range(len(data))]))
    return asyncio.run(worker.generate_sequences(batch))


@pytest.mark.filterwarnings("ignore")
def test_the_stand_ins_are_like_verls_own():
    module = pytest.importorskip("verl.experimental.agent_loop.agent_loop")
    from verl.utils import profiler
    from verl.workers.rollout.llm_server import LLMServerClient
    from verl.workers.rollout.replica import TokenOutput as RealTokenOutput

    pairs = [
        (TokenOutput, RealTokenOutput),
        (AgentLoopMetrics, module.AgentLoopMetrics),
        (AgentLoopOutput, module.AgentLoopOutput),
    ]
    for ours, real in pairs:
        for name, field in real.model_fields.items():
            assert name in ours.model_fields or not field.is_required()
        for name, field in ours.model_fields.items():
            assert field.is_required() == real.model_fields[name].is_required()
            if name != "metrics":
                assert field.annotation == real.model_fields[name].annotation
    for mine, theirs in [
        (AgentLoopBase.__init__, module.AgentLoopBase.__init__),
        (Server.generate, LLMServerClient.generate),
        (simple_timer, profiler.simple_timer),
    ]:
        known = inspect.signature(theirs).parameters
        for name, parameter in inspect.signature(mine).parameters.items():
            assert known[name].kind == parameter.kind


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("id", ["TextTranslate-v0", "TextDialogue-v0"])
def test_verls_worker_plays_and_pays(as_lists, id, tmp_path):
    pytest.importorskip("verl.experimental.agent_loop.agent_loop")
    from verl.workers.rollout.replica import TokenOutput as RealTokenOutput

    rows = rows_of(id, tmp_path, 3)
    (tmp_path / "loop.yaml").write_text(verl.agent_loop_yaml())
    agent = "actor_rollout_ref.rollout.agent"
    config = verl_config(
        f"{agent}.agent_loop_config_path={tmp_path / 'loop.yaml'}",
        f"{agent}.default_agent_loop={verl.AGENT_NAME}",
    )
    server = Server(id, RealTokenOutput)
    output = generate_with_verl(config, server, tmp_path / "rows.parquet")
    for i, row in enumerate(rows):
        played = as_lists(server.play(row))
        n, m = len(played.prompt_ids), len(played.response_ids)
        tensors = {name: values[i].tolist() for name, values in output.batch.items()}
        assert tensors["prompts"][-n:] == played.prompt_ids
        assert tensors["responses"][:m] == played.response_ids
        assert tensors["response_mask"] == played.response_mask + [0] * (400 - m)
        assert sum(tensors["attention_mask"]) == n + m
        assert tensors["rollout_log_probs"][:m] == played.logprobs
        assert tensors["rm_scores"][m - 1] == pytest.approx(played.reward)
        assert sum(map(abs, tensors["rm_scores"])) == pytest.approx(abs(played.reward))
        others = output.non_tensor_batch
        assert others["__num_turns__"][i] == 2 * played.n_turns
        assert others["min_global_steps"][i] is not None
        for name, value in played.components.items():
            assert others[name][i] == value


@pytest.mark.filterwarnings("ignore")
def test_verls_reward_worker_asks_compute_score(tmp_path):
    rewards = pytest.importorskip("verl.experimental.reward_loop.reward_loop")
    from verl.workers.rollout.replica import TokenOutput as RealTokenOutput

    id = "TextTranslate-v0"
    rows = rows_of(id, tmp_path, 3)
    config = rewards.migrate_legacy_reward_impl(
        verl_config("reward.custom_reward_function.path=pkg://agents.integrations.verl")
    )
    # verl's own loop of one turn plays the rows.
    output = generate_with_verl(config, Server(id, RealTokenOutput), tmp_path / "rows.parquet")

    async def score() -> Any:
        return await rewards.RewardLoopWorker(config).compute_score_batch(output)

    tokenizer = AutoTokenizer.from_pretrained(str(EMBEDDED_PATH))
    for i, (row, found) in enumerate(zip(rows, asyncio.run(score()), strict=True)):
        ids = output.batch["responses"][i][output.batch["response_mask"][i].bool()]
        text = tokenizer.decode(ids, skip_special_tokens=True)
        expected = verl.compute_score(id, text, "", row["extra_info"])
        assert found["reward_score"] == expected["score"] > 0.0
        assert found["reward_extra_info"] == expected
