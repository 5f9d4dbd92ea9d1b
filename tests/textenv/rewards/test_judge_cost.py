"""A judge is asked once about the same texts, and stops where its budget ends."""

from __future__ import annotations

import copy
import json
import multiprocessing
import pickle

import pytest

from textenv import RewardError
from textenv.endpoints.answer_cache import AnswerCache, default_cache_folder
from textenv.errors import StorageError
from textenv.examples import Episode, Example, Turn
from textenv.rewards import score
from textenv.rewards.base import call_reward
from textenv.rewards.judge.judge import Judge


def test_the_same_texts_are_asked_about_once(make_judge, grade, server):
    grade(10)
    result = score(make_judge(cache=False), ["a", "b", "a", "a"], ["r"] * 4)
    assert len(server.bodies) == 2
    assert result.components["cached"].sum() == 2
    assert result.components["requests"].sum() == 2


def test_a_repeat_is_free_for_another_judge_too(make_judge, grade, server):
    grade(1, 10)
    first = score(make_judge(concurrency=1), ["a", "b"], ["r", "r"])
    again = make_judge(max_calls=0)
    second = score(again, ["b", "a"], ["r", "r"])
    assert len(server.bodies) == 2
    assert again.n_calls == 0
    assert second.total.tolist() == first.total[::-1].tolist() == [1, 0]
    assert second.components["cached"].tolist() == [1, 1]


@pytest.mark.parametrize(
    "change",
    [
        {"rubric": "helpfulness"},
        {"scale": [1, 11]},
        {"temperature": 0.5},
        {"request": {"max_tokens": 9}},
        {"references": False},
        {"cache": False},
    ],
)
def test_what_changes_the_question_is_asked_anew(make_judge, grade, server, change):
    grade(3)
    score(make_judge(), ["a"], ["r"])
    score(make_judge(**change), ["a"], ["r"])
    assert len(server.bodies) == 2


def test_another_model_or_endpoint_is_asked_anew(server, grade, tmp_path):
    grade(3)
    for model, url in (("m", server.url), ("n", server.url), ("m", f"{server.url}/v2")):
        score(Judge(model, base_url=url, cache=tmp_path), ["a"], ["r"])
    assert len(server.bodies) == 3


def test_without_a_cache_nothing_is_written(make_judge, grade, tmp_path):
    grade(3)
    score(make_judge(cache=False), ["a"], ["r"])
    assert list(tmp_path.rglob("*")) == []


def test_only_scores_are_kept_and_no_text_that_was_judged(make_judge, server, tmp_path):
    server.answer = lambda body: server.completion(
        "Great." if "bad" in body["messages"][-1]["content"] else '{"score": 10}'
    )
    example = Example("e", "Say it.", ("ref",))
    episodes = [
        Episode(example, (Turn("user", "Say it."), Turn("assistant", response)))
        for response in ("bad", "a secret")
    ]
    call_reward(make_judge(), episodes)
    (file,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert json.loads(file.read_text())["answer"] == '{"score": 10}'
    assert "secret" not in file.read_text()


@pytest.mark.parametrize(
    "damage",
    [
        *(b"", b"{", b"\xff\xfe", b"null", b"[" * 99999, b'{"answer": "x"}'),
        b'{"key": "another", "answer": "{\\"score\\": 5}"}',
    ],
)
def test_a_damaged_entry_is_asked_for_again(make_judge, grade, server, tmp_path, damage):
    grade(10)
    score(make_judge(), ["a"], ["r"])
    (file,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    whole = file.read_bytes()
    file.write_bytes(damage)
    assert score(make_judge(), ["a"], ["r"]).total.tolist() == [1]
    assert len(server.bodies) == 2
    assert file.read_bytes() == whole


def test_an_entry_that_is_no_score_is_asked_for_again(make_judge, grade, server, tmp_path):
    grade(10)
    score(make_judge(), ["a"], ["r"])
    (file,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    entry = json.loads(file.read_text())
    file.write_text(json.dumps({**entry, "answer": '{"score": 99}'}))
    assert score(make_judge(), ["a"], ["r"]).total.tolist() == [1]


def test_a_cache_that_cannot_be_written_is_told(make_judge, grade, tmp_path):
    grade(10)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot be kept in .*cache=False"):
        score(make_judge(cache=tmp_path / "file"), ["a"], ["r"])


def _put_and_get(folder: str) -> int:
    cache = AnswerCache(folder)
    found = 0
    for _ in range(50):
        cache.put("abcdef", "x" * 10_000)
        found += cache.get("abcdef") == "x" * 10_000
    return found


def test_processes_that_share_a_cache_see_whole_answers(tmp_path):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(_put_and_get, [tmp_path] * 4) == [50] * 4
    assert [path.name for path in (tmp_path / "ab").iterdir()] == ["cdef.json"]


def test_answers_are_kept_below_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_folder("judge") == tmp_path / "textenv" / "judge"
    assert Judge("m", base_url="http://localhost/v1")._asker.cache.folder.is_relative_to(tmp_path)


def test_a_spent_budget_says_how_far_it_came_and_keeps_what_was_paid_for(make_judge, grade, server):
    grade(10)
    texts, references = [str(i) for i in range(10)], ["r"] * 10
    judge = make_judge(max_calls=6)
    with pytest.raises(RewardError, match=r"max_calls = 6 .*6 of the 10 questions.*is kept"):
        score(judge, texts, references)
    assert len(server.bodies) == judge.n_calls == 6
    # With as many more, all of them have an answer.
    result = score(make_judge(max_calls=4), texts, references)
    assert result.total.tolist() == [1] * 10
    assert len(server.bodies) == 10


def test_every_request_counts_for_the_budget(make_judge, server):
    server.answer = lambda body: (500, "{}")
    judge = make_judge(max_calls=3)
    with pytest.raises(RewardError, match="max_calls = 3"):
        score(judge, ["a"], ["r"])
    assert len(server.bodies) == 3


def test_copies_share_a_budget_and_other_processes_do_not(make_judge, grade):
    grade(10)
    judge = make_judge(max_calls=1)
    score(copy.deepcopy(judge), ["a"], ["r"])
    assert judge.n_calls == 1
    sent = pickle.loads(pickle.dumps(judge))
    assert sent.n_calls == 0
    assert score(sent, ["b"], ["r"]).total.tolist() == [1]
