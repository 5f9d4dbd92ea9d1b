"""A chat model behind an endpoint is evaluated like a local one, and asked nothing twice."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import replace

import pytest

from agents.training.agent_evaluation import evaluate_agent
from agents.training.agent_specs import AgentSpec, EvaluationSetting
from benchmarks.chat_server import ChatServer, GreedyModel
from textenv.chat import ChatReply
from textenv.endpoints.chat_options import ChatOptions
from textenv.endpoints.chat_player import NoAnswersError
from textenv.errors import ConfigError

QA = EvaluationSetting("TextQA-v0", examples=6)


@pytest.fixture(scope="module")
def embedded():
    """The embedded model behind an endpoint."""
    server = ChatServer(GreedyModel("embedded"))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def chat(server, tmp_path):
    """Makes an agent that asks the test's own server."""

    def make(samples=1, temperature=None, **options):
        defaults = {"base_url": server.url, "cache": tmp_path / "kept", "backoff_s": 0.001}
        return AgentSpec(
            "chat",
            "m",
            samples=samples,
            temperature=temperature,
            chat=ChatOptions(**{**defaults, **options}),
        )

    return make


@pytest.mark.parametrize(
    ("id", "env"),
    [
        ("TextQA-v0", {}),
        ("TextDialogue-v0", {}),
        # Turns that are cut, and go on after it.
        ("TextDialogue-v0", {"max_new_tokens": 5}),
    ],
)
def test_the_same_model_says_the_same_behind_an_endpoint_as_here(embedded, tmp_path, id, env):
    setting = EvaluationSetting(id, examples=4, env=env)
    local = evaluate_agent(setting, AgentSpec("greedy"))
    options = ChatOptions(embedded.url, cache=tmp_path, concurrency=3)
    found = evaluate_agent(setting, AgentSpec("chat", "it", chat=options))
    assert found.rows == local.rows
    for name in ("reward", "metrics", "examples", "samples", "dataset", "reward_spec", "split"):
        assert found.result[name] == local.result[name]
    assert found.result["invalid"] == 0
    tokens = sum(row["metrics"]["response_tokens"] for row in local.rows)
    assert found.result["chat"]["completion_tokens"] == tokens


def test_what_was_answered_before_an_end_is_not_asked_again(chat, server):
    n_left = [3]

    def answer(body):
        n_left[0] -= 1
        return server.completion("Yes.") if n_left[0] >= 0 else (401, "{}")

    server.answer = answer
    with pytest.raises(NoAnswersError, match=r"401.*go on with the same command"):
        evaluate_agent(QA, chat(concurrency=2))
    n_kept = 3
    server.answer = lambda body: server.completion("Yes.")
    server.bodies.clear()
    resumed = evaluate_agent(QA, chat(concurrency=2))
    assert (resumed.n_requests, resumed.n_kept) == (6 - n_kept, n_kept)
    assert len(server.bodies) == 6 - n_kept
    # The same as one that ran through.
    whole = evaluate_agent(QA, chat(cache=False))
    assert whole.n_requests == 6
    assert whole.result == resumed.result
    assert whole.rows == resumed.rows


def test_a_refused_question_is_an_invalid_episode_and_no_score_of_0(chat, server):
    def answer(body):
        words = body["messages"][0]["content"]
        return (400, '{"error": {"message": "filtered"}}') if words == refused else gold[words]

    local = evaluate_agent(QA, AgentSpec("gold"))
    gold = {row["prompt"]: server.completion(row["response"]) for row in local.rows}
    refused = local.rows[2]["prompt"]
    server.answer = answer
    found = evaluate_agent(QA, chat())
    assert found.result["invalid"] == 1
    assert found.result["reward"]["mean"] == 1.0  # of the five others
    assert "1 of 6 episodes have no answer" in found.result["findings"][0]
    row = found.rows[2]
    assert (row["reward"], row["metrics"], row["stop_reason"]) == (None, {}, None)
    assert "filtered" in row["invalid_reason"]
    json.dumps([found.result, found.rows], allow_nan=False)


def test_a_failed_request_ends_the_run_unless_it_is_to_be_marked(chat, server):
    local = evaluate_agent(QA, AgentSpec("gold"))
    failing = local.rows[0]["prompt"]
    server.answer = lambda body: (
        (500, "{}") if body["messages"][0]["content"] == failing else server.completion("Yes.")
    )
    with pytest.raises(NoAnswersError, match=r"status 500.*\(3 tries\)"):
        evaluate_agent(QA, chat(max_retries=2))
    marked = evaluate_agent(QA, chat(max_retries=2, on_failure="mark"))
    assert marked.result["invalid"] == 1


def test_an_endpoint_that_answers_nothing_ends_the_run(chat, server):
    server.answer = lambda body: (400, '{"error": {"message": "no such field"}}')
    setting = replace(QA, examples=40)
    with pytest.raises(NoAnswersError, match="None of the first 16 questions has an answer"):
        evaluate_agent(setting, chat())
    assert len(server.bodies) < 40
    with pytest.raises(NoAnswersError, match="No episode has an answer"):
        evaluate_agent(QA, chat())


def test_an_empty_answer_counts_and_one_that_was_cut_before_its_first_word_does_not(chat, server):
    setting = replace(QA, examples=2)
    server.in_turn(server.completion(""), server.completion("", "length"))
    found = evaluate_agent(setting, chat(concurrency=1))
    assert [row["reward"] for row in found.rows] == [0.0, None]
    assert "max_tokens" in found.rows[1]["invalid_reason"]
    # It was paid for, so it is kept like the other.
    assert evaluate_agent(setting, chat()).n_requests == 0


def test_a_filtered_answer_is_not_what_the_model_said(chat, server):
    server.in_turn(server.completion("Yes."), server.completion("", "content_filter"))
    found = evaluate_agent(replace(QA, examples=2), chat(concurrency=1))
    assert found.result["invalid"] == 1
    assert "filtered" in found.rows[1]["invalid_reason"]


def test_answers_that_are_too_long_for_the_environment_are_told(chat, server):
    server.answer = lambda body: server.completion("Many more words than there is room for. " * 3)
    found = evaluate_agent(QA, chat())
    assert {row["stop_reason"] for row in found.rows} == {"max_new_tokens"}
    (finding,) = found.result["findings"]
    assert "6 of 6 answers were cut at max_new_tokens=8" in finding
    assert "'embedded'" in finding


def test_an_answer_without_text_is_asked_for_once_more(chat, server):
    setting = replace(QA, examples=1)
    server.in_turn((200, "{}"), server.completion("Yes."))
    assert evaluate_agent(setting, chat()).rows[0]["response"] == "Yes."


def test_what_is_sent_is_the_conversation_and_the_budget(chat, server):
    evaluate_agent(replace(QA, examples=1, env={"max_new_tokens": 5}), chat())
    (body,) = server.bodies
    row = evaluate_agent(replace(QA, examples=1), AgentSpec("gold")).rows[0]
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": row["prompt"]}],
        "temperature": 0.0,
        "max_tokens": 5,
    }


@pytest.mark.parametrize(
    ("request_", "sent"),
    [
        ({"stop": ["\n"]}, {"temperature": 0.0, "max_tokens": 8, "stop": ["\n"]}),
        ({"max_tokens": 900}, {"temperature": 0.0, "max_tokens": 900}),
        ({"max_completion_tokens": 9}, {"temperature": 0.0, "max_completion_tokens": 9}),
        ({"temperature": None}, {"max_tokens": 8}),
    ],
)
def test_fields_of_the_request_can_be_set_and_left_out(request_, sent):
    assert ChatOptions(request=request_).fields(0.0, 8) == sent


def test_tokens_and_their_price_are_counted_once_an_answer(chat, server):
    def answer(body):
        status, text = server.completion("Yes.")
        usage = {"prompt_tokens": 1000, "completion_tokens": 10}
        return status, json.dumps(json.loads(text) | {"usage": usage})

    server.answer = answer
    for _ in range(2):  # the second time from what was kept
        found = evaluate_agent(QA, chat(prices=(2.0, 50.0)))
        used = {key: value for key, value in found.result["chat"].items() if key != "base_url"}
        used.pop("request")
        assert used == {
            "answers": 6,
            "prompt_tokens": 6000,
            "completion_tokens": 60,
            "uncounted": 0,
            "cost": pytest.approx(0.015),
        }
    assert len(server.bodies) == 6


def test_a_server_that_counts_no_tokens_is_told(chat):
    assert evaluate_agent(QA, chat()).result["chat"]["uncounted"] == 6


def test_drawn_answers_are_asked_for_each_and_kept_by_seed_and_sample(chat, server):
    setting = replace(QA, examples=3)
    drawing = chat(samples=2, temperature=0.7)
    assert evaluate_agent(setting, drawing).n_requests == 6
    assert evaluate_agent(setting, drawing).n_requests == 0
    assert evaluate_agent(setting, drawing, seed=1).n_requests == 6
    assert {body["temperature"] for body in server.bodies} == {0.7}
    with pytest.raises(ConfigError, match=r"same answer each time.*--temperature"):
        chat(samples=2)


def test_a_budget_of_requests_ends_the_run_and_keeps_what_it_bought(chat):
    with pytest.raises(NoAnswersError, match=r"max_calls = 4 .*kept"):
        evaluate_agent(QA, chat(max_calls=4))
    rest = chat(max_calls=2)
    assert evaluate_agent(QA, rest).n_kept == 4
    # It is a budget of all that is evaluated with these options.
    with pytest.raises(NoAnswersError, match="max_calls = 2"):
        evaluate_agent(replace(QA, id="TextMath-v0"), rest)


def test_a_damaged_answer_is_asked_for_again(chat, server, tmp_path):
    setting = replace(QA, examples=1)
    evaluate_agent(setting, chat())
    (file,) = (tmp_path / "kept").rglob("*.json")
    for answer in ('"text"', '{"text": 3}', '{"text": "a", "prompt_tokens": "b"}', "[" * 9999):
        file.write_text(json.dumps(json.loads(file.read_bytes()) | {"answer": answer}))
        assert evaluate_agent(setting, chat()).n_requests == 1


def test_a_chat_model_does_not_choose_among_candidates_that_it_is_not_shown(chat):
    setting = EvaluationSetting("TextQAChoice-v0", examples=1, env={"action_level": "select"})
    with pytest.raises(ConfigError, match="answers in text"):
        evaluate_agent(setting, chat())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"request": {"messages": []}}, "cannot hold 'messages'"),
        ({"request": {"temperature": 1}}, "option of its own"),
        ({"request": {"api_key": "sk-0123456789abcdef"}}, "holds a key"),
        ({"request": [1]}, "by name"),
        ({"concurrency": 0}, "concurrency"),
        ({"max_retries": 1.5}, "max_retries"),
        ({"timeout_s": float("inf")}, "timeout_s"),
        ({"timeout_s": 1e300}, "timeout_s is a number of seconds from 0.001 to 1,000,000"),
        ({"on_failure": "zero"}, "on_failure"),
        ({"prices": (1.0, -1.0)}, "prices"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, said):
    with pytest.raises(Exception, match=said) as caught:
        ChatOptions(**options)
    assert "0123456789abcdef" not in str(caught.value)


def test_a_chat_model_has_a_name():
    with pytest.raises(ConfigError, match="--model"):
        AgentSpec("chat")


@pytest.mark.parametrize("count", [-1, True, 1.5, "7", 10**30])
def test_a_count_of_tokens_that_is_none_is_not_believed(chat, server, count):
    status, text = server.completion("Yes.")
    usage = {"usage": {"prompt_tokens": count, "completion_tokens": 1}}
    server.answer = lambda body: (status, json.dumps(json.loads(text) | usage))
    found = evaluate_agent(replace(QA, examples=1), chat())
    assert (found.result["chat"]["prompt_tokens"], found.result["chat"]["uncounted"]) == (0, 1)
    assert ChatReply("a", "length").is_cut


def test_a_name_that_is_no_utf8_can_be_written(chat, tmp_path):
    spec = replace(chat(), model=os.fsdecode(b"m\xff"))
    evaluate_agent(QA, spec, out=tmp_path / "out")
    written = json.loads((tmp_path / "out" / "result.json").read_bytes())
    assert written["model"] == "m\N{REPLACEMENT CHARACTER}"
