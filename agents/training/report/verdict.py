"""What a run has come to, in sentences that need no knowledge of PPO, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.training.about import find_failure
from agents.training.report.run_record import RunRecord, describe_episodes, to_estimate
from agents.training.run_folder import STOP_REASONS
from textenv.benchmark.statistics import Estimate
from textenv.preflight import RewardScale
from textenv.report.numbers import format_duration, format_interval, format_number

_DECIMALS = 3
_KL = "nats a response: how far training moved the model, a sampled estimate"


def describe_run(run: RunRecord) -> str:
    """Returns the gain with its interval; of a run that has not ended, how far it has come."""
    return _describe_gain(run) if run.is_finished else _describe_progress(run)


def find_next_steps(run: RunRecord) -> list[str]:
    """Returns what to do next, a sentence each; commands stand in backticks.

    RUN stands for the run's folder.
    """
    steps = _steps_of_gain(run) if run.is_finished else _steps_of_progress(run)
    if run.warnings:
        steps.insert(0, "Read the warnings below: each says what to do about it.")
    return steps


def list_numbers(run: RunRecord) -> list[tuple[str, str, str]]:
    """Returns the run's main numbers: the name of each, its value and its interval or a remark."""
    result = run.result
    found: list[tuple[str, str, str]] = []
    if run.start is not None:
        found.append(("Before training", *_number(run.start)))
    if result:
        found.append((f"Last agent (iteration {result['iterations']})", *_reward(result["after"])))
        if run.is_best_apart:
            best = result["best"]
            found.append((f"Best agent (iteration {best['iteration']})", *_reward(best["after"])))
            found.append(("Gain of the best", *_number(to_estimate(best["gain"]), signed=True)))
        found.append(("Gain of the last", *_number(to_estimate(result["gain"]), signed=True)))
        if run.is_best_apart:
            over = to_estimate(result["best"]["gain_over_last"])
            found.append(("Best over last", *_number(over, signed=True)))
        ended = [result[s]["metrics"]["ended_by_agent"]["mean"] for s in ("before", "after")]
        found.append(("Turns that the agent ends", f"{ended[1]:.0%}", f"{ended[0]:.0%} before"))
        found.append(("KL to the start", format_number(result["kl_ref"]), _KL))
    last = run.metrics[-1]
    done, _, of = describe_episodes(run.config, last["time/episodes"]).partition(" ")
    found.append(("Episodes", done, of))
    if result:
        spent = format_duration(result["train_wall_s"])
        found.append(("Training", spent, STOP_REASONS[result["stop_reason"]]))
    return found


def _describe_gain(run: RunRecord) -> str:
    result = run.result
    stage, gain = find_headline(result)
    is_best = run.is_best_apart
    n, split = result["before"]["examples"], run.config.get("eval_split", "test")
    was, now = (_mean(one["reward"]) for one in (result["before"], stage))
    who = f"the best agent (iteration {result['best']['iteration']})" if is_best else "the model"
    low, high = gain.ci95
    numbers = f"{_signed(gain)}, 95 % interval {format_interval(gain, _DECIMALS)}"
    earned = (
        f"On {n} examples of the {split} split, which it was not trained on, {who} earns a mean "
        f"reward of {now}. Before training it was {was}: a gain of {numbers}."
    )
    if low > 0 and _is_near_nothing(run):
        ideal = _mean(_scale(run).ideal)
        return (
            f"The reward rose, but is still near nothing ({now}, where ideal answers earn "
            f"{ideal}): read the answers. {earned}"
        )
    if low > 0:
        return f"Training helped. {earned}"
    if high < 0:
        return f"Training did harm. {earned}"
    if _is_at_ceiling(run):
        return f"There was nothing left to learn. {earned}"
    return f"Whether training helped cannot be told. {earned} The interval holds 0."


def _scale(run: RunRecord) -> RewardScale:
    """Returns what the reward pays for ideal and empty answers; of a run without it, no scale."""
    return RewardScale(**run.result.get("reward_scale", {"ideal": 0.0, "empty": 0.0}))


def _is_near_nothing(run: RunRecord) -> bool:
    return _scale(run).is_near_nothing(find_headline(run.result)[0]["reward"]["mean"])


def _is_at_ceiling(run: RunRecord) -> bool:
    """Returns whether answers earned what ideal ones do, before training and after it."""
    stages = (run.result["before"], find_headline(run.result)[0])
    return all(_scale(run).is_ideal(stage["reward"]["mean"]) for stage in stages)


def _describe_progress(run: RunRecord) -> str:
    last = run.metrics[-1]
    played = describe_episodes(run.config, last["time/episodes"])
    failure = find_failure(run.about)
    said = (
        f"This run {f'has failed ({failure})' if failure else 'has not ended'}: "
        f"it has finished {run.iterations} iteration{'s' * (run.iterations != 1)}, "
        f"and played {played}."
    )
    looks = [row for row in run.metrics if row.get("validation/reward") is not None]
    if looks:
        latest = looks[-1]
        reward = Estimate(
            latest["validation/reward"],
            (latest["validation/reward_low"], latest["validation/reward_high"]),
        )
        said += (
            f" After iteration {latest['iteration']:.0f} its mean reward on validation examples "
            f"was {_mean(reward)}, 95 % interval {format_interval(reward, _DECIMALS)}."
        )
    else:
        said += (
            f" Its sampled episodes last earned {_mean(last['rollout/reward_mean'])} on average."
        )
    if run.start is not None:
        split = run.config.get("eval_split", "test")
        said += (
            f" Before training it was {_mean(run.start)} "
            f"{format_interval(run.start, _DECIMALS)} on the {split} split."
        )
    return said


def _steps_of_gain(run: RunRecord) -> list[str]:
    result = run.result
    _, gain = find_headline(result)
    low, high = gain.ci95
    n, total = result["before"]["examples"], result["total_episodes"]
    agent = "RUN/best" if run.is_best_apart else "RUN"
    steps = []
    if low > 0 and _is_near_nothing(run):
        steps.append(
            "Read the answers below: they earn hardly more than empty ones. Begin from a model "
            "that can do more of the task: a larger one, or one that `textenv sft` taught it."
        )
    elif low > 0:
        steps.append(
            f"Use the agent: `textenv evaluate --model {agent}` measures it elsewhere, and "
            f"`{agent}/model` loads in transformers."
        )
        steps.append(
            "Read the best and the worst answers below before you trust the gain: a reward can be "
            "earned for show. `textenv rewards audit` says how."
        )
    if run.is_best_apart and result["best"]["gain_over_last"]["ci95"][0] > 0:
        steps.append(
            "The last agent is worse than the best: training went on for too long. Lower "
            "`learning_rate` or raise `kl_coef` in the next run."
        )
    if low > 0 and result["stop_reason"] in ("budget", "max_seconds") and _still_rises(run):
        steps.append(
            "Validation reward was at its highest in the last look. Train on: "
            f"`textenv train --resume RUN total_episodes={2 * total}`."
        )
    if low <= 0 <= high and _is_at_ceiling(run):
        steps.append(
            "Answers earned what ideal ones do, before training and after it. Take harder data, "
            "another reward, or a start that was taught less."
        )
    elif low <= 0 <= high:
        steps.append(
            f"Train for longer: `textenv train --resume RUN total_episodes={4 * total}`. "
            f"{_measure_more(run, n)}"
        )
        steps.append(
            "Look at the curve of the reward: if it is flat, most answers to a prompt earn the "
            "same. `textenv rewards audit` tells whether a policy can learn from this reward."
        )
    if high < 0:
        steps.append(
            "Look at where the curve of the KL climbs. Lower `learning_rate` or raise `kl_coef`, "
            "and look for what the worst answers have in common."
        )
    steps.append(
        "One run is one draw of luck: train again with another `--seed`, and "
        "`textenv compare RUN OTHER` tells how far the two differ."
    )
    return steps


def _measure_more(run: RunRecord, n: int) -> str:
    """Says how to narrow the interval: no more examples can be asked for than the split has."""
    split = run.config.get("eval_split", "test")
    there = run.data.get(split, {}).get("examples")
    if there is None and n < run.config.get("eval_examples", n):
        there = n
    if there is not None and there <= n:
        return f"The {split} split has only {n} examples: give more rows to narrow the interval."
    if there is not None and there < 4 * n:
        return (
            f"In the next run measure on all examples of the {split} split: "
            f"`eval_examples={there}`."
        )
    return (
        f"In the next run measure on more examples: `eval_examples={4 * n}` makes the interval "
        "half as wide."
    )


def _steps_of_progress(run: RunRecord) -> list[str]:
    if run.has_checkpoint:
        return [
            "Go on where it stopped: `textenv train --resume RUN`. The gain on held-out examples "
            "is measured when the run ends.",
            "Or use the agent of the last checkpoint as it is: `textenv evaluate --model RUN`"
            + (", or the best one so far: `--model RUN/best`." if run.has_best else "."),
        ]
    return [
        "No checkpoint was written: `textenv train --resume RUN` begins it anew. `save_every` sets "
        "how often one is written."
    ]


def _still_rises(run: RunRecord) -> bool:
    """Returns whether the last of three looks or more is the highest."""
    looks = [row for row in run.metrics if row.get("validation/reward") is not None]
    if len(looks) < 3:
        return False
    *others, last = looks
    return bool(last["validation/reward"] > max(row["validation/reward"] for row in others))


def find_headline(result: Mapping[str, Any]) -> tuple[Mapping[str, Any], Estimate]:
    """Returns the agent that one would use, the best if there is one, and its gain."""
    best = result.get("best")
    if best is not None:
        return best["after"], to_estimate(best["gain"])
    return result["after"], to_estimate(result["gain"])


def _reward(summary: Mapping[str, Any]) -> tuple[str, str]:
    return _number(to_estimate(summary["reward"]))


def _number(estimate: Estimate, signed: bool = False) -> tuple[str, str]:
    text = format_number(estimate.mean, _DECIMALS, signed)
    return text, format_interval(estimate, _DECIMALS)


def _mean(value: Any) -> str:
    mean = value.mean if isinstance(value, Estimate) else value
    return format_number(mean["mean"] if isinstance(mean, Mapping) else mean, _DECIMALS)


def _signed(estimate: Estimate) -> str:
    return format_number(estimate.mean, _DECIMALS, signed=True)
