"""textenv train: what it shows, writes, refuses and goes on from."""

from __future__ import annotations

import json
import re
import signal

from agents.cli.display import print_training_result
from agents.ppo.ppo import TextPPO
from agents.training.config import load_config
from textenv.cli.terminal import make_console


def test_training_shows_its_gain_and_leaves_everything_in_its_folder(run, smoke, model, tmp_path):
    out = tmp_path / "run"
    done = run("train", "TextQA-v0", "--model", model, "--out", out, "--seed", "7", *smoke)
    assert done.exit_code == 0, done.output
    for text in ("Training on TextQA-v0", "facts", "token_f1", "how far training"):
        assert text in done.stdout
    assert done.stdout.count("Sample facts/test/0/") == 3
    assert "4 episodes in" in done.stdout
    result = json.loads((out / "result.json").read_bytes())
    assert result["seed"] == 7
    # A row that would repeat the one above is left out.
    is_cut = result["before_cut_to_first_sentence"] != result["before"]
    assert ("before, cut to first sentence" in done.stdout) == is_cut
    printed = make_console()
    with printed.capture() as shown:
        print_training_result(
            printed, {**result, "before_cut_to_first_sentence": result["before"]}, out
        )
    assert "before, cut to first sentence" not in shown.get()
    assert f"{result['gain']['mean']:+.3f} [" in done.stdout
    assert f"{result['after']['reward']['mean']:.3f} [" in done.stdout
    assert {path.name for path in out.iterdir()} == {
        "about.json",
        "agent.json",
        "agent.safetensors",
        "before.json",
        "checksums.json",
        "config.yaml",
        "metrics.jsonl",
        "model",
        "report.html",
        "result.json",
        "rollouts.jsonl",
        "samples.jsonl",
        "textenv-manifest.json",
    }


def test_a_runs_configuration_repeats_it_and_the_command_line_wins(run, smoke, model, tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    run("train", "TextQA-v0", "--model", model, "--out", first, "--dataset", "facts", *smoke)
    config = ("--config", first / "config.yaml")
    done = run(
        "train", "TextQA-v0", *config, "--out", second, "--reward", "{chrf: 1}", "n_epochs=2"
    )
    assert done.exit_code == 0, done.output
    old, new = load_config(first / "config.yaml"), load_config(second / "config.yaml")
    assert new == old.model_copy(update={"reward": {"chrf": 1}, "n_epochs": 2})


def test_the_folder_is_named_by_the_environment_and_the_time(
    run, smoke, model, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert run("train", "TextQA-v0", "--model", model, *smoke).exit_code == 0
    (folder,) = (tmp_path / "runs").iterdir()
    stem, day, clock = folder.name.rsplit("-", 2)
    assert (stem, len(day), len(clock)) == ("TextQA-v0", 8, 6)


def test_stopped_training_says_what_is_saved_and_exits_with_130(
    run, smoke, model, tmp_path, monkeypatch
):
    update = TextPPO.train

    def interrupted(self):
        signal.raise_signal(signal.SIGINT)
        update(self)

    monkeypatch.setattr(TextPPO, "train", interrupted)
    out = tmp_path / "run"
    done = run("train", "TextQA-v0", "--model", model, "--out", out, *smoke)
    assert done.exit_code == 130
    how = f"textenv train --resume {out} continues from there."
    shown = f"To look at: {out / 'report.html'}."
    kept = f"The agent after iteration 1 is in {out}"
    assert done.stderr.endswith(f"Stopped. {kept}; {how} {shown}\n")
    assert "This run has not ended" in (out / "report.html").read_text(encoding="utf-8")
    assert TextPPO.load(out).n_iterations == 1


def test_interrupted_before_a_checkpoint_it_says_that_nothing_is_saved(
    run, smoke, model, tmp_path, monkeypatch
):
    def interrupt(*arguments, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(TextPPO, "train", interrupt)
    done = run("train", "TextQA-v0", "--model", model, "--out", tmp_path / "run", *smoke)
    assert done.exit_code == 130
    assert "Stopped before the first checkpoint: no agent is saved" in done.stderr
    assert not (tmp_path / "run" / "agent.json").exists()


def test_a_failed_start_says_why_and_leaves_no_folder(run, smoke, model, tmp_path):
    # The reward works on the ideal and on the empty answer, and fails on the model's.
    reward = tmp_path / "picky.py"
    reward.write_text(
        "def picky(episodes):\n"
        "    known = {e.example.references[0] for e in episodes} | {''}\n"
        "    return [float({True: 1}[e.response in known]) for e in episodes]\n"
    )
    out = tmp_path / "run"
    words = ("train", "TextQA-v0", *smoke, "--model", model, "--out", out)
    done = run(*words, "--reward", f"{reward}:picky")
    assert done.exit_code == 2
    told = " ".join(done.stderr.split())
    assert "KeyError: False" in told
    assert "picky.py, line 3, in" in told
    assert not out.exists()
    assert run(*words, "--reward", "token_f1").exit_code == 0


def test_a_training_into_a_file_writes_a_line_an_iteration(run, smoke, model, tmp_path):
    words = ("total_episodes=12", *smoke[1:], "--model", model, "--out", tmp_path / "run")
    done = run("train", "TextQA-v0", *words)
    lines = [line for line in done.stderr.splitlines() if line.startswith("Training")]
    assert len(lines) == 3
    assert re.match(r"Training  4/12  reward \d\.\d+  KL .* tokens/s  \d+ s$", lines[0])
