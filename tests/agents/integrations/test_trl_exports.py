"""TRL's own trainers read the exported files, and see the tokens that the environment plays."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from textenv.json_lines import to_line
from textenv.rewards import compute_rewards
from textenv.rollout import SpeakerWriter, play_examples
from textenv.rollout_data.rows import rollout_row
from textenv.tokenization import EMBEDDED_PATH
from textenv.vector import make_core

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("trl") is None, reason="needs trl: pip install 'textenv[examples]'"
)
_IDS = ("TextQA-v0", "TextDialogue-v0")


@pytest.fixture(autouse=True)
def _quietly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The packages warn of one another; what they say is not ours to mend."""
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture
def export(run, tmp_path) -> Any:
    """Exports four prompts of an id with an ideal and a wrong answer each; returns the rows."""

    def export(id: str, *words: object) -> Any:
        from datasets import load_dataset

        core = make_core(id)
        examples = [core.dataset()[index] for index in range(4)]
        played = []
        for speak in (core.task.gold, lambda example, turns: "I do not know."):
            played += play_examples(core, SpeakerWriter(core, speak), examples)
        said = [episode.conversation for episode in played]
        result = compute_rewards(core.reward, said)
        source, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
        lines = [to_line(rollout_row(episode, result, i, {})) for i, episode in enumerate(said)]
        source.write_text("".join(lines), encoding="utf-8")
        done = run("export", words[0], source, "--out", out, *words[1:])
        assert done.exit_code == 0, done.output
        dataset = load_dataset(
            "json", data_files=str(out), split="train", cache_dir=str(tmp_path / "cache")
        )
        return dataset, played

    return export


def _arguments(config: Any, folder: Path, **further: Any) -> Any:
    return config(
        output_dir=str(folder), max_steps=1, per_device_train_batch_size=4, report_to=[],
        save_strategy="no", use_cpu=True, bf16=False, disable_tqdm=True,
        gradient_checkpointing=False, dataloader_pin_memory=False, learning_rate=1e-3,
        **further,
    )  # fmt: skip


def _train(trainer: Any) -> float:
    """Takes one step; returns its loss."""
    before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
    loss = float(trainer.train().training_loss)
    after = list(trainer.model.parameters())
    assert trainer.state.global_step == 1
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert np.isfinite(loss)
    return loss


@pytest.mark.parametrize("id", _IDS)
@pytest.mark.parametrize("form", ["messages", "prompt-completion"])
def test_sft_trainer_learns_the_tokens_of_the_best_answers(export, tmp_path, id, form):
    from trl import SFTConfig, SFTTrainer

    dataset, played = export(id, "sft", "--form", form)
    assert len(dataset) == 4
    trainer = SFTTrainer(str(EMBEDDED_PATH), _arguments(SFTConfig, tmp_path), train_dataset=dataset)
    for row, episode in zip(trainer.train_dataset, played, strict=False):
        ids = episode.input_ids.tolist()
        assert row["input_ids"][: len(ids)] == ids
        if form == "prompt-completion":
            assert row["labels"][episode.n_prompt :][0] == ids[episode.n_prompt]
            assert set(row["labels"][: episode.n_prompt]) == {-100}
    assert _train(trainer) > 0


@pytest.mark.parametrize("id", _IDS)
def test_dpo_trainer_learns_that_the_ideal_answer_is_better(export, tmp_path, id):
    from trl import DPOConfig, DPOTrainer

    dataset, played = export(id, "dpo")
    assert len(dataset) == 4
    trainer = DPOTrainer(str(EMBEDDED_PATH), args=_arguments(DPOConfig, tmp_path),
                         train_dataset=dataset)  # fmt: skip
    for i, row in enumerate(trainer.train_dataset):
        for key, episode in (("chosen_ids", played[i]), ("rejected_ids", played[i + 4])):
            ids = episode.input_ids.tolist()
            assert (row["prompt_ids"] + row[key])[: len(ids)] == ids
            assert len(row["prompt_ids"]) == episode.n_prompt
    assert _train(trainer) == pytest.approx(np.log(2), rel=1e-3)  # policy and reference are equal


def test_kto_trainer_learns_good_and_bad_answers_of_different_prompts(export, tmp_path):
    from trl import KTOConfig, KTOTrainer

    dataset, played = export("TextQA-v0", "kto")
    assert dataset["label"][:] == [True] * 4 + [False] * 4
    trainer = KTOTrainer(str(EMBEDDED_PATH), args=_arguments(KTOConfig, tmp_path),
                         train_dataset=dataset)  # fmt: skip
    for row, episode in zip(trainer.train_dataset, played, strict=True):
        ids = episode.input_ids.tolist()
        assert (row["prompt_ids"] + row["completion_ids"])[: len(ids)] == ids
    _train(trainer)
