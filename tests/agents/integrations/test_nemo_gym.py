"""The environments as NeMo Gym runs them: what its adapter for OpenEnv imports, and that adapter.

`make test-stacks` installs NeMo Gym in an environment of its own and runs this file there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from agents.integrations.conversation import Conversation
from agents.integrations.nemo_gym import (
    NemoGymEnvironment,
    ToolAction,
    export_nemo_gym,
    task_name,
)
from textenv.errors import ConfigError, PromptTooLongError, RewardError
from textenv.rollout import SpeakerWriter, play_examples
from textenv.vector import make_core

pytestmark = pytest.mark.filterwarnings("ignore")  # of NeMo Gym's libraries
ID = "TextDialogue-v0"


def ideal(index: int, split: str = "train") -> Any:
    """Returns an ideal episode, played by the environment itself."""
    core = make_core(ID, 1)
    writer = SpeakerWriter(core, core.task.gold)
    (played,) = play_examples(core, writer, [core.dataset(split)[index]], scored=True)
    return played


def rows_of(path: Path, split: str = "train") -> list[dict[str, Any]]:
    lines = path.with_name(f"{path.stem}_{split}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_an_episode_by_tool_calls_is_one_of_the_environment():
    played = ideal(3)
    env = NemoGymEnvironment()
    assert not env.reset(id=ID).done
    name = task_name(ID, "train", 3)
    seen = [env.step(ToolAction(task=name, text=text)) for text in played.conversation.responses]
    users = [turn.text for turn in played.conversation.turns if turn.role == "user"]
    assert [one.text for one in seen] == [*users[1:], ""]
    assert [one.reward for one in seen[:-1]] == [0.0] * (len(seen) - 1)
    assert (seen[-1].reward, seen[-1].turn, seen[-1].done) == (played.reward, "over", True)
    assert seen[-1].metadata["reward_components"]
    assert env.state.step_count == len(seen)
    env.close()


def test_sessions_at_once_have_conversations_of_their_own():
    first, second = NemoGymEnvironment(), NemoGymEnvironment()
    for env in (first, second):
        env.reset(id=ID)
    (one, other), (wanted, unlike) = (
        (task_name(ID, "train", i) for i in (0, 1)),
        (ideal(0), ideal(1)),
    )
    for text, theirs in zip(
        wanted.conversation.responses, unlike.conversation.responses, strict=False
    ):
        last = first.step(ToolAction(task=one, text=text))
        second.step(ToolAction(task=other, text=theirs))
    assert last.reward == wanted.reward
    first.close()
    # A conversation that was given back begins anew.
    third = NemoGymEnvironment()
    third.reset(id=ID)
    assert third.step(ToolAction(task=one, text=wanted.conversation.responses[0])).text
    second.close()
    third.close()


def test_what_is_wrong_is_said_in_words(tmp_path):
    env = NemoGymEnvironment()
    with pytest.raises(ConfigError, match="reset first"):
        env.step(ToolAction(task="x", text="Hello."))
    with pytest.raises(ConfigError, match="under reset_kwargs"):
        env.reset()
    env.reset(id=ID)
    with pytest.raises(ConfigError, match="There is no task 'x'"):
        env.step(ToolAction(task="x", text="Hello."))
    env.step(ToolAction(task=task_name(ID, "train", 0), text="Hello."))
    with pytest.raises(ConfigError, match="is the one of task"):
        env.step(ToolAction(task=task_name(ID, "train", 1), text="Hello."))
    env.close()
    with pytest.raises(ConfigError, match="reset first"):
        env.step(ToolAction(task=task_name(ID, "train", 0), text="Hello."))
    with pytest.raises(ConfigError, match="saved in YAML"):
        export_nemo_gym(ID, tmp_path, 2, reward=len)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="is no folder"):
        export_nemo_gym(ID, tmp_path / "file", 2)
    with pytest.raises(ConfigError, match="from 1 up, not 0"):
        export_nemo_gym(ID, tmp_path, 0)


def test_an_episode_is_paid_once():
    env = NemoGymEnvironment()
    env.reset(id=ID)
    name = task_name(ID, "train", 3)
    for text in ideal(3).conversation.responses:
        last = env.step(ToolAction(task=name, text=text))
    assert last.done
    with pytest.raises(ConfigError, match="has ended"):
        env.step(ToolAction(task=name, text="More."))
    env.close()


def test_numbers_of_numpy_are_numbers_of_the_yaml(tmp_path):
    path = export_nemo_gym("TextQA-v0", tmp_path, 2, reward={"token_f1": np.float64(0.5)})
    config = yaml.safe_load(path.read_text())
    server = config["textqa_v0_resources_server"]["resources_servers"]["openenv"]
    assert server["reset_kwargs"]["arguments"] == {"reward": {"token_f1": 0.5}}


@pytest.mark.parametrize(
    ("step", "error"),
    [("start", PromptTooLongError("A prompt is too long.")), ("say", RewardError("No judge."))],
    ids=["not begun", "not scored"],
)
def test_an_episode_that_fails_is_not_paid_0(monkeypatch, step, error):
    def fails(self: Any, given: Any) -> None:
        raise error

    env = NemoGymEnvironment()
    env.reset(id=ID)
    monkeypatch.setattr(Conversation, step, fails)
    for _ in range(2):
        with pytest.raises(type(error)):
            env.step(ToolAction(task=task_name(ID, "train", 0), text="Hello."))
    with pytest.raises(type(error), match=str(error)):
        env.close()


def test_names_of_tasks_are_apart_and_rows_have_the_prompts_of_the_environment(tmp_path):
    core = make_core(ID, 1)
    splits = ("train", "validation", "test")
    names = [task_name(ID, s, i) for s in splits for i in range(len(core.dataset(s)))]
    assert len(set(names)) == len(names)
    path = export_nemo_gym(ID, tmp_path / "nemo", 5, max_turns=3)
    rows = rows_of(path)
    assert len(rows) == 5
    told, *prompt = rows[2]["responses_create_params"]["input"]
    assert told["role"] == "developer"
    assert task_name(ID, "train", 2) in told["content"]
    assert [turn["content"] for turn in prompt] == [
        turn.text for turn in core.task.opening(core.dataset("train")[2])
    ]
    config = yaml.safe_load(path.read_text())
    server = config["textdialogue_v0_resources_server"]["resources_servers"]["openenv"]
    assert server["reset_kwargs"] == {"id": ID, "arguments": {"max_turns": 3}}


@pytest.fixture
def adapter(tmp_path: Path) -> Any:
    """Returns NeMo Gym's server of the YAML that is exported, and the rows beside it."""
    pytest.importorskip("nemo_gym", reason="NeMo Gym has its own: make test-stacks")
    from unittest.mock import MagicMock

    from fastapi.testclient import TestClient
    from nemo_gym.server_utils import ServerClient
    from resources_servers.openenv.app import OpenEnvResourcesServer, OpenEnvResourcesServerConfig

    path = export_nemo_gym(ID, tmp_path, 4)
    config = yaml.safe_load(path.read_text())
    server = config["textdialogue_v0_resources_server"]["resources_servers"]["openenv"]
    made = OpenEnvResourcesServer(
        config=OpenEnvResourcesServerConfig(host="127.0.0.1", port=1, name="textenv", **server),
        server_client=MagicMock(spec=ServerClient),
    )
    app = made.setup_webserver()
    return lambda: TestClient(app, raise_server_exceptions=False), rows_of(path)


RESPONSE = {
    "id": "1", "created_at": 0.0, "model": "m", "object": "response", "output": [],
    "parallel_tool_calls": False, "tool_choice": "auto", "tools": [],
}  # fmt: skip


def test_nemo_gyms_adapter_plays_and_pays_rows(adapter):
    connect, rows = adapter
    for index, row in enumerate(rows):
        client = connect()
        assert client.post("/seed_session", json=row).status_code == 200
        played = ideal(index)
        for text in played.conversation.responses:
            call = {"task": task_name(ID, "train", index), "text": text}
            answer = client.post("/step", json=call).json()
        assert answer["turn"] == "over"
        done = client.post("/verify", json={**row, "response": RESPONSE})
        assert done.status_code == 200, done.text
        assert done.json()["reward"] == played.reward > 0


def test_nemo_gyms_adapter_answers_a_wrong_call_in_words_and_fails_what_is_not_scored(
    adapter, monkeypatch
):
    connect, rows = adapter
    client = connect()
    client.post("/seed_session", json=rows[0])
    assert (
        "There is no task" in client.post("/step", json={"task": "x", "text": "a"}).json()["error"]
    )

    def fails(self: Any, text: str) -> str:
        raise RewardError("The judge is gone.")

    monkeypatch.setattr(Conversation, "say", fails)
    call = {"task": task_name(ID, "train", 0), "text": "Hello."}
    assert "judge is gone" in client.post("/step", json=call).json()["error"]
    assert client.post("/verify", json={**rows[0], "response": RESPONSE}).status_code == 500


def test_a_data_set_need_not_have_every_split(tmp_path):
    data = tmp_path / "train.jsonl"
    data.write_text('{"question": "What is it?", "answers": ["A"], "context": "It is A."}\n')
    env = NemoGymEnvironment()
    env.reset(id="TextQA-v0", arguments={"dataset": str(data)})
    done = env.step(ToolAction(task=task_name("TextQA-v0", "train", 0), text="A"))
    assert (done.reward, done.done) == (1.0, True)
    env.close()
