"""Each input of tests/hostile ends in one of our errors or in a right result, and runs nothing."""

from __future__ import annotations

import json
import shutil
import sys
import sysconfig
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agents.cli.environments import choose_environments
from agents.models.loading import load_model
from agents.serve.watched_runs import WatchedRuns
from agents.training.config import TrainConfig, load_config
from agents.training.run import train
from textenv import chat_templates
from textenv.benchmark.agreement.rating_files import read_rated_rows
from textenv.chat_templates import ChatTemplate
from textenv.cli.main import make_app
from textenv.errors import TextEnvError
from textenv.examples import Turn
from textenv.registry import register_from_yaml
from textenv.rewards import load_reward
from textenv.strict_yaml import load_yaml
from textenv.tokenization import load_tokenizer

HOSTILE = Path(__file__).parent / "hostile"
BOMBS = ("bomb", "one_value", "packed_far")  # files of rows that unpack to far more than text does
MOST_BYTES = 700 << 20  # by which a test may raise the memory of the process


def inputs(kind: str) -> list[Path]:
    found = sorted(path for path in (HOSTILE / kind).iterdir() if path.name != "__pycache__")
    assert found
    return found


def each(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", inputs(kind), ids=lambda path: path.name)


@pytest.fixture(autouse=True)
def _nothing_runs(tmp_path, monkeypatch) -> Iterator[None]:
    resource = pytest.importorskip("resource")
    shutil.copy(HOSTILE / "payload.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert not Path("HOSTILE_RAN").exists()
    assert "payload" not in sys.modules
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < MOST_BYTES


def is_plain(text: str) -> bool:
    """Tells whether a terminal only shows a text."""
    return all(
        char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs")
        for char in text
        if unicodedata.bidirectional(char) not in ("LRE", "RLE", "LRO", "RLO", "PDF")
    ) and not set(text) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


def refusal(play: Callable[..., Any], *arguments: Any, **more: Any) -> str | None:
    """Returns our error of a call; None if it came to an end. Any other error goes through."""
    try:
        play(*arguments, **more)
    except TextEnvError as error:
        said = str(error)
    else:
        return None
    assert is_plain(said)
    assert 10 < len(said) < 3000
    return said


@each("configs")
def test_a_configuration_is_refused_in_words_or_read_as_plain_values(path):
    if refusal(load_config, path) is None:
        config = load_config(path)
        assert isinstance(config, TrainConfig)
        assert json.loads(json.dumps(config.to_json())) == config.to_json()
    result = CliRunner().invoke(make_app(), ["train", "--config", str(path)])
    assert result.exit_code == 2
    assert is_plain(result.output)
    assert not Path("runs").exists()


@each("registries")
def test_a_registry_is_refused_in_words(path):
    assert refusal(register_from_yaml, path)


@each("rewards")
def test_what_is_no_reward_is_not_called(path):
    text = path.read_text().replace("@STDLIB@", sysconfig.get_path("stdlib"))
    assert refusal(load_reward, load_yaml(text))


@each("rows")
def test_rows_are_refused_in_words_or_shown_as_plain_text(path, tmp_path):
    copy = Path(shutil.copy(path, tmp_path))
    result = CliRunner().invoke(
        make_app(), ["show", "TextSummarize-v0", "--dataset", copy.name, "--split", "train"]
    )
    assert result.exit_code in (0, 2)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert is_plain(result.output)
    assert result.output.strip()
    if path.name.startswith(BOMBS):
        assert "unpacks to more than 200 times" in " ".join(result.output.split())


@each("templates")
def test_a_template_is_refused_in_words(path, monkeypatch):
    monkeypatch.setattr(chat_templates, "TIME_LIMIT_S", 0.5)
    template = ChatTemplate(path.read_text(), "{}")
    messages = [{"role": "user", "content": "Hi"}]
    # What the sandbox hides may also be written as nothing.
    assert refusal(template, messages) or not template(messages)


@each("chats")
def test_a_message_never_becomes_a_special_token(path):
    tokenizer = load_tokenizer()
    for message in json.loads(path.read_bytes()):
        text = message["text"].replace("@SPECIAL@", "".join(tokenizer.special_texts))
        empty, _ = tokenizer.encode_opening([Turn(message["role"], "")], 10_000)
        ids, _ = tokenizer.encode_opening([Turn(message["role"], text, (0, len(text)))], 10_000)
        n_marks = [sum(id in tokenizer.special_ids for id in some) for some in (empty, ids)]
        assert n_marks[0] == n_marks[1]


@each("tokenizers")
def test_a_tokenizer_is_refused_in_words(path):
    assert refusal(load_tokenizer, path)


@each("models")
def test_a_model_is_refused_in_words(path):
    said = refusal(load_model, path)
    assert said
    assert "pickle" not in path.name or "as a pickle" in said


@each("run_folders")
def test_code_that_a_run_from_elsewhere_names_is_not_loaded(path, tmp_path):
    folder = Path(shutil.copytree(path, tmp_path / path.name))
    config = TrainConfig(id="TextSummarize-v0")
    for said in (
        refusal(choose_environments, [], str(folder), allow_code=False),
        refusal(train, config, folder, resume=True),
    ):
        assert said is not None
        assert "--allow-code" in said
        assert "'payload" in said
    for words in (["train", "--resume"], ["evaluate", "--model"]):
        result = CliRunner().invoke(make_app(), [*words, str(folder)])
        assert result.exit_code == 2
    runs = WatchedRuns([tmp_path])
    runs.refresh()
    assert all(run.config for run in runs)


@each("ratings")
def test_a_pickle_of_ratings_runs_nothing(path):
    assert refusal(read_rated_rows, path)
