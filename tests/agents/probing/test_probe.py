"""Law 16: whatever its architecture, a model's passes are those of transformers, or it is refused.

Judged by plain forward passes (`tools.architectures.judge`), which know nothing of the probe.
"""

from __future__ import annotations

import json

import pytest
import torch
from transformers import BartConfig, BartForConditionalGeneration, LlamaConfig, LlamaForCausalLM

import agents.decoding.twin
import agents.probing.probe as probing
from agents.models.loading import disable_dropout, load_model
from agents.models.options import LoraSettings
from agents.probing.copies import make_copy
from agents.probing.examination import Question, Ways
from agents.probing.probe import probe
from textenv import ModelError
from tools.architectures.judge import judge, make_case
from tools.architectures.tiny_models import VOCAB_SIZE, tiny_config, tiny_model

WINDOW = 40  # longer than the windows of the tiny models
PLAIN = {"rope_type": "default", "rope_theta": 10000.0}
RIGHT, REFUSED = {"right"}, {"refused"}


@pytest.mark.parametrize(
    ("model_type", "changes", "verdicts"),
    [
        ("bloom", {}, RIGHT),
        ("gpt_neo", {}, RIGHT),
        ("bart", {}, RIGHT | REFUSED),
        ("falcon", {"alibi": True}, RIGHT),
        ("mpt", {}, RIGHT | REFUSED),
        ("rwkv", {}, RIGHT | REFUSED),
        ("mixtral", {"router_jitter_noise": 0.3}, RIGHT),
        ("phimoe", {}, RIGHT | REFUSED),
        ("gemma3_text", {}, RIGHT),
        ("deepseek_v4", {}, REFUSED),
    ],
    ids=lambda value: "+".join(sorted(value)) if isinstance(value, set) else str(value),
)
def test_law_16_every_architecture_is_right_or_refused(model_type, changes, verdicts, tmp_path):
    model = tiny_model(tiny_config(model_type, **changes))
    findings = judge(make_case(model, tmp_path, VOCAB_SIZE, WINDOW))
    assert {found.verdict for found in findings.values()} == verdicts, findings


def ways(model, **changes):
    disable_dropout(model)
    question = {"window": 40, "level": "token"} | changes
    return probe(model, Question(**question), "tiny")


def test_the_probe_says_which_way_is_right(caplog):
    assert ways(tiny_model(tiny_config("llama"))) == Ways()
    assert caplog.text == ""
    assert ways(tiny_model(tiny_config("bloom"))) == Ways(cached=False, side_by_side=False)
    assert "'tiny' of type 'bloom' cannot go on from cached keys" in caplog.text
    assert ways(tiny_model(tiny_config("mpt")), level="select") == Ways(side_by_side=False)
    jittery = tiny_model(tiny_config("mixtral", router_jitter_noise=0.3))
    assert ways(jittery) == Ways(train_mode=False)


def test_windows_far_beyond_what_is_read_are_crossed_in_a_copy():
    long = {"sliding_window": 2048, "max_position_embeddings": 8192}
    model = tiny_model(tiny_config("mistral", **long))
    assert ways(model, window=2000).cached
    assert not ways(model, window=4000).cached
    copied = make_copy(model, 4000, 24)
    assert copied.crossed == {"sliding_window": 2048}
    assert copied.model.config.sliding_window == 12


def test_a_fault_in_our_own_passes_is_found(monkeypatch):
    monkeypatch.setattr(probing, "_found", {})
    right = torch.ones_like

    def shifted(ids, **kwargs):
        mask = right(ids, **kwargs)
        mask[:, 0] = 0
        return mask

    monkeypatch.setattr("agents.models.loading.torch.ones_like", shifted)
    with pytest.raises(ModelError, match=r"several texts in one pass .*\(by up to [\d.]+ nats"):
        ways(tiny_model(tiny_config("llama")))


def test_an_adapter_that_cannot_be_saved_is_refused_before_the_training():
    model = tiny_model(tiny_config("phimoe"))
    with pytest.raises(ModelError, match=r"lora cannot be used .* 'phimoe'"):
        ways(model, lora=LoraSettings())


def test_an_adapter_that_decoding_leaves_out_is_found(monkeypatch):
    monkeypatch.setattr(probing, "_found", {})
    model = tiny_model(tiny_config("llama"))
    ways(model, lora=LoraSettings())
    monkeypatch.setattr(probing, "_found", {})
    monkeypatch.setattr(agents.decoding.twin, "_working", lambda layer: [])
    with pytest.raises(ModelError, match=r"lora cannot be used .* differ by"):
        ways(model, lora=LoraSettings())


def test_weights_modes_and_random_numbers_stay_as_they_are(monkeypatch):
    monkeypatch.setattr(probing, "_found", {})
    model = tiny_model(tiny_config("llama")).train()
    model.model.norm.eval()
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    versions = [p._version for p in model.parameters()]
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    ways(model, lora=LoraSettings())
    assert torch.equal(torch.rand(3), expected)
    assert model.training
    assert not model.model.norm.training
    assert [p._version for p in model.parameters()] == versions
    assert all(torch.equal(weights[n], t) for n, t in model.state_dict().items())


def test_one_configuration_is_probed_once(monkeypatch):
    monkeypatch.setattr(probing, "_found", {})
    model = tiny_model(tiny_config("llama"))
    ways(model)
    monkeypatch.setattr(probing, "_probe_copy", None)
    monkeypatch.setattr(probing, "_probe_itself", None)
    assert ways(model) == Ways()


def test_an_encoder_is_not_thrown_away(tmp_path):
    sizes = {"encoder_layers": 1, "decoder_layers": 1, "d_model": 16, "vocab_size": 20}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    config = BartConfig(**sizes, **heads, encoder_ffn_dim=16, decoder_ffn_dim=16)
    BartForConditionalGeneration(config).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="would lose its encoder"):
        load_model(tmp_path)


def test_a_configuration_that_asks_for_other_outputs_is_plain(tmp_path):
    model = tiny_model(tiny_config("llama"))
    model.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    asks = {"return_dict": False, "output_attentions": True, "output_hidden_states": True}
    path.write_text(json.dumps(json.loads(path.read_text()) | asks))
    assert ways(load_model(tmp_path)) == Ways()


def test_a_small_copy_keeps_each_kind_of_layer_and_few_words():
    config = LlamaConfig(
        vocab_size=50_000, hidden_size=64, intermediate_size=4096, num_hidden_layers=12,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
    )  # fmt: skip
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    copied = make_copy(model, 512, 24)
    assert copied.crossed == {}
    assert (copied.model.config.num_hidden_layers, copied.model.config.vocab_size) == (2, 64)
    assert config.num_hidden_layers == 12
