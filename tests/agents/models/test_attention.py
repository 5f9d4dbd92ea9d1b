"""Attention in float32 where bfloat16 is slow: the same numbers, and no trace in what is saved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

import agents.models.attention
from agents.models.attention import use_own_attention
from agents.models.loading import load_model


def test_in_float32_it_is_torchs_attention(tiny_model: PreTrainedModel) -> None:
    ids = torch.arange(24).view(2, 12)
    expected = tiny_model(input_ids=ids).logits
    use_own_attention(tiny_model)
    assert torch.equal(tiny_model(input_ids=ids).logits, expected)


def test_whole_sequences_in_bfloat16_are_attended_to_in_float32(
    tiny_model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.dtype] = []

    def watched(module, query, key, value, *args, **kwargs):
        seen.append(value.dtype)
        return sdpa_attention_forward(module, query, key, value, *args, **kwargs)

    monkeypatch.setattr(agents.models.attention, "sdpa_attention_forward", watched)
    ids = torch.arange(24).view(2, 12)
    exact = tiny_model(input_ids=ids).logits
    use_own_attention(tiny_model)
    with torch.autocast("cpu", torch.bfloat16):
        rough = tiny_model(input_ids=ids).logits
        assert set(seen) == {torch.float32}
        seen.clear()
        with torch.no_grad():
            assert torch.equal(tiny_model(input_ids=ids).logits, rough)
    torch.testing.assert_close(rough.float(), exact, rtol=0.1, atol=0.5)


def test_a_single_new_token_has_no_keys_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.dtype] = []

    def watched(module, query, key, value, *args, **kwargs):
        seen.append(key.dtype)
        return query, None

    monkeypatch.setattr(agents.models.attention, "sdpa_attention_forward", watched)
    keys = torch.zeros(2, 4, 9, 8, dtype=torch.bfloat16)
    for n_new in (1, 9):
        agents.models.attention.attend(torch.nn.Module(), keys[:, :, :n_new], keys, keys, None)
    assert seen == [torch.bfloat16, torch.float32]


def test_a_saved_model_says_nothing_of_it(save_model, tmp_path: Path) -> None:
    model = load_model(save_model())
    assert model.config._attn_implementation == agents.models.attention.NAME
    model.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert agents.models.attention.NAME not in json.dumps(written)
