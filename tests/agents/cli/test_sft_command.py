"""textenv sft: what it shows, leaves, and saves when it is interrupted."""

from __future__ import annotations

import json

import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer


def test_supervised_training_leaves_a_plain_model_and_its_gain(run, model, tmp_path):
    out = tmp_path / "sft"
    words = ("steps=3", "batch_size=4", "env.max_new_tokens=16", "--examples", "4", "--seed", "5")
    done = run("sft", "TextQA-v0", "TextSummarize-v0", "--model", model, "--out", out, *words)
    assert done.exit_code == 0, done.output
    assert "3 steps in" in done.stdout
    result = json.loads((out / "result.json").read_bytes())
    assert (result["steps"], result["stop_reason"], result["seed"]) == (3, "budget", 5)
    assert list(result["environments"]) == ["TextQA-v0", "TextSummarize-v0"]
    for id, measured in result["environments"].items():
        assert measured["before"]["examples"] == measured["after"]["examples"] == 4
        assert f"{measured['gain']['mean']:+.3f} [" in done.stdout
        assert len((out / f"samples-{id}.jsonl").read_text(encoding="utf-8").splitlines()) == 4
    config = yaml.safe_load((out / "config.yaml").read_text(encoding="utf-8"))
    assert config["ids"] == ["TextQA-v0", "TextSummarize-v0"]
    assert config["options"]["steps"] == 3
    assert config["env"] == {"max_new_tokens": 16}
    trained = AutoModelForCausalLM.from_pretrained(out / "model")
    start = AutoModelForCausalLM.from_pretrained(model)
    assert not torch.equal(trained.lm_head.weight, start.lm_head.weight)
    assert len(AutoTokenizer.from_pretrained(out / "model")) == 4096
    again = run("evaluate", "TextQA-v0", "--model", out, "--examples", "4", "--json")
    assert json.loads(again.stdout)["model"] == str(out / "model")
    # Without an id, in all environments of the run.
    found = json.loads(run("evaluate", "--model", out, "--examples", "2", "--json").stdout)
    assert [entry["id"] for entry in found["evaluations"]] == config["ids"]
    for entry in found["evaluations"]:
        assert entry["metrics"]["response_tokens"]["mean"] <= 16


def test_supervised_training_stops_by_the_clock(run, model, tmp_path):
    words = ("steps=1000000", "batch_size=2", "--examples", "2", "--max-seconds", "0")
    done = run("sft", "TextQA-v0", "--model", model, "--out", tmp_path / "s", *words)
    assert done.exit_code == 0, done.output
    result = json.loads((tmp_path / "s" / "result.json").read_bytes())
    assert (result["steps"], result["stop_reason"]) == (1, "max_seconds")


def test_interrupted_supervised_training_keeps_the_model(run, model, tmp_path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("agents.training.sft_run.train_supervised", interrupt)
    out = tmp_path / "s"
    done = run("sft", "TextQA-v0", "--model", model, "--out", out, "--examples", "2")
    assert done.exit_code == 130
    assert done.stderr.endswith(f"Stopped. The model is saved in {out / 'model'}.\n")
    AutoModelForCausalLM.from_pretrained(out / "model")
