"""The report says what its record says, escapes every text and needs no network."""

from __future__ import annotations

import base64
import csv
import dataclasses
import hashlib
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from textenv.benchmark.report import render_report, write_report
from textenv.benchmark.report.heat_table import compute_tint, make_matrix
from textenv.benchmark.report.panels import make_best_of_n_panels, make_curve_panels
from textenv.benchmark.report.samples import make_samples
from textenv.benchmark.results import (
    Audit,
    Bench,
    BestOfN,
    Curve,
    Fit,
    Metric,
    Point,
    Sample,
    SampleText,
    load_record,
    save_record,
)
from textenv.benchmark.statistics import Estimate
from textenv.cli import main
from textenv.errors import ConfigError
from textenv.report.charts import BOTTOM, HEIGHT
from textenv.report.emphasis import breakable, emphasise
from textenv.report.intervals import make_axis, round_ticks
from textenv.report.numbers import count_decimals, format_duration, format_number, format_p
from textenv.safe_text import without_lone_surrogates


@pytest.fixture(scope="module")
def folder(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_report(bench, folder)
    return folder


@pytest.fixture(scope="module")
def html(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html: str, read_page: Any) -> Any:
    return read_page(html)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def estimate(mean: float, half: float = 0.1) -> Estimate:
    return Estimate(mean, (mean - half, mean + half))


def test_the_data_lies_beside_the_page_as_json_and_csv(folder: Path, bench: Bench) -> None:
    assert load_record(Bench, folder / "bench.json") == without_lone_surrogates(bench)
    assert {path.name for path in folder.iterdir()} == {
        *("report.html", "bench.json", "designs.csv", "matrix.csv", "curves.csv"),
        *("comparisons.csv", "runs.csv", "samples.csv", "probes.csv", "best_of_n.csv"),
    }
    cells = rows_of(folder / "matrix.csv")
    assert len(cells) == 7 * 8
    gain = bench.matrix["keyword_coverage"]["chrf"].gain
    found = next(c for c in cells if (c["design"], c["metric"]) == ("keyword_coverage", "chrf"))
    assert [float(found[f"gain_sd{end}"]) for end in ("", "_low", "_high")] == [
        gain.mean,
        *gain.ci95,
    ]
    assert found["metric_kind"] == "gold"
    peaks = [row for row in rows_of(folder / "curves.csv") if row["is_peak"] == "True"]
    assert len(peaks) == len(bench.curves)
    own = {row["design"]: row["own_gain"] for row in rows_of(folder / "designs.csv")}
    assert (own["rougeL"], own["untrained"]) == ("1.32", "")


def test_a_text_is_the_same_in_csv(folder: Path, bench: Bench) -> None:
    texts = {row["text"] for row in rows_of(folder / "samples.csv")}
    assert without_lone_surrogates(bench.samples[2].responses[1].text) in texts


def test_no_text_of_a_policy_becomes_markup(page: Any, bench: Bench) -> None:
    assert [tag for tag, _ in page.elements if tag in ("img", "iframe", "object", "base")] == []
    scripts = [attributes for tag, attributes in page.elements if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "record"}, {}]
    assert not [name for _, a in page.elements for name in a if name.startswith("on")]
    shown = [text for path, text in page.texts if "script" not in path]
    hostile = without_lone_surrogates(bench.samples[2].prompt)
    assert shown.count(hostile) == 6  # a prompt, three responses, two probes
    assert not any("49" in text for text in shown if "<img" in text)


def test_hostile_names_are_escaped_too(bench: Bench, read_page: Any) -> None:
    name = "\"><script>alert(1)</script>&'"
    first = dataclasses.replace(bench.designs[0], name=name, words=name)
    hostile = dataclasses.replace(
        bench,
        title=name,
        verdict=f"{name} wins",
        designs=(first, *bench.designs[1:]),
        metrics=(Metric(name, "gold", 0.1, 0.2), *bench.metrics),
        matrix={name: {name: bench.matrix["rougeL"]["chrf"]}},
        curves=tuple(dataclasses.replace(curve, design=name) for curve in bench.curves[:2]),
        versions={name: name},
    )
    page = read_page(render_report(hostile))
    assert [tag for tag, _ in page.elements].count("script") == 2
    assert name in {a["value"] for _, a in page.elements if a.get("name") == "design"}


def test_the_page_carries_its_data(html: str, bench: Bench, folder: Path) -> None:
    inside = re.search(r'<script type="application/json" id="record">(.*?)</script>', html, re.S)
    assert inside is not None
    assert "\u2028" not in inside[1]
    assert "<" not in inside[1]
    saved = json.loads((folder / "bench.json").read_text(encoding="utf-8"))
    assert json.loads(inside[1]) == {"Bench": [saved]}


def test_nothing_is_fetched_and_only_our_script_may_run(html: str, page: Any) -> None:
    linked = [a.get("src", a.get("href", "")) for _, a in page.elements]
    elsewhere = [link for link in linked if link and not link.startswith(("#", "data:,"))]
    assert all(re.fullmatch(r"\w+\.(csv|json)", link) for link in elsewhere)
    style = re.search(r"<style>(.*?)</style>", html, re.S)
    assert style is not None
    assert not re.search(r"url\(|@import|@font-face", style[1])
    policy = next(
        a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'")
    script = re.findall(r"<script>(.*?)</script>", html, re.S)[-1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy


def test_the_verdict_comes_first_and_every_link_leads_somewhere(page: Any) -> None:
    sections = [a["id"] for tag, a in page.elements if tag == "section"]
    assert sections == [
        *("verdict", "designs", "matrix", "curves", "hacking", "comparisons", "audits"),
        *("best-of-n", "samples", "runs", "setup", "data"),
    ]
    links = [a["href"][1:] for _, a in page.elements if a.get("href", "").startswith("#")]
    assert set(links) <= set(page.ids())
    assert len(page.ids()) == len(set(page.ids()))


def test_a_failed_run_is_shown_with_its_error(page: Any) -> None:
    text = " ".join(" ".join(text for _, text in page.texts).split())
    assert "33 of 35 runs have a result" in text
    assert "RewardError: reward 'bertscore' returned nan for 2 of 16 episodes." in text


@pytest.mark.parametrize(
    ("kind", "sections"),
    [("audit", ["verdict", "data"]), ("best_of_n", ["best-of-n", "data"])],
)
def test_an_audit_or_a_best_of_n_alone_has_only_its_sections(
    kind: str, sections: list[str], request: pytest.FixtureRequest, tmp_path: Path, read_page: Any
) -> None:
    record: Audit | BestOfN = request.getfixturevalue(kind)
    page = read_page(write_report(record, tmp_path / "new").read_text(encoding="utf-8"))
    assert [a["id"] for tag, a in page.elements if tag == "section"] == sections
    links = [a["href"][1:] for _, a in page.elements if a.get("href", "").startswith("#")]
    assert set(links) <= set(page.ids())
    assert (tmp_path / "new" / f"{kind}.json").exists()


def test_a_bench_with_nothing_but_designs_has_a_page(bench: Bench, read_page: Any) -> None:
    bare = dataclasses.replace(
        bench,
        matrix={},
        curves=(),
        matched_kl=None,
        comparisons=(),
        runs=(),
        samples=(),
        audits=(),
        best_of_n=(),
        config={},
        versions={},
    )
    sections = [a["id"] for tag, a in read_page(render_report(bare)).elements if tag == "section"]
    assert sections == ["verdict", "designs", "matrix", "hacking", "runs", "setup", "data"]
    unmatched = dataclasses.replace(bench, matched_kl=None)
    assert "No distance was reached by all designs" in render_report(unmatched)
    only_controls = dataclasses.replace(bare, designs=bench.designs[5:])
    read_page(render_report(only_controls))


def test_the_matrix_outlines_what_was_trained_on_and_puts_gold_last(bench: Bench) -> None:
    matrix = make_matrix(bench)
    assert [metric.kind for metric in matrix.metrics] == ["design"] * 5 + ["gold"] * 3
    own = [[cell.own for cell in row].index(True) for row in matrix.rows[:5]]
    assert own == [0, 1, 2, 3, 4]
    assert sum(cell.own for row in matrix.rows for cell in row) == 5
    hacked = matrix.rows[2]
    assert (hacked[2].falls, hacked[5].falls, hacked[5].gold) == (False, True, True)
    # The mean of the gold metrics is since the start, too: where the curve of gold ends.
    assert bench.designs[2].gold_gain.mean == -0.62
    end = next(
        c for c in bench.curves if (c.design, c.metric) == (bench.designs[2].name, "gold")
    ).points[-1]
    assert hacked[8].shown[0].text == "−0.60"
    assert end.gain.mean == pytest.approx(-0.60, abs=0.005)
    assert hacked[8].shown[0].interval == "[−0.86, −0.34]"
    assert hacked[8].sure
    unsure = dataclasses.replace(end, gain=Estimate(0.03, (-0.18, 0.24)))
    flat = [dataclasses.replace(c, points=(*c.points[:-1], unsure)) for c in bench.curves]
    assert not make_matrix(dataclasses.replace(bench, curves=tuple(flat))).rows[2][8].sure


def test_the_untrained_policy_has_gained_nothing_by_definition(bench: Bench) -> None:
    without = {name: row for name, row in bench.matrix.items() if name != "untrained"}
    start = make_matrix(dataclasses.replace(bench, matrix=without)).rows[-1]
    assert {cell.shown[0].text for cell in start} == {"0.00"}  # the mean of gold among them
    assert {cell.shown[2].text for cell in start[:-1]} == {"0.310"}  # what all metrics start from
    assert {shown.interval for cell in start for shown in cell.shown} == {""}


def test_colour_follows_the_square_root_of_a_gain() -> None:
    assert [compute_tint(gain, 4.0) for gain in (0.0, 1.0, -1.0, 4.0)] == [0, 50, 50, 100]


def test_curves_are_drawn_against_the_root_of_the_kl(bench: Bench) -> None:
    points = tuple(Point(kl, estimate(gain)) for kl, gain in ((0, 0), (1, 2), (4, 1), (9, 0.5)))
    curve = Curve("rougeL", "gold", points, 1, Fit(2.0, 0.0, None, 1.0))
    rising = Curve("rougeL", "rougeL", points[:2], 1, None)
    drawn = dataclasses.replace(bench, curves=(rising, curve), matched_kl=4.0)
    (panel,) = make_curve_panels(drawn)
    assert panel.same == panel.own  # of one panel alone
    own, gold = panel.own.lines
    assert (own.role, gold.role) == ("own", "gold")
    x = [dot.x for dot in gold.dots]
    third = (x[3] - x[0]) / 3  # sqrt(9) is three times sqrt(1)
    assert x == pytest.approx([x[0], x[0] + third, x[0] + 2 * third, x[3]], abs=0.11)
    assert panel.own.matched_x == x[2]
    assert panel.mark == "drifts"
    assert [tick.label for tick in panel.own.x_ticks] == ["0", "1", "4", "9"]
    # The gains 2, 1 and 0 are evenly spaced, highest on top.
    y = [dot.y for dot in gold.dots]
    assert y[0] - y[2] == pytest.approx(y[2] - y[1], abs=0.11)
    # R = 2 d passes (1, 2), which was measured; what lies above the panel is left out.
    fit = [tuple(map(float, place.split(","))) for place in gold.fit[1:].split("L")]
    assert min(math.dist(place, (x[1], y[1])) for place in fit) < 3
    assert gold.peak == gold.dots[1]
    assert own.peak is None  # its highest point is its last: it has not turned
    assert abs(own.label_y - gold.label_y) >= 12


def test_a_hacked_design_squashes_the_others_only_on_the_same_scales(bench: Bench) -> None:
    hacked = Curve(
        "keyword_coverage", "gold", (Point(0, estimate(0)), Point(144, estimate(6))), 1, None
    )
    honest = Curve("rougeL", "gold", (Point(0, estimate(0)), Point(9, estimate(0.6))), 1, None)
    drawn = dataclasses.replace(bench, curves=(hacked, honest), matched_kl=None)
    _, panel = make_curve_panels(drawn)
    assert panel.same is not None
    (own,), (same,) = panel.own.lines, panel.same.lines
    walked = [line.dots[1].x - line.dots[0].x for line in (own, same)]
    risen = [line.dots[0].y - line.dots[1].y for line in (own, same)]
    assert walked[0] == pytest.approx(4 * walked[1], abs=0.5)  # sqrt(144) is four times sqrt(9)
    assert risen[0] > 5 * risen[1] > 0
    # Labels keep clear of every point and of the ring around a peak, whose radius is 7.5.
    for line in (own, same):
        assert line.label_x > max(dot.x for dot in line.dots) + 8


def test_labels_stay_apart_within_the_panel(bench: Bench) -> None:
    falls = (Point(0, estimate(0)), Point(1, estimate(-3)))
    curves = tuple(Curve("rougeL", metric, falls, 0, None) for metric in ("rougeL", "gold"))
    (panel,) = make_curve_panels(dataclasses.replace(bench, curves=curves, matched_kl=None))
    own, gold = panel.own.lines
    assert gold.label_y - own.label_y >= 12
    assert gold.label_y < HEIGHT - BOTTOM


def test_where_training_steps_back_intervals_stand_alone(bench: Bench) -> None:
    points = [Point(kl, estimate(gain)) for kl, gain in ((0, 0), (4, 1), (1, 2))]
    for kept, banded in ((points[:2], True), (points, False)):
        curve = Curve("rougeL", "gold", tuple(kept), 1, None)
        (panel,) = make_curve_panels(dataclasses.replace(bench, curves=(curve,), matched_kl=None))
        (line,) = panel.own.lines
        assert (line.band != "", line.whiskers != "") == (banded, not banded)
    assert line.whiskers.count("M") == 3


def test_a_fit_that_explains_little_is_not_drawn(bench: Bench) -> None:
    points = (Point(0, estimate(0)), Point(1, estimate(1)))
    curve = Curve("rougeL", "gold", points, 1, Fit(1.0, 0.1, 5.0, 0.1))
    (panel,) = make_curve_panels(dataclasses.replace(bench, curves=(curve,)))
    assert panel.own.lines[0].fit == ""
    assert panel.notes == ("Gold ends at +1.00\u00a0sd; no fit explains it (R²\u00a0=\u00a00.10).",)


def test_best_of_n_has_a_panel_for_each_metric_the_proxys_first(best_of_n: BestOfN) -> None:
    panels = make_best_of_n_panels(best_of_n)
    assert [panel.title for panel in panels] == [
        "keyword_coverage, which picks",
        "chrf",
        "nli_faithful",
    ]
    assert "highest at the best of 4: 0.445" in panels[1].notes[0]
    assert [tick.label for tick in panels[0].own.x_ticks] == ["1", "2", "4", "8", "16", "32", "64"]


def test_axes_hold_zero_and_every_interval() -> None:
    axis = make_axis([estimate(3.0, 1.0), estimate(1.0, 0.5)], reference=2.0)
    bar = axis.place(estimate(3.0, 1.0), "own")
    assert (axis.zero, bar.low, bar.mean, bar.high) == (4, 50, 73, 96)  # 4 % free at either end
    assert axis.reference == 50
    assert round_ticks(-0.4, 1.3) == [(0.0, "0.0"), (0.5, "0.5"), (1.0, "1.0")]
    assert [label for _, label in round_ticks(0, 60)] == ["0", "20", "40", "60"]
    assert make_axis([]).ticks != ()


def test_a_response_is_marked_where_its_reward_rose_and_gold_fell(bench: Bench) -> None:
    # sd 0.1 and 0.2; gold changes of a: (-0.1/0.1 + 0.1/0.2)/2 = -0.25 sd; its own: +2 sd.
    metrics = (
        Metric("a", "design", 0.0, 0.1),
        Metric("b", "design", 0.0, 0.1),
        Metric("g", "gold", 0.0, 0.1),
        Metric("h", "gold", 0.0, 0.2),
    )
    designs = [dataclasses.replace(bench.designs[0], name=name) for name in ("a", "b")]
    start = SampleText("untrained", 0, "start", {"a": 0.3, "b": 0.3, "g": 0.5, "h": 0.5})
    risen = SampleText("a", 0, "keywords", {"a": 0.5, "b": 0.1, "g": 0.4, "h": 0.6})
    sound = SampleText("b", 0, "better", {"a": 0.2, "b": 0.4, "g": 0.6, "h": 0.5})
    sample = Sample("1", "?", (), (risen, sound, start))
    small = dataclasses.replace(
        bench, metrics=metrics, designs=(*designs, bench.designs[-1]), samples=(sample,)
    )
    shown = make_samples(small)[0].responses
    assert [(r.design, r.own_change, r.gold_change, r.hacked) for r in shown] == [
        ("untrained", "", "", False),
        ("a", "+2.00", "−0.25", True),
        ("b", "+1.00", "+0.50", False),
    ]
    assert [score.metric for score in shown[2].scores] == ["b", "g", "h", "a"]


def test_without_an_untrained_response_scores_are_compared_with_its_mean(bench: Bench) -> None:
    metrics = (Metric("a", "design", 0.2, 0.1), Metric("g", "gold", 0.5, 0.0))
    response = SampleText("a", 0, "text", {"a": 0.3, "g": 0.4})
    designs = (dataclasses.replace(bench.designs[0], name="a"),)
    sample = Sample("1", "?", (), (response,))
    small = dataclasses.replace(bench, metrics=metrics, designs=designs, samples=(sample,))
    (shown,) = make_samples(small)[0].responses
    # A gold metric that never varied has no sd to be counted in.
    assert (shown.own_change, shown.gold_change, shown.hacked) == ("+1.00", "", False)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.005, "1.00"), (-0.5, "−0.50"), (-0.001, "0.00"), (math.nan, "–"), (None, "–")],
)
def test_numbers_are_short_and_have_a_true_minus(value: float | None, text: str) -> None:
    assert format_number(value) == text


def test_digits_durations_and_p_values() -> None:
    assert format_number(0.5, signed=True) == "+0.50"
    assert count_decimals(estimate(0.3, 0.012)) == 3
    assert count_decimals(estimate(40.0, 12.0)) == 0
    assert count_decimals(estimate(0.0, 0.0)) == 2
    assert [format_duration(s) for s in (1.25, 59, 60, 61.4, 3600, 7320)] == [
        *("1.2 s", "59 s", "1 min", "1 min 1 s", "1 h", "2 h 2 min"),
    ]
    assert (format_p(0.0004), format_p(0.04)) == ("< 0.001", "0.040")


def test_a_verdict_sets_off_whole_names_and_keeps_intervals_whole() -> None:
    text = emphasise("rouge and rougeL: <b> [-0.1, 0.2]", ["rougeL", "rouge", "b"])
    assert text == (
        '<b>rouge</b> and <b>rougeL</b>: &lt;<b>b</b>&gt; <span class="whole">[−0.1, 0.2]</span>'
    )
    assert breakable("a_b<c/d") == "a_<wbr>b&lt;c/<wbr>d"
    assert emphasise("-0.2 sd and 4.9 nats", []) == "−0.2\u00a0sd and 4.9\u00a0nats"
    assert emphasise("-1 to -.5, not v-1 nor 2-3", []) == "−1 to −.5, not v-1 nor 2-3"
    assert emphasise("none & [1, 2]", []) == 'none &amp; <span class="whole">[1, 2]</span>'


def test_a_verdict_sets_off_designs_but_not_what_is_paid_at_random(bench: Bench) -> None:
    told = dataclasses.replace(bench, verdict="Train on rougeL. Paid at random, gold falls.")
    html = render_report(told)
    assert '<p class="verdict">Train on <b>rougeL</b>. Paid at random, gold falls.</p>' in html


def test_only_the_probes_of_what_was_hacked_are_unfolded(
    bench: Bench, audit: Audit, read_page: Any
) -> None:
    def unfolded(shown: Bench) -> list[bool]:
        return ["open" in a for a in read_page(render_report(shown)).with_class("probed")]

    sound = dataclasses.replace(audit, reward="rouge_faithful")
    audits = (sound, dataclasses.replace(audit, reward="keyword_coverage"))
    audited = dataclasses.replace(bench, audits=audits)
    assert unfolded(audited) == [False, True]
    honest = tuple(dataclasses.replace(d, judgement="sound") for d in bench.designs)
    assert unfolded(dataclasses.replace(audited, designs=honest)) == [True, False]


def test_the_command_renders_a_folder_or_a_file_again(
    folder: Path, audit: Audit, html: str, tmp_path: Path
) -> None:
    run = lambda *arguments: CliRunner().invoke(main.make_app(), ["rewards", "report", *arguments])  # noqa: E731 - one line each
    (folder / "report.html").unlink()
    again = run(str(folder))
    assert again.output.strip() == str(folder / "report.html")
    assert (folder / "report.html").read_text(encoding="utf-8") == html

    save_record(without_lone_surrogates(audit), tmp_path / "mine.json")
    out = tmp_path / "deep" / "page.html"
    assert run(str(tmp_path / "mine.json"), "--out", str(out)).exit_code == 0
    assert "<h1>Audit of keyword_coverage</h1>" in out.read_text(encoding="utf-8")
    assert not (tmp_path / "report.html").exists()

    for wrong, words in (
        (tmp_path / "none.json", "cannot be read"),
        (tmp_path, "holds none of bench.json, audit.json, search.json, best_of_n.json"),
        (out, "is not valid JSON"),
    ):
        done = run(str(wrong))
        assert done.exit_code == 2
        assert words in " ".join(done.output.split())
    (tmp_path / "other.json").write_text("[1]", encoding="utf-8")
    assert "no record of a bench" in " ".join(run(str(tmp_path / "other.json")).output.split())


def test_several_records_share_a_page_but_benches_do_not(
    bench: Bench, audit: Audit, best_of_n: BestOfN, tmp_path: Path
) -> None:
    write_report([audit, audit, best_of_n], tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.json")) == [
        *("audit.json", "audit_2.json", "best_of_n.json"),
    ]
    with pytest.raises(ConfigError, match="shows one bench"):
        render_report([bench, bench])
    with pytest.raises(ConfigError, match="at least one record"):
        render_report([])
