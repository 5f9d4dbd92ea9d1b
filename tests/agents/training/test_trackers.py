"""What TensorBoard, trackio and Weights & Biases hold after a run, and that none can spoil one."""

from __future__ import annotations

import json
import os
import sqlite3
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import agents.ppo.trackers as trackers
import agents.training.run
from agents import TextPPO
from agents.ppo.trackers import TrackedRun, Tracker
from agents.training.config import load_config
from textenv.errors import ConfigError

ROOT = Path(__file__).parents[3]
WORDS = [
    "n_episodes=8", "n_envs=8", "batch_size=8", "total_episodes=16", "validation_every=1",
    "validation_examples=4", "eval_examples=4", "env.max_new_tokens=8", "device=cpu", "bf16=false",
]  # fmt: skip


def rows_of(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def what_it_learned(run: Path) -> tuple:
    rows = [
        {k: v for k, v in row.items() if not (k.startswith("time/") and k != "time/episodes")}
        for row in rows_of(run)
    ]
    return rows, (run / "model/model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """A run without trackers."""
    out = tmp_path_factory.mktemp("plain") / "run"
    agents.training.run.train(load_config(None, WORDS, id="TextQA-v0"), out)
    return out


@pytest.fixture(scope="module")
def tracked(tmp_path_factory) -> Path:
    """A folder with the same run, `run`, that logs to all three, of a user who has set nothing."""
    folder = tmp_path_factory.mktemp("tracked")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB", "TRACKIO", "HF_"))}
    done = subprocess.run(
        [sys.executable, "-m", "textenv", "train", "TextQA-v0", "--out", "run", *WORDS,
         "log=[tensorboard,trackio,wandb]"],
        cwd=folder,
        env={**kept, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
             "HOME": str(folder), "TRACKIO_DIR": str(folder / "trackio"), "OMP_NUM_THREADS": "1",
             # Whoever tried to reach a network would fail.
             "HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return folder


def logged_keys(run: Path) -> set[str]:
    return {key for row in rows_of(run) for key in row} - {"iteration"}


@pytest.mark.slow
def test_a_run_that_is_tracked_learns_the_same(plain, tracked):
    assert what_it_learned(tracked / "run") == what_it_learned(plain)
    assert (
        json.loads((tracked / "run/about.json").read_text())["warnings"]
        == json.loads((plain / "about.json").read_text())["warnings"]
    )


@pytest.mark.slow
def test_tensorboard_has_every_number_the_configuration_and_texts(tracked):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (folder,) = (tracked / "run/tensorboard").iterdir()
    events = EventAccumulator(str(folder)).Reload()
    assert logged_keys(tracked / "run") <= set(events.Tags()["scalars"])
    for key in ("rollout/reward_mean", "validation/reward", "kl/ref"):
        found = [event.value for event in events.Scalars(key)]
        assert found == pytest.approx([row[key] for row in rows_of(tracked / "run")], rel=1e-6)

    def text(tag: str) -> str:
        first, *_ = events.Tensors(f"{tag}/text_summary")
        return first.tensor_proto.string_val[0].decode()

    assert "| env | {'max_new_tokens': 8} |" in text("config")
    look = json.loads((tracked / "run/looks.jsonl").read_text().splitlines()[-1])
    assert look["prompt"].split("\n")[0] in text("validation/texts")
    assert "| prompt | response | reward |" in text("rollout/texts")


@pytest.mark.slow
def test_trackio_has_every_number_the_configuration_and_texts(tracked):
    (path,) = (tracked / "trackio").glob("*.db")
    assert path.stem == "textenv"
    base = sqlite3.connect(path)
    found = [json.loads(text) for (text,) in base.execute("select metrics from metrics")]
    (config,) = [json.loads(text) for (text,) in base.execute("select config from configs")]
    base.close()
    for key in logged_keys(tracked / "run"):
        told = [row[key] for row in found if key in row]
        expected = [row[key] for row in rows_of(tracked / "run")]
        if None not in expected:
            assert told == pytest.approx(expected), key
    assert (config["id"], config["env"]) == ("TextQA-v0", {"max_new_tokens": 8})
    (table, *_) = [row["validation/texts"] for row in found if "validation/texts" in row]
    assert set(table["_value"][0]) == {"prompt", "response", "reward"}


def read_wandb(path: Path) -> list:
    """Reads the records of a run that Weights & Biases has kept offline, as LevelDB logs them."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, position, records, parts = path.read_bytes(), 7, [], b""
    while position + 7 <= len(data):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        size, kind = struct.unpack("<HB", data[position + 4 : position + 7])
        parts += data[position + 7 : position + 7 + size]
        position += 7 + size
        if kind in (1, 4):  # whole, or the last part
            records.append(Record.FromString(parts))
            parts = b""
    return records


@pytest.mark.slow
def test_wandb_has_every_number_the_configuration_and_texts_and_is_offline(tracked):
    (path,) = (tracked / "run/wandb").glob("offline-run-*/*.wandb")
    records = read_wandb(path)
    rows = []
    for record in records:
        if record.WhichOneof("record_type") == "history":
            rows.append(
                {
                    item.key or "/".join(item.nested_key): json.loads(item.value_json)
                    for item in record.history.item
                }
            )
    for key in logged_keys(tracked / "run"):
        told = [row[key] for row in rows if key in row]
        expected = [row[key] for row in rows_of(tracked / "run")]
        if None not in expected:
            assert told == pytest.approx(expected), key
    configs = [r.run.config for r in records if r.WhichOneof("record_type") == "run"]
    told = {item.key: json.loads(item.value_json) for item in configs[0].update}
    assert (told["id"], told["env"]) == ("TextQA-v0", {"max_new_tokens": 8})
    tables = list((path.parent / "files").rglob("*.table.json"))
    assert len(tables) == 3  # a look an iteration, and the first rollout
    assert json.loads(tables[0].read_text())["columns"] == ["prompt", "response", "reward"]


def test_a_tracker_that_is_not_installed_is_refused_before_anything_is_made(tmp_path, monkeypatch):
    real = trackers.importlib.util.find_spec
    monkeypatch.setattr(
        trackers.importlib.util, "find_spec", lambda name: None if name == "wandb" else real(name)
    )
    words = r"log=\[wandb\] needs one more package: pip install 'textenv\[wandb\]'"
    config = load_config(None, [*WORDS, "log=wandb"], id="TextQA-v0")
    with pytest.raises(ConfigError, match=words):
        agents.training.run.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match=words):
        TextPPO("LMPolicy", "TextQA-v0", log=["wandb"])


class Broken(Tracker):
    """A tracker that writes once, and then finds no network."""

    name = "wandb"

    def __init__(self, run: TrackedRun) -> None:
        super().__init__()
        self.run, self.calls = run, 0

    def _log(self, values, step):
        self.calls += 1
        if self.calls > 1:
            raise ConnectionError("no network")

    def _log_texts(self, name, rows, step):
        self._log({}, step)

    def _close(self):
        raise AssertionError("a tracker that has failed is left alone")


class Unreachable(Broken):
    def __init__(self, run: TrackedRun) -> None:
        raise TimeoutError("no answer")


@pytest.mark.parametrize("broken", [Broken, Unreachable])
def test_a_tracker_that_fails_is_one_warning_and_changes_nothing(
    broken, plain, tmp_path, monkeypatch
):
    made = []
    monkeypatch.setattr(trackers, "WandbTracker", lambda run: made.append(broken(run)) or made[-1])
    monkeypatch.setattr(trackers, "check_trackers", lambda names: None)
    monkeypatch.setattr(agents.training.run, "check_trackers", lambda names: None)
    monkeypatch.setattr("agents.ppo.run_checks.check_trackers", lambda names: None)
    agents.training.run.train(load_config(None, [*WORDS, "log=wandb"], id="TextQA-v0"), tmp_path)
    assert what_it_learned(tmp_path) == what_it_learned(plain)
    told = json.loads((tmp_path / "about.json").read_text())["warnings"]
    assert len([line for line in told if line.startswith("wandb failed (")]) == 1
    if made:
        assert made[0].calls == 2
        assert made[0].run.config["id"] == "TextQA-v0"
        assert made[0].run.name.startswith(f"{tmp_path.name}-")


def test_a_resumed_run_keeps_its_name_in_trackers(tmp_path):
    first = agents.training.run._tracking_name(tmp_path)
    assert agents.training.run._tracking_name(tmp_path) == first


def test_sb3s_argument_is_tensorboard_in_that_folder(tmp_path):
    agent = TextPPO(
        "LMPolicy", "TextQA-v0", n_episodes=4, batch_size=4, n_envs=4, device="cpu",
        policy_kwargs={"bf16": False}, tensorboard_log=str(tmp_path / "log"),
    )  # fmt: skip
    assert agent.log == ["tensorboard"]
    agent.learn(total_episodes=4)
    assert [path.name for path in (tmp_path / "log").iterdir()] == ["TextPPO_1"]
