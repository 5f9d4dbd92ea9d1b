"""Checks the contract of a text environment, for your own tasks and those of the package."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from itertools import islice
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils.env_checker import check_env, data_equivalence

from textenv.datasets import SPLITS
from textenv.episode import TextCore
from textenv.errors import DatasetError, TextEnvError
from textenv.examples import Episode, Example, Turn
from textenv.rewards import compute_rewards
from textenv.rollout import play_text

__all__ = ["ContractError", "check_text_env"]

_TOLERANCE = 1e-9


class ContractError(TextEnvError):
    """An environment breaks what every text environment promises."""


def check_text_env(
    id: str, *, n_examples: int = 20, ceiling: float = 1.0, floor: float = 0.0, **kwargs: Any
) -> None:
    """Checks that an environment keeps every promise that agents rely on.

    - Examples are pure: asking again, in another order, gives the same. Splits share no prompt.
    - The opening ends with the user's turn and fits its window; a task holds no state.
    - The ideal answer, `Task.gold`, fits its budget and earns the ceiling; saying nothing, the
      floor; nothing earns more than the ceiling.
    - Candidates differ, are at most `n_candidates`, and the ideal answer is one of them.
    - Equal conversations are paid the same at token, text and select level, and give the same
      tokens.
    - The vector environment gives the streams of single ones.
    - Gymnasium's own checker passes, at every level, without a warning.

    Args:
        id: A registered environment.
        n_examples: Number of examples of each split to check.
        ceiling: Reward of the ideal answer.
        floor: Reward of saying nothing.
        kwargs: Arguments of the environment, as for `gymnasium.make`.

    Raises:
        ContractError: A promise is broken; the message says which, and by which example.
    """
    shown = {"text_observation": kwargs.pop("text_observation", "messages")}
    core = _core(gym.make(id, **{**kwargs, "action_level": "token"}))
    read = {str(split): _read(core, split, n_examples) for split in SPLITS}
    splits = {split: examples for split, examples in read.items() if examples}
    _check_examples(core, splits)
    for example in (example for examples in splits.values() for example in examples):
        _check_candidates(core, example)
        _check_rewards(core, example, ceiling, floor)
    levels = ["token", "text", *(["select"] if core.task.n_candidates else [])]
    _check_levels(id, kwargs, levels, len(splits[core.split]))
    for level in levels:
        arguments = {**kwargs, "action_level": level, **(shown if level == "text" else {})}
        _check_streams(id, arguments)
        env = gym.make(id, **{"render_mode": "ansi", **arguments})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_env(env.unwrapped, skip_render_check=True)


def _read(core: TextCore, split: str, n: int) -> list[Example]:
    """Returns the first examples of a split, or none if a user's data set lacks it."""
    try:
        dataset = core.dataset(split)
    except DatasetError:
        if split == core.split:
            raise
        return []
    return [dataset[index] for index in range(min(n, len(dataset)))]


def _check_examples(core: TextCore, splits: dict[str, list[Example]]) -> None:
    for split, examples in splits.items():
        for index in reversed(range(len(examples))):
            _require(
                core.dataset(split)[index] == examples[index],
                f"Example {index} of split '{split}' differs when it is read again. A row must be "
                "a pure function of its index.",
            )
    seen: dict[tuple[Turn, ...], str] = {}
    for split, examples in splits.items():
        for example in examples:
            opening = tuple(core.task.opening(example))
            _require(
                bool(opening) and opening[-1].role == "user",
                f"The opening of example '{example.id}' must end with a turn of the user.",
            )
            other = seen.setdefault(opening, split)
            _require(
                other == split,
                f"The prompt of example '{example.id}' is in the splits '{other}' and '{split}'.",
            )


def _check_candidates(core: TextCore, example: Example) -> None:
    if not core.task.n_candidates:
        return

    def speak(example: Example, transcript: tuple[Turn, ...]) -> str:
        offered = core.task.candidates(example, transcript)
        gold = core.task.gold(example, transcript)
        _require(
            all(isinstance(text, str) for text in offered),
            f"The candidates of example '{example.id}' must be texts: {offered}.",
        )
        _require(
            len({*offered}) == len(offered) <= core.task.n_candidates,
            f"The candidates of example '{example.id}' must differ, and be at most "
            f"{core.task.n_candidates}: {offered}.",
        )
        _require(
            gold in offered,
            f"The ideal answer of example '{example.id}', '{gold}', is not among its candidates: "
            f"{offered}.",
        )
        return gold

    play_text(core, example, speak)


def _check_rewards(core: TextCore, example: Example, ceiling: float, floor: float) -> None:
    before = copy.deepcopy(example)
    opening = tuple(core.task.opening(example))
    spoken = (*opening, Turn("assistant", core.task.gold(example, opening)))
    reply = core.task.reply(example, spoken)
    _require(
        reply is None or isinstance(reply, Turn),
        f"The reply to example '{example.id}' must be a Turn, or None, not {reply!r}.",
    )
    ideal = play_text(core, example, core.task.gold)
    _require(
        ideal.stop_reason == "end_of_turn",
        f"The ideal answer of example '{example.id}' does not fit max_new_tokens = "
        f"{core.max_new_tokens}. Raise it.",
    )
    played = {
        "the ideal answer": (ideal, ceiling),
        "no answer": (play_text(core, example, lambda *_: ""), floor),
        "a copy of the prompt": (play_text(core, example, _copy_prompt), None),
    }
    for what, (episode, expected) in played.items():
        found = _score(core, episode)
        if expected is not None:
            _require(
                abs(found - expected) < _TOLERANCE,
                f"For example '{example.id}' {what} earns {found}, not {expected}.",
            )
        _require(
            floor - _TOLERANCE <= found <= ceiling + _TOLERANCE,
            f"For example '{example.id}' {what} earns {found}: outside {floor} .. {ceiling}.",
        )
    again = play_text(core, example, core.task.gold)
    _require(
        again.turns == ideal.turns and example == before,
        f"Example '{example.id}' plays differently the second time: a task must hold no state, "
        "draw no random numbers, and leave its example as it is.",
    )


def _check_levels(id: str, kwargs: dict[str, Any], levels: list[str], n: int) -> None:
    """Plays the ideal conversation at each level and compares what is written and paid."""
    envs = {level: gym.make(id, **{**kwargs, "action_level": level}) for level in levels}
    for index in range(n):
        results = {level: _play_gold(env, index) for level, env in envs.items()}
        for level, result in results.items():
            _require(
                data_equivalence(result, results["token"], exact=True),
                f"Example {index} ends differently at {level} level: {result} instead of "
                f"{results['token']}.",
            )


def _play_gold(env: gym.Env[Any, Any], index: int) -> tuple[Any, ...]:
    core = _core(env)
    env.reset(options={"index": index})
    paid, terminated = 0.0, False
    info: dict[str, Any] = {}
    while not terminated:
        example, transcript = core.example(0), core.transcript(0)
        gold = core.task.gold(example, transcript)
        actions: list[Any] = [gold]
        if core.action_level == "token":
            actions = core.tokenizer.encode_turn(gold, core.max_new_tokens)
        elif core.action_level == "select":
            actions = [core.task.candidates(example, transcript).index(gold)]
        for action in actions:
            _, reward, terminated, _, info = env.step(action)
            paid += float(reward)
    info.pop("candidates", None)
    return paid, info, core.episode(0).input_ids


def _check_streams(id: str, kwargs: dict[str, Any], n_steps: int = 40) -> None:
    """Compares a vector environment with single ones, and both with themselves."""
    vector = list(islice(_vector_stream(id, kwargs), n_steps))
    for what, stream in (
        ("again", _vector_stream(id, kwargs)),
        ("as two single environments", _single_streams(id, kwargs)),
    ):
        for step, (found, expected) in enumerate(zip(stream, vector, strict=False)):
            _require(
                data_equivalence(found, expected, exact=True),
                f"{id} with {kwargs}: step {step} of a vector environment differs from the same "
                f"{what}.",
            )


def _actions(core: TextCore, step: int) -> list[Any]:
    """Returns two slots' actions: some tokens and then the end of the turn, texts, or choices."""
    if core.action_level == "text":
        # What spells the template's marks is text like any other.
        marks = "".join(core.tokenizer.special_texts)
        return [f"Is it {step}?", "" if step % 3 else f"你好 {marks}"]
    if core.action_level == "select":
        return [step % core.task.n_candidates, 0]
    ids = core.tokenizer.encode("What is this?")
    ids.append(core.tokenizer.end_id)
    return [ids[(step + shift) % len(ids)] for shift in (0, 2)]


def _vector_stream(id: str, kwargs: dict[str, Any]) -> Iterator[Any]:
    env = gym.make_vec(id, num_envs=2, **{**kwargs, "autoreset_mode": "same_step"})
    core = _core(env)
    observation, _ = env.reset(seed=3)
    for step in range(1_000_000):
        yield [_slot(observation, slot) for slot in (0, 1)]
        actions: Any = _actions(core, step)
        if core.action_level != "text":
            actions = np.array(actions)
        observation, rewards, terminated, truncated, _ = env.step(actions)
        yield rewards.tolist(), terminated.tolist(), truncated.tolist()


def _single_streams(id: str, kwargs: dict[str, Any]) -> Iterator[Any]:
    envs = [gym.make(id, **kwargs) for _ in (0, 1)]
    observations = [env.reset(seed=3 + slot)[0] for slot, env in enumerate(envs)]
    for step in range(1_000_000):
        yield observations
        actions = _actions(_core(envs[0]), step)
        stepped = [env.step(action) for env, action in zip(envs, actions, strict=True)]
        observations = [
            env.reset()[0] if result[2] or result[3] else result[0]
            for env, result in zip(envs, stepped, strict=True)
        ]
        yield [r[1] for r in stepped], [r[2] for r in stepped], [r[3] for r in stepped]


def _slot(observation: Any, slot: int) -> Any:
    if isinstance(observation, dict):
        return {key: value[slot] for key, value in observation.items()}
    return observation[slot]


def _copy_prompt(example: Example, transcript: tuple[Turn, ...]) -> str:
    return transcript[-1].text


def _score(core: TextCore, episode: Episode) -> float:
    return float(compute_rewards(core.reward, [episode]).total[0])


def _core(env: Any) -> TextCore:
    core = env.unwrapped.core
    assert isinstance(core, TextCore)
    return core


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ContractError(message)
