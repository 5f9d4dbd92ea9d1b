"""Guards on learning: each is provoked, none warns on honest runs, and a run can end on one."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

import agents.training.run
from agents import load_config
from agents.training.checked_files import CHECKSUMS
from agents.training.guard_rules import CRITIC_AFTER, GuardSettings
from agents.training.guards import (
    CALM,
    GUARDS,
    GuardName,
    GuardWatch,
    Sighting,
    is_guard_stop,
    replay_guards,
)
from agents.training.report.run_record import read_run
from agents.training.run_folder import STOP_REASONS, check_resumable
from textenv.errors import ConfigError, UnknownNameError

HONEST = json.loads((Path(__file__).parent / "fixtures" / "honest_runs.json").read_text())

Row = dict[str, Any]
Change = Callable[[int], Mapping[str, Any]]


def rows(n: int = 40, change: Change = lambda i: {}) -> list[Row]:
    """An even run of n iterations, changed from iteration to iteration."""
    return [
        {
            "iteration": i,
            "time/episodes": 64 * i,
            "rollout/reward_mean": 0.3,
            "rollout/reward_std": 0.2,
            "rollout/response_tokens": 20.0,
            "rollout/ended_share": 0.9,
            "rollout/empty_share": 0.0,
            "rollout/looping_share": 0.1,
            "rollout/same_text_share": 0.0,
            "rollout/equal_groups": 0.2,
            "kl/ref": 4.0,
            "train/approx_kl": 0.02,
            "train/entropy": 1.0,
            "train/explained_variance": 0.1,
            "train/return_std": 0.2,
            "train/first_ratio": 1.0,
            "train/first_kl": 0.0,
            **change(i),
        }
        for i in range(1, n + 1)
    ]


def seen(changed: list[Row], **settings: Any) -> list[tuple[str, int]]:
    return [(s.guard, s.iteration) for s in replay_guards(changed, GuardSettings(**settings))]


def from_10(**late: Any) -> Change:
    """Changes numbers from iteration 10 on."""
    return lambda i: late if i >= 10 else {}


def look(i: int, every: int = 10, **numbers: tuple[float, float]) -> dict[str, float]:
    """A look: for each name what it measures before and after iteration 20, with +-0.05."""
    if i % every:
        return {}
    found = {}
    for name, (before, after) in numbers.items():
        mean = before if i < 20 else after
        found |= {f"validation/{name}": mean}
        found |= {f"validation/{name}_low": mean - 0.05, f"validation/{name}_high": mean + 0.05}
    return found


CERTAIN = {"train/entropy": 0.0009, "rollout/reward_mean": 0.6}
SOLVED = {"rollout/reward_mean": 1.0, "rollout/reward_std": 0.0}
# Of each guard: what provokes it from iteration 10 on, and when it has seen enough of that.
PROVOKED: list[tuple[str, Change, int]] = [
    ("kl", from_10(**{"kl/ref": 45.0}), 12),
    ("kl", from_10(**{"train/approx_kl": 0.35}), 12),
    ("entropy", from_10(**{"train/entropy": 0.09}), 14),
    ("entropy", from_10(**{"train/entropy": 0.05, "rollout/reward_mean": 0.334}), 14),
    ("entropy", from_10(**CERTAIN, **{"rollout/reward_std": 0.055}), 14),
    ("length", from_10(**{"rollout/response_tokens": 41.0}), 12),
    ("length", lambda i: {"rollout/response_tokens": 6.0 if i < 10 else 15.0}, 12),
    ("length", from_10(**{"rollout/response_tokens": 4.5, "kl/ref": 1.0}), 12),
    (
        "length",
        from_10(**{"rollout/response_tokens": 2, "kl/ref": 1.0, "rollout/reward_mean": 0.9}),
        12,
    ),
    ("length", lambda i: {"rollout/response_tokens": 5.6 if i < 10 else 1.2, "kl/ref": 0.1}, 12),
    ("turns", from_10(**{"rollout/ended_share": 0.0}), 12),
    ("turns", from_10(**{"rollout/ended_share": 0.45}), 14),
    ("turns", lambda i: {"rollout/ended_share": 0.6 if i < 10 else 0.28}, 14),
    ("turns", lambda i: {"rollout/ended_share": 0.045}, 8),
    ("turns", from_10(**{"rollout/empty_share": 0.6}), 12),
    ("critic", lambda i: {"train/explained_variance": -0.6}, CRITIC_AFTER),
    (
        "critic",
        from_10(**{"train/explained_variance": -3.4, "train/return_std": 0.06}),
        CRITIC_AFTER,
    ),
    ("first_ratio", from_10(**{"train/first_ratio": 0.9989}), 11),
    ("first_ratio", from_10(**{"train/first_ratio": 1.0011}), 11),
    ("first_ratio", from_10(**{"train/first_kl": 1.1e-5}), 11),
    ("dead_groups", from_10(**{"rollout/equal_groups": 0.95}), 14),
    ("dead_groups", from_10(**{"rollout/reward_std": 9e-7}), 14),
    ("dead_groups", lambda i: {"rollout/reward_mean": 0.0, "rollout/reward_std": 0.0}, 8),
    ("gold", lambda i: look(i, reward=(0.3, 0.4), gold=(0.5, 0.35)), 20),
    (
        "gold",
        lambda i: {"rollout/reward_mean": 0.3 + 0.02 * i} | look(i, reward=(0.5, 0.35)),
        20,
    ),
    ("repetition", from_10(**{"rollout/looping_share": 0.4}), 12),
    ("repetition", from_10(**{"rollout/same_text_share": 0.3}), 12),
]


@pytest.mark.parametrize(("guard", "change", "iteration"), PROVOKED)
def test_each_guard_warns_once_of_its_provocation_and_no_other_does(guard, change, iteration):
    assert seen(rows(change=change)) == [(guard, iteration)]


def test_every_guard_is_provoked_and_can_be_named():
    assert {guard for guard, *_ in PROVOKED} == set(GUARDS) == set(get_args(GuardName))


@pytest.mark.parametrize(
    "change",
    [
        lambda i: {},
        from_10(**{"kl/ref": 38.0}),
        from_10(**{"train/approx_kl": 0.29}),
        # One bad update is no drift.
        lambda i: {"train/approx_kl": 5.0} if i % 5 == 0 else {},
        from_10(**{"train/entropy": 0.11}),
        from_10(**{"train/entropy": 0.05, "rollout/reward_mean": 0.339}),
        from_10(**CERTAIN, **{"rollout/reward_std": 0.045}),
        from_10(**{**CERTAIN, "train/entropy": 0.0011}),
        # What is certain and right needs no more entropy.
        lambda i: {"train/entropy": 1.0 / i**2, "rollout/reward_mean": min(1.0, 0.3 + 0.1 * i),
                   "rollout/reward_std": 0.2 / i},
        from_10(**{"rollout/response_tokens": 39.0}),
        lambda i: {"rollout/response_tokens": 6.0 if i < 10 else 13.0},
        from_10(**{"rollout/response_tokens": 5.5, "kl/ref": 1.0}),
        lambda i: {"rollout/response_tokens": 4.5 if i < 10 else 1.0, "kl/ref": 0.1},
        from_10(**{"rollout/ended_share": 0.55}),
        lambda i: {"rollout/ended_share": min(1.0, 0.1 * i)},
        lambda i: {"rollout/ended_share": 0.6 if i < 10 else 0.32},
        lambda i: {"rollout/ended_share": 0.06},
        from_10(**{"rollout/empty_share": 0.45}),
        from_10(**{"train/explained_variance": -0.45}),
        # A few bad iterations are no bad critic.
        lambda i: {"train/explained_variance": -0.6 if i % 10 < 6 else 0.1},
        # Returns that hardly vary any more leave little to explain.
        from_10(**{"train/explained_variance": -2.9, "train/return_std": 0.06}),
        from_10(**{"train/explained_variance": -20000.0, "train/return_std": 0.0005}),
        from_10(**{"train/explained_variance": None}),
        from_10(**{"train/first_ratio": 1.0009, "train/first_kl": 9e-6}),
        from_10(**{"rollout/equal_groups": 0.85}),
        from_10(**{"rollout/equal_groups": 0.95, "rollout/reward_mean": 0.99,
                   "rollout/reward_std": 0.1}),
        from_10(**SOLVED),
        from_10(**{"rollout/reward_std": 1.2e-6}),
        # One rollout of equal rewards is chance.
        lambda i: {"rollout/reward_std": 0.0} if i % 5 == 0 else {},
        lambda i: look(i, reward=(0.3, 0.4), gold=(0.5, 0.45)),
        lambda i: look(i, reward=(0.4, 0.4), gold=(0.5, 0.2)),
        lambda i: look(i, reward=(0.5, 0.35)),
        from_10(**{"rollout/looping_share": 0.3, "rollout/same_text_share": 0.2}),
    ],
)  # fmt: skip
def test_below_its_threshold_a_guard_is_silent(change):
    assert seen(rows(change=change)) == []


@pytest.mark.parametrize("name", HONEST)
def test_no_guard_warns_on_an_honest_run(name):
    columns = HONEST[name]["columns"]
    run = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    assert len(run) > 15
    assert replay_guards(run, GuardSettings.of(HONEST[name]["config"])) == []


def test_the_first_ratio_is_judged_by_the_precision():
    noisy = rows(change=from_10(**{"train/first_ratio": 1.019, "train/first_kl": 0.0045}))
    assert seen(noisy, bf16=True) == []
    assert seen(noisy) == [("first_ratio", 11)]
    wrong = rows(change=from_10(**{"train/first_ratio": 1.021}))
    scattered = rows(change=from_10(**{"train/first_kl": 0.0055}))
    for run in (wrong, scattered):
        assert seen(run, bf16=True) == [("first_ratio", 11)]


def test_the_critic_has_time_to_learn():
    bad = rows(60, lambda i: {"train/explained_variance": -3.0})
    assert seen(bad, critic_warmup=15) == [("critic", 35)]


def test_rises_are_judged_by_prompts_and_not_by_episodes():
    # Of 64 episodes a rise of 0.09 is sure, of 8 prompts it may be chance.
    change = from_10(**{"train/entropy": 0.05, "rollout/reward_mean": 0.36})
    assert seen(rows(change=change)) == []
    assert seen(rows(change=change), group_size=8) == [("entropy", 14)]


def test_a_guard_warns_again_only_after_it_has_been_silent():
    def often(i: int) -> Mapping[str, Any]:
        return {"train/first_ratio": 2.0} if i % 4 in (0, 1) or i > 30 + 2 * CALM else {}

    def twice(i: int) -> Mapping[str, Any]:
        return {"train/first_ratio": 2.0} if i in range(5, 9) or i > 9 + CALM else {}

    assert seen(rows(60, often)) == [("first_ratio", 5)]
    assert seen(rows(60, twice)) == [("first_ratio", 6), ("first_ratio", 11 + CALM)]


def test_what_it_says_has_the_numbers_and_the_remedy(caplog):
    watch = GuardWatch()
    with caplog.at_level(logging.WARNING):
        assert all(watch(row) for row in rows(change=from_10(**{"kl/ref": 45.0})))
    assert caplog.messages == [
        "Guard 'kl', iteration 12: the policy is 2.25 nats a token from the reference (45 nats a "
        f"response, the mean of 3 iterations). {GUARDS['kl'].remedy}"
    ]
    for guard in GUARDS.values():
        assert guard.remedy.endswith(".")


def test_the_guards_of_stop_on_end_a_training_and_no_others_do():
    run = rows(change=from_10(**{"kl/ref": 45.0, "rollout/empty_share": 0.7}))
    watch = GuardWatch(["turns", "gold"])
    going_on = [watch(row) for row in run[:12]]
    assert going_on == [True] * 11 + [False]
    assert watch.stopped_by == "turns"
    # Who goes on nevertheless is not stopped by the same sighting.
    assert all(watch(row) for row in run[12:])
    watch = GuardWatch(["gold"])
    assert all(watch(row) for row in run)
    with pytest.raises(UnknownNameError, match="Did you mean 'turns'"):
        GuardWatch(["turn"])


def test_numbers_that_are_not_finite_or_missing_are_no_sighting():
    nan = float("nan")
    for value in (nan, None):
        assert seen(rows(change=lambda i, v=value: dict.fromkeys(rows(1)[0], v))) == []
    assert seen([{} for _ in range(40)]) == []
    assert seen(rows(change=lambda i: {"train/approx_kl": nan if i % 2 else 0.01})) == []


# Real trainings


def test_training_from_other_log_probabilities_is_seen_and_the_right_ones_are_not(make_agent):
    def train(agent: Any) -> list[Sighting]:
        watch, found = GuardWatch(), []
        agent.learn(total_episodes=60, after_iteration=lambda row: not found.extend(watch.see(row)))
        return found

    assert [s for s in train(make_agent(critic_warmup=0)) if s.guard == "first_ratio"] == []
    agent = make_agent(critic_warmup=0)
    compute = agent.compute_targets

    def change_weights_after(batch: Any) -> Any:
        targets = compute(batch)
        with torch.no_grad():
            for parameter in agent.policy.lm.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
        return targets

    agent.compute_targets = change_weights_after
    (found,) = (s for s in train(agent) if s.guard == "first_ratio")
    assert found.iteration == 2


RUN = (
    "n_episodes=4", "n_envs=4", "batch_size=4", "n_epochs=1", "validation_every=2", "save_every=1",
    "validation_examples=2", "eval_examples=2", "env.max_new_tokens=4", "device=cpu", "bf16=false",
    "total_episodes=40", "patience=50",
)  # fmt: skip


def test_a_guard_ends_a_run_with_its_result_and_says_so_everywhere(run, save_model, tmp_path):
    out = tmp_path / "run"
    model = save_model(tokenizer="embedded", spread=0.3)
    words = [*RUN, "stop_on=[dead_groups]", "gold=chrf"]
    done = run("train", "TextQA-v0", "--model", model, "--reward", "{constant: {value: 1}}",
               "--out", out, *words)  # fmt: skip
    assert done.exit_code == 7, done.output
    assert "the guard 'dead_groups' of stop_on warned" in " ".join(done.stdout.split())
    warning = "Guard 'dead_groups', iteration 8: all episodes of the last 5 iterations earned"
    assert warning in " ".join(done.stderr.split())
    result = json.loads((out / "result.json").read_text())
    assert (result["stop_reason"], result["iterations"]) == ("guard:dead_groups", 8)
    assert is_guard_stop(result["stop_reason"])
    told = [w for w in json.loads((out / "about.json").read_text())["warnings"] if "Guard" in w]
    # With four tokens no turn ends, either.
    assert [w.startswith(warning) for w in told] == [False, True]
    assert [w for w in read_run(out).warnings if "Guard" in w] == told
    page = (out / "report.html").read_text()
    assert "Guard &#39;dead_groups&#39;" in page
    assert "the guard &#39;dead_groups&#39; of stop_on warned" in page
    looks = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [row["iteration"] for row in looks if "validation/gold" in row] == [2, 4, 6, 8]
    assert all(row["validation/gold"] != row["validation/reward"] for row in looks[1::2])
    # It may go on, and the warning that ended it does not end it again.
    check_resumable(out, 40)
    done = run("train", "--resume", out, "total_episodes=40")
    assert done.exit_code == 0, done.output
    result = json.loads((out / "result.json").read_text())
    assert (result["stop_reason"], result["iterations"]) == ("budget", 10)


def test_a_run_that_dies_after_its_guard_ends_as_if_it_had_not(save_model, tmp_path, monkeypatch):
    out = tmp_path / "run"
    config = load_config(
        None, [*RUN, "stop_on=dead_groups"], id="TextQA-v0", reward={"constant": {"value": 1}},
        model=save_model(tokenizer="embedded", spread=0.3),
    )  # fmt: skip
    with monkeypatch.context() as patched:
        patched.setattr(agents.training.run, "find_spoilt", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            agents.training.run.train(config, out)
    assert not (out / "result.json").exists()
    result = agents.training.run.train(config, out, resume=True)
    assert (result["stop_reason"], result["iterations"]) == ("guard:dead_groups", 8)


def test_an_old_runs_page_shows_what_guards_would_have_seen(save_model, tmp_path):
    out = tmp_path / "run"
    config = load_config(
        None, [*RUN, "total_episodes=8"], id="TextQA-v0",
        model=save_model(tokenizer="embedded", spread=0.3),
    )  # fmt: skip
    agents.training.run.train(config, out)
    lines = rows(20, from_10(**{"kl/ref": 100.0}))
    (out / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    (out / CHECKSUMS).unlink()
    assert not any("Guard" in warning for warning in read_run(out).warnings)
    about = json.loads((out / "about.json").read_text())
    del about["guarded"]
    (out / "about.json").write_text(json.dumps(about))
    assert [warning[:26] for warning in read_run(out).warnings if "Guard" in warning] == [
        "Guard 'kl', iteration 11: "
    ]


def test_options_name_guards_and_gold_needs_looks():
    assert load_config(None, ["stop_on=kl"], id="TextQA-v0").stop_on == ["kl"]
    with pytest.raises(ConfigError, match="stop_on"):
        load_config(None, ["stop_on=[speed]"], id="TextQA-v0")
    with pytest.raises(ConfigError, match="gold is measured at the looks"):
        load_config(None, ["gold=chrf", "validation_every=0"], id="TextQA-v0")


def test_every_stop_by_a_guard_has_words():
    assert {reason for reason in STOP_REASONS if is_guard_stop(reason)} == {
        f"guard:{name}" for name in GUARDS
    }
