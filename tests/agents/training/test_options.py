"""Each option is declared once: Python and the command line take and refuse the same values."""

from __future__ import annotations

import inspect
import json
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
import yaml
from annotated_types import Ge, Gt, Le
from stable_baselines3.common.utils import LinearSchedule

import agents.models.options
import agents.training.run
from agents import LMPolicy, PolicyOptions, PPOOptions, TextPPO, load_config
from agents.models.loading import load_model
from agents.models.options import choose_bf16, list_options, option
from agents.reward_bench.config import parse_bench_config
from agents.training.config import SFTOptions, TrainConfig, train_config
from textenv.errors import ConfigError, TextEnvError, UnknownNameError
from textenv.wrappers import PotentialShaping

RUN = {"n_episodes": 8, "n_envs": 8, "batch_size": 8, "seed": 3, "device": "cpu"}


def limits(annotation: Any, metadata: Any) -> list[Any]:
    """Returns the bounds of an option, those within a union or an annotation included."""
    found = [limit for limit in metadata if isinstance(limit, Gt | Ge | Le)]
    for part in getattr(annotation, "__args__", ()):
        found += limits(part, getattr(part, "__metadata__", ()))
    return found + [
        m for m in getattr(annotation, "__metadata__", ()) if isinstance(m, Gt | Ge | Le)
    ]


def wrong_values(record: type) -> list[tuple[str, Any]]:
    """Returns values that each option must refuse: past its bounds, no number, of another type."""
    cases: list[tuple[str, Any]] = []
    for name, field in record.model_fields.items():
        is_number = any(word in str(field.annotation) for word in ("float", "int"))
        for limit in limits(field.annotation, field.metadata):
            past = {
                Gt: lambda m: m.gt, Ge: lambda m: m.ge - 1, Le: lambda m: m.le + 1,
            }[type(limit)](limit)  # fmt: skip
            cases.append((name, past))
        if is_number:
            cases += [(name, value) for value in (float("nan"), float("inf"), "many")]
        elif "bool" in str(field.annotation):
            cases.append((name, "perhaps"))
        elif "Literal" in str(field.annotation):
            cases.append((name, "no such choice"))
    return cases


POLICY_CASES = [*wrong_values(PolicyOptions), ("lora", {"r": 0}), ("lora", {"rank": 4})]
PPO_CASES = [
    *wrong_values(PPOOptions),
    ("learning_rate", {"start": -1.0, "end": 0.0, "end_fraction": 1.0}),
    ("sampler_kwargs", {"a": float("nan")}),
]


def refusal(make: Any) -> str:
    with pytest.raises(TextEnvError) as caught:
        make()
    return str(caught.value)


def test_every_kind_of_limit_is_tried():
    tried = {name for name, _ in PPO_CASES}
    assert {"gamma", "gae_lambda", "clip_range", "target_kl", "ent_coef", "dual_clip"} <= tried
    assert {name for name, _ in POLICY_CASES} >= {"temperature", "quantize", "lora", "bf16"}
    assert len(PPO_CASES) > 90


@pytest.mark.parametrize(("name", "value"), PPO_CASES)
def test_python_refuses_what_the_command_line_refuses_in_the_same_words(name, value):
    words = refusal(lambda: TextPPO("LMPolicy", **{name: value}))
    assert name in words
    given = train_config
    assert refusal(lambda: given({"id": "TextQA-v0", "model": "x", name: value})) == words
    # On the command line the value is text.
    text = (
        f"{name}={yaml.safe_dump(value, default_flow_style=True, sort_keys=False).splitlines()[0]}"
    )
    assert refusal(lambda: load_config(None, [text], id="TextQA-v0")) == words


@pytest.mark.parametrize(("name", "value"), POLICY_CASES)
def test_the_same_holds_for_the_options_of_the_policy(name, value):
    words = refusal(lambda: TextPPO("LMPolicy", policy_kwargs={name: value}))
    assert name in words
    assert refusal(lambda: train_config({"id": "TextQA-v0", name: value})) == words
    env = gym.make("TextQA-v0")
    spaces = env.observation_space, env.action_space
    assert refusal(lambda: LMPolicy(*spaces, lambda _: 0.0, **{name: value})) == words


def test_options_that_do_not_go_together_are_refused_alike():
    for values, words in (
        ({"advantage": "grpo"}, "set group_size to 2 or more"),
        ({"kl_target": 6.0, "kl_coef": 0.0}, "set it above 0"),
    ):
        assert words in refusal(lambda values=values: TextPPO("LMPolicy", **values))
        assert words in refusal(lambda values=values: train_config({"id": "X-v0", **values}))


def test_an_unknown_option_names_the_nearest():
    assert "Did you mean 'learning_rate'" in refusal(lambda: TextPPO("LMPolicy", learning_rat=1.0))
    made = {"temprature": 1.0}
    assert "Did you mean 'temperature'" in refusal(lambda: TextPPO("LMPolicy", policy_kwargs=made))


def test_signatures_show_every_option_with_its_default():
    for owner, record in ((TextPPO, PPOOptions), (LMPolicy, PolicyOptions)):
        shown = inspect.signature(owner).parameters
        for name, field in record.model_fields.items():
            assert shown[name].default == field.default, name
    assert "env" in inspect.signature(TextPPO).parameters


def test_every_option_says_what_it_does():
    for record in (TrainConfig, SFTOptions):
        for options in list_options(record).values():
            for line in options:
                assert len(line.meaning) > 10, line.name
                assert not line.meaning.endswith("."), line.name


def test_an_option_is_one_line_of_a_record():
    class More(PPOOptions):
        clip_cov: float = option(0.5, "Loss", "share of tokens to clip by covariance", ge=0, le=1)

    assert More().clip_cov == 0.5
    assert "clip_cov=2 is not valid" in refusal(lambda: More(clip_cov=2))
    assert [line.name for line in list_options(More)["Loss"]][-1] == "clip_cov"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (5e-4, 1, 1.0, 0.005, 2048)),
        ({"model": "x"}, (3e-5, 2, 0.95, 0.02, 8192)),
        ({"model": "x", "lora": {}}, (3e-4, 2, 0.95, 0.02, 8192)),
        ({"n_epochs": 3, "max_tokens_per_batch": 512}, (5e-4, 3, 1.0, 0.005, 512)),
    ],
)
def test_defaults_follow_what_is_trained(given, expected):
    config = train_config({"id": "TextQA-v0", **given})
    names = ("learning_rate", "n_epochs", "gae_lambda", "kl_coef", "max_tokens_per_batch")
    assert tuple(getattr(config, name) for name in names) == expected


def test_the_embedded_model_keeps_its_defaults_when_it_was_trained_further(tmp_path, save_model):
    run = tmp_path / "start"
    load_model("embedded").save_pretrained(run / "model")
    defaults = train_config({"id": "TextQA-v0"}).to_json(exclude={"model"})
    for named in (run, run / "model"):
        config = train_config({"id": "TextQA-v0", "model": str(named)})
        assert config.to_json(exclude={"model"}) == defaults
    other = train_config({"id": "TextQA-v0", "model": save_model(tokenizer="embedded")})
    assert other.learning_rate == 3e-5


@pytest.mark.slow
def test_the_same_values_give_the_same_run_in_python_and_on_the_command_line(tmp_path):
    agent = TextPPO("LMPolicy", "TextQA-v0", **RUN)
    seen = []
    agent.learn(total_episodes=24, after_iteration=lambda metrics: seen.append(metrics) or True)
    words = [f"{name}={value}" for name, value in RUN.items()]
    config = load_config(
        None, [*words, "total_episodes=24", "eval_examples=4", "validation_every=1"], id="TextQA-v0"
    )
    agents.training.run.train(config, tmp_path)
    other = TextPPO.load(tmp_path, device="cpu")
    for name, tensor in agent.policy.state_dict().items():
        assert torch.equal(tensor, other.policy.state_dict()[name]), name
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    for row, metrics in zip(rows, seen, strict=True):
        for name in ("rollout/reward_mean", "kl/ref", "train/loss", "train/learning_rate"):
            assert row[name] == metrics[name], name
    # Both say what they learn by, and it is the same.
    left_out = {"device", "parallel", "reference"}
    for name, value in agent.options.to_json(exclude=left_out).items():
        assert getattr(config.replace(), name) == value, name


def test_what_sb3_logs_by_survives_saving(tmp_path):
    agent = TextPPO(
        "LMPolicy", "TextQA-v0", **RUN, stats_window_size=7, verbose=1,
        tensorboard_log=str(tmp_path / "log"), learning_rate=LinearSchedule(1e-3, 1e-5, 0.5),
    )  # fmt: skip
    agent.save(tmp_path / "agent")
    loaded = TextPPO.load(tmp_path / "agent", env="TextQA-v0", device="cpu")
    assert (loaded.options.stats_window_size, loaded.verbose) == (7, 1)
    assert loaded.tensorboard_log == str(tmp_path / "log")
    assert loaded._stats_window_size == 7
    assert loaded.options.rates(0.75, 9, 0) == agent.options.rates(0.75, 9, 0)


def test_setting_an_attribute_changes_the_option_as_in_sb3():
    agent = TextPPO("LMPolicy", "TextQA-v0", **RUN)
    agent.ent_coef = 0.01
    assert agent.options.ent_coef == 0.01
    agent.gamma = 1.5
    with pytest.raises(ConfigError, match=r"gamma=1\.5"):
        _ = agent.options


def test_the_rate_warms_up_after_the_critic_and_falls_to_its_end():
    options = PPOOptions(learning_rate=1.0, learning_rate_warmup=1, value_lr_factor=2.0)
    found = [options.rates(1 - i / 4, i, critic_warmup=1) for i in range(4)]
    # 0.1 + 0.9 * (1, 3/4, 1/2, 1/4); the policy waits one iteration, then takes half a step.
    whole = [1.0, 0.775, 0.55, 0.325]
    assert [critic for _, critic in found] == pytest.approx([2 * rate for rate in whole])
    assert [policy for policy, _ in found] == pytest.approx([0.0, 0.3875, 0.55, 0.325])


@pytest.mark.parametrize(
    ("total_episodes", "expected"),
    [(8, [0]), (32, [1, 0, 0, 0]), (80, [1, 1, 0, 0, 0, 0, 0, 0, 0, 0])],
)
def test_the_critics_warm_up_takes_at_most_a_quarter_of_the_budget(total_episodes, expected):
    agent = TextPPO("LMPolicy", "TextQA-v0", **RUN)
    alone = []

    def note(metrics: Any) -> bool:
        alone.append(int(metrics["train/learning_rate"] == 0))
        return True

    agent.learn(total_episodes=total_episodes, after_iteration=note)
    assert alone == expected


def test_bf16_is_chosen_by_what_the_processor_can_do(monkeypatch):
    monkeypatch.setattr(agents.models.options, "_cpu_flags", lambda: {"avx512_bf16"})
    assert choose_bf16(None, "cpu")
    assert not choose_bf16(False, "cpu")
    assert not choose_bf16(None, "mps")
    monkeypatch.setattr(agents.models.options, "_cpu_flags", lambda: {"avx2", "avx512f"})
    assert not choose_bf16(None, "cpu")
    assert choose_bf16(True, "cpu")


def test_the_precision_that_was_chosen_is_written_and_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(agents.models.options, "_cpu_flags", lambda: {"amx_bf16"})
    words = [*(f"{k}={v}" for k, v in RUN.items()), "model=embedded", "bf16=null"]
    words += ["total_episodes=8", "eval_examples=2", "validation_every=0"]
    agents.training.run.train(load_config(None, words, id="TextQA-v0"), tmp_path)
    chosen = yaml.safe_load((tmp_path / "config.yaml").read_text())["bf16"]
    monkeypatch.undo()
    assert chosen is True
    assert TextPPO.load(tmp_path, device="cpu").policy.options.bf16 is True


def test_a_wrapped_single_environment_is_trained_in():
    env = PotentialShaping(gym.make("TextTranslate-v0", max_new_tokens=6), potential="chrf")
    agent = TextPPO("LMPolicy", env, n_episodes=4, batch_size=4, device="cpu", critic_warmup=0)
    before = {name: t.clone() for name, t in agent.policy.state_dict().items()}
    agent.learn(total_episodes=8)
    changed = [n for n, t in agent.policy.state_dict().items() if not torch.equal(t, before[n])]
    assert changed
    # The shaping pays within the episode, and telescopes to the potential at its end.
    assert all(np.count_nonzero(episode.rewards) > 0 for episode in agent.episodes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"dataset": "faq.csv"},
            r'the environment: TextPPO\("LMPolicy", gym.make_vec\(ID, num_envs=64, dataset=',
        ),
        ({"model": "runs/a"}, r'policy_kwargs=\{"model": ...\}'),
        ({"total_episodes": 64}, r"agent.learn\(total_episodes=...\)"),
        ({"policy_kwargs": {"max_new_tokens": 4}}, "max_new_tokens belongs to the environment"),
    ],
)
def test_an_option_of_another_part_is_sent_to_its_place(options, message):
    with pytest.raises(UnknownNameError, match=message):
        TextPPO("LMPolicy", "TextQA-v0", **options)


def test_a_key_of_training_is_sent_into_train_of_a_benchmark():
    values = {"id": "TextSummarize-v0", "designs": ["rougeL"], "gold": ["chrf"]}
    for key, place in (("learning_rate", "train.learning_rate"), ("max_turns", "env.max_turns")):
        with pytest.raises(UnknownNameError, match=f"Did you mean '{place}'"):
            parse_bench_config({**values, key: 1})
