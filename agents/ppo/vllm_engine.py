"""vLLM's engine in the process that trains, with the current policy weights."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import os
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers.core_model_loading import revert_weight_conversion

from agents.decoding.weights import WeightsVersion, find_owners, weights_version
from agents.models.lora import merge_adapter
from agents.policy.lm_policy import LMPolicy
from agents.ppo.engine_args import check_engine_args
from textenv.errors import ConfigError, ModelError, UnknownNameError

# vLLM refuses higher temperatures, and raises lower ones to this.
_TEMPERATURES = 0.01, 2.0
# The most output rows that vLLM can rule out in a request.
_MOST_UNUSED_ROWS = 1024


class PolicyEngine:
    """A vLLM engine (arXiv 2309.06180) that samples from a policy's distribution.

    The first `prepare` starts it, which takes as long as loading the model and compiling it. Its
    copy of the weights, and its cache of keys and values, need memory in addition to the policy's.

    Args:
        policy: Policy at token level, with a temperature between 0.01 and 2.
        gpu_memory_utilization: Share of the GPU's memory that vLLM may take; the policy and its
            update must fit into the rest.
        sleep: Whether `sleep` frees that memory. The weights are then kept in the host's memory.
        engine_args: Further fields of `vllm.EngineArgs`, such as `enforce_eager`.

    Attributes:
        n_pushes: Number of times that weights were given to vLLM.

    Raises:
        ModelError: vLLM is not installed, or cannot run this model.
        ConfigError: vLLM cannot sample with the policy's settings, or an argument could name code.
    """

    def __init__(
        self, policy: LMPolicy, gpu_memory_utilization: float, sleep: bool, **engine_args: Any
    ) -> None:
        check_engine_args(engine_args)
        check_policy(policy)
        self.n_pushes = 0
        self._policy = policy
        self._sleep = sleep
        self._chosen = {
            "gpu_memory_utilization": gpu_memory_utilization,
            "enable_sleep_mode": sleep,
            # A model that computes in float32 is sampled from in float32.
            "dtype": "bfloat16" if policy.options.bf16 else "float32",
            **engine_args,
        }
        unused = range(policy.vocab_size, _output_rows(policy))
        self._logit_bias = dict.fromkeys(unused, -math.inf) or None
        self._owners = find_owners([policy.lm])
        self._version: WeightsVersion | None = None
        self._engine: Any = None
        self._asleep = False

    @property
    def is_current(self) -> bool:
        """Whether vLLM has the current policy weights, so that running requests stay valid."""
        return self._version == weights_version(self._owners)

    def prepare(self) -> None:
        """Starts or wakes vLLM, and gives it the current policy weights.

        No request may be running if the weights have changed.
        """
        was_asleep = self._asleep
        if self._engine is None or was_asleep:
            # vLLM cannot use memory that torch has reserved.
            self._policy.forget()
            torch.cuda.empty_cache()
        if self._engine is None:
            self._engine = self._make()
        elif was_asleep:
            # The cache wakes after the weights, which need twice the memory while they are copied.
            self._engine.wake_up(tags=["weights"])
        version = weights_version(self._owners)
        if version != self._version:
            self._push()
            self._version = version
        if was_asleep:
            self._engine.wake_up(tags=["kv_cache"])
            self._asleep = False

    def sleep(self) -> None:
        """Frees vLLM's memory until the next `prepare`, if `sleep` was set."""
        if self._sleep and self._engine is not None and not self._asleep:
            self._engine.sleep(level=1)
            self._asleep = True

    def add(
        self,
        request: str,
        ids: NDArray[np.int32],
        *,
        max_tokens: int,
        stop_ids: Sequence[int],
        seed: int | None,
    ) -> None:
        """Requests the tokens after a sequence; `step` computes them."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        params = SamplingParams(
            temperature=0.0 if seed is None else self._policy.options.temperature,
            seed=seed,
            max_tokens=max_tokens,
            stop_token_ids=list(stop_ids),
            # Only the environment says which token ends a turn, not the model's files.
            ignore_eos=True,
            logit_bias=self._logit_bias,
            logprobs=0,  # the chosen token's alone
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
        )
        prompt = {"type": "token", "prompt_token_ids": ids.tolist()}
        self._engine.add_request(request, prompt, params)

    def abort(self, requests: Sequence[str]) -> None:
        """Ends running requests."""
        if requests:
            self._engine.abort_request(list(requests))

    def step(self) -> Iterator[tuple[str, list[tuple[int, float]], bool]]:
        """Computes about one token of each running request.

        Yields:
            A request, its new tokens with their log-probabilities, and whether it has ended.
        """
        for output in self._engine.step():
            (completion,) = output.outputs
            found = [
                (token, alternatives[token].logprob)
                for token, alternatives in zip(
                    completion.token_ids, completion.logprobs, strict=True
                )
            ]
            yield output.request_id, found, output.finished

    @torch.no_grad()
    def _push(self) -> None:
        """Gives vLLM the policy's weights, and drops its cache of keys of older weights."""
        policy = self._policy
        model = policy.lm if policy.adapter is None else merge_adapter(policy.adapter)
        # vLLM reads weights by the names that they have in a model's files.
        weights: dict[str, Tensor] = revert_weight_conversion(model, model.state_dict())
        arguments = {"weights_iterator": iter(weights.items())}
        self._engine.collective_rpc("reload_weights", kwargs=arguments)
        if not self._engine.reset_prefix_cache():
            raise ModelError("vLLM did not drop the keys of old weights: it is still computing.")
        self.n_pushes += 1

    def _make(self) -> Any:
        # In another process, weights would have to be sent to it.
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        from vllm import EngineArgs, LLMEngine

        fixed = {
            "model": self._policy.lm.name_or_path,
            "max_model_len": self._policy.window,
            # The environment has the tokenizer.
            "skip_tokenizer_init": True,
            "trust_remote_code": False,
            # Log-probabilities of the distribution at the policy's temperature.
            "logprobs_mode": "processed_logprobs",
            "disable_log_stats": True,
        }
        free = {each.name for each in dataclasses.fields(EngineArgs)} - set(fixed)
        for name in self._chosen:
            if name not in free:
                raise UnknownNameError("argument of vLLM's engine", name, sorted(free))
        with _process_unchanged(self._policy.device):
            return LLMEngine.from_engine_args(EngineArgs(**fixed, **self._chosen))


def check_policy(policy: LMPolicy) -> None:
    """Checks that vLLM is installed and can sample from a policy."""
    if importlib.util.find_spec("vllm") is None:
        raise ModelError("Sampling with vLLM needs one more package: pip install textenv[vllm]")
    low, high = _TEMPERATURES
    if policy.action_level != "token":
        raise ConfigError("vLLM writes tokens, and this policy chooses among replies.")
    if not low <= policy.options.temperature <= high:
        raise ConfigError(
            f"vLLM samples at temperatures from {low} to {high:g}, not "
            f"{policy.options.temperature:g}. "
            "Change temperature, or leave the sampler out."
        )
    if policy.device.index:
        raise ConfigError(
            f"vLLM takes the first GPU that it sees, not {policy.device}. Set "
            f"CUDA_VISIBLE_DEVICES={policy.device.index} and device='cuda'."
        )
    if policy.options.model.endswith(".gguf"):
        raise ModelError(
            "The sampler needs a model's folder, not a .gguf file. Save the model as a folder, or "
            "leave the sampler out."
        )
    n_unused = _output_rows(policy) - policy.vocab_size
    if n_unused > _MOST_UNUSED_ROWS:
        raise ModelError(
            f"{n_unused} rows of the model's output layer belong to no token; vLLM can rule out "
            f"{_MOST_UNUSED_ROWS}. Leave the sampler out."
        )


def _output_rows(policy: LMPolicy) -> int:
    return int(policy.lm.config.get_text_config().vocab_size)


@contextmanager
def _process_unchanged(device: torch.device) -> Iterator[None]:
    """Restores random states and the number of threads, which vLLM sets for the whole process."""
    python, numpy_state, threads = random.getstate(), np.random.get_state(), torch.get_num_threads()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)
        torch.set_num_threads(threads)
