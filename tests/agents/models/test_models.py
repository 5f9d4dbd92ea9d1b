"""Models load from every kind of source, split into parts that agree, or say what is wrong."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import (
    BertConfig,
    BertLMHeadModel,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    MistralConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from agents.models.loading import (
    backbone_and_head,
    check_vocabulary,
    disable_dropout,
    load_model,
    load_model_config,
    load_model_tokenizer,
    teacher_forced_hidden,
)
from agents.models.windows import check_cacheable, check_window
from agents.policy.lm_policy import LMPolicy
from textenv.errors import ModelError
from textenv.rewards.learned.frozen_models import FrozenModel, Loading
from textenv.tokenization import load_tokenizer

VOCAB_SIZE = 97
SMALL: dict[str, Any] = {
    "vocab_size": 20,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
}


def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets no test reach the hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def test_a_saved_model_loads_the_same_from_its_folder(
    tiny_model: PreTrainedModel, tmp_path: Path
) -> None:
    tiny_model.save_pretrained(tmp_path)
    loaded = load_model(tmp_path)
    assert not loaded.training
    ids = torch.arange(6)[None]
    with torch.no_grad():
        torch.testing.assert_close(loaded(ids).logits, tiny_model(ids).logits)
    assert load_model(str(tmp_path), dtype=torch.bfloat16).dtype == torch.bfloat16


def test_the_embedded_model_lies_in_the_package(
    tiny_models: dict[str, PreTrainedModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("textenv.__file__", str(tmp_path / "__init__.py"))
    tiny_models["llama"].save_pretrained(tmp_path / "assets" / "embedded")
    assert isinstance(load_model("embedded"), LlamaForCausalLM)


def test_a_tokenizer_loads_from_the_same_source(tmp_path: Path) -> None:
    words = Tokenizer(WordLevel({"hello": 0, "world": 1, "?": 2}, unk_token="?"))
    words.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="?").save_pretrained(tmp_path)
    assert load_model_tokenizer(tmp_path).encode("world hello") == [1, 0]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="The tokenizer of the model"):
        load_model_tokenizer(tmp_path / "empty")


@pytest.mark.parametrize("inside", [".", "best"])
def test_the_folder_of_a_run_is_its_model_wherever_a_model_is_named(
    save_model: Callable[..., str], tmp_path: Path, inside: str
) -> None:
    run = tmp_path / "run" / inside
    shutil.copytree(save_model(), run / "model")
    assert load_model_config(run).model_type == "llama"
    assert torch.equal(*(load_model(m).lm_head.weight for m in (run, run / "model")))
    assert len(load_model_tokenizer(run)) == load_tokenizer(str(run)).vocab_size
    env = gym.make_vec("TextQA-v0", num_envs=1, tokenizer=str(run), max_new_tokens=2)
    spaces = (env.single_observation_space, env.single_action_space)
    policy = LMPolicy(*spaces, lambda _: 1e-3, model=str(run))
    assert policy.lm.config.model_type == "llama"
    judge = FrozenModel("language model", str(run), Loading())
    assert judge.source == str(run / "model")


def test_a_folder_without_a_model_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no model: there is no config\.json"):
        load_model(tmp_path)


def test_a_missing_path_names_its_nearest_sibling(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-20").mkdir()
    with pytest.raises(ModelError, match=r"Did you mean '.*checkpoint-20'\?"):
        load_model(tmp_path / "checkpont-20")
    with pytest.raises(ModelError, match=r"no model at '\./nothing/here'.*'embedded'"):
        load_model("./nothing/here")
    with pytest.raises(ModelError, match=r"no model at 'x\.gguf'"):
        load_model("x.gguf")
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ModelError, match="Give the folder"):
        load_model(tmp_path / "model.safetensors")


def test_an_unreachable_hub_points_to_local_models(monkeypatch: pytest.MonkeyPatch) -> None:
    offline(monkeypatch)
    with pytest.raises(ModelError, match="Hub cannot be reached or has no such model") as caught:
        load_model("no-such-owner/no-such-model")
    assert "'embedded'" in str(caught.value)


def test_gguf_without_its_package_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.gguf").touch()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install textenv\[gguf\]"):
        load_model(tmp_path / "model.gguf")


def write_gguf(model: LlamaForCausalLM, path: Path) -> None:
    """Writes a tiny Llama as llama.cpp's converter does, weights in float32."""
    gguf = pytest.importorskip("gguf")
    config = model.config
    n_heads, n_kv = config.num_attention_heads, config.num_key_value_heads
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(n_heads)
    writer.add_head_count_kv(n_kv)
    writer.add_rope_dimension_count(config.hidden_size // n_heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"t{i}" for i in range(config.vocab_size)])
    writer.add_token_merges(["t 0"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    names = {
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    top = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    for name, weight in model.state_dict().items():
        values = weight.numpy()
        stem = name.removesuffix(".weight")
        if stem in top:
            writer.add_tensor(f"{top[stem]}.weight", values)
            continue
        _, _, layer, part = stem.split(".", 3)
        if part in ("self_attn.q_proj", "self_attn.k_proj"):
            # llama.cpp interleaves the halves that the rotation pairs.
            heads = n_heads if part.endswith("q_proj") else n_kv
            values = np.ascontiguousarray(
                values.reshape(heads, 2, -1, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
            )
        writer.add_tensor(f"blk.{layer}.{names[part]}.weight", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_file_loads_like_the_model_it_was_made_from_and_is_saved_as_plain_weights(
    tiny_models: dict[str, PreTrainedModel], tmp_path: Path
) -> None:
    model = tiny_models["llama"]
    assert isinstance(model, LlamaForCausalLM)
    write_gguf(model, tmp_path / "tiny.gguf")
    loaded = load_model(tmp_path / "tiny.gguf")
    loaded.save_pretrained(tmp_path / "saved")
    again = load_model(tmp_path / "saved")
    ids = torch.arange(6)[None]
    with torch.no_grad():
        torch.testing.assert_close(loaded(ids).logits, model(ids).logits, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(again(ids).logits, loaded(ids).logits)


def test_models_of_other_kinds_are_refused(tmp_path: Path) -> None:
    t5 = T5Config(vocab_size=20, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    T5ForConditionalGeneration(t5).save_pretrained(tmp_path / "t5")
    with pytest.raises(ModelError, match="'t5', which is not a causal language model"):
        load_model(tmp_path / "t5")
    classifier = LlamaForSequenceClassification(LlamaConfig(**SMALL))
    classifier.save_pretrained(tmp_path / "classifier")
    with pytest.raises(ModelError, match="lacks weights of a causal language model: lm_head"):
        load_model(tmp_path / "classifier")


def test_head_of_backbone_gives_the_models_own_logits(tiny_model: PreTrainedModel) -> None:
    tiny_model.train()
    backbone, head = backbone_and_head(tiny_model)
    assert tiny_model.training
    ids = torch.tensor([[5, 3, 8, 2]])
    with torch.no_grad():
        tiny_model.eval()
        rebuilt = head(backbone(input_ids=ids).last_hidden_state)
        torch.testing.assert_close(rebuilt, tiny_model(ids).logits)


def test_models_that_change_their_logits_or_look_ahead_are_refused() -> None:
    capped = Gemma2ForCausalLM(Gemma2Config(**SMALL, head_dim=8, attn_implementation="eager"))
    with pytest.raises(ModelError, match=r"'gemma2' are not supported.*final_logit_softcapping"):
        backbone_and_head(capped)
    scaled = LlamaForCausalLM(LlamaConfig(**SMALL))
    scaled.lm_head.register_forward_hook(lambda *_: None)
    scaled.register_forward_hook(lambda m, a, out: setattr(out, "logits", out.logits * 2))
    with pytest.raises(ModelError, match="'llama' are not supported"):
        backbone_and_head(scaled)
    config = {k: v for k, v in SMALL.items() if k != "num_key_value_heads"}
    bert = BertLMHeadModel(BertConfig(**config, is_decoder=False))
    with pytest.raises(ModelError, match="'bert'"):
        backbone_and_head(bert)


def test_a_vocabulary_larger_than_the_model_is_refused(tiny_model: PreTrainedModel) -> None:
    check_vocabulary(tiny_model, VOCAB_SIZE)
    check_vocabulary(tiny_model, VOCAB_SIZE - 10)
    with pytest.raises(ModelError, match=r"knows 97 tokens, .* has 98"):
        check_vocabulary(tiny_model, VOCAB_SIZE + 1)


def test_without_dropout_train_mode_equals_eval_mode() -> None:
    config = GPT2Config(
        vocab_size=20,
        n_embd=16,
        n_layer=2,
        n_head=2,
        resid_pdrop=0.3,
        embd_pdrop=0.3,
        attn_pdrop=0.3,
    )
    llama = LlamaConfig(**SMALL, attention_dropout=0.3)
    for model in (GPT2LMHeadModel(config), LlamaForCausalLM(llama)):
        for implementation in ("sdpa", "eager"):
            model.set_attn_implementation(implementation)
            ids = torch.arange(10)[None]
            expected = model.eval()(ids).logits
            disable_dropout(model)
            torch.testing.assert_close(model.train()(ids).logits, expected)
    assert config.attn_pdrop == config.resid_pdrop == llama.attention_dropout == 0.0


def test_one_teacher_forced_pass_agrees_row_by_row_whatever_the_padding(
    tiny_model: PreTrainedModel,
) -> None:
    backbone = tiny_model.base_model
    rng = np.random.default_rng(0)
    lengths = torch.tensor([7, 3, 5])
    ids = torch.from_numpy(rng.integers(0, VOCAB_SIZE, (3, 9)))
    with torch.no_grad():
        hidden = teacher_forced_hidden(backbone, ids)
        for row, n in enumerate(lengths.tolist()):
            expected = backbone(input_ids=ids[row : row + 1, :n]).last_hidden_state[0]
            torch.testing.assert_close(hidden[row, :n], expected, rtol=1e-5, atol=1e-5)


def test_windows_longer_than_the_positions_are_refused(
    tiny_models: dict[str, PreTrainedModel],
) -> None:
    check_window(tiny_models["gpt2"], 256)
    with pytest.raises(ModelError, match="300 tokens is longer than this model's 256 positions"):
        check_window(tiny_models["gpt2"], 300)

    short = {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "original_max_position_embeddings": 32,
        "short_factor": [1.0] * 64,
        "long_factor": [2.0] * 64,
        "factor": 2.0,
    }
    holder = torch.nn.Module()
    holder.config = LlamaConfig(rope_parameters=short, attn_implementation="sdpa")
    check_window(holder, 32)
    with pytest.raises(ModelError, match="32 positions of its short rotary form"):
        check_window(holder, 33)
    plain = {"rope_type": "default", "rope_theta": 10000.0}
    holder.config.rope_parameters = {"sliding_attention": plain, "full_attention": short}
    with pytest.raises(ModelError, match="32 positions of its short rotary form"):
        check_window(holder, 33)


def test_what_a_cache_of_slots_cannot_hold_is_refused() -> None:
    holder = torch.nn.Module()
    holder.config = MistralConfig(sliding_window=64, attn_implementation="sdpa")
    check_cacheable(holder, 64)
    with pytest.raises(ModelError, match="64 tokens of sliding attention"):
        check_cacheable(holder, 65)

    holder.config = LlamaConfig(attn_implementation="flash_attention_2")
    with pytest.raises(ModelError, match="attn_implementation='sdpa'"):
        check_cacheable(holder, 32)

    holder.config = LlamaConfig(attn_implementation="sdpa")
    holder.config.layer_types = ["linear_attention", "full_attention"]
    with pytest.raises(ModelError, match="layers of kind linear_attention"):
        check_cacheable(holder, 32)
