"""The pages of runs in a real browser: no errors, nothing runs, phones, contrast."""

from __future__ import annotations

import pytest

from agents.training.report import write_run_report
from agents.training.report.comparison import compare_runs
from agents.training.report.comparison_page import render_comparison

PHONE = (375, 812)


@pytest.fixture
def urls(make_run, hostile, tmp_path):
    """Pages of runs whose texts would do harm as markup, or are too long to be broken."""
    texts = {"hostile": hostile, "unbroken": "x" * 300}
    folders = {
        name: [
            make_run(f"{name}-a", text=text, best=(0.9,) * 4, dataset=text),
            make_run(f"{name}-{'b' * 80}", text=text, after=(0.9, 0.7, 0.9, 0.7), kl_coef=0.5),
        ]
        for name, text in texts.items()
    }
    urls = {name: write_run_report(runs[0]).as_uri() for name, runs in folders.items()}
    for name, runs in folders.items():
        page = tmp_path / f"{name}.html"
        page.write_text(render_comparison(compare_runs(runs)), encoding="utf-8")
        urls[f"{name} comparison"] = page.as_uri()
    return urls


def test_the_pages_open_without_errors_fit_a_phone_and_can_be_read(
    open_page, find_lowest_contrast, urls
):
    for name, url in urls.items():
        page = open_page(url, PHONE)
        page.get_log("browser")
        page.refresh()
        assert page.get_log("browser") == [], name
        assert page.execute_script("return window.pwned") is None
        page.execute_script("for (const one of document.querySelectorAll('details')) one.open = 1")
        assert page.execute_script("return document.documentElement.scrollWidth") == 375, name
    for name in ("hostile", "hostile comparison"):
        for scheme in ("light", "dark"):
            lowest = find_lowest_contrast(open_page(urls[name], scheme=scheme))
            assert lowest["ratio"] >= 4.5, (name, scheme, lowest)
