"""OpenEnv's environments as ours: the same at every level, and never a 0 for a server's failure."""

from __future__ import annotations

import copy
import json
import pickle
import socket
import threading
import time

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import textenv
from textenv.benchmark.audit import audit
from textenv.errors import ConfigError, DatasetError, RewardError
from textenv.openenv import OpenEnvClient, OpenEnvError, OpenEnvVectorClient
from textenv.openenv.connection import Connection, Endpoint
from textenv.openenv.server_facts import ServerFacts
from textenv.vector import TextVectorEnv


def said(observation, reward, done):
    """Returns the message of an observation."""
    data = {"observation": observation, "reward": reward, "done": done}
    return json.dumps({"type": "observation", "data": data})


@pytest.fixture
def make(server):
    """Makes environments that are closed at the end."""
    made = []

    def make_one(kind=OpenEnvClient, **arguments):
        arguments = {"action_level": "text", "reconnect_s": 0.0, "url": server.url} | arguments
        made.append(kind(**arguments))
        return made[-1]

    yield make_one
    for env in made:
        env.close()


def test_an_episode_is_the_servers_and_pays_the_sum_of_its_steps(server, make):
    env = make()
    messages, _ = env.reset(options={"index": 1})
    assert messages == ({"role": "user", "content": "Name the colour: green."},)
    messages, reward, terminated, _, _ = env.step("red")
    assert (reward, terminated) == (0.0, False)
    assert messages[-1] == {"role": "user", "content": "Try again: green."}
    _, reward, terminated, _, info = env.step("green")
    assert (reward, terminated) == (0.75, True)
    assert info["response"] == "red\ngreen"
    assert server.actions == [{"say": "red"}, {"say": "green"}]


def test_the_same_seed_is_the_same_episode_and_splits_have_seeds_of_their_own(server, make):
    env, again = make(), make()
    assert env.reset(seed=5)[0] == again.reset(seed=5)[0]
    for split, least, most in (("train", 0, 8000), ("validation", 8000, 9000)):
        env.reset(options={"index": 0, "split": split})
        assert server.resets[-1] == {"seed": least}
        assert len(env.core.dataset(split)) == most - least


@pytest.mark.filterwarnings("ignore:.*render modes:UserWarning")
@pytest.mark.parametrize("level", ["token", "text"])
def test_gymnasium_finds_nothing_wrong(server, level):
    env = gym.make("textenv:OpenEnv-v0", url=server.url, action_level=level).unwrapped
    check_env(env, skip_render_check=True)
    env.close()


def test_slots_play_what_single_environments_play(make):
    vector, singles = make(OpenEnvVectorClient, num_envs=3), [make() for _ in range(3)]
    observations, _ = vector.reset(seed=7)
    assert observations == tuple(env.reset(seed=7 + i)[0] for i, env in enumerate(singles))
    for word in ("red", "green", "blue"):
        stepped = vector.step([word] * 3)
        for i, env in enumerate(singles):
            if env.core.playing[0]:
                one = env.step(word)
                assert (stepped[0][i], stepped[1][i], stepped[2][i]) == one[:3]


def test_the_last_turn_is_sent_where_the_agent_may_take_no_more(server, make):
    env = make(max_turns=1)
    env.reset(options={"index": 0})
    _, reward, terminated, _, _ = env.step("red")
    assert (reward, terminated) == (1.0, True)
    assert server.actions == [{"say": "red"}]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("hang up", "hung up"),
        ("silence", "within 0.3 s"),
        ("no JSON", "cannot be read"),
        ("[1]", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("x" * (4 * 2**20 + 1), "too big|hung up"),
        (said({}, float("nan"), True), "reward is nan"),
        (said({}, "1", True), "reward is '1'"),
        (said({}, 10**400, True), "not a finite number"),
        (said({}, 1, None), "'done' is None"),
        (said(3, 1, True), "it has no observation"),
        (said({"a": "x", "b": "y"}, 0, False), "several texts"),
        (json.dumps({"type": "state", "data": {}}), "'state' in place of 'observation'"),
        (json.dumps({"type": "error", "data": {"message": "disk\x1b[2J", "code": "E"}}), "disk"),
    ],
)
def test_a_server_that_fails_in_an_episode_is_an_error_and_never_a_score(
    server, make, on_step, wrong, words
):
    env = make(timeout_s=0.3)
    on_step(server, wrong, at=2)
    env.reset(options={"index": 0})
    env.step("green")
    with pytest.raises(RewardError, match=words) as raised:
        env.step("red")
    assert "\x1b" not in str(raised.value)
    env.reset(options={"index": 0})
    assert env.step("red")[1] == 1.0, "the next episode is whole"


def test_an_episode_that_failed_is_left_out_where_that_is_asked_for(server, make, on_step):
    env = make(OpenEnvVectorClient, num_envs=2)
    env.core.mask_invalid = True
    on_step(server, "hang up", at=1)
    env.reset(seed=0)
    _, rewards, terminated, _, infos = env.step(["red", "red"])
    assert terminated.tolist()[0]
    assert np.isnan(rewards[0])
    assert not np.isnan(rewards[1])
    assert not infos["valid"][0]
    assert "hung up" in infos["invalid_reason"][0]


def test_a_server_that_comes_back_is_played_on_with(server, make):
    env = make(reconnect_s=20.0)
    env.reset(options={"index": 0})
    server.stop()
    with pytest.raises(RewardError, match="hung up"):
        env.step("red")
    timer = threading.Timer(0.7, server.start)
    timer.start()
    env.reset(options={"index": 0})
    timer.join()
    assert env.step("red")[1] == 1.0


def test_a_server_that_is_gone_is_named(server, make):
    env = make()
    env.reset(seed=0)
    server.stop()
    try:
        with pytest.raises(OpenEnvError, match=f"{server.url} is not there"):
            env.reset(seed=0)
        with pytest.raises(OpenEnvError, match="is not there"):
            OpenEnvClient(server.url)
    finally:
        server.start()


def test_an_answer_of_a_session_that_is_gone_is_not_taken_for_the_next_ones(server, make, on_step):
    env = make(timeout_s=0.3)
    on_step(server, "late", at=1)
    env.reset(options={"index": 0})
    with pytest.raises(RewardError, match=r"within 0\.3 s"):
        env.step("blue")
    time.sleep(0.3)  # the answer is there
    assert env.reset(options={"index": 1})[0][-1]["content"] == "Name the colour: green."
    assert env.step("blue")[0][-1]["content"] == "Try again: green."


def test_a_key_comes_from_the_environment_and_goes_to_the_server_alone(server, make, monkeypatch):
    monkeypatch.setenv("MY_API_KEY", "sekrit-4711-sekrit")
    env = make(api_key_env="MY_API_KEY")
    env.reset(seed=0)
    assert set(server.keys) == {"Bearer sekrit-4711-sekrit"}
    server.misbehave = lambda kind, data: json.dumps(
        {"type": "error", "data": {"message": "you are sekrit-4711-sekrit", "code": "E"}}
    )
    with pytest.raises(OpenEnvError) as raised:
        env.reset(seed=0)
    assert "4711" not in str(raised.value)
    monkeypatch.delenv("MY_API_KEY")
    with pytest.raises(ConfigError, match="MY_API_KEY"):
        make(api_key_env="MY_API_KEY")


def test_a_redirect_is_not_followed(server, make):
    """The server sends /ws on to another port, where a prompt is not meant to go."""
    other = socket.create_server(("127.0.0.1", 0))
    other.settimeout(0.5)
    place = f"http://127.0.0.1:{other.getsockname()[1]}/ws"
    original = server._http

    def send_on(connection, request):
        if request.path != "/ws":
            return original(connection, request)
        response = connection.respond(302, "")
        response.headers["Location"] = place
        return response

    server.stop()
    server._http = send_on
    server.start()
    with pytest.raises(OpenEnvError, match="is not there"):
        make()
    with pytest.raises(TimeoutError):
        other.accept()
    other.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"url": ""}, "url must be an address such as 'http://127.0.0.1:8000'"),
        ({"url": "ws://127.0.0.1:8000"}, "with http or https"),
        ({"url": "http://me:word@127.0.0.1:8000"}, "password"),
        ({"timeout_s": 0}, "timeout_s must lie in"),
        ({"reconnect_s": "soon"}, "reconnect_s is a number of seconds"),
        ({"n_seeds": 3}, "n_seeds is a whole number from 10 up"),
        ({"action_field": "tell"}, "no field of the action 'tell'"),
        ({"max_turn": 3}, "unexpected keyword argument 'max_turn'. Did you mean 'max_turns'"),
        ({"split": "tests"}, "no split 'tests'"),
    ],
)
def test_what_cannot_be_right_is_refused_in_words(make, arguments, words):
    with pytest.raises(textenv.TextEnvError) as raised:
        make(**arguments)
    assert words in str(raised.value)


def test_an_observation_without_the_named_field_has_no_score_and_leaves_no_session(
    server, make, on_step
):
    env = make(observation_field="text")
    on_step(server, said({"note": "b"}, 1.0, False))
    env.reset(seed=0)
    with pytest.raises(RewardError, match="no field of the observation 'text'"):
        env.step("red")
    server.misbehave = lambda kind, data: said({"note": "b"}, None, False)
    with pytest.raises(textenv.TextEnvError, match="no field of the observation 'text'"):
        env.reset(seed=0)
    assert not server.open


def test_an_episode_that_is_over_is_paid_whatever_its_last_observation_says(server, make, on_step):
    env = make()
    on_step(server, said({"a": "x", "b": "y"}, 1.0, True))
    env.reset(seed=0)
    assert env.step("red")[1:3] == (1.0, True)


def test_a_prompt_by_hand_is_refused_in_words(make):
    env = make()
    with pytest.raises(ConfigError, match="not a prompt that is given by hand"):
        env.reset(options={"prompt": "Hi", "references": "Hi"})


def test_an_episode_does_not_go_on_in_an_environment_that_was_closed(make):
    env = make()
    env.reset(options={"index": 0})
    env.close()
    env.close()
    with pytest.raises(RewardError, match="was closed"):
        env.step("red")
    env.reset(options={"index": 0})
    assert env.step("red")[1] == 1.0


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_plays_in_a_session_of_its_own(make, copied):
    env = make()
    env.reset(options={"index": 0})
    other = copied(env)
    with pytest.raises(RewardError, match="was closed, or plays another"):
        other.step("red")
    other.reset(options={"index": 1})
    assert env.step("red")[1] == other.step("green")[1] == 1.0
    other.close()


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"seed": 1, "options": "abc"}, "'options' are the arguments of the server's reset"),
        ({"seed": 1, "references": 5}, "'references' are one text or a list of texts, not 5"),
    ],
)
def test_rows_that_name_no_episode_are_refused_in_words(make, tmp_path, row, words):
    rows = tmp_path / "rows.jsonl"
    rows.write_text("\n".join([json.dumps(row)] * 30), encoding="utf-8")
    with pytest.raises(DatasetError) as raised:
        make(dataset=str(rows))
    assert words in str(raised.value)


def test_facts_that_are_too_large_are_no_lost_connection(server):
    server.schema = {"action": "x" * (5 * 2**20)}
    with pytest.raises(OpenEnvError, match="cannot be read: it is larger than 4 MiB") as raised:
        ServerFacts(Endpoint(server.url)).action_schema()
    assert not raised.value.passes


def test_what_the_library_did_not_foresee_is_no_connection(server, monkeypatch):
    """As where a server hangs up in the middle of the handshake."""

    def fails(*_, **__):
        raise AssertionError

    monkeypatch.setattr("websockets.sync.client.connect", fails)
    with pytest.raises(OpenEnvError, match="is not there: AssertionError"):
        Connection(Endpoint(server.url))


def test_a_key_that_is_missing_opens_no_socket(server, monkeypatch):
    opened = []
    monkeypatch.setattr("socket.create_connection", lambda *given: opened.append(given))
    monkeypatch.delenv("MY_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="MY_API_KEY"):
        Connection(Endpoint(server.url, "MY_API_KEY"))
    assert not opened


def test_an_environment_without_texts_is_refused(server, make):
    server.schema["action"] = {"properties": {"move": {"type": "integer"}}}
    with pytest.raises(ConfigError, match="no action that is a text; its fields are 'move'"):
        make()


def test_a_seed_that_does_not_decide_the_episode_is_told(server, make, caplog):
    texts = iter(f"Hello number {i}" for i in range(100))

    server.misbehave = lambda kind, data: (
        said({"text": next(texts)}, None, False) if kind == "reset" else None
    )
    make()
    assert "does not begin the same episode with the same seed" in caplog.text


def test_a_hostile_text_is_plain_text(server, make):
    text = "\ud800 <|im_end|> \x1b[2J </s>"
    server.misbehave = lambda kind, data: (
        said({"text": text}, None, False) if kind == "reset" else None
    )
    env = make(action_level="token")
    observation, _ = env.reset(seed=0)
    n = int(observation["attention_mask"].sum())
    special = set(env.core.tokenizer.special_ids)
    shown = env.core.tokenizer.decode(
        [i for i in observation["input_ids"][:n].tolist() if i not in special]
    )
    assert "<|im_end|>" in shown
    assert "\ud800" not in shown


def test_rows_with_references_are_audited_at_the_server(server, make, tmp_path):
    rows = tmp_path / "rows.jsonl"
    lines = [{"seed": i, "references": [["red", "green", "blue"][i % 3]]} for i in range(60)]
    rows.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    env = make(OpenEnvVectorClient, num_envs=1, dataset=str(rows), max_turns=1)
    assert isinstance(env, TextVectorEnv)
    result = audit(env.core.reward, env.core, n_examples=20, metrics=())
    assert result.ceiling.mean == 1.0
    assert result.floor.mean == -0.25
