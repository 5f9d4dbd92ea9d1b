"""vLLM writes what the policy would write, each token once, always under the weights of now."""

from __future__ import annotations

import math
import os
import random
import sys
from dataclasses import dataclass, field
from enum import Enum
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from agents.ppo import ppo
from agents.ppo.distributed import Ranks
from agents.ppo.ppo import TextPPO
from agents.ppo.rollout import collect_episodes
from agents.ppo.vllm_sampler import VLLMSampler
from textenv.errors import ConfigError, ModelError, UnknownNameError

END = 2


class RequestOutputKind(Enum):
    CUMULATIVE = 0
    DELTA = 1
    FINAL_ONLY = 2


@dataclass(kw_only=True)
class SamplingParams:
    """The fields of vLLM's that matter here; it refuses others, and values as these."""

    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool = False
    max_tokens: int | None = 16
    logprobs: int | None = None
    detokenize: bool = True
    output_kind: RequestOutputKind = RequestOutputKind.CUMULATIVE
    logit_bias: dict[int, float] | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.temperature <= 2.0:
            raise ValueError(f"temperature must be in [0, 2], got {self.temperature}.")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, got {self.max_tokens}.")
        assert all(type(id) is int for id in self.stop_token_ids or [])


@dataclass
class EngineArgs:
    model: str = ""
    skip_tokenizer_init: bool = False
    dtype: str = "auto"
    seed: int = 0
    max_model_len: int | None = None
    gpu_memory_utilization: float = 0.92
    enforce_eager: bool = False
    trust_remote_code: bool = False
    enable_sleep_mode: bool = False
    trust_remote_code: bool = True
    logprobs_mode: str = "raw_logprobs"
    disable_log_stats: bool = False


@dataclass
class Request:
    params: SamplingParams
    ids: list[int]
    n_new: int = 0
    generator: torch.Generator = field(default_factory=torch.Generator)


class LLMEngine:
    """Decodes with transformers what vLLM's engine of this name is asked for.

    Greedy unless `samples` is set; log-probabilities are those at the temperature.
    """

    samples = False
    spoils = False
    made: LLMEngine

    def __init__(self, args: EngineArgs) -> None:
        self.args = args
        self.model = AutoModelForCausalLM.from_pretrained(args.model).eval()
        self.running: dict[str, Request] = {}
        self.asked: list[Request] = []
        self.awake = {"weights", "kv_cache"}
        self.n_calls = self.n_passes = self.n_reloads = 0
        self.aborted: list[str] = []
        LLMEngine.made = self

    @classmethod
    def from_engine_args(
        cls,
        engine_args: EngineArgs,
        usage_context: Any = None,
        stat_loggers: Any = None,
        enable_multiprocessing: bool = False,
    ) -> LLMEngine:
        assert os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
        random.seed(engine_args.seed)
        np.random.seed(engine_args.seed)
        torch.manual_seed(engine_args.seed)
        torch.set_num_threads(2)
        return cls(engine_args)

    def add_request(self, request_id: str, prompt: Any, params: SamplingParams) -> str:
        assert self.awake == {"weights", "kv_cache"}
        assert prompt["type"] == "token"
        assert request_id not in self.running
        assert 0 < len(prompt["prompt_token_ids"]) < self.args.max_model_len
        request = Request(params, list(prompt["prompt_token_ids"]))
        if params.seed is not None:
            request.generator.manual_seed(params.seed)
        self.running[request_id] = request
        self.asked.append(Request(params, list(request.ids)))
        return request_id

    def abort_request(self, request_ids: list[str], internal: bool = False) -> None:
        for id in request_ids:
            del self.running[id]
            self.aborted.append(id)

    def step(self) -> list[Any]:
        assert self.awake == {"weights", "kv_cache"}
        self.n_calls += 1
        # What is still being computed comes with a later step.
        if self.n_calls % 3 == 1:
            return []
        self.n_passes += 1
        return [self._write(id, request) for id, request in list(self.running.items())]

    @torch.no_grad()
    def _write(self, id: str, request: Request) -> Any:
        params = request.params
        logits = self.model(torch.tensor([request.ids])).logits[0, -1]
        for token, bias in (params.logit_bias or {}).items():
            logits[token] += bias
        # Processed log-probabilities of greedy requests are not scaled.
        logprobs = torch.log_softmax(logits / (params.temperature or 1.0), 0)
        token = int(logprobs.argmax())
        if self.samples and params.temperature > 0:
            token = int(torch.multinomial(logprobs.exp(), 1, generator=request.generator))
        request.ids.append(token)
        request.n_new += 1
        ends = (
            token in (params.stop_token_ids or [])
            or request.n_new == params.max_tokens
            or len(request.ids) == self.args.max_model_len
        )
        if ends:
            del self.running[id]
        assert params.output_kind is RequestOutputKind.DELTA
        assert params.logprobs == 0
        assert params.ignore_eos
        assert not params.detokenize
        logprob = math.nan if self.spoils else float(logprobs[token])
        completion = SimpleNamespace(
            token_ids=[token], logprobs=[{token: SimpleNamespace(logprob=logprob)}]
        )
        return SimpleNamespace(request_id=id, outputs=[completion], finished=ends)

    def collective_rpc(
        self, method: str, timeout: float | None = None, args: Any = (), kwargs: Any = None
    ) -> list[None]:
        assert method == "reload_weights"
        assert "weights" in self.awake
        assert set(kwargs) == {"weights_iterator"}
        self.model.load_state_dict(dict(kwargs["weights_iterator"]))
        self.n_reloads += 1
        return [None]

    def reset_prefix_cache(self) -> bool:
        return not self.running

    def sleep(self, level: int = 1, mode: str = "abort") -> None:
        assert self.args.enable_sleep_mode
        assert not self.running
        self.awake.clear()

    def wake_up(self, tags: list[str] | None = None) -> bool:
        self.awake |= set(tags or ["weights", "kv_cache"])
        return len(self.awake) == 2


@pytest.fixture(autouse=True)
def vllm(monkeypatch):
    """A module that behaves like vLLM where the sampler touches it."""
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
    modules = {name: ModuleType(name) for name in ("vllm", "vllm.sampling_params")}
    for name, module in modules.items():
        module.__spec__ = ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, module)
    for each in (EngineArgs, LLMEngine, SamplingParams):
        setattr(modules["vllm"], each.__name__, each)
    modules["vllm.sampling_params"].RequestOutputKind = RequestOutputKind
    return LLMEngine


class Greedy:
    """The policy's most likely tokens, with their log-probabilities at its temperature."""

    reading_share = 0.0

    def __init__(self, policy: Any) -> None:
        self.policy = policy

    def act(self, ids: Any, lengths: Any, rows: Any, deterministic: bool = False) -> Any:
        return self.policy.act(ids, lengths, rows, True)


def play(agent: Any, writer: Any, n: int = 12, group_size: int = 1) -> Any:
    """Plays the same episodes whoever writes."""
    agent.env.seed(7)
    return collect_episodes(agent.env, writer, n, lambda *_: True, group_size)


def check_same(found: Any, expected: Any) -> None:
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.input_ids.tolist() == theirs.input_ids.tolist()
        np.testing.assert_array_equal(ours.action_mask, theirs.action_mask)
        np.testing.assert_allclose(ours.logprobs, theirs.logprobs, atol=1e-5)


def step(agent: Any, size: float = 0.05) -> None:
    """Takes a step of the policy's own optimizer that changes what is most likely."""
    for parameter in agent.policy.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.randn_like(parameter)
    for group in agent.policy.optimizer.param_groups:
        group["lr"] = size
    agent.policy.optimizer.step()


def count_turns(episodes: Any) -> int:
    return sum(int(np.diff(e.action_mask.astype(int), prepend=0).clip(0).sum()) for e in episodes)


@pytest.mark.parametrize(
    ("max_turns", "group_size", "extra_rows", "end_id"),
    [(1, 1, 0, END), (3, 1, 0, END), (3, 2, 5, END), (3, 1, 0, None)],
)
def test_a_greedy_rollout_is_the_policys_own(
    make_agent, make_env, save_model, vllm, max_turns, group_size, extra_rows, end_id
):
    model = save_model(spread=0.3, extra_rows=extra_rows)
    env = make_env(max_turns=max_turns, max_prompt_tokens=24)
    agent = make_agent(env, {"model": model, "temperature": 0.7})
    sampler = VLLMSampler(agent.policy, end_id=end_id)
    expected = play(agent, Greedy(agent.policy), group_size=group_size)
    assert len({len(e.input_ids) for e in expected}) > 1
    found = play(agent, sampler, group_size=group_size)
    check_same(found, expected)
    # A request for each turn, and no more passes than the longest slot has tokens.
    assert len(vllm.made.asked) == count_turns(found)
    n_written = sum(int(e.action_mask.sum()) for e in found)
    assert vllm.made.n_passes < n_written / 2


def test_unused_rows_of_the_model_are_never_written(make_agent, save_model, vllm):
    agent = make_agent(None, {"model": save_model(spread=0.3, extra_rows=5)})
    with torch.no_grad():
        agent.policy.lm.get_output_embeddings().weight[-5:] *= 100
    check_same(play(agent, VLLMSampler(agent.policy)), play(agent, Greedy(agent.policy)))


@pytest.mark.parametrize("lora", [None, {"r": 4}])
def test_weights_are_given_when_they_have_changed(make_agent, vllm, lora):
    agent = make_agent(None, {"lora": lora})
    sampler = VLLMSampler(agent.policy, end_id=END)
    before = play(agent, sampler)
    play(agent, sampler)
    assert sampler.engine.n_pushes == vllm.made.n_reloads == 1
    step(agent)
    after = play(agent, sampler)
    assert [e.input_ids.tolist() for e in after] != [e.input_ids.tolist() for e in before]
    check_same(after, play(agent, Greedy(agent.policy)))
    assert vllm.made.n_reloads == 2


def test_a_turn_that_was_begun_under_other_weights_is_not_gone_on_with(make_agent, vllm):
    agent = make_agent()
    sampler = VLLMSampler(agent.policy)
    ids, rows = np.full((2, 8), 5, np.int32), np.arange(2)
    sampler.act(ids, np.array([3, 4]), rows)
    step(agent)
    lengths = np.array([4, 5])
    ids[rows, lengths - 1] = sampler._turns[0]._ids[3], sampler._turns[1]._ids[4]
    expected, _ = agent.policy.act(ids, lengths, rows, True)
    assert sampler.act(ids, lengths, rows)[0].tolist() == expected.tolist()
    assert len(vllm.made.aborted) == 2


def test_another_token_than_was_handed_out_begins_a_new_turn(make_agent, vllm):
    agent = make_agent(None, {"temperature": 0.5})
    sampler = VLLMSampler(agent.policy)
    ids, rows = np.full((2, 12), 5, np.int32), np.arange(2)
    lengths = np.array([3, 3])
    first, _ = sampler.act(ids, lengths, rows)
    ids[0, 3], ids[1, 3] = first[0], (first[1] + 1) % 17
    tokens, logprobs = sampler.act(ids, lengths + 1, rows)
    own = agent.policy.act(ids, lengths + 1, rows, True)
    assert tokens.tolist() == own[0].tolist()
    np.testing.assert_allclose(logprobs, own[1], atol=1e-5)
    assert [request.ids for request in vllm.made.asked[2:]] == [ids[1, :4].tolist()]
    assert vllm.made.aborted == ["1"]


def test_no_two_episodes_of_a_prompt_share_what_was_sampled(make_agent, monkeypatch, vllm):
    monkeypatch.setattr(vllm, "samples", True)
    agent = make_agent()
    sampler = VLLMSampler(agent.policy)
    ids, rows, lengths = np.full((4, 8), 5, np.int32), np.arange(4), np.full(4, 3)
    seeds = []
    for _ in range(3):
        sampler.act(ids, lengths, rows)
        seeds += [request.params.seed for request in vllm.made.asked[-4:]]
    # The prompt again is an episode again, though tokens for it were still waiting.
    assert len(vllm.made.asked) == len(set(seeds)) == 12


def test_sampled_rollouts_repeat_with_the_seed_of_torch(make_agent, monkeypatch, vllm):
    monkeypatch.setattr(vllm, "samples", True)
    agent = make_agent()
    texts = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        episodes = play(agent, VLLMSampler(agent.policy, end_id=END))
        texts.append([e.input_ids.tolist() for e in episodes])
    assert texts[0] == texts[1] != texts[2]


def test_making_the_engine_leaves_the_process_as_it_was(make_agent, vllm):
    agent = make_agent()
    sampler = VLLMSampler(agent.policy)

    def draw() -> list[float]:
        return [float(torch.rand(())), random.random(), np.random.random(), torch.get_num_threads()]

    drawn = []
    for makes_engine in (False, True):
        torch.manual_seed(5)
        random.seed(5)
        np.random.seed(5)
        torch.set_num_threads(1)
        if makes_engine:
            sampler.act(np.full((1, 8), 5, np.int32), np.array([3]), np.array([0]), True)
        drawn.append(draw())
    assert drawn[0] == drawn[1]


def test_it_asks_vllm_for_the_policys_distribution(make_agent, save_model, vllm):
    agent = make_agent(None, {"temperature": 0.7, "bf16": True})
    sampler = VLLMSampler(agent.policy, gpu_memory_utilization=0.25, enforce_eager=True)
    sampler.act(np.full((1, 21), 5, np.int32), np.array([19]), np.array([0]))
    args, params = vllm.made.args, vllm.made.asked[0].params
    assert (args.logprobs_mode, args.dtype) == ("processed_logprobs", "bfloat16")
    assert (args.max_model_len, args.gpu_memory_utilization) == (agent.policy.window, 0.25)
    assert args.enforce_eager
    assert (params.temperature, params.top_p, params.top_k) == (0.7, 1.0, 0)
    assert params.max_tokens == agent.policy.window - 19
    sampler.act(np.full((1, 21), 5, np.int32), np.array([3]), np.array([0]))
    assert vllm.made.asked[1].params.max_tokens == 6
    sampler.act(np.full((1, 21), 5, np.int32), np.array([19]), np.array([0]), True)
    assert vllm.made.asked[2].params.temperature == 0.0


@pytest.mark.parametrize("sleep", [False, True])
def test_between_rollouts_it_rests(make_agent, vllm, sleep):
    agent = make_agent()
    sampler = VLLMSampler(agent.policy, end_id=END, sleep=sleep)
    sampler.rest()
    first = play(agent, sampler)
    sampler.act(np.full((1, 8), 5, np.int32), np.array([3]), np.array([0]))
    assert vllm.made.running
    sampler.rest()
    sampler.rest()
    assert not vllm.made.running
    assert vllm.made.awake == (set() if sleep else {"weights", "kv_cache"})
    check_same(play(agent, sampler), first)


def test_outputs_that_are_no_numbers_are_told(make_agent, monkeypatch, vllm):
    monkeypatch.setattr(vllm, "spoils", True)
    agent = make_agent()
    with pytest.raises(ModelError, match="no longer numbers"):
        play(agent, VLLMSampler(agent.policy))


def test_a_turn_that_ends_without_a_token_is_told(make_agent, monkeypatch, vllm):
    def fail(self: LLMEngine) -> list[Any]:
        ended = [SimpleNamespace(token_ids=[], logprobs=[])]
        return [SimpleNamespace(request_id=i, outputs=ended, finished=True) for i in self.running]

    monkeypatch.setattr(vllm, "step", fail)
    with pytest.raises(ModelError, match="vLLM wrote nothing after"):
        play(agent := make_agent(), VLLMSampler(agent.policy))


def test_what_vllm_cannot_do_is_told_beforehand(make_agent, monkeypatch, save_model):
    policy = make_agent(None, {"temperature": 2.5}).policy
    with pytest.raises(ConfigError, match=r"temperatures from 0\.01 to 2, not 2\.5"):
        VLLMSampler(policy)
    policy.options = policy.options.replace(temperature=1.0)
    sampler = VLLMSampler(policy, enforce_eagre=True)
    with pytest.raises(UnknownNameError, match="Did you mean 'enforce_eager'"):
        sampler.act(np.full((1, 8), 5, np.int32), np.array([3]), np.array([0]))
    many = make_agent(None, {"model": save_model(extra_rows=1025)}).policy
    with pytest.raises(ModelError, match="1025 rows"):
        VLLMSampler(many)
    policy.options = policy.options.replace(model="some/model.gguf")
    with pytest.raises(ModelError, match=r"not a \.gguf file"):
        VLLMSampler(policy)
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ModelError, match=r"pip install textenv\[vllm\]"):
        VLLMSampler(policy)


def test_an_agent_trains_on_what_vllm_writes(make_agent, vllm):
    found: list[Any] = []
    agent = make_agent(sampler="vllm", sampler_kwargs={"sleep": True}, critic_warmup=0)
    agent.learn(total_episodes=24, after_iteration=lambda metrics: found.append(metrics) or True)
    assert vllm.made.n_reloads == 2
    assert vllm.made.args.enable_sleep_mode
    assert vllm.made.asked[0].params.stop_token_ids == [END]
    assert not vllm.made.awake
    for metrics in found:
        assert 0 < metrics["rollout/logprob_mismatch_max"] < 1e-4
        assert metrics["train/first_ratio"] == pytest.approx(1.0, abs=1e-6)


def test_the_sampler_is_saved_with_the_agent(make_agent, make_env, tmp_path):
    make_agent(sampler="vllm", sampler_kwargs={"sleep": True}).save(tmp_path)
    loaded = TextPPO.load(tmp_path, make_env(), device="cpu")
    assert (loaded.sampler, loaded.sampler_kwargs) == ("vllm", {"sleep": True})
    assert TextPPO.load(tmp_path, make_env(), device="cpu", sampler=None).sampler is None


def test_an_agent_cannot_have_a_sampler_that_does_not_fit(make_agent, monkeypatch):
    with pytest.raises(ConfigError, match="it should be 'vllm'"):
        make_agent(sampler="vlm")
    with pytest.raises(ConfigError, match="temperatures"):
        make_agent(None, {"temperature": 2.5}, sampler="vllm")
    monkeypatch.setattr(ppo, "join_ranks", lambda: Ranks(0, 2))
    with pytest.raises(ConfigError, match="single process"):
        make_agent(sampler="vllm")
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ModelError, match="pip install"):
        make_agent(sampler="vllm")
