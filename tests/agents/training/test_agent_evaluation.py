"""Agents evaluated from Python: the record, its files, and one seed after the other."""

from __future__ import annotations

import json

import pytest

from agents.training.agent_evaluation import AgentEvaluation, evaluate_agent
from agents.training.agent_specs import AgentSpec, EvaluationSetting
from textenv.errors import ConfigError, UnknownNameError

SETTING = EvaluationSetting("TextQA-v0", examples=3)


def test_an_evaluation_writes_what_it_returns(tmp_path):
    record = evaluate_agent(SETTING, AgentSpec("gold"), out=tmp_path / "new")
    assert record.result["reward"]["mean"] == 1.0
    assert json.loads((tmp_path / "new/result.json").read_bytes()) == record.result
    lines = (tmp_path / "new/result.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == record.rows
    assert [row["response"] for row in record.rows] == [
        episode.response for episode in record.evaluation.episodes
    ]


def test_each_seed_gives_what_a_first_evaluation_with_it_would():
    agent = AgentSpec("random", samples=2)
    evaluation = AgentEvaluation(SETTING, agent)
    assert evaluation.n_episodes == 6
    rows = [evaluation.play(seed).rows for seed in (0, 1)]
    assert rows[0] != rows[1]
    assert rows[1] == evaluate_agent(SETTING, agent, seed=1).rows


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"name": "golden"}, "Did you mean 'gold'?"),
        ({"name": "gold", "samples": 2}, "gives the same answer each time"),
        ({"name": "random", "temperature": 0.5}, "--temperature is for"),
        ({"name": "random", "samples": 0}, "from 1 up"),
    ],
)
def test_an_agent_that_makes_no_sense_is_refused(words, said):
    with pytest.raises((ConfigError, UnknownNameError), match=said):
        AgentSpec(**words)


def test_pass_at_needs_as_many_samples():
    setting = EvaluationSetting("TextQA-v0", examples=3, pass_at=(1, 4))
    with pytest.raises(ConfigError, match="--samples 4"):
        AgentEvaluation(setting, AgentSpec("random", samples=2))
