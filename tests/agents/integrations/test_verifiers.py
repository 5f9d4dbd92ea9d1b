"""The environments as verifiers runs them: its own chat harness, against an endpoint of the test's.

`make test-stacks` installs verifiers in an environment of its own and runs this file there.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

import textenv
from agents.models.loading import load_model, load_model_tokenizer
from textenv.examples import Turn
from textenv.vector import make_core

vf = pytest.importorskip("verifiers.v1", reason="verifiers has its own: make test-stacks")
pytestmark = [pytest.mark.filterwarnings("ignore")]

Messages = list[dict[str, str]]
Answer = Callable[[Messages], str | None]


class Endpoint(ThreadingHTTPServer):
    """An OpenAI-compatible endpoint that streams what a function answers."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        text = self.server.answer(body["messages"])
        if text is None:
            self.send_error(400, "no such model")
            return
        head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        delta = {"role": "assistant", "content": text}
        chunks = [
            {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
            {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        ]
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for line in [*map(json.dumps, chunks), "[DONE]"]:
            self.wfile.write(f"data: {line}\n\n".encode())

    def log_message(self, *arguments: Any) -> None:
        """Says nothing."""


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Answer], str]]:
    """Starts an endpoint, and returns its address."""
    endpoints: list[Endpoint] = []

    def start(answer: Answer) -> str:
        endpoints.append(Endpoint(answer))
        return endpoints[-1].url

    # The harness is a script that uv runs.
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setenv("PATH", programs)
    yield start
    for endpoint in endpoints:
        endpoint.shutdown()
        endpoint.server_close()


def run_episodes(url: str, n: int, agent: Any = None, **taskset: Any) -> list[Any]:
    """Lets verifiers play the first tasks of a taskset, all at a time."""
    config = vf.env_config_type("textenv-verifiers")
    seats = {} if agent is None else {"agent": agent}
    environment = vf.load_environment(
        config(taskset={"id": "textenv-verifiers", **taskset}, **seats)
    )

    async def play() -> list[Any]:
        client = vf.EvalClientConfig(base_url=url, api_key_var="UNSET")
        context = vf.ModelContext(model="m", client=client)
        async with environment.serving():
            tasks = list(environment.taskset.take(n))
            return await asyncio.gather(*(environment.run_episode(t, context) for t in tasks))

    return asyncio.run(play())


def play_here(id: str, index: int, said: list[str], **arguments: Any) -> tuple[list[str], float]:
    """Plays an episode in the environment alone, silent in the end: its answers and its reward."""
    env = gym.make(id, action_level="text", **arguments)
    env.reset(options={"index": index, "split": "test"})
    reward, ended, heard = 0.0, False, []
    texts = iter(said)
    while not ended:
        text = next(texts, "")
        _, reward, ended, _, _ = env.step(text)
        heard.append(env.unwrapped.core.turns[0][-1].text)  # type: ignore[attr-defined]
    assert not list(texts)
    return heard[:-1], float(reward)


def speak_ideally(id: str) -> Answer:
    core = make_core(id, 1)
    examples = [core.dataset("test")[i] for i in range(4)]

    def answer(messages: Messages) -> str:
        turns = tuple(Turn(m["role"], m["content"]) for m in messages)  # type: ignore[arg-type]
        (example,) = (e for e in examples if core.task.opening(e)[0].text == turns[0].text)
        return core.task.gold(example, turns)

    return answer


def speak_as_the_embedded_model() -> Answer:
    model, tokenizer = load_model("embedded"), load_model_tokenizer("embedded")

    def answer(messages: Messages) -> str:
        inputs = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        ids = model.generate(**inputs, max_new_tokens=24, do_sample=False)
        return str(tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], True))

    return answer


@pytest.mark.parametrize("id", ["TextSummarize-v0", "TextDialogue-v0"])
@pytest.mark.parametrize("speaker", ["ideal", "embedded"])
def test_verifiers_plays_episodes_of_the_environment(serve, id, speaker):
    answer = speak_ideally(id) if speaker == "ideal" else speak_as_the_embedded_model()
    episodes = run_episodes(serve(answer), 2, env_id=id)
    longest = 0
    for i, episode in enumerate(episodes):
        assert episode.ok, episode.errors
        (trace,) = episode.traces
        assert trace.task.data.name == f"{id}/test/{i}"
        said = [m.content for m in trace.branches[0].messages if m.role == "assistant"]
        heard = [m.content for m in trace.branches[0].messages if m.role == "user"][1:]
        answers, reward = play_here(id, i, said)
        assert (heard, trace.reward) == (answers, pytest.approx(reward))
        assert set(trace.metrics) >= {"slots" if id == "TextDialogue-v0" else "rougeL"}
        longest = max(longest, len(said))
        if speaker == "ideal":
            assert trace.reward == 1.0
    assert (longest > 1) == (id == "TextDialogue-v0")


def test_an_agent_that_stops_early_is_paid_as_if_it_had_fallen_silent(serve):
    id = "TextDialogue-v0"
    url = serve(speak_ideally(id))
    (episode,) = run_episodes(url, 1, agent={"max_turns": 1}, env_id=id)
    (trace,) = episode.traces
    (said,) = [m.content for m in trace.branches[0].messages if m.role == "assistant"]
    answers, reward = play_here(id, 0, [said])
    assert answers
    assert trace.reward == reward < 1.0


def test_a_model_that_fails_is_not_paid_and_an_episode_that_fails_says_why(serve, monkeypatch):
    (episode,) = run_episodes(serve(lambda messages: None), 1, env_id="TextQA-v0")
    assert not episode.ok
    assert [trace.rewards for trace in episode.traces] == [{}]

    def fail(self: Any, text: str) -> None:
        raise textenv.errors.RewardError("no judge")

    monkeypatch.setattr("agents.integrations.conversation.Conversation.say", fail)
    (episode,) = run_episodes(serve(lambda messages: "A ship."), 1, env_id="TextQA-v0")
    assert not episode.ok
    assert "no judge" in episode.errors[0].message


def test_what_no_environment_takes_is_refused_before_anything_is_played():
    for taskset, said in [
        ({}, "--env.taskset.env-id"),
        ({"env_id": "TextDialog-v0"}, "TextDialogue"),
        ({"env_id": "TextQA-v0", "arguments": {"max_turn": 1}}, "max_turns"),
        ({"env_id": "TextQA-v0", "arguments": {"api_key": "sk-1234567890123456"}}, "holds a key"),
    ]:
        with pytest.raises(Exception, match=said):
            run_episodes("http://127.0.0.1:9/v1", 1, **taskset)


def test_an_opening_of_several_turns_is_the_prompt_and_its_system_turn_the_system_prompt():
    from agents.integrations.verifiers import TextEnvData, _as_prompt

    opening = (Turn("system", "Be brief."), Turn("user", "Hi."), Turn("assistant", "Hello."))
    system, prompt = _as_prompt((*opening, Turn("user", "A table.")))
    row = {"env_id": "TextDialogue-v0", "split": "test", "index": 0, "arguments": {}}
    data = TextEnvData(prompt=prompt, system_prompt=system, **row)
    assert data.system_prompt == "Be brief."
    assert [(m.role, m.content) for m in data.prompt] == [
        ("user", "Hi."),
        ("assistant", "Hello."),
        ("user", "A table."),
    ]
    assert _as_prompt((Turn("user", "Hi."),)) == (None, "Hi.")
