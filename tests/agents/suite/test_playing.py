"""A suite that was stopped goes on, and its result is that of one that was not."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from agents.suite import players
from agents.suite.endpoint_player import EndpointPlayer
from agents.suite.players import ModelPlayer, ScriptedPlayer, hash_model
from agents.suite.playing import play_suite
from benchmarks.chat_server import ChatServer, GreedyModel
from textenv.endpoints.chat_options import ChatOptions
from textenv.endpoints.chat_player import NoAnswersError
from textenv.errors import ConfigError


class Stopped(Exception):
    """In place of a kill."""


def stopped_after(player, n_parts):
    """Has a player end after some parts; returns the parts that it plays."""
    play, played = player.play, []

    def until(task, numbers, progress):
        if len(played) == n_parts:
            raise Stopped
        played.append((task.id, numbers.start))
        return play(task, numbers, progress)

    player.play = until
    return played


def files_of(folder):
    return {name: (folder / name).read_bytes() for name in ("result.json", "answers.jsonl")}


def make_player(suite, kind):
    if kind == "embedded":
        # Coarse numbers, so that what rounds otherwise soon says something else.
        return ModelPlayer(suite, kind, "cpu", bf16=True)
    return ScriptedPlayer(suite, kind)


@pytest.mark.parametrize("kind", ["embedded", "random"])
def test_a_stopped_suite_plays_only_what_is_missing_and_gives_the_same_result(
    tiny, tmp_path, monkeypatch, kind
):
    cached, play = [], players.play_policy_on_split

    def watched(policy, *arguments, **options):
        cached.append(policy.cached.decoders)
        return play(policy, *arguments, **options)

    monkeypatch.setattr(players, "play_policy_on_split", watched)
    whole = play_suite(tiny, make_player(tiny, kind), tmp_path / "whole")
    folder = tmp_path / "stopped"
    player = make_player(tiny, kind)
    stopped_after(player, 3)
    with pytest.raises(Stopped):
        play_suite(tiny, player, folder)
    player = make_player(tiny, kind)
    played = stopped_after(player, 99)
    reports = []
    resumed = play_suite(tiny, player, folder, progress=lambda n, note: reports.append(n))
    assert played == [("TextDialogueEasy-v0", 2)]
    assert (reports[0], reports[-1]) == (6, 8)
    assert files_of(folder) == files_of(tmp_path / "whole")
    assert resumed.score() == whole.score()
    # Keys of earlier parts, used again, would round otherwise than keys that are computed.
    assert cached == [()] * (8 if kind == "embedded" else 0)
    # Finished: nothing is played again.
    played.clear()
    play_suite(tiny, player, folder)
    assert played == []


def test_a_part_that_is_damaged_is_played_again(tiny, tmp_path):
    whole = play_suite(tiny, ScriptedPlayer(tiny, "random"), tmp_path / "whole")
    folder = tmp_path / "stopped"
    player = ScriptedPlayer(tiny, "random")
    stopped_after(player, 3)
    with pytest.raises(Stopped):
        play_suite(tiny, player, folder)
    part = folder / "parts" / "TextQA-v0.1.json"
    part.write_text(part.read_text().replace('"reward": ', '"reward": 1'), encoding="utf-8")
    player = ScriptedPlayer(tiny, "random")
    played = stopped_after(player, 99)
    assert play_suite(tiny, player, folder).to_json() == whole.to_json()
    assert played == [("TextQA-v0", 2), ("TextDialogueEasy-v0", 2)]
    assert not part.exists()


@pytest.mark.parametrize("content", ["[1]", '{"rows": []}', '{"rows": [], "seconds": 1.0}'])
def test_a_part_that_is_none_is_played_again_where_no_checksum_tells(tiny, tmp_path, content):
    whole = play_suite(tiny, ScriptedPlayer(tiny, "gold"), tmp_path / "whole")
    folder, player = tmp_path / "stopped", ScriptedPlayer(tiny, "gold")
    stopped_after(player, 3)
    with pytest.raises(Stopped):
        play_suite(tiny, player, folder)
    (folder / "checksums.json").unlink()
    (folder / "parts" / "checksums.json").unlink(missing_ok=True)
    (folder / "parts" / "TextQA-v0.1.json").write_text(content, encoding="utf-8")
    again = play_suite(tiny, ScriptedPlayer(tiny, "gold"), folder)
    assert again.to_json() == whole.to_json()


def test_scripted_agents_earn_what_the_scale_is_made_of(tiny, tmp_path):
    gold = play_suite(tiny, ScriptedPlayer(tiny, "gold"), tmp_path / "gold")
    lazy = play_suite(tiny, ScriptedPlayer(tiny, "lazy"), tmp_path / "lazy")
    assert gold.normalised.tolist() == [[1.0] * 4] * 2
    assert lazy.normalised.mean(axis=1).tolist() == pytest.approx([0.0, 0.0], abs=1e-5)
    assert gold.score().mean == 1.0
    assert gold.score().ci95[0] < 1.0  # eight answers are not all answers


def test_a_folder_is_of_one_suite_and_one_agent(tiny, tmp_path, save_model):
    play_suite(tiny, ScriptedPlayer(tiny, "gold"), tmp_path / "a")
    with pytest.raises(ConfigError, match="results of another agent"):
        play_suite(tiny, ScriptedPlayer(tiny, "lazy"), tmp_path / "a")
    with pytest.raises(ConfigError, match="results of another name: gold, and not best"):
        play_suite(tiny, ScriptedPlayer(tiny, "gold"), tmp_path / "a", "best")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not empty"):
        play_suite(tiny, ScriptedPlayer(tiny, "gold"), tmp_path / "b")
    with pytest.raises(ConfigError, match="1 to 100 characters, not 101"):
        play_suite(tiny, ScriptedPlayer(tiny, "gold"), tmp_path / "c", "x" * 101)
    models = [save_model(tokenizer="embedded", spread=0.3, seed=seed) for seed in (0, 1)]
    assert hash_model(models[0]) != hash_model(models[1])


def test_each_answer_is_kept_with_its_prompt_and_reward(tiny, tmp_path):
    result = play_suite(tiny, ScriptedPlayer(tiny, "gold"), tmp_path / "a")
    rows = [json.loads(line) for line in (tmp_path / "a/answers.jsonl").read_text().splitlines()]
    assert [row["task"] for row in rows] == ["TextQA-v0"] * 4 + ["TextDialogueEasy-v0"] * 4
    assert [row["reward"] for row in rows] == result.rewards.ravel().tolist()
    assert rows[0]["response"] in rows[0]["references"]
    assert rows[0]["prompt"]


@pytest.fixture(scope="module")
def embedded():
    """The embedded model behind an endpoint."""
    server = ChatServer(GreedyModel("embedded"))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_model_behind_an_endpoint_has_the_result_of_the_same_model_here(tiny, tmp_path, embedded):
    local = play_suite(tiny, ModelPlayer(tiny, "embedded", "cpu", False), tmp_path / "local")
    options = ChatOptions(embedded.url, cache=tmp_path / "kept")
    asked = play_suite(tiny, EndpointPlayer(tiny, "it", options), tmp_path / "asked")
    assert asked.rewards.tolist() == local.rewards.tolist()
    assert asked.agent["tokenizer"] == "embedded"
    assert asked.agent["tokenizer_files"] == local.agent["files"]


def test_a_chat_model_names_who_counts_its_budgets_without_a_path(tiny, tmp_path, save_model):
    folder = save_model("llama")
    player = EndpointPlayer(tiny, "it", ChatOptions("http://127.0.0.1:1/v1"), folder)
    told = player.describe()
    assert told["tokenizer"] == Path(folder).name
    assert told["tokenizer_files"]
    assert str(tmp_path.parent) not in json.dumps(told)


def test_a_question_without_an_answer_is_no_answer_of_worth_0(tiny, tmp_path, server):
    server.answer = lambda body: (400, '{"error": {"message": "filtered"}}')
    options = ChatOptions(server.url, cache=tmp_path / "kept", backoff_s=0.001, on_failure="mark")
    with pytest.raises(NoAnswersError):
        play_suite(tiny, EndpointPlayer(tiny, "it", options), tmp_path / "asked")
    assert not (tmp_path / "asked" / "result.json").exists()
