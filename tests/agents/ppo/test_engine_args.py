"""No argument of the sampler's engine can name code."""

from __future__ import annotations

import pytest

from agents.ppo.engine_args import check_engine_args
from agents.ppo.options import PPOOptions
from agents.training.config import load_config
from textenv.errors import ConfigError


@pytest.mark.parametrize(
    "given",
    [
        {"trust_remote_code": True},
        {"trust_remote_code": 1},
        {"trust_remote_code": False},  # it is ours to say
        {"trust-remote-code": True},
        {"Trust_Remote_Code": True},
        {"hf_overrides": {"trust_remote_code": True}},
        {"speculative_config": {"num_speculative_tokens": 2, "trust_remote_code": True}},
        {"speculative_config": {"model": "some/model"}},
        {"worker_cls": "os:system"},
        {"worker_extension_cls": "evil.module.Class"},
        {"logits_processors": ["evil:Processor"]},
        {"load_format": "pt"},
        {"tokenizer": "some/model"},
        {"hf_config_path": "some/model"},
        {"code_revision": "main"},
        {"distributed_executor_backend": "evil.Executor"},
        {"kv_transfer_config": {"kv_connector_module_path": "evil"}},
        {"compilation_config": {"backend": "evil.backend"}},
        {"additional_config": {"plugins": [["evil"]]}},
        {"not_there_yet_cls": "evil.Class"},
    ],
)
def test_what_could_run_code_is_refused_before_anything_is_loaded(given):
    for refuse in (
        lambda: check_engine_args(given),
        lambda: PPOOptions(sampler="vllm", sampler_kwargs=given),
        lambda: load_config(id="TextQA-v0", sampler="vllm", sampler_kwargs=given),
        lambda: load_config(id="TextQA-v0", sampler_kwargs=given),
    ):
        with pytest.raises(ConfigError, match=r"sampler_kwargs.* (never run|could name code)"):
            refuse()


def test_numbers_switches_and_words_of_vllms_own_are_passed_on():
    check_engine_args(
        {
            "sleep": True,
            "gpu_memory_utilization": 0.4,
            "enforce_eager": True,
            "max_num_seqs": None,
            "cudagraph_capture_sizes": [1, 2, 4],
            "compilation_config": {"mode": 3},
            "kv_cache_dtype": "fp8",
            "quantization": "fp8",
            "dtype": "float16",
        }
    )
