"""The page of a run says what its files say, escapes every text and needs no network."""

from __future__ import annotations

import json
import logging

import pytest

from agents.training.report import reported, write_run_report
from agents.training.report.curves import make_panels
from agents.training.report.run_record import read_run
from agents.training.report.texts import make_extremes, make_progress, make_rollouts
from agents.training.report.verdict import describe_run, find_next_steps, list_numbers
from textenv.benchmark.statistics import estimate_gain
from textenv.errors import ConfigError, DamagedError

ALL = ["verdict", "warnings", "curves", "progress", "answers", "rollouts", "setup", "data"]


def shown(page):
    """Returns the texts that a reader sees."""
    return " ".join(text for path, text in page.texts if not {"script", "style"} & set(path))


def read(folder, read_page):
    return read_page(write_run_report(folder).read_text(encoding="utf-8"))


def test_the_page_begins_with_the_gain_and_its_interval(make_run, read_page):
    page = read(make_run(), read_page)
    low, high = estimate_gain((0.9, 0.8, 0.7, 0.6), (0.1, 0.2, 0.3, 0.2)).ci95
    text = " ".join(shown(page).split())
    assert "Training helped. On 4 examples of the test split" in text
    assert "a mean reward of 0.750. Before training it was 0.200" in text
    assert f"a gain of +0.550, 95 % interval [{low:.3f}, {high:.3f}]" in text.replace("\u2212", "-")
    assert [a["id"] for tag, a in page.elements if tag == "section"] == ALL
    links = [
        a["href"][1:]
        for tag, a in page.elements
        if a.get("href", "").startswith("#") and tag == "a"
    ]
    assert set(links) - {"content"} == set(ALL)
    assert "123 examples" in text
    assert "0123456789abcdef" in text
    assert text.count("Mind the answer.") == 1
    assert "total_episodes: 32" in text


@pytest.mark.parametrize(
    ("after", "verdict", "step"),
    [
        ((0.9, 0.8, 0.7, 0.6), "Training helped.", "textenv evaluate --model RUN`"),
        ((0.0, 0.1, 0.1, 0.1), "Training did harm.", "raise `kl_coef`"),
        ((0.0, 0.4, 0.2, 0.3), "Whether training helped cannot be told.", "eval_examples=16"),
    ],
)
def test_the_interval_decides_what_is_said_and_advised(make_run, after, verdict, step):
    run = read_run(make_run(after=after))
    assert describe_run(run).startswith(verdict)
    steps = find_next_steps(run)
    assert steps[0].startswith("Read the warnings")
    assert any(step in one for one in steps)
    assert any("textenv compare RUN OTHER" in one for one in steps)


def test_a_gain_that_is_still_near_nothing_is_not_called_help(make_run):
    low = {"before": (0.0, 0.0, 0.0, 0.0), "after": (0.03, 0.04, 0.05, 0.04)}
    run = read_run(make_run(**low, result={"reward_scale": {"ideal": 1.0, "empty": 0.0}}))
    assert describe_run(run).startswith(
        "The reward rose, but is still near nothing (0.040, where ideal answers earn 1.000): "
        "read the answers."
    )
    assert "Use the agent" not in " ".join(find_next_steps(run))
    small = read_run(make_run("b", **low, result={"reward_scale": {"ideal": 0.1, "empty": 0.0}}))
    assert describe_run(small).startswith("Training helped.")


def test_a_budget_that_ends_within_an_iteration_is_not_counted_as_overrun(make_run):
    even = read_run(make_run())
    assert ("Episodes", "32", "of 32 episodes") in list_numbers(even)
    odd = read_run(make_run("b", total_episodes=30))
    assert ("Episodes", "32", "of 30 episodes, in whole iterations of 8") in list_numbers(odd)
    (kl,) = [row for row in list_numbers(odd) if row[0] == "KL to the start"]
    assert "how far training moved the model" in kl[2]


def test_a_part_of_the_reward_has_a_caption(make_run):
    drawn = {one.panel.title: one.panel for one in make_panels(read_run(make_run()))}
    assert drawn["facts"].notes[0].startswith("A part of the reward, or a measure")


def test_no_more_examples_are_asked_for_than_the_split_has(make_run):
    flat = {"after": (0.0, 0.4, 0.2, 0.3)}
    steps = " ".join(find_next_steps(read_run(make_run(**flat, eval_examples=256))))
    assert "eval_examples=" not in steps
    assert "The test split has only 4 examples: give more rows" in steps
    assert "Train for longer" in steps
    folder = make_run("b", **flat)
    for there, said in ((4, "has only 4 examples"), (9, "`eval_examples=9`"), (16, "=16`")):
        about = {"data": {"test": {"examples": there, "hash": "0"}}}
        (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")
        assert said in " ".join(find_next_steps(read_run(folder)))


def test_a_run_that_began_at_the_ceiling_is_not_to_be_trained_for_longer(make_run):
    top = {"before": (1.0, 1.0, 1.0, 1.0), "after": (1.0, 1.0, 1.0, 1.0)}
    run = read_run(make_run(**top, result={"reward_scale": {"ideal": 1.0, "empty": 0.0}}))
    assert describe_run(run).startswith("There was nothing left to learn.")
    steps = " ".join(find_next_steps(run))
    assert "Train for longer" not in steps
    assert "Take harder data" in steps


def test_the_best_agent_is_the_one_that_is_spoken_of(make_run):
    run = read_run(make_run(best=(1.0, 1.0, 0.9, 0.9)))
    assert "the best agent (iteration 2) earns a mean reward of 0.950" in describe_run(run)
    steps = " ".join(find_next_steps(run))
    assert "--model RUN/best" in steps
    assert "training went on for too long" in steps
    worse = read_run(make_run("worse", best=(0.9, 0.7, 0.6, 0.6)))
    assert "went on for too long" not in " ".join(find_next_steps(worse))


def test_a_run_whose_looks_still_rise_is_to_be_trained_on(make_run):
    folder = make_run()
    assert "total_episodes=64" not in " ".join(find_next_steps(read_run(folder)))  # two looks
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    rows[0] |= {"validation/reward": 0.1, "validation/reward_low": 0, "validation/reward_high": 1}
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "total_episodes=64" in " ".join(find_next_steps(read_run(folder)))
    rows[2] |= {"validation/reward": 0.9, "validation/reward_low": 0, "validation/reward_high": 1}
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "total_episodes=64" not in " ".join(find_next_steps(read_run(folder)))


def test_a_stopped_run_has_its_page_too(make_run, read_page):
    folder = make_run(parts=("rollouts", "looks", "about", "before"))
    text = " ".join(shown(read(folder, read_page)).split())
    assert "This run has not ended: it has finished 4 iterations, and played 32 of 32" in text
    assert "After iteration 4 its mean reward on validation examples was 0.850" in text
    assert "95 % interval [0.750, 0.950]" in text
    assert "Before training it was 0.200" in text
    assert "No checkpoint was written: textenv train --resume RUN begins it anew" in text
    (folder / "agent.json").write_text("{}")
    text = shown(read(folder, read_page))
    assert "textenv train --resume RUN" in text
    assert "RUN/best" not in text
    (folder / "best").mkdir()
    assert "RUN/best" in shown(read(folder, read_page))


def test_a_run_that_was_extended_and_stopped_has_not_ended(make_run):
    run = read_run(make_run(result={"iterations": 2}))
    assert describe_run(run).startswith("This run has not ended")


def test_a_run_without_the_newer_files_has_a_page(make_run, read_page):
    folder = make_run(parts=("result", "samples", "before"))
    page = read(folder, read_page)
    sections = [a["id"] for tag, a in page.elements if tag == "section"]
    assert sections == [one for one in ALL if one not in ("progress", "rollouts")]
    assert "Mind the answer." in shown(page)  # what result.json tells


def test_no_text_of_models_data_or_configuration_becomes_markup(make_run, read_page, hostile):
    folder = make_run(text=hostile, best=(0.9,) * 4, dataset=f"{hostile}.csv", model=hostile)
    page = read(folder, read_page)
    assert [tag for tag, _ in page.elements if tag in ("img", "iframe", "object", "base")] == []
    scripts = [attributes for tag, attributes in page.elements if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "record"}, {}]
    assert not [name for _, a in page.elements for name in a if name.startswith("on")]
    text = shown(page)
    # 8 answers to 4 examples thrice, 3 looks, 4 rollouts, with prompts and references.
    assert text.count("window.pwned = 2") > 30
    assert "49" not in text.replace(hostile, "")


def test_nothing_is_fetched_and_the_files_are_linked(make_run, read_page):
    folder = make_run()
    page = read(folder, read_page)
    linked = [a["href"] for tag, a in page.elements if tag == "a" and not a["href"].startswith("#")]
    assert all((folder / name).is_file() for name in linked)
    assert "metrics.jsonl" in linked
    assert "rollouts.jsonl" in linked
    assert not [a for _, a in page.elements if "src" in a]
    policy = next(a["content"] for _, a in page.elements if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'")


def test_the_page_carries_its_numbers(make_run, read_page):
    page = read(make_run(), read_page)
    scripts = [text for path, text in page.texts if "script" in path]
    record = json.loads(scripts[0])
    assert record["metrics"]["iteration"] == [1, 2, 3, 4]
    assert record["metrics"]["kl/ref"] == [0.1, 0.2, 0.3, 0.4]
    assert record["metrics"]["validation/reward"] == [None, 0.45, None, 0.85]
    assert record["result"]["kl_ref"] == 0.4


def test_a_run_shows_the_curves_that_it_has(make_run):
    drawn = make_panels(read_run(make_run()))
    assert [one.panel.title for one in drawn] == [
        "Reward", "facts", "KL to the start", "Entropy", "Throughput"
    ]  # fmt: skip
    lines = drawn[0].panel.own.lines
    assert [(line.role, line.label, len(line.dots)) for line in lines] == [
        ("own", "train", 4), ("gold", "look", 2)
    ]  # fmt: skip
    # 8 episodes with a spread of 0.2: 1.96 x 0.2 / sqrt(8) = 0.139.
    assert lines[0].dots[0].title == "iteration 1: 0.200 [0.061, 0.339]"
    assert lines[1].dots[1].title == "iteration 4: 0.850 [0.750, 0.950]"


def test_a_curriculum_has_curves_of_what_was_drawn(make_run):
    folder = make_run(parts=("before",))
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        row |= {"curriculum/by_variance_share": 0.75, "curriculum/variance": 0.1}
        row |= {"curriculum/TextQA-v0/share": 0.25, "curriculum/TextQA-v0/variance": 0.2}
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    drawn = {one.panel.title: one.panel for one in make_panels(read_run(folder))}
    assert list(drawn)[-2:] == ["Prompts of TextQA-v0", "Variance in TextQA-v0"]
    assert {"Prompts drawn by variance", "Variance of what was drawn"} <= drawn.keys()
    assert drawn["Prompts of TextQA-v0"].notes[0].startswith("Share of the prompts")


def test_groups_of_one_prompt_widen_the_interval_of_the_reward(make_run):
    run = read_run(make_run(group_size=4, advantage="grpo"))
    title = make_panels(run)[0].panel.own.lines[0].dots[0].title
    # Two prompts: 1.96 x 0.2 / sqrt(2) = 0.277.
    assert title == "iteration 1: 0.200 [\u22120.077, 0.477]"


def test_a_long_run_is_drawn_as_means_of_neighbours(make_run):
    folder = make_run(parts=("before",))
    row = json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])
    rows = [{**row, "iteration": i, "kl/ref": float(i)} for i in range(1, 481)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    drawn = {one.panel.title: one.panel for one in make_panels(read_run(folder))}
    (line,) = drawn["KL to the start"].own.lines
    assert line.path.count("L") == 119  # 120 means of four
    assert drawn["KL to the start"].notes[-1] == "From 2.500 to 478.5."


def test_a_critic_that_is_far_off_does_not_flatten_its_curve_and_is_said(make_run):
    folder = make_run(parts=("before",))
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for row, value in zip(rows, (0.5, -2600.0, 0.0, 0.75), strict=True):
        row["train/explained_variance"] = value
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    drawn = {one.panel.title: one.panel for one in make_panels(read_run(folder))}
    panel = drawn["Critic: explained variance"]
    assert [tick.label for tick in panel.own.y_ticks] == ["\u22121.0", "\u22120.5", "0.0", "0.5"]
    assert "Drawn from \u22121 up; the lowest is \u22122600." in panel.notes


def test_answers_to_one_prompt_stand_side_by_side_with_new_words_marked(make_run):
    (asked,) = make_progress(read_run(make_run()))
    assert [a.label for a in asked.answers] == ["before training", "iteration 2", "iteration 4"]
    assert [a.change for a in asked.answers] == ["", "1 new word, 1 gone", "the same words"]
    marks = [[p.text for turn in a.said for p in turn.pieces if p.is_new] for a in asked.answers]
    assert marks == [[], ["blue"], []]


def test_the_best_the_worst_and_what_became_worse_are_found(make_run):
    run = read_run(make_run(before=(0.1, 0.2, 0.3, 0.9), after=(0.9, 0.8, 0.7, 0.6)))
    groups = {group.title: [asked.id for asked in group.asked] for group in make_extremes(run)}
    assert groups == {
        "Best answers": ["e0", "e1", "e2", "e3"],
        "Worst answers": ["e3", "e2", "e1", "e0"],
        "What became worse": ["e3"],
    }


def test_a_dialogue_shows_both_sides_and_marks_the_agents_words_alone(make_run):
    folder = make_run()
    rows = [json.loads(line) for line in (folder / "looks.jsonl").read_text().splitlines()]
    turns = [("assistant", "red green"), ("user", "Why green?"), ("assistant", "so it is")]
    rows[1]["turns"] = [{"role": role, "text": text} for role, text in turns]
    (folder / "looks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = make_progress(read_run(folder))[0].answers[1].said
    assert [(s.role, "".join(p.text for p in s.pieces)) for s in said] == turns
    assert [[p.text for p in s.pieces if p.is_new] for s in said] == [[], [], ["so it is"]]


def test_sampled_episodes_of_the_first_and_the_last_iteration_are_shown(make_run):
    groups = make_rollouts(read_run(make_run()))
    assert [name for name, _ in groups] == [f"Iteration {i}" for i in (1, 2, 3, 4)]
    assert groups[3][1][0].reward == "0.400"
    assert groups[3][1][0].prompt == "asked the answer"


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda f: (f / "config.yaml").unlink(), "holds no run: there is no config.yaml"),
        (lambda f: (f / "config.yaml").write_text("ids: [a]"), "a run of textenv sft"),
        (lambda f: (f / "metrics.jsonl").write_text(""), "not finished an iteration"),
        (lambda f: (f / "result.json").write_text("{"), r"result\.json' is damaged"),
        (lambda f: (f / "metrics.jsonl").write_text("{\n{}\n"), "line 1 is not valid JSON"),
    ],
)
def test_a_folder_that_cannot_be_shown_is_named_with_the_reason(make_run, spoil, told):
    folder = make_run()
    spoil(folder)
    with pytest.raises((ConfigError, DamagedError), match=told):
        write_run_report(folder)


def test_a_page_that_cannot_be_written_costs_no_run_its_result(make_run, caplog):
    folder = make_run()
    (folder / "config.yaml").write_text("[")
    with caplog.at_level(logging.WARNING), reported(folder):
        result = 7
    assert result == 7
    assert f"'textenv report {folder}' tries again" in caplog.text
    with pytest.raises(ZeroDivisionError), reported(folder):
        result /= 0


def test_a_run_that_fails_has_its_page_and_one_without_an_iteration_has_none(make_run, tmp_path):
    folder = make_run(parts=("before",))
    with pytest.raises(KeyboardInterrupt), reported(folder):
        raise KeyboardInterrupt
    assert (folder / "report.html").is_file()
    with reported(tmp_path / "nothing"):
        pass
    assert not (tmp_path / "nothing").exists()
