"""A chat endpoint as an agent, against a server of the test's own."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import gymnasium as gym
import pytest

import textenv
from textenv.chat import ChatAgent, ChatError
from textenv.rewards import compute_rewards

pytest.importorskip("openai")

Answer = tuple[int, str]
_HELLO = [{"role": "user", "content": "Hello?"}]


def completion(text: str | None, finish_reason: str = "stop") -> Answer:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    return 200, json.dumps({"id": "1", "object": "chat.completion", "created": 0, "model": "m",
                            "choices": [choice]})  # fmt: skip


class Server:
    """Notes each request, and answers by calling `answer` on its body."""

    def __init__(self) -> None:
        self.answer: Callable[[dict[str, Any]], Answer] = lambda body: completion("Hi.")
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        noted = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                noted.bodies.append(body)
                noted.paths.append(self.path)
                status, text = noted.answer(body)
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("retry-after-ms", "1")
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *arguments: Any) -> None:
                """Says nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    def in_turn(self, *answers: Answer) -> None:
        """Gives these answers one after the other."""
        left = list(answers)
        self.answer = lambda body: left.pop(0)

    def start(self) -> None:
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    server.start()
    yield server
    server.stop()


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
    server.in_turn((429, "{}"), (500, "{}"), completion("At last."))
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


def test_a_wrong_path_is_told_at_once(server):
    server.answer = lambda body: (404, "{}")
    with pytest.raises(ChatError, match="usually ends in '/v1'"):
        ChatAgent("m", base_url=server.url).reply(_HELLO)
    assert len(server.bodies) == 1


@pytest.mark.parametrize("garbage", ["<html>Welcome</html>", '{"choices": []}', "[1]", '"text"'])
def test_an_answer_that_is_no_completion_is_told(server, garbage):
    server.answer = lambda body: (200, garbage)
    with pytest.raises(ChatError, match="no chat completion"):
        ChatAgent("m", base_url=server.url).reply(_HELLO)


def test_an_answer_without_text_is_an_error_and_an_empty_one_is_an_answer(server):
    server.in_turn(completion(None, "length"), completion(""))
    agent = ChatAgent("m", base_url=server.url)
    with pytest.raises(ChatError, match=r"without text \(finish_reason 'length'\)"):
        agent.reply(_HELLO)
    assert agent.reply(_HELLO) == ""


def test_a_slow_endpoint_is_told(server):
    released = threading.Event()
    server.answer = lambda body: (released.wait(5), completion("Hi."))[1]
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
        return completion(body["messages"][0]["content"])

    server.answer = repeat
    asked = [[{"role": "user", "content": str(i)}] for i in range(8)]
    agent = ChatAgent("m", base_url=server.url, concurrency=4)
    assert agent.reply_all(asked) == tuple(map(str, range(8)))


def test_it_plays_episodes_of_several_turns(server):
    core = gym.make("TextDialogue-v0").unwrapped.core
    example = core.dataset()[0]
    gold = core.play(example, core.task.gold).responses

    def perfect(body):
        said = sum(message["role"] == "assistant" for message in body["messages"])
        return completion(gold[said])

    server.answer = perfect
    episode = core.play(example, ChatAgent("m", base_url=server.url))
    assert episode.responses == gold
    assert compute_rewards(core.reward, [episode]).total.tolist() == [1.0]
    roles = [message["role"] for message in server.bodies[-1]["messages"]]
    assert roles == ["user", "assistant"] * (len(gold) - 1) + ["user"]


def test_importing_it_does_not_import_openai():
    code = "import sys, textenv.chat; sys.exit('openai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
