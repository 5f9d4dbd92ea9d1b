"""The slot cache gives what full passes give, and feeds only what is new."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from agents.decoding.decoder import SlotDecoder
from agents.decoding.weights import weights_version
from agents.models.attention import use_own_attention
from agents.models.loading import teacher_forced_hidden
from textenv.errors import ModelError

VOCAB_SIZE = 97
WINDOW = 160


class Conversation:
    """Random token sequences in slots, and the full passes that the decoder must agree with."""

    def __init__(self, model: PreTrainedModel, n_slots: int, window: int = WINDOW) -> None:
        self.backbone = model.base_model
        self.decoder = SlotDecoder(self.backbone, n_slots, window)
        self.rng = np.random.default_rng(0)
        self.sequences = [self.tokens(1) for _ in range(n_slots)]

    def tokens(self, n: int) -> np.ndarray:
        return self.rng.integers(0, VOCAB_SIZE, n, dtype=np.int32)

    def append(self, row: int, n: int) -> None:
        self.sequences[row] = np.concatenate([self.sequences[row], self.tokens(n)])

    def reset(self, row: int, n: int) -> None:
        self.sequences[row] = self.tokens(n)

    def expected(self, row: int) -> torch.Tensor:
        ids = torch.from_numpy(self.sequences[row])[None].long().to(self.backbone.device)
        with torch.no_grad():
            return self.backbone(input_ids=ids).last_hidden_state[0, -1]

    def check(self, rows: list[int] | None = None, new_tokens: int | None = None) -> None:
        rows = list(range(len(self.sequences))) if rows is None else rows
        lengths = np.array([len(self.sequences[r]) for r in rows])
        # Padding is random too: it must not matter.
        ids = self.rng.integers(0, VOCAB_SIZE, (len(rows), lengths.max() + 2), dtype=np.int32)
        for i, row in enumerate(rows):
            ids[i, : lengths[i]] = self.sequences[row]
        before = self.decoder.fed_tokens
        hidden = self.decoder.feed(np.array(rows), ids, lengths)
        expected = torch.stack([self.expected(row) for row in rows])
        torch.testing.assert_close(hidden, expected, rtol=1e-5, atol=1e-5)
        if new_tokens is not None:
            assert self.decoder.fed_tokens - before == new_tokens


def test_ragged_rows_agree_with_full_passes_and_feed_only_new_tokens(
    tiny_model: PreTrainedModel,
) -> None:
    talk = Conversation(tiny_model, 4)
    for row, n in enumerate([3, 9, 1, 6]):
        talk.reset(row, n)
    talk.check(new_tokens=19)
    for _ in range(3):
        for row in range(4):
            talk.append(row, 1)
        talk.check(new_tokens=4)


def test_equal_rows_advance_together(tiny_model: PreTrainedModel) -> None:
    talk = Conversation(tiny_model, 3)
    for row in range(3):
        talk.reset(row, 5)
    talk.check(new_tokens=15)
    for _ in range(3):
        for row in range(3):
            talk.append(row, 1)
        talk.check(new_tokens=3)


def test_a_row_may_start_again_while_others_go_on(tiny_model: PreTrainedModel) -> None:
    talk = Conversation(tiny_model, 3)
    for row, n in enumerate([8, 5, 6]):
        talk.reset(row, n)
    talk.check()
    talk.append(0, 1)
    talk.reset(1, 4)
    talk.append(2, 1)
    talk.check(new_tokens=6)
    for row in range(3):
        talk.append(row, 1)
    talk.check(new_tokens=3)


def test_environment_turns_append_several_tokens_at_once(tiny_model: PreTrainedModel) -> None:
    talk = Conversation(tiny_model, 4)
    talk.check(new_tokens=4)
    for row, n in enumerate([7, 1, 3, 2]):
        talk.append(row, n)
    talk.check(new_tokens=13)


def test_subsets_of_rows_may_be_fed_in_any_order(tiny_model: PreTrainedModel) -> None:
    talk = Conversation(tiny_model, 5)
    for row in range(5):
        talk.reset(row, 4 + row)
    talk.check([3, 1], new_tokens=12)
    talk.append(1, 1)
    talk.append(3, 2)
    talk.check([1, 4, 3], new_tokens=1 + 8 + 2)
    talk.check([4, 3, 2, 1, 0], new_tokens=1 + 1 + 6 + 1 + 4)


def test_a_prefix_is_kept_when_a_row_goes_back(tiny_model: PreTrainedModel) -> None:
    talk = Conversation(tiny_model, 2)
    talk.reset(0, 9)
    talk.reset(1, 9)
    talk.check()
    talk.sequences[0] = np.concatenate([talk.sequences[0][:6], (talk.sequences[0][6:8] + 1) % 97])
    talk.sequences[1] = talk.sequences[1][:4]
    talk.check(new_tokens=2 + 1)


def test_capacity_grows_up_to_the_window_and_no_further(tiny_model: PreTrainedModel) -> None:
    talk = Conversation(tiny_model, 2)
    talk.check()
    assert talk.decoder._passes.layers[0].keys.shape[2] < WINDOW
    for n in (70, 80):
        talk.append(0, n)
        talk.check(new_tokens=n + 1)
    talk.append(0, WINDOW - len(talk.sequences[0]))
    talk.append(1, WINDOW - 1)
    talk.check()
    assert talk.decoder._passes.layers[0].keys.shape[2] == WINDOW + 1
    with pytest.raises(ValueError, match="between 1 and the window of 160"):
        talk.decoder.feed(np.array([0]), np.zeros((1, 161), np.int32), np.array([161]))


def test_eager_attention_agrees_too(tiny_models: dict[str, PreTrainedModel]) -> None:
    for model in tiny_models.values():
        model.set_attn_implementation("eager")
        talk = Conversation(model, 3)
        for row, n in enumerate([5, 2, 7]):
            talk.reset(row, n)
        talk.check()
        talk.append(0, 1)
        talk.append(2, 3)
        talk.check()


def test_rows_and_ids_may_be_tensors(tiny_model: PreTrainedModel) -> None:
    talk = Conversation(tiny_model, 2)
    ids = torch.from_numpy(np.stack([talk.tokens(4), talk.tokens(4)]))
    hidden = talk.decoder.feed(torch.tensor([0, 1]), ids, torch.tensor([4, 4]))
    with torch.no_grad():
        expected = talk.backbone(input_ids=ids.long()).last_hidden_state[:, -1]
    torch.testing.assert_close(hidden, expected, rtol=1e-5, atol=1e-5)


def test_a_prompt_of_several_slots_is_computed_once(tiny_model: PreTrainedModel) -> None:
    talk = Conversation(tiny_model, 5)
    prompt = talk.tokens(9)
    talk.sequences = [prompt, prompt, talk.tokens(6), prompt, prompt]
    # Eight tokens for all four, five for the other; then the last one of each.
    talk.check(new_tokens=8 + 5 + 5)
    for layer in talk.decoder._passes.layers:
        for cached in (layer.keys, layer.values):
            for slot in (1, 3, 4):
                assert torch.equal(cached[slot, :, :8], cached[0, :, :8])
    for row in range(5):
        talk.append(row, 1)
    talk.check(new_tokens=5)


def test_equal_prompts_give_equal_bits(tiny_model: PreTrainedModel) -> None:
    talk = Conversation(tiny_model, 4)
    ids = np.tile(talk.tokens(12), (4, 1))
    hidden = talk.decoder.feed(np.arange(4), ids, np.full(4, 12))
    assert all(torch.equal(hidden[0], other) for other in hidden[1:])


def test_what_another_slot_holds_is_copied(tiny_model: PreTrainedModel) -> None:
    talk = Conversation(tiny_model, 3)
    for row, n in enumerate([40, 7, 5]):
        talk.reset(row, n)
    talk.check()
    talk.sequences[2] = np.concatenate([talk.sequences[0][:30], talk.tokens(4)])
    talk.sequences[1] = np.concatenate([talk.sequences[0][:10], talk.tokens(9)])
    # Thirty tokens are copied; ten would save less than a pass without a mask.
    talk.check([1, 2], new_tokens=19 + 4)
    talk.append(0, 1)
    talk.check(new_tokens=3)


def test_a_slot_joins_a_prompt_that_others_are_answering(tiny_model: PreTrainedModel) -> None:
    talk = Conversation(tiny_model, 3)
    talk.reset(0, 30)
    prompt = talk.sequences[0]
    talk.check()
    for row in (1, 2):
        for other in range(row):
            talk.append(other, 1)
        talk.sequences[row] = prompt
        # One token in each slot that answers, and the last one of the prompt.
        talk.check(list(range(row + 1)), new_tokens=row + 1)


def watch_passes(decoder: SlotDecoder) -> list[tuple[int, ...]]:
    shapes: list[tuple[int, ...]] = []

    def watch(_: object, args: object, kwargs: dict[str, torch.Tensor]) -> None:
        shapes.append(tuple(kwargs["input_ids"].shape))

    decoder._renew(exact=True)  # makes what will compute
    decoder._running(0).register_forward_pre_hook(watch, with_kwargs=True)
    return shapes


def test_several_prompts_take_one_pass_and_last_tokens_another(tiny_model: PreTrainedModel) -> None:
    talk = Conversation(tiny_model, 5)
    for row in range(5):
        talk.reset(row, 5 + row)
    talk.check()
    passes = watch_passes(talk.decoder)
    for row in (0, 2, 4):
        talk.append(row, 1)
    for row in (1, 3):
        talk.reset(row, 8 + row)
    lengths = np.array([len(ids) for ids in talk.sequences])
    ids = np.zeros((5, lengths.max()), np.int32)
    for row in range(5):
        ids[row, : lengths[row]] = talk.sequences[row]
    talk.decoder.feed(np.arange(5), ids, lengths)
    assert [rows for rows, _ in passes] == [2, 5]


def test_prompts_of_very_different_length_are_not_padded_together(
    tiny_model: PreTrainedModel,
) -> None:
    talk = Conversation(tiny_model, 4)
    passes = watch_passes(talk.decoder)
    lengths = np.array([4, 150, 6, 149])
    hidden = talk.decoder.feed(
        np.arange(4), np.stack([talk.tokens(150) for _ in range(4)]), lengths
    )
    assert [rows for rows, _ in passes] == [2, 2]
    assert hidden.shape[0] == 4


def test_no_pass_exceeds_its_budget_of_tokens(tiny_models: dict[str, PreTrainedModel]) -> None:
    talk = Conversation(tiny_models["llama"], 6)
    talk.decoder.max_tokens_per_batch = 40
    for row in range(6):
        talk.reset(row, 15 + row % 2)
    passes = watch_passes(talk.decoder)
    lengths = np.array([len(ids) for ids in talk.sequences])
    ids = np.zeros((6, 16), np.int32)
    for row in range(6):
        ids[row, : lengths[row]] = talk.sequences[row]
    found = talk.decoder.feed(np.arange(6), ids, lengths)
    assert [rows for rows, _ in passes] == [2, 2, 2]
    expected = torch.stack([talk.expected(row) for row in range(6)])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def feed_without_check(talk: Conversation) -> None:
    lengths = np.array([len(ids) for ids in talk.sequences])
    ids = np.zeros((len(lengths), lengths.max()), np.int32)
    for row, sequence in enumerate(talk.sequences):
        ids[row, : len(sequence)] = sequence
    talk.decoder.feed(np.arange(len(lengths)), ids, lengths)


def start_packing(model: PreTrainedModel, n_slots: int) -> Conversation:
    """Slots with texts of different lengths, of a model whose passes can be packed."""
    use_own_attention(model)
    talk = Conversation(model, n_slots)
    for row in range(n_slots):
        talk.reset(row, 5 + row)
    talk.check()
    return talk


def test_prompts_go_along_with_the_next_tokens_of_others(tiny_model: PreTrainedModel) -> None:
    talk = start_packing(tiny_model, 5)
    for row in (0, 2, 4):
        talk.append(row, 1)
    talk.reset(1, 9)
    talk.append(3, 4)  # an environment's turn
    passes = watch_passes(talk.decoder)
    feed_without_check(talk)
    # A token of all five, and before those the other 8 and 3.
    assert passes == [(1, 5 + 8 + 3)]
    for row in range(5):
        talk.append(row, 1)
    talk.check(new_tokens=5)


def test_packed_passes_agree_with_full_passes(tiny_model: PreTrainedModel) -> None:
    talk = start_packing(tiny_model, 6)
    passes = watch_passes(talk.decoder)
    rng = np.random.default_rng(1)
    for _ in range(30):
        rows = [int(row) for row in rng.permutation(6)[: rng.integers(2, 7)]]
        for row in rows:
            kind = rng.random()
            if len(talk.sequences[row]) > WINDOW - 30 or kind < 0.2:
                talk.reset(row, int(rng.integers(1, 30)))
            elif kind < 0.3:
                # What another slot holds, so that a beginning is copied and the rest goes along.
                talk.sequences[row] = np.concatenate([talk.sequences[rows[0]], talk.tokens(3)])
            else:
                talk.append(row, 1 if kind < 0.9 else 4)
        talk.check(rows)
    assert sum(rows == 1 and tokens > 6 for rows, tokens in passes) > 10


def test_a_packed_pass_in_bfloat16_agrees_too(tiny_model: PreTrainedModel) -> None:
    talk = start_packing(tiny_model, 4)
    for row in (0, 1):
        talk.append(row, 1)
    talk.reset(2, 20)
    talk.reset(3, 11)
    with torch.autocast("cpu", torch.bfloat16):
        lengths = np.array([len(ids) for ids in talk.sequences])
        ids = np.zeros((4, 20), np.int32)
        for row in range(4):
            ids[row, : lengths[row]] = talk.sequences[row]
        talk.decoder.feed(np.arange(2), ids[:2], lengths[:2] - 1)
        # The twin in bfloat16 computes.
        passes = watch_passes(talk.decoder)
        found = talk.decoder.feed(np.arange(4), ids, lengths)
    assert passes == [(1, 4 + 19 + 10)]
    expected = torch.stack([talk.expected(row) for row in range(4)])
    torch.testing.assert_close(found.float(), expected, rtol=0.1, atol=0.5)


def test_many_prompts_or_long_ones_take_a_pass_of_their_own(
    tiny_models: dict[str, PreTrainedModel],
) -> None:
    talk = start_packing(tiny_models["llama"], 12)
    passes = watch_passes(talk.decoder)
    for row in range(12):
        if row < 9:
            talk.reset(row, 7)
        else:
            talk.append(row, 1)
    feed_without_check(talk)
    assert passes == [(9, 6), (12, 1)]
    passes.clear()
    talk.decoder.max_tokens_per_batch = 50
    talk.reset(0, 52)
    for row in range(1, 12):
        talk.append(row, 1)
    feed_without_check(talk)
    assert passes == [(1, 51), (12, 1)]


def test_eager_attention_takes_no_packed_pass(tiny_models: dict[str, PreTrainedModel]) -> None:
    model = tiny_models["llama"]
    model.set_attn_implementation("eager")
    talk = start_packing(model, 3)
    passes = watch_passes(talk.decoder)
    talk.reset(0, 9)
    for row in (1, 2):
        talk.append(row, 1)
    feed_without_check(talk)
    assert passes == [(1, 8), (3, 1)]


def test_rows_in_play_move_to_the_front_and_lose_nothing(tiny_model: PreTrainedModel) -> None:
    talk = Conversation(tiny_model, 5)
    for row in range(5):
        talk.reset(row, 4 + row)
    talk.check()
    for rows in ([4], [3, 4], [2], [0, 1, 2, 3, 4]):
        for row in rows:
            talk.append(row, 1)
        talk.check(rows, new_tokens=len(rows))
        assert sorted(talk.decoder._places[rows]) == list(range(len(rows)))


def play_ragged(talk: Conversation) -> None:
    """Steps, restarts, rests and growth beyond the first storage."""
    for _ in range(3):
        for row in range(len(talk.sequences)):
            talk.append(row, 1)
        talk.check(new_tokens=len(talk.sequences))
    talk.reset(1, 20)
    talk.append(0, 125)
    for rows in ([0, 1, 2], [1, 3], [3, 2, 0]):
        talk.check(rows)
        for row in rows:
            talk.append(row, 1)
    talk.check()


def test_steps_over_fixed_buffers_agree_with_full_passes(tiny_model: PreTrainedModel) -> None:
    talk = Conversation(tiny_model, 12)
    for row in range(12):
        talk.reset(row, 3 + row % 4)
    talk.check()
    passes = talk.decoder._passes
    assert passes is not None
    passes.use_static_steps(captured=False)
    play_ragged(talk)
    # Rows in powers of two from eight on, keys in multiples of 128 up to the window.
    assert set(passes.steps._graphs) <= {(8, 128), (8, 160), (12, 128), (12, 160)}
    assert (8, 160) in passes.steps._graphs


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_captured_steps_agree_with_full_passes_and_follow_the_weights(
    tiny_model: PreTrainedModel,
) -> None:
    talk = Conversation(tiny_model.to("cuda"), 12)
    for row in range(12):
        talk.reset(row, 3 + row % 4)
    talk.check()
    play_ragged(talk)
    assert talk.decoder._passes.steps is not None
    n_captured = talk.decoder._passes.steps.n_captured
    assert 2 <= n_captured <= 5
    with torch.no_grad():
        next(tiny_model.parameters()).mul_(1.1)
    talk.check()
    talk.append(0, 1)
    talk.check()
    assert talk.decoder._passes.steps.n_captured <= n_captured + 1


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.1),
    "adam": lambda p: torch.optim.Adam(p, lr=0.1, foreach=False),
    "adam_foreach": lambda p: torch.optim.Adam(p, lr=0.1, foreach=True),
    "adam_fused": lambda p: torch.optim.Adam(p, lr=0.1, fused=True),
    "adamw_fused": lambda p: torch.optim.AdamW(p, lr=0.1, fused=True),
}


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_an_optimizer_step_drops_the_cache(
    name: str, tiny_models: dict[str, PreTrainedModel]
) -> None:
    model = tiny_models["llama"]
    talk = Conversation(model, 2)
    talk.append(0, 4)
    talk.check()
    optimizer = OPTIMIZERS[name](model.parameters())
    model(torch.arange(6)[None]).logits.square().mean().backward()
    optimizer.step()
    talk.check(new_tokens=6)
    talk.check(new_tokens=2)


def test_loading_weights_drops_the_cache(tiny_model: PreTrainedModel) -> None:
    talk = Conversation(tiny_model, 2)
    talk.append(0, 4)
    state = {k: v + 0.1 for k, v in copy.deepcopy(tiny_model.state_dict()).items()}
    for assign in (False, True):
        talk.check()
        tiny_model.load_state_dict(state, assign=assign)
        talk.check(new_tokens=6)


def test_drop_forgets_what_version_counters_cannot_see(tiny_model: PreTrainedModel) -> None:
    talk = Conversation(tiny_model, 2)
    talk.append(0, 4)
    talk.check()
    next(tiny_model.parameters()).data.add_(0.5)
    talk.decoder.drop()
    talk.check(new_tokens=6)


def test_an_interrupted_pass_leaves_no_wrong_keys(tiny_models: dict[str, PreTrainedModel]) -> None:
    model = tiny_models["llama"]
    talk = Conversation(model, 2)
    talk.append(0, 4)
    talk.check()
    before = talk.sequences[0]
    talk.reset(0, 5)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    running: Any = talk.decoder._running(0)
    handle = running.layers[1].register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        talk.check([0])
    handle.remove()
    # The first layer's keys are already those of the other tokens.
    talk.sequences[0] = before
    talk.check()


def test_a_cache_made_in_inference_mode_can_be_used_outside(tiny_model: PreTrainedModel) -> None:
    talk = Conversation(tiny_model, 2)
    with torch.inference_mode():
        talk.check()
    talk.append(0, 2)
    talk.check(new_tokens=2 + 1)


def test_train_mode_is_left_on_and_changes_nothing(tiny_models: dict[str, PreTrainedModel]) -> None:
    model = tiny_models["llama"]
    # The name changed within transformers 5.
    getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
    model.train()
    talk = Conversation(model, 2)
    talk.append(0, 4)
    for _ in range(2):
        hidden = talk.decoder.feed(
            np.array([0]), talk.sequences[0][None], np.array([len(talk.sequences[0])])
        )
        assert model.training
        assert not hidden.requires_grad
        torch.testing.assert_close(hidden[0], talk.expected(0), rtol=1e-5, atol=1e-5)
        talk.append(0, 1)


def test_autocast_caches_in_its_own_type(tiny_model: PreTrainedModel) -> None:
    talk = Conversation(tiny_model, 2)
    ids, lengths = np.stack([talk.tokens(9), talk.tokens(9)]), np.array([7, 9])
    rows = np.arange(2)
    exact = talk.decoder.feed(rows, ids, lengths)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        talk.decoder.feed(rows, ids, lengths - 1)
        before = talk.decoder.fed_tokens
        rough = talk.decoder.feed(rows, ids, lengths)
        assert talk.decoder.fed_tokens - before == 2
        assert talk.decoder._passes.layers[0].keys.dtype == torch.bfloat16
        full = teacher_forced_hidden(talk.backbone, torch.from_numpy(ids).long())
    torch.testing.assert_close(
        rough.float(), full[rows, lengths - 1].detach().float(), rtol=0.1, atol=0.3
    )
    torch.testing.assert_close(talk.decoder.feed(rows, ids, lengths), exact)


def test_autocast_follows_the_weights(tiny_model: PreTrainedModel) -> None:
    head = tiny_model.get_output_embeddings()
    talk = Conversation(tiny_model, 2)
    ids, lengths, rows = np.stack([talk.tokens(9), talk.tokens(9)]), np.array([7, 9]), np.arange(2)
    old, new = (SlotDecoder(talk.backbone, 2, WINDOW, head=head) for _ in range(2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        before = old.logits(old.feed(rows, ids, lengths))
        with torch.no_grad():
            for parameter in tiny_model.parameters():
                parameter.mul_(1.2)
        after, expected = (d.logits(d.feed(rows, ids, lengths)) for d in (old, new))
    assert torch.equal(after, expected)
    assert not torch.equal(after, before)


def test_a_window_that_does_not_fit_is_refused(tiny_models: dict[str, PreTrainedModel]) -> None:
    with pytest.raises(ModelError, match="this model's 256 positions"):
        SlotDecoder(tiny_models["gpt2"].base_model, 2, 300)


def test_the_weights_version_changes_with_every_kind_of_write() -> None:
    layer = torch.nn.Linear(2, 2)
    owners = [layer._parameters]
    seen = [weights_version(owners)]
    with torch.no_grad():
        layer.weight.mul_(2)
    seen.append(weights_version(owners))
    layer.bias = torch.nn.Parameter(torch.zeros(2))
    seen.append(weights_version(owners))
    assert seen[0] != seen[1] != seen[2]
