"""A chat endpoint as an agent, against a server of the test's own."""

from __future__ import annotations

import threading

import gymnasium as gym
import pytest

import textenv
from textenv.chat import ChatAgent, ChatError, parse_retry_after
from textenv.rewards import compute_rewards
from textenv.rollout import play_text

_HELLO = [{"role": "user", "content": "Hello?"}]


def test_it_sends_the_conversation_and_returns_the_answer(server):
    agent = ChatAgent("m", base_url=server.url, temperature=0.5, min_p=0.1)
    assert agent.reply(_HELLO) == "Hi."
    assert server.paths == ["/v1/chat/completions"]
    assert server.bodies == [{"model": "m", "messages": _HELLO, "temperature": 0.5, "min_p": 0.1}]


def test_a_system_prompt_comes_first_unless_there_is_one(server):
    agent = ChatAgent("m", base_url=server.url, system="Be brief.")
    own = [{"role": "system", "content": "Be rude."}, *_HELLO]
    agent.reply(_HELLO)
    agent.reply(own)
    system = {"role": "system", "content": "Be brief."}
    assert [body["messages"] for body in server.bodies] == [[system, *_HELLO], own]


def test_a_rate_limit_and_a_server_error_are_tried_again(server):
    server.in_turn((429, "{}"), (500, "{}"), server.completion("At last."))
    assert ChatAgent("m", base_url=server.url).reply(_HELLO) == "At last."
    assert len(server.bodies) == 3


@pytest.mark.parametrize(
    ("status", "message"),
    [(500, "refused with status 500"), (429, "status 429.* Lower the concurrency")],
)
def test_after_the_last_retry_the_status_is_told(server, status, message):
    server.answer = lambda body: (status, '{"error": {"message": "out of order"}}')
    with pytest.raises(ChatError, match=message) as caught:
        ChatAgent("m", base_url=server.url, max_retries=2).reply(_HELLO)
    assert "out of order" in str(caught.value)
    assert len(server.bodies) == 3


def test_a_refusal_says_what_it_was_and_how_long_to_wait(server):
    server.answer = lambda body: (429, "{}")
    with pytest.raises(ChatError) as caught:
        ChatAgent("m", base_url=server.url, max_retries=0).reply(_HELLO)
    error = caught.value
    assert (error.kind, error.status, error.retry_after_s) == ("status", 429, 0.001)
    assert error.passes


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "20"}, 20.0),
        ({"retry-after": "20", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),  # long past
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
    ],
)
def test_how_long_to_wait_is_read_from_seconds_milliseconds_and_dates(headers, wait_s):
    assert parse_retry_after(headers) == wait_s


def test_a_wrong_path_is_told_at_once(server):
    server.answer = lambda body: (404, "{}")
    with pytest.raises(ChatError, match="usually ends in '/v1'"):
        ChatAgent("m", base_url=server.url).reply(_HELLO)
    assert len(server.bodies) == 1


@pytest.mark.parametrize("garbage", ["<html>Welcome</html>", '{"choices": []}', "[1]", '"text"'])
def test_an_answer_that_is_no_completion_is_told(server, garbage):
    server.answer = lambda body: (200, garbage)
    with pytest.raises(ChatError, match="not a chat completion"):
        ChatAgent("m", base_url=server.url).reply(_HELLO)


def test_an_answer_without_text_is_an_error_and_an_empty_one_is_an_answer(server):
    server.in_turn(server.completion(None, "length"), server.completion(""))
    agent = ChatAgent("m", base_url=server.url)
    with pytest.raises(ChatError, match=r"without text \(finish_reason 'length'\)"):
        agent.reply(_HELLO)
    assert agent.reply(_HELLO) == ""


def test_a_slow_endpoint_is_told(server):
    released = threading.Event()
    server.answer = lambda body: (released.wait(5), server.completion("Hi."))[1]
    with pytest.raises(ChatError, match="did not answer in time"):
        ChatAgent("m", base_url=server.url, timeout_s=0.05, max_retries=0).reply(_HELLO)
    released.set()


def test_an_endpoint_that_is_not_there_is_told(server):
    server.stop()
    with pytest.raises(ChatError, match=r"cannot be reached.*Is the server running"):
        ChatAgent("m", base_url=server.url, max_retries=0).reply(_HELLO)


def test_openai_itself_needs_a_key(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(textenv.ConfigError, match="OPENAI_API_KEY"):
        ChatAgent("m")


def test_many_conversations_are_answered_together_and_in_order(server):
    together = threading.Barrier(4)

    def repeat(body):
        together.wait(5)  # breaks unless four requests are under way at once
        return server.completion(body["messages"][0]["content"])

    server.answer = repeat
    asked = [[{"role": "user", "content": str(i)}] for i in range(8)]
    agent = ChatAgent("m", base_url=server.url, concurrency=4)
    assert agent.reply_all(asked) == tuple(map(str, range(8)))


def test_it_plays_episodes_of_several_turns(server):
    core = gym.make("TextDialogue-v0").unwrapped.core
    example = core.dataset()[0]
    gold = play_text(core, example, core.task.gold).responses

    def perfect(body):
        said = sum(message["role"] == "assistant" for message in body["messages"])
        return server.completion(gold[said])

    server.answer = perfect
    episode = play_text(core, example, ChatAgent("m", base_url=server.url))
    assert episode.responses == gold
    assert compute_rewards(core.reward, [episode]).total.tolist() == [1.0]
    roles = [message["role"] for message in server.bodies[-1]["messages"]]
    assert roles == ["user", "assistant"] * (len(gold) - 1) + ["user"]


def test_a_key_that_the_server_repeats_is_masked_wherever_it_stands(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "my-key-0123456789")
    server.in_turn(server.completion("It is my-key-0123456789", "my-key-0123456789"))
    reply = ChatAgent("m", base_url=server.url).complete(_HELLO)
    assert (reply.text, reply.finish_reason) == ("It is ***", "***")
