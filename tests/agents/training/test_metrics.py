"""Every key that a run writes is documented, and every documented key is written by some run."""

from __future__ import annotations

import json
from typing import Literal, get_args, get_origin

import pytest

import agents.training.run
from agents import PPOOptions, load_config
from agents.ppo.options import GROUP_ADVANTAGES
from agents.training.metrics import COMPONENT, METRICS, metric_names

RUN = (
    "n_episodes=4", "n_envs=4", "batch_size=4", "n_epochs=1", "total_episodes=8",
    "eval_examples=2", "validation_every=1", "validation_examples=2", "env.max_new_tokens=4",
    "device=cpu", "bf16=false",
)  # fmt: skip
# Options of process and files, which say nothing of what is learned.
_APART = ("parallel", "sampler", "device", "reference", "log", "verbose", "seed")
# A value of each number that switches something on.
_NUMBERS = {
    "max_grad_norm_critic": 1.0, "clip_range_high": 0.3, "clip_range_vf": 0.2, "dual_clip": 3.0,
    "importance_cap": 2.0, "ent_coef": 0.01, "target_kl": 1e-9, "kl_target": 5.0,
}  # fmt: skip


def mixtures() -> list[dict[str, object]]:
    """Returns options such that every estimator, and every value of each other choice, is tried."""
    values: dict[str, tuple[object, ...]] = {}
    for name, field in PPOOptions.model_fields.items():
        if get_origin(field.annotation) is Literal:
            values[name] = get_args(field.annotation)
        elif field.annotation is bool:
            values[name] = (field.default, not field.default)
    for name in _APART:
        values.pop(name, None)
    found = []
    for i in range(max(map(len, values.values()))):
        options = {name: several[i % len(several)] for name, several in values.items()}
        group = 2 if options["advantage"] in GROUP_ADVANTAGES else 1
        found += [{**options, "group_size": group, **numbers} for numbers in ({}, _NUMBERS)]
    return found


@pytest.fixture(scope="module")
def in_a_folder(tmp_path_factory, save_model) -> set[str]:
    """The keys of a run's metrics.jsonl, whose reward has two components."""
    out = tmp_path_factory.mktemp("run")
    config = load_config(
        None, RUN, id="TextQA-v0", model=save_model(tokenizer="embedded", spread=0.3),
        reward={"rougeL": 1, "chrf": 1}, gold="token_f1",
    )  # fmt: skip
    agents.training.run.train(config, out)
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == 2
    assert rows[0].keys() == rows[1].keys()
    return set(rows[0])


def test_every_key_is_documented_and_every_documented_key_is_written(in_a_folder, make_agent):
    seen = in_a_folder - {"rollout/rougeL", "rollout/chrf"}
    assert len(in_a_folder - seen) == 2
    for options in mixtures():
        agent = make_agent(**{"n_episodes": 4, "batch_size": 2, "n_epochs": 1, **options})
        agent.learn(total_episodes=4, after_iteration=lambda metrics: seen.update(metrics) is None)
    undocumented, unwritten = seen - metric_names(), metric_names() - seen
    where = "agents/training/metrics.py, then run `python -m tools.docs_pages.build`"
    assert not undocumented, f"Declare them in {where}."
    assert not unwritten, f"Nothing writes them: remove them from {where}."


def test_each_is_declared_once_with_a_line_of_meaning():
    everything = [metric for metrics in METRICS.values() for metric in metrics]
    names = [metric.name for metric in everything]
    assert len(set(names)) == len(names)
    assert COMPONENT in names
    for metric in everything:
        assert len(metric.meaning) > 15, metric.name
        assert not metric.meaning.endswith("."), metric.name
        assert "|" not in metric.meaning + metric.when, metric.name
