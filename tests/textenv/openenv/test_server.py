"""Our environments behind OpenEnv's server: the same episodes, many at once, errors in words."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from http.client import HTTPConnection

import gymnasium as gym
import numpy as np
import pytest

import textenv
from textenv.errors import ConfigError
from textenv.examples import Turn
from textenv.openenv import OpenEnvClient, OpenEnvError, OpenEnvVectorClient
from textenv.openenv.guard import SameOrigin
from textenv.openenv.server import make_server

ID = "TextDialogue-v0"
IDS = (ID, "TextSummarize-v0", "TextQA-v0", "TextDialogueHard-v0")

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of uvicorn and FastAPI
    pytest.mark.usefixtures("openenv"),
]


@pytest.fixture(scope="module")
def url(run_server):
    with run_server(ID, sessions=64) as url:
        yield url


def own_client(url):
    from openenv.core.generic_client import GenericEnvClient

    return GenericEnvClient(base_url=url)


def ask(url, path, data=None, headers=None):
    connection = HTTPConnection(url.removeprefix("http://"), timeout=10)
    body = None if data is None else json.dumps(data)
    connection.request("GET" if data is None else "POST", path, body, {
        "Content-Type": "application/json", **(headers or {})
    })  # fmt: skip
    response = connection.getresponse()
    found = response.status, response.read()
    connection.close()
    return found


def say(env, seed):
    """What an agent says that is right at times: ideal with even seeds."""
    core = env.unwrapped.core
    if seed % 2:
        return "Which area and which day? I see."
    return core.task.gold(core.example(0), tuple(core.turns[0]))


@pytest.mark.parametrize("id", IDS)
def test_the_same_seed_is_the_same_episode_as_here(run_server, id):
    here = gym.make(id, action_level="text")
    with run_server(id, sessions=2) as url:
        there = OpenEnvClient(url, action_level="text")
        for seed in range(4):
            assert here.reset(seed=seed)[0] == there.reset(seed=seed)[0]
            over = False
            while not over:
                text = say(here, seed)
                mine, theirs = here.step(text), there.step(text)
                assert mine[:4] == theirs[:4]
                over = mine[2]
            assert mine[4]["reward_components"] == theirs[4]["reward_components"]
        there.close()


def test_tokens_and_spaces_are_the_environments_own(url):
    here, there = gym.make(ID), gym.make("textenv:OpenEnv-v0", url=url)
    assert here.observation_space == there.observation_space
    assert here.action_space == there.action_space
    mine, theirs = here.reset(seed=3)[0], there.reset(seed=3)[0]
    assert all(np.array_equal(mine[key], theirs[key]) for key in mine)
    there.close()


def test_openenvs_own_client_plays_an_episode_to_its_end(url):
    here = gym.make(ID, action_level="text")
    here.reset(seed=8)
    with own_client(url).sync() as client:
        result = client.reset(seed=8, episode_id="mine")
        seen = result.observation
        assert (seen["turn"], seen["remaining_turns"], seen["remaining_tokens"]) == ("agent", 6, 32)
        assert seen["text"] == seen["messages"][-1]["content"]
        while not result.done:
            text = say(here, 0)
            here.step(text)
            result = client.step({"text": text})
        assert result.reward == 1.0
        assert result.observation["turn"] == "over"
        assert result.metadata["reward_components"]["success"] == 1.0
        state = client.state()
        assert (state["episode_id"], state["step_count"], state["env_id"]) == ("mine", 2, ID)
        with pytest.raises(RuntimeError, match="This episode has ended, or none was begun"):
            client.step({"text": "more"})
        assert client.reset(split="test", index=5).metadata["example_id"] == (
            gym.make(ID).unwrapped.core.dataset("test")[5].id
        )
        with pytest.raises(RuntimeError, match="reset takes seed, split and index, not 'prompt'"):
            client.reset(prompt="mine")
        with pytest.raises(RuntimeError, match="Invalid message"):
            client.step({"text": "x" * 100_001})


def test_half_of_a_surrogate_pair_ends_no_session(url):
    from websockets.sync.client import connect

    with connect(url.replace("http", "ws") + "/ws") as socket:
        for kind, data in (("reset", {"seed": 8}), ("step", {"text": "Which \ud800 area?"})):
            socket.send(json.dumps({"type": kind, "data": data}))
            answer = json.loads(socket.recv())
    assert answer["type"] == "observation", answer
    assert answer["data"]["observation"]["messages"][-2]["content"] == "Which \ufffd area?"


def test_64_sessions_play_at_once_and_the_next_is_refused(url):
    async def play():
        clients = [own_client(url) for _ in range(64)]
        await asyncio.gather(*(client.connect() for client in clients))
        begun = await asyncio.gather(*(c.reset(seed=i) for i, c in enumerate(clients)))
        said = await asyncio.gather(*(c.step({"text": "Which area?"}) for c in clients))
        with pytest.raises(OpenEnvError, match="as many episodes at once as it may") as raised:
            OpenEnvClient(url)
        assert raised.value.kind == "capacity"
        await asyncio.gather(*(client.close() for client in clients))
        return begun, said

    begun, said = asyncio.run(play())
    for seed, (first, second) in enumerate(zip(begun, said, strict=True)):
        if seed % 8 == 0:
            env = gym.make(ID, action_level="text")
            messages, _ = env.reset(seed=seed)
            assert first.observation["messages"] == list(messages)
            assert second.observation["messages"] == list(env.step("Which area?")[0])


def test_a_session_that_ends_leaves_its_slot_to_the_next(run_server):
    with run_server(ID, sessions=1) as url:
        for seed in range(40):
            with own_client(url).sync() as client:
                client.reset(seed=seed)


def test_its_tasks_are_our_splits(url):
    status, body = ask(url, f"/{ID}/splits")
    assert [split["name"] for split in json.loads(body)] == ["train", "validation", "test"]
    dataset = gym.make(ID).unwrapped.core.dataset("test")
    assert json.loads(ask(url, f"/{ID}/num_tasks", {"split": "test"})[1]) == {
        "num_tasks": len(dataset)
    }
    task = json.loads(ask(url, f"/{ID}/task", {"split": "test", "index": 2})[1])["task"]
    assert task == {"id": dataset[2].id, "split": "test", "index": 2}
    n = json.loads(ask(url, f"/{ID}/task_range", {"split": "test", "start": 3, "stop": 5})[1])
    assert [one["index"] for one in n["tasks"]] == [3, 4]
    assert ask(url, f"/{ID}/task", {"split": "test", "index": 10**9})[0] == 400
    status, body = ask(url, f"/{ID}/num_tasks", {"split": "tests"})
    assert status == 400
    assert "no split 'tests'. Did you mean 'test'" in body.decode()


def test_ideal_texts_are_told_only_where_they_are_asked_for(run_server, url):
    with run_server(ID, sessions=2, with_references=True) as telling:
        env = OpenEnvVectorClient(url=telling, num_envs=1, action_level="text")
        here = gym.make(ID, action_level="text").unwrapped.core
        example, mine = env.core.dataset("test")[0], here.dataset("test")[0]
        assert example.prompt == mine.prompt
        opening = here.task.opening(mine)
        assert env.core.task.gold(example) == here.task.gold(mine, opening)
        said = (*opening, Turn("assistant", here.task.gold(mine, opening)))
        assert env.core.task.reply(example, said) == here.task.reply(mine, said)
        env.close()
    env = OpenEnvClient(url, action_level="text")
    with pytest.raises(ConfigError, match="--references"):
        env.core.task.gold(env.core.dataset("test")[0])
    env.close()


def unscorable(episodes):
    return textenv.RewardResult(
        np.zeros(len(episodes)), {}, np.zeros(len(episodes), np.bool_), {0: "The judge is asleep."}
    )


def test_what_the_servers_reward_cannot_score_has_no_score_here(run_server):
    with run_server("TextQA-v0", {"reward": unscorable}, sessions=2) as url:
        env = OpenEnvClient(url, action_level="text")
        env.reset(seed=0)
        with pytest.raises(textenv.RewardError, match="The judge is asleep"):
            env.step("an answer")
        env.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "https://elsewhere.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "elsewhere.example"}, 403),
        ({"Host": "[::1]:8000"}, 200),
    ],
)
def test_pages_of_other_sites_do_not_read_what_this_machine_serves(url, headers, status):
    assert ask(url, f"/{ID}/splits", headers=headers)[0] == status


@pytest.mark.parametrize(
    ("host", "guarded"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False)],
)
def test_every_name_of_this_machine_is_guarded(host, guarded):
    app = make_server(lambda *_: None, host).config.app
    assert isinstance(app, SameOrigin) is guarded


def test_pages_of_other_sites_open_no_session(url):
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    address = url.replace("http", "ws") + "/ws"
    with pytest.raises(InvalidStatus):
        connect(address, origin="https://elsewhere.example")
    with connect(address) as socket:
        socket.send("{}")


def test_openenvs_validator_passes_a_running_server(url):
    from openenv.cli._validation import validate_running_environment

    report = validate_running_environment(url, timeout_s=20)
    assert report["passed"], report
    assert report["mode"] == "simulation"


def test_a_server_needs_texts_and_a_known_environment():
    from textenv.openenv.server import make_app

    with pytest.raises(ConfigError, match="leave action_level out"):
        make_app(ID, {"action_level": "token"})
    with pytest.raises(textenv.TextEnvError, match="Did you mean 'TextDialogue-v0'"):
        make_app("TextDialog-v0")


def test_a_server_closes_no_handler_of_the_process(openenv):
    closed = []

    class Handler(logging.StreamHandler):
        def close(self):
            closed.append(self)
            super().close()

    handler = Handler(io.StringIO())
    make_server(lambda *_: None)
    assert not closed
    handler.close()
