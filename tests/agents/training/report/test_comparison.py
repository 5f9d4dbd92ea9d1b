"""Runs beside each other: paired differences, what is refused, and the page."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from agents.training.report.comparison import compare_runs
from agents.training.report.comparison_page import (
    describe_caution,
    describe_comparison,
    make_groups,
    render_comparison,
)
from agents.training.report.curves import make_compared_panels
from textenv.benchmark.statistics import estimate_gain, estimate_mean
from textenv.errors import ConfigError

A, B, C = (0.9, 0.8, 0.7, 0.6), (1.0, 0.9, 0.9, 0.7), (0.9, 0.7, 0.8, 0.6)


def rewrite(path, change):
    """Changes every row of a file of JSON lines."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for i, row in enumerate(rows):
        change(i, row)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_each_run_is_compared_with_the_first_on_the_same_examples(make_run):
    folders = [make_run("a", after=A), make_run("b", after=B, seed=1), make_run("c", after=C)]
    found = compare_runs(folders)
    first, better, unclear = found.contestants
    assert [(one.letter, one.name, one.words) for one in found.contestants] == [
        ("A", "a", ""), ("B", "b", "better"), ("C", "c", "cannot tell")
    ]  # fmt: skip
    assert first.difference is None
    assert first.reward == estimate_mean(A)
    assert better.difference == estimate_gain(B, A)
    assert better.difference.mean == pytest.approx(0.125)
    # Paired: the interval is far narrower than that of either mean.
    low, high = better.difference.ci95
    assert high - low < 0.2
    assert unclear.difference == estimate_gain(C, A)
    turned = compare_runs([folders[1], folders[0]])
    assert turned.contestants[1].words == "worse"
    assert found.keys == {"seed": (0, 1, 0)}
    assert found.differs_in_seed_alone


def test_the_best_agents_are_compared_unless_the_last_are_asked_for(make_run):
    folders = [make_run("a", after=A), make_run("b", after=C, best=B)]
    best = compare_runs(folders).contestants[1]
    assert (best.iteration, best.difference) == (2, estimate_gain(B, A))
    last = compare_runs(folders, "last").contestants[1]
    assert (last.iteration, last.difference) == (4, estimate_gain(C, A))


def test_every_metric_that_both_have_is_compared(make_run):
    folders = [make_run("a", after=A), make_run("b", after=B)]
    for folder, scores in zip(folders, (A, B), strict=True):
        name = "own" if folder.name == "b" else "chrf"
        rewrite(
            folder / "samples.jsonl",
            lambda i, row, s=scores, n=name: row["after"].update(
                metrics={"tokens": 10 * s[i], "rouge": s[i], n: 0.5}
            ),
        )
    found = compare_runs(folders)
    assert found.contestants[1].differences["tokens"].mean == pytest.approx(1.25)
    assert set(found.contestants[1].differences) == {"reward", "tokens", "rouge"}
    assert set(found.means) == {"reward", "tokens", "rouge", "chrf"}


def test_runs_measured_on_more_and_on_fewer_examples_are_compared_on_those_they_share(make_run):
    folders = [make_run("a", after=A), make_run("b", after=B[:3], before=(0.1, 0.2, 0.3))]
    found = compare_runs(folders)
    assert len(found.questions) == 3
    assert found.contestants[1].difference == estimate_gain(B[:3], A[:3])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"id": "TextMath-v0"}, "the environment differs: TextQA-v0 in .* and TextMath-v0 in"),
        ({"env": {"max_new_tokens": 8}}, "what 'env' sets .* differs: {} in .*max_new_tokens"),
        ({"result": {"reward": "chrf"}}, "the reward differs: token_f1 in .* and chrf in"),
        ({"eval_split": "validation"}, "the split that they were measured on differs"),
        ({"text": "other"}, "the prompt of example 1 differs"),
        ({"parts": ("before",)}, "has not ended.*textenv train --resume"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_reason(make_run, changes, told):
    first, other = make_run("a"), make_run("b", **changes)
    with pytest.raises(ConfigError, match=told):
        compare_runs([first, other])


def test_another_id_or_reference_of_an_example_is_another_example(make_run):
    for key, value in (("id", "e9"), ("references", ["other"])):
        first, other = make_run(f"a-{key}"), make_run(f"b-{key}")
        rewrite(other / "samples.jsonl", lambda i, row, k=key, v=value: row.update({k: v}))
        with pytest.raises(ConfigError, match=f"the {key} of example 1 differs"):
            compare_runs([first, other])


def test_one_run_and_a_run_named_twice_are_refused(make_run):
    folder = make_run()
    with pytest.raises(ConfigError, match="two runs or more"):
        compare_runs([folder])
    with pytest.raises(ConfigError, match="named twice"):
        compare_runs([folder, folder / ".." / "run"])


def test_the_sentence_tells_each_difference_and_the_caution_what_it_does_not_say(make_run):
    folders = [make_run("a", after=A), make_run("b", after=B, kl_coef=0.5)]
    found = compare_runs(folders)
    said = describe_comparison(found)
    assert said.startswith("On the same 4 examples of the test split, a (A) earns a mean reward of")
    assert "b (B) is better: a difference of +0.125, 95 % interval [" in said
    assert "train each configuration with several seeds" in describe_caution(found)
    seeds = compare_runs([folders[0], make_run("c", after=B, seed=3)])
    assert "the luck of a seed" in describe_caution(seeds)


def test_a_chart_has_a_line_a_run_with_its_letter(make_run):
    found = compare_runs([make_run("a"), make_run("b")])
    runs = [one.run for one in found.contestants]
    panels = {one.panel.title: one.panel.own for one in make_compared_panels(runs, "AB")}
    assert [(line.role, line.label) for line in panels["Reward"].lines] == [
        ("run1", "A"), ("run2", "B")
    ]  # fmt: skip
    assert panels["Reward, looks"].lines[0].dots[0].title == "iteration 2: 0.450 [0.350, 0.550]"


def test_every_answer_is_marked_against_that_of_the_first_run(make_run):
    found = compare_runs([make_run("a", after=A), make_run("b", after=B), make_run("c", after=B)])
    for one, said in zip(found.contestants, ("red cat", "red dog", "blue dog"), strict=True):
        one.answers[0]["response"] = said
    (group,) = make_groups(found)
    (asked,) = [asked for asked in group.asked if asked.id == "e0"]
    marks = [[p.text for turn in a.said for p in turn.pieces if p.is_new] for a in asked.answers]
    assert marks == [[], ["dog"], ["blue dog"]]
    assert [a.label for a in asked.answers] == ["A a", "B b", "C c"]


def test_the_page_has_both_answers_and_escapes_them(make_run, read_page, hostile):
    folders = [
        make_run("a", after=A, text=hostile),
        make_run("b", after=B, text=hostile, kl_coef=0.5),
    ]
    rewrite(
        folders[1] / "samples.jsonl",
        lambda i, row: row["after"].update(response=f"other {hostile}"),
    )
    page = read_page(render_comparison(compare_runs(folders)))
    assert [a["id"] for tag, a in page.elements if tag == "section"] == [
        "verdict", "curves", "differences", "answers", "data"
    ]  # fmt: skip
    assert [tag for tag, _ in page.elements if tag in ("img", "iframe")] == []
    assert len([tag for tag, _ in page.elements if tag == "script"]) == 2
    marks = [text for path, text in page.texts if "mark" in path]
    assert marks == ["other"] * 4
    assert "kl_coef" in "".join(text for path, text in page.texts if "th" in path)


def test_the_command_fits_eighty_columns_and_writes_a_page(run, make_run, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "80")
    folders = [make_run("a" * 30, after=A), make_run("b" * 30, after=B, seed=1)]
    done = run("compare", *folders, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    path_free = [line for line in done.stdout.splitlines() if "report.html" not in line]
    assert max(map(len, path_free)) <= 80
    row = next(line for line in done.stdout.splitlines() if line.startswith("B "))
    assert re.search(r"0\.875 \[.*\] \+0\.125 \[\+0\.\d+, \+0\.\d+\] better", row)
    assert "seed  A 0   B 1" in done.stdout
    assert (tmp_path / "out" / "report.html").is_file()
    again = run("compare", *folders, "--out", tmp_path / "out")
    assert again.exit_code == 2
    assert "not empty" in again.stderr


def test_the_command_gives_json_and_refuses_in_words(run, make_run):
    first, second = make_run("a", after=A), make_run("b", after=B)
    found = json.loads(run("compare", first, second, "--json").stdout)
    assert found["runs"][1]["difference"]["reward"]["mean"] == pytest.approx(0.125)
    assert found["examples"] == 4
    config = yaml.safe_load((second / "config.yaml").read_text())
    (second / "config.yaml").write_text(yaml.safe_dump({**config, "id": "TextMath-v0"}))
    refused = run("compare", first, second)
    assert refused.exit_code == 2
    assert "the environment differs: TextQA-v0" in " ".join(refused.stderr.split())


def test_the_command_renders_the_report_of_a_run_again(run, make_run, tmp_path):
    folder = make_run()
    done = run("report", folder)
    assert done.stdout.strip() == str(folder / "report.html")
    done = run("report", folder, "--out", tmp_path / "page.html")
    assert "metrics.jsonl</a>" not in (tmp_path / "page.html").read_text()
    assert "metrics.jsonl</a>" in (folder / "report.html").read_text()
    assert run("report", tmp_path).exit_code == 2
