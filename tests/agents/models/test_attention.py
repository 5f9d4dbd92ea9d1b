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


@pytest.mark.parametrize("masked", ["no mask", "booleans", "numbers", "numbers a head"])
@pytest.mark.parametrize("key_heads", [1, 2, 6])
def test_one_new_token_a_row_attends_as_torchs_attention_does(masked: str, key_heads: int) -> None:
    torch.manual_seed(0)
    query, key, value = (
        torch.randn(3, h, t, 8) for h, t in ((6, 1), (key_heads, 9), (key_heads, 9))
    )
    seen = torch.arange(9) <= torch.tensor([2, 8, 5])[:, None, None, None]
    mask = {
        "no mask": None,
        "booleans": seen,
        "numbers": torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min),
        "numbers a head": torch.randn(3, 6, 1, 9),
    }[masked]
    repeated = (states.repeat_interleave(6 // key_heads, dim=1) for states in (key, value))
    wanted = torch.nn.functional.scaled_dot_product_attention(
        query, *repeated, attn_mask=mask, scale=0.3
    )
    found, _ = agents.models.attention.attend(
        torch.nn.Module(), query, key, value, mask, scaling=0.3
    )
    torch.testing.assert_close(found, wanted.transpose(1, 2))
    low = [states.bfloat16() for states in (query, key, value)]
    with torch.autocast("cpu", torch.bfloat16):
        rough, _ = agents.models.attention.attend(torch.nn.Module(), *low, mask, scaling=0.3)
    assert rough.dtype == torch.bfloat16
    torch.testing.assert_close(rough.float(), found, rtol=0.02, atol=0.02)


def test_a_saved_model_says_nothing_of_it(save_model, tmp_path: Path) -> None:
    model = load_model(save_model())
    assert model.config._attn_implementation == agents.models.attention.NAME
    model.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert agents.models.attention.NAME not in json.dumps(written)
