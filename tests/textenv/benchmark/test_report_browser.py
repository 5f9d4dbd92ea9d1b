"""The report in a real browser: no errors, tables sort, samples filter, phones and dark mode."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from textenv.benchmark.report import write_report
from textenv.benchmark.results import Audit, Bench, BestOfN

pytest.importorskip("selenium", reason="selenium is not installed")
from selenium.webdriver.common.keys import Keys

WIDE, PHONE = (1280, 900), (375, 812)


def with_unbroken_names(bench: Bench) -> Bench:
    name = "x" * 80
    old = bench.designs[0].name
    return dataclasses.replace(
        bench,
        title=name,
        verdict=f"{name} is right",
        designs=(dataclasses.replace(bench.designs[0], name=name), *bench.designs[1:]),
        metrics=(dataclasses.replace(bench.metrics[0], name=name), *bench.metrics[1:]),
        matrix={name: {name: bench.matrix[old][old]}, **bench.matrix},
        curves=tuple(dataclasses.replace(curve, design=name) for curve in bench.curves[:2]),
        samples=tuple(
            dataclasses.replace(sample, id=name, prompt=name, references=(name,))
            for sample in bench.samples
        ),
        versions={name: name},
        config={name: name},
    )


@pytest.fixture(scope="module")
def urls(
    bench: Bench, audit: Audit, best_of_n: BestOfN, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    folder: Path = tmp_path_factory.mktemp("pages")
    records = {
        "bench": bench,
        "audit": audit,
        "best_of_n": best_of_n,
        "unbroken": with_unbroken_names(bench),
        "many": dataclasses.replace(bench, samples=bench.samples * 3),
    }
    return {name: write_report(record, folder / name).as_uri() for name, record in records.items()}


@pytest.fixture
def show(open_page: Any, urls: dict[str, str]) -> Any:
    """Opens a page at a size, in a colour scheme."""

    def show(name: str = "bench", size: tuple[int, int] = WIDE, scheme: str = "light") -> Any:
        return open_page(urls[name], size, scheme)

    return show


def find(driver: Any, selector: str) -> Any:
    return driver.find_element("css selector", selector)


def texts(driver: Any, selector: str) -> list[str]:
    return [one.text for one in driver.find_elements("css selector", selector)]


@pytest.mark.parametrize("name", ["bench", "audit", "best_of_n"])
def test_a_page_opens_without_errors_and_asks_for_nothing(show: Any, name: str) -> None:
    page = show(name)
    page.get_log("performance")
    page.get_log("browser")
    page.refresh()
    assert page.get_log("browser") == []
    asked = [
        message["params"]["request"]["url"]
        for entry in page.get_log("performance")
        if (message := json.loads(entry["message"])["message"])["method"]
        == "Network.requestWillBeSent"
    ]
    assert [url for url in asked if not url.startswith(("data:", page.current_url))] == []
    assert page.execute_script("return window.pwned") is None


def test_injected_scripts_would_be_refused(show: Any) -> None:
    page = show()
    page.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.pwned = 3';"
        "document.body.append(s);"
    )
    assert page.execute_script("return window.pwned") is None
    assert any("Content Security Policy" in entry["message"] for entry in page.get_log("browser"))


def test_a_table_sorts_by_mouse_and_by_keyboard(show: Any) -> None:
    page = show()
    header = find(page, ".designs thead th:nth-child(4)")
    button = find(page, ".designs thead th:nth-child(4) button")
    names = lambda: texts(page, ".designs tbody th")  # noqa: E731 - one line each
    assert header.get_attribute("aria-sort") is None

    button.click()
    assert header.get_attribute("aria-sort") == "descending"
    # Gold gains: 1.05, 0.71, 0.58, 0.03, 0, -0.04, -0.62.
    order = [
        *("rouge_faithful", "rougeL", "bertscore", "length_window"),
        *("untrained", "random", "keyword_coverage"),
    ]
    assert names() == order
    button.send_keys(Keys.ENTER)
    assert header.get_attribute("aria-sort") == "ascending"
    assert names() == order[::-1]

    # Controls have no gain of their own: they stay last in both directions.
    own = find(page, ".designs thead th:nth-child(3) button")
    for first in ("keyword_coverage", "length_window"):
        own.send_keys(Keys.SPACE)
        assert names()[0] == first
        assert set(names()[-2:]) == {"random", "untrained"}
    assert header.get_attribute("aria-sort") is None

    find(page, ".designs thead th:nth-child(1) button").click()
    assert names() == sorted(names(), key=str.lower, reverse=True)


def test_the_matrix_shows_the_measure_that_was_chosen(show: Any, bench: Bench) -> None:
    page = show()
    cell = "#heat tbody tr:nth-child(3) td:nth-of-type(3)"
    gain = bench.matrix["keyword_coverage"]["keyword_coverage"]
    assert f"{gain.gain.mean:+.2f}" in find(page, cell).text
    find(page, "input[value=iqm]").click()
    assert f"{gain.iqm.mean:.3f}" in find(page, cell).text
    assert f"{gain.gain.mean:+.2f}" not in find(page, cell).text
    # The mean of the gold metrics has one measure, and keeps it.
    assert "−0.60" in find(page, "#heat tbody tr:nth-child(3) td:last-child").text


def test_curves_are_drawn_on_the_scales_that_were_chosen(show: Any, bench: Bench) -> None:
    page = show()
    shown = lambda kind: {  # noqa: E731 - one line each
        chart.is_displayed() for chart in page.find_elements("css selector", f".panel .{kind}")
    }
    assert (shown("own-scales"), shown("same-scales")) == ({True}, {False})
    find(page, "input[name=scales][value=own]").send_keys(Keys.ARROW_RIGHT)
    assert (shown("own-scales"), shown("same-scales")) == ({False}, {True})


def test_a_search_unfolds_the_examples_that_were_folded(show: Any) -> None:
    page = show("many")
    fold = find(page, "#more")
    assert fold.get_attribute("open") is None
    find(page, "#find").send_keys("a")
    assert fold.get_attribute("open") is not None


def test_samples_filter_by_design_by_text_and_by_hacking(show: Any) -> None:
    page = show()
    count = lambda: find(page, "#count").text  # noqa: E731 - one line each
    visible = lambda: {  # noqa: E731 - one line each
        one.get_attribute("data-design")
        for one in page.find_elements("css selector", ".response")
        if one.is_displayed()
    }
    assert count() == "24 of 24 responses"

    find(page, "#hacked").click()
    assert visible() == {"keyword_coverage"}
    assert count() == "3 of 24 responses"
    find(page, "#hacked").click()

    find(page, "[name=design][value=rougeL]").click()
    assert visible() == {"rougeL"}
    assert count() == "6 of 24 responses"
    find(page, "[name=design][value=bertscore]").click()
    assert visible() == {"rougeL", "bertscore"}

    find(page, "#find").send_keys("<SCRIPT>")  # in the prompt of the third example only
    assert count() == "3 of 24 responses"
    assert [one.is_displayed() for one in page.find_elements("css selector", ".sample")] == [
        *(False, False, True),
    ]
    find(page, "#find").send_keys("nowhere")
    assert find(page, "#none").is_displayed()


@pytest.mark.parametrize("name", ["bench", "audit", "best_of_n", "unbroken"])
def test_a_phone_never_scrolls_sideways(show: Any, name: str) -> None:
    page = show(name, PHONE)
    assert page.execute_script("return innerWidth") == 375
    assert page.execute_script("return document.documentElement.scrollWidth") == 375
    for fold in page.find_elements("css selector", "details"):
        page.execute_script("arguments[0].open = true", fold)
    assert page.execute_script("return document.documentElement.scrollWidth") == 375
    if name == "bench":  # what is wide scrolls within its own box
        box = "document.querySelector('#matrix .scroll')"
        assert page.execute_script(f"return {box}.scrollWidth > {box}.clientWidth")


def test_dark_mode_changes_paper_ink_and_charts(show: Any) -> None:
    def colors(scheme: str) -> list[str]:
        page = show(scheme=scheme)
        return [
            page.execute_script(
                "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]", *of
            )
            for of in (
                ("body", "backgroundColor"),
                ("body", "color"),
                (".panel .line.own", "stroke"),
                (".panel .line.gold", "stroke"),
                ("#heat td.own", "backgroundColor"),
            )
        ]

    light, dark = colors("light"), colors("dark")
    assert all(a != b for a, b in zip(light, dark, strict=True))
    assert (light[0], dark[0]) == ("rgb(251, 250, 246)", "rgb(21, 23, 27)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_contrasts_with_what_it_stands_on(
    show: Any, find_lowest_contrast: Any, scheme: str
) -> None:
    lowest = find_lowest_contrast(show(scheme=scheme))
    assert lowest["ratio"] >= 4.5, lowest


def test_paper_shows_what_is_folded(show: Any) -> None:
    page = show()
    unfolded = page.find_elements("css selector", "details[open]")
    page.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert page.find_elements("css selector", "details:not([open])") == []
    page.execute_script("dispatchEvent(new Event('afterprint'))")
    assert page.find_elements("css selector", "details[open]") == unfolded
