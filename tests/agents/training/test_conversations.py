"""Recorded conversations become the episodes that the environment would have played."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from agents.models.loading import load_model
from agents.training.config import SFTOptions
from agents.training.conversations import encode_conversation, load_conversations
from agents.training.held_out import evaluate_policy_on_split, load_policy
from agents.training.sft import count_steps, train_supervised
from textenv import ConfigError, PromptTooLongError
from textenv.conversations import read_conversation
from textenv.examples import to_messages
from textenv.rollout import SpeakerWriter, play_examples
from textenv.vector import make_core


@pytest.mark.parametrize("id", ["TextQA-v0", "TextDialogue-v0", "TextContinueTopic-v0"])
def test_a_recorded_episode_has_the_tokens_of_the_played_one(id):
    core = make_core(id)
    dataset = core.dataset("train")
    examples = [dataset[index] for index in range(3)]
    for played in play_examples(core, SpeakerWriter(core, core.task.gold), examples):
        said = played.conversation
        row = {"messages": to_messages(said.turns), "n_opening": said.n_opening}
        recorded, is_cut = encode_conversation(core, read_conversation(row, "row"))
        assert recorded.input_ids.tolist() == played.input_ids.tolist()
        assert recorded.action_mask.tolist() == played.action_mask.tolist()
        assert not is_cut


@pytest.fixture
def write(tmp_path):
    """Writes a file of conversations, each a list of what user and assistant say in turn."""

    def write(*conversations):
        path = tmp_path / "said.jsonl"
        rows = [
            {"messages": [{"role": ("user", "assistant")[i % 2], "content": text}
                          for i, text in enumerate(said)]}
            for said in conversations
        ]  # fmt: skip
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


def test_an_answer_beyond_its_budget_is_cut_as_the_environment_cuts_it(make_env, write, caplog):
    core = make_env(1, max_new_tokens=3, max_turns=2).core
    path = write(["say red", "one two three four", "more", "red"], ["say red", "red"])
    with caplog.at_level(logging.WARNING):
        long, short = load_conversations(path, core)
    assert "1 of 2 conversations" in caplog.text
    assert "max_new_tokens=3" in caplog.text
    words = [core.tokenizer.decode([i]) for i in long.input_ids[long.action_mask]]
    assert words[:4] == ["one", "two", "three", "red"]
    # The environment closes the turn that did not end itself.
    core.start(0, core.dataset()[0])
    assert core.tokenizer.end_id in long.input_ids[np.flatnonzero(long.action_mask)[2] + 1 :]
    assert short.action_mask.sum() == 2


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        (["say", "red", "more", "red", "more", "red"], ConfigError, "answers 3 times.*max_turns=2"),
        (["say " * 40, "red"], PromptTooLongError, "Line 1 of .*: "),
        (["say"], ConfigError, "Line 1 of .*: no assistant answers"),
    ],
)
def test_what_the_environment_could_not_play_is_refused_with_its_line(
    make_env, write, said, error, message
):
    with pytest.raises(error, match=message) as raised:
        load_conversations(write(said), make_env(1, max_turns=2).core)
    assert str(raised.value).count("Line 1") == 1


def test_no_rows_are_refused(make_env, write, tmp_path):
    core = make_env(1).core
    with pytest.raises(ConfigError, match="has no rows"):
        load_conversations(write(), core)
    with pytest.raises(ConfigError, match="No such file"):
        load_conversations(tmp_path / "none.jsonl", core)


def test_a_model_learns_what_was_recorded_and_not_the_ideal_answer(
    make_env, save_model, write, tmp_path
):
    core = make_env(4).core
    dataset = core.dataset("train")
    recorded = load_conversations(
        write(*([dataset[i].prompt, "ten"] for i in range(len(dataset)))), core
    )
    options = SFTOptions(steps=60, batch_size=16, learning_rate=1e-2)
    model = load_model(save_model(spread=0.05))
    assert train_supervised(model, [core], options, recorded=recorded) == 60
    model.save_pretrained(tmp_path / "model")
    answers = evaluate_policy_on_split(load_policy(str(tmp_path / "model"), core), core, "test", 8)
    assert [episode.response for episode in answers.episodes] == ["ten"] * 8


def test_the_number_of_steps_follows_the_recorded_rows(make_env):
    core = make_env(1).core
    played = play_examples(core, SpeakerWriter(core, core.task.gold), [core.dataset()[0]] * 50)
    assert count_steps(SFTOptions(batch_size=1), [core], played) == 1000
    assert count_steps(SFTOptions(batch_size=4), [core], played) == 250
