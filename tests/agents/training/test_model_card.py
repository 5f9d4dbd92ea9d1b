"""A model's card says what is known of it, and invents nothing."""

from __future__ import annotations

import json

import pytest
import yaml
from huggingface_hub import ModelCard

import agents.training.run
from agents import TextPPO
from agents.ppo.model_card import (
    Measured,
    ModelFacts,
    name_of_base,
    read_license,
    render_card,
    without_paths,
)
from agents.training.config import load_config
from textenv.benchmark.statistics import Estimate
from textenv.report.numbers import format_number

WORDS = [
    "n_episodes=8", "n_envs=8", "batch_size=8", "total_episodes=16", "validation_every=1",
    "validation_examples=4", "eval_examples=4", "env.max_new_tokens=8", "device=cpu", "bf16=false",
]  # fmt: skip
FACTS = ModelFacts(
    base="org/base",
    method="PPO",
    ids=("TextQA-v0",),
    reward={"rougeL": 1},
    seed=3,
    episodes=64,
    kl=1.25,
    measured=[
        Measured(
            "TextQA-v0", "test", 256, Estimate(0.1, (0.05, 0.15)), Estimate(0.4, (0.3, 0.5)),
            Estimate(0.3, (0.2, 0.4)),
        )
    ],
    versions={"textenv": "9.9"},
)  # fmt: skip


def metadata_of(text: str) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


def test_a_card_has_the_hubs_metadata_and_every_fact():
    text = render_card(FACTS)
    data = metadata_of(text)
    assert data["base_model"] == "org/base"
    assert data["license"] == "unknown"
    assert data["tags"] == ["textenv", "reinforcement-learning", "TextQA-v0"]
    (result,) = data["model-index"][0]["results"]
    assert result["metrics"][1] == {"type": "gain", "name": "gain in mean reward", "value": 0.3}
    for fact in (
        "| TextQA-v0, test | 256 | 0.100 [0.050, 0.150] | 0.400 [0.300, 0.500] | +0.300 [",
        "| seed | 3 |",
        "| KL to the base | 1.250 nats a response |",
        '| reward | `{"rougeL": 1}` |',
        "| licence of the base | unknown |",
        "textenv 9.9",
    ):
        assert fact.replace("\u202f", " ") in text.replace("\u00a0", " ").replace("\u202f", " ")
    # The Hub's own reader takes it.
    assert ModelCard(text).data.eval_results[0].metric_value == 0.4


def test_what_is_not_measured_is_said_to_be_so():
    text = render_card(ModelFacts(base="org/base", method="PPO"))
    assert "It has not been measured on held-out examples." in text
    assert "| KL to the base | not measured |" in text
    assert "| seed | unknown |" in text
    assert "model-index" not in metadata_of(text)


def test_use_and_limits_are_two_sentences():
    use = render_card(FACTS).split("## Intended use and limits\n\n")[1].split("\n\n")[0]
    assert use.count(". ") == 1
    assert use.endswith(".")


def test_the_licence_of_a_base_is_what_its_card_says(tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    assert read_license(str(base)) == {"license": "unknown"}
    (base / "README.md").write_text("No metadata.\n---\nlicense: mit\n---\n")
    assert read_license(str(base)) == {"license": "unknown"}
    (base / "README.md").write_text(
        "---\nlicense: other\nlicense_name: own\nbase_model: org/first\n---\n# Base\n"
    )
    assert read_license(str(base)) == {"license": "other", "license_name": "own"}
    data = metadata_of(render_card(ModelFacts(base=str(base), method="PPO")))
    assert (data["license_name"], data["base_model"]) == ("own", "org/first")
    assert read_license("embedded") == {"license": "apache-2.0"}


def test_no_path_of_this_machine_and_no_key_is_told(tmp_path):
    path = str(tmp_path / "faq.csv")
    assert name_of_base(str(tmp_path / "base")) == "base"
    assert without_paths({"path": path, "n": 1}) == {"path": "faq.csv", "n": 1}
    assert without_paths([f"{tmp_path}/my.py:Reward"]) == ["my.py:Reward"]
    assert without_paths({"judge": {"api_key": "sk-1"}}) == {"judge": {"api_key": "***"}}
    text = render_card(
        ModelFacts(base=str(tmp_path / "base"), method="PPO", dataset={"path": path}, reward=path)
    )
    assert str(tmp_path) not in text


def test_a_run_leaves_a_card_with_each_of_its_models(tmp_path):
    out = tmp_path / "run"
    result = agents.training.run.train(load_config(None, WORDS, id="TextQA-v0"), out)
    text = (out / "model/README.md").read_text()
    assert format_number(result["gain"]["mean"], 3, signed=True) in text
    assert metadata_of(text)["license"] == "apache-2.0"
    assert "base_model" not in metadata_of(text)
    about = json.loads((out / "about.json").read_text())
    assert f"hash {about['data']['train']['hash']}" in text
    assert "| training episodes | 16 |" in text
    best = (out / "best/model/README.md").read_text()
    episodes = result["best"]["iteration"] * 8
    assert f"| training episodes | {episodes} |" in best
    assert format_number(result["best"]["gain"]["mean"], 3, signed=True) in best


def test_a_run_without_a_result_has_a_card_that_says_so(tmp_path, monkeypatch):
    def stop(*given, **more):
        raise RuntimeError("the end")

    monkeypatch.setattr(agents.training.run, "write_cards", stop)
    with pytest.raises(RuntimeError):
        agents.training.run.train(load_config(None, WORDS, id="TextQA-v0"), tmp_path / "run")
    for model in ("model", "best/model"):
        text = (tmp_path / "run" / model / "README.md").read_text()
        assert "It has not been measured" in text
        assert "| environment | TextQA-v0 |" in text


def test_an_agent_that_is_saved_twice_still_names_its_first_base(tmp_path):
    agent = TextPPO(
        "LMPolicy", "TextQA-v0", n_episodes=4, batch_size=4, n_envs=4, device="cpu", seed=5,
        policy_kwargs={"bf16": False},
    )  # fmt: skip
    agent.save(tmp_path / "a")
    TextPPO.load(tmp_path / "a", device="cpu").save(tmp_path / "b")
    first, second = ((tmp_path / name / "model/README.md").read_text() for name in "ab")
    assert "| environment | TextQA-v0 |" in first
    for text in (first, second):
        assert "# the embedded model of textenv, trained on" in text
        assert "| seed | 5 |" in text
