"""The benchmarks of the engine do the work that they say."""

from __future__ import annotations

from pathlib import Path

import gymnasium as gym
import pytest
import torch

import textenv  # noqa: F401 - registers the environments
from benchmarks.floors import decode_floor, learning_floor
from benchmarks.gpu import SMALL, make_config, measure_engine
from benchmarks.shapes import save_rows, save_shape
from textenv.vector import environment_arguments


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpu")
    save_shape("small", folder / "model")
    save_rows(folder / "rows.jsonl", 2 * SMALL.n_prompt)
    return folder


def test_prompts_fill_their_window_exactly(folder: Path) -> None:
    config = make_config(
        SMALL, str(folder / "model"), str(folder / "rows.jsonl"), torch.device("cpu")
    )
    arguments = environment_arguments(config.model, config.dataset, config.reward, config.env)
    env = gym.make_vec(config.id, num_envs=4, **arguments)
    observation, _ = env.reset(seed=0)
    assert (observation["attention_mask"].sum(1) == SMALL.n_prompt).all()
    # Every row of the model's output is a token of the environment.
    assert env.single_action_space.n == 512


def test_the_engine_writes_whole_responses(folder: Path) -> None:
    config = make_config(
        SMALL, str(folder / "model"), str(folder / "rows.jsonl"), torch.device("cpu")
    )
    found = measure_engine(config, iterations=1, warmup=1)
    assert found["tokens_written"] > 0.9 * SMALL.n_new
    parts = found["rollout"] + found["evaluate"] + found["learn"]
    assert parts == pytest.approx(found["iteration"])


def test_floors_run_where_there_is_no_gpu(folder: Path) -> None:
    device = torch.device("cpu")
    decode = decode_floor(str(folder / "model"), device, 2, 8, 4, repeats=1)
    learn = learning_floor(str(folder / "model"), device, (2, 12, 4), repeats=1, compiled=False)
    assert all(seconds > 0 for seconds in (*decode.values(), *learn.values()))
