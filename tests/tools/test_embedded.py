"""The model that comes with the package, and the script that builds it."""

from pathlib import Path

import pytest
import torch

import tools.build_embedded as build
from agents.models.loading import load_model, load_model_tokenizer
from agents.training.config import SFTOptions
from textenv.registry import environment_row, registered_ids
from textenv.tokenization import EMBEDDED_PATH, load_tokenizer


def test_the_packaged_files_fit_the_wheel_and_each_other():
    assert sum(file.stat().st_size for file in EMBEDDED_PATH.iterdir()) < 8e6
    model, tokenizer = load_model("embedded"), load_tokenizer("embedded")
    assert model.config.vocab_size == tokenizer.vocab_size
    assert model.config.eos_token_id == tokenizer.end_id
    assert model.config.pad_token_id == tokenizer.pad_id


def test_transformers_renders_conversations_as_the_environments_do():
    plain = load_model_tokenizer("embedded")
    ours = load_tokenizer("embedded")
    rendered = plain.apply_chat_template(
        [{"role": "user", "content": "Hello there."}], add_generation_prompt=True
    )["input_ids"]
    from textenv import Turn

    assert ours.encode_opening([Turn("user", "Hello there.")], 64)[0] == rendered


def test_the_script_builds_a_loadable_model_and_the_same_one_again(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(build, "CORPUS_EXAMPLES", 100)
    monkeypatch.setattr(build, "VOCAB_SIZE", 400)
    settings = SFTOptions(steps=2, batch_size=4, seed=0)
    threads = torch.get_num_threads()
    try:
        for name, before in (("one", 1), ("two", 2)):
            torch.set_num_threads(before)  # however many there were, the script takes one
            build.build_tokenizer(tmp_path / name)
            build.build_model(tmp_path / name, settings)
    finally:
        torch.set_num_threads(threads)
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two
    assert load_model(tmp_path / "one").config.vocab_size == 400


def test_its_tasks_are_all_that_there_are():
    shown = {environment_row(id).task for id in build.SHARES}
    assert shown == {environment_row(id).task for id in registered_ids()}
    assert len(shown) == 11


@pytest.mark.slow
def test_the_packaged_tokenizer_is_what_the_script_builds(tmp_path: Path):
    build.build_tokenizer(tmp_path)
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (tmp_path / file).read_bytes() == (EMBEDDED_PATH / file).read_bytes()
