"""The slot cache gives what full passes give, and feeds only what is new."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from agents.decoding import SlotDecoder, weights_version
from agents.models import teacher_forced_hidden
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
        ids = torch.from_numpy(self.sequences[row])[None].long()
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
    assert talk.decoder._layers[0].keys.shape[2] < WINDOW
    for n in (70, 80):
        talk.append(0, n)
        talk.check(new_tokens=n + 1)
    talk.append(0, WINDOW - len(talk.sequences[0]))
    talk.append(1, WINDOW - 1)
    talk.check()
    assert talk.decoder._layers[0].keys.shape[2] == WINDOW + 1
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

    handle = model.model.layers[1].register_forward_pre_hook(interrupt)
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
        assert talk.decoder._layers[0].keys.dtype == torch.bfloat16
        full = teacher_forced_hidden(talk.backbone, torch.from_numpy(ids).long())
    torch.testing.assert_close(
        rough.float(), full[rows, lengths - 1].detach().float(), rtol=0.1, atol=0.3
    )
    torch.testing.assert_close(talk.decoder.feed(rows, ids, lengths), exact)


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
