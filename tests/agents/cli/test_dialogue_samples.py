"""A dialogue is shown whole: what the agent said, and what it was told."""

from __future__ import annotations

from rich.console import Console

from agents.cli.display import print_answers, print_training_result
from agents.training.evaluation import question
from agents.training.held_out import evaluate_speaker
from textenv.vector import make_core


def test_every_turn_of_a_dialogue_is_a_line(capsys) -> None:
    core = make_core("TextDialogueEasy-v0", 2)
    evaluation = evaluate_speaker(core.task.gold, core, "test", 1)
    episode = evaluation.episodes[0]
    asked, told, booked = episode.turns[-3:]
    print_answers(Console(width=200), [question(core, episode.example) | evaluation.answer(0)])
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    at = next(i for i, line in enumerate(lines) if line.startswith("answer"))
    assert lines[at].split(maxsplit=1)[1].startswith(asked.text)
    assert lines[at].endswith("1.000")
    assert lines[at + 1 : at + 3] == [f"- {told.text}", booked.text]


def test_one_text_is_shown_as_it_is(capsys) -> None:
    core = make_core("TextQA-v0", 2)
    evaluation = evaluate_speaker(core.task.gold, core, "test", 1)
    assert "turns" not in evaluation.answer(0)
    row = question(core, evaluation.episodes[0].example) | evaluation.answer(0)
    print_answers(Console(width=200), [row])
    assert evaluation.episodes[0].response in capsys.readouterr().out


def test_the_share_of_right_facts_is_told_where_there_is_one(capsys, tmp_path) -> None:
    (tmp_path / "samples.jsonl").write_text("", encoding="utf-8")

    def summary(**means: float) -> dict:
        metrics = {"response_tokens": 9.0, "ended_by_agent": 1.0, **means}
        return {
            "examples": 4,
            "reward": {"mean": 0.5, "ci95": (0.4, 0.6)},
            "metrics": {name: {"mean": mean} for name, mean in metrics.items()},
        }

    result = {
        "gain": {"mean": 0.1, "ci95": (0.0, 0.2)},
        **{"kl_ref": 1.0, "episodes": 8, "train_wall_s": 1.0, "wall_s": 2.0},
        "stop_reason": "budget",
        **{"best": None, "iterations": 1},
    }
    for after, shown in ((summary(facts=0.9), True), (summary(), False)):
        stages = ("before", "before_cut_to_first_sentence")
        before = dict.fromkeys(stages, summary(facts=0.25))
        print_training_result(Console(width=200), {**result, **before, "after": after}, tmp_path)
        out = capsys.readouterr().out
        assert ("25% right before, 90% after" in out) == shown
