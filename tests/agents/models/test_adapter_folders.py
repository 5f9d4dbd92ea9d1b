"""The folder of a peft adapter stands for its base model with the adapter merged into it."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

import agents.models.adapter_patterns
import agents.models.loading
from agents.models.loading import load_model, load_model_config, load_model_tokenizer
from textenv import ModelError
from textenv.tokenization import load_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing")


@pytest.fixture
def adapter(save_model, tmp_path):
    """The folder of an adapter that has learned something; its base is another folder."""
    base = AutoModelForCausalLM.from_pretrained(save_model(spread=0.3))
    adapted = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0.0, 0.5, generator=torch.Generator().manual_seed(0))
    adapted.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def test_it_computes_what_peft_does(adapter, save_model):
    ids = torch.tensor([[3, 5, 7, 9]])
    base = AutoModelForCausalLM.from_pretrained(save_model(spread=0.3))
    with torch.no_grad():
        plain = base(ids).logits
        wanted = PeftModel.from_pretrained(base, adapter)(ids).logits
        found = load_model(adapter)(ids).logits
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    assert (found - plain).abs().max() > 0.1
    assert load_model_config(adapter).model_type == "llama"


def test_its_tokenizer_is_its_own_or_else_the_bases(adapter, save_model):
    base = load_tokenizer(save_model(spread=0.3))
    assert load_tokenizer(str(adapter)).encode("red green") == base.encode("red green")
    assert len(load_model_tokenizer(adapter)) == base.vocab_size
    own = adapter.parent / "with tokenizer"
    shutil.copytree(adapter, own)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(f"{save_model(spread=0.3)}/{name}", own / name)
    assert load_tokenizer(str(own)).name == str(own)


@pytest.mark.parametrize("lora", [None, {"r": 2}])
def test_an_agent_starts_from_it_and_so_does_its_reference(adapter, make_agent, lora):
    agent = make_agent(None, {"model": str(adapter), "lora": lora})
    recorded = {}
    agent.learn(total_episodes=1, after_iteration=lambda metrics: recorded.update(metrics) or True)
    assert recorded["kl/ref"] == pytest.approx(0.0, abs=1e-4)
    ids = torch.tensor([[3, 5, 7, 9]])
    with torch.no_grad():
        start = agent.reference.model
        found = load_model(adapter)(ids).logits
        if lora is None:
            torch.testing.assert_close(start(ids).logits, found, rtol=1e-4, atol=1e-4)


def rename_base(adapter, base):
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": base}))


def test_a_base_beside_it_is_found(adapter, save_model):
    shutil.copytree(save_model(spread=0.3), adapter / "base")
    rename_base(adapter, "base")
    load_model(adapter)


def test_what_is_missing_is_named(adapter, save_model, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for base in ("/nowhere/base", "no-such-owner/no-such-model"):
        rename_base(adapter, base)
        with pytest.raises(ModelError, match=rf"adapter of peft; its base model '{base}' cannot"):
            load_model(adapter)
    rename_base(adapter, None)
    with pytest.raises(ModelError, match="names no base model"):
        load_model(adapter)
    rename_base(adapter, save_model("gpt2"))
    with pytest.raises(ModelError, match="cannot be merged into its base model"):
        load_model(adapter)
    rename_base(adapter, save_model(spread=0.3))
    with pytest.raises(ModelError, match="Merge it into its base"):
        load_model(adapter, quantize="4bit")
    monkeypatch.setattr(agents.models.loading.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"textenv\[lora\]"):
        load_model(adapter)


@pytest.mark.parametrize(
    "endless",
    [
        {"target_modules": "(.*.*.*.*.*.*.*.*.*.*.*)*zzz"},
        {"exclude_modules": "(([a-z._0-9])+)+!"},
        {"rank_pattern": {"(([a-z._0-9])+)+!": 2}},
    ],
)
def test_a_pattern_of_layers_that_never_ends_is_given_up(adapter, monkeypatch, endless):
    monkeypatch.setattr(agents.models.adapter_patterns, "TIME_LIMIT_S", 0.3)
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | endless))
    with pytest.raises(ModelError, match=r"patterns that take longer than 0\.3 s to match"):
        load_model(adapter)


def test_a_pattern_that_ends_names_the_layers_as_it_does_in_peft(adapter):
    wanted = load_model(adapter)
    path = adapter / "adapter_config.json"
    as_pattern = {"target_modules": r".*\.(q_proj|v_proj)", "exclude_modules": "lm_.*"}
    path.write_text(json.dumps(json.loads(path.read_text()) | as_pattern))
    ids = torch.tensor([[3, 5, 7, 9]])
    with torch.no_grad():
        torch.testing.assert_close(load_model(adapter)(ids).logits, wanted(ids).logits)
