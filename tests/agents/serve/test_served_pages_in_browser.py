"""The served pages in a real browser: kept up to date, no errors, phones, contrast, labels."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PHONE = (375, 812)
NAMELESS = """
return [...document.querySelectorAll("input:not([type=hidden]), select, button, a")].filter((one) =>
  !one.labels?.length && !one.ariaLabel && !one.textContent.trim()).map((one) => one.outerHTML);
"""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The address of a server of all runs of the test, on a free port."""
    pytest.importorskip("starlette", reason="the extra serve is not installed")
    uvicorn = pytest.importorskip("uvicorn", reason="the extra serve is not installed")
    from agents.serve.app import make_app
    from agents.serve.watched_runs import WatchedRuns
    from textenv.listening import LOOPBACK, listen

    with listen(LOOPBACK, 0) as listening:
        config = uvicorn.Config(
            make_app(WatchedRuns([tmp_path])), http="h11", ws="none", lifespan="off",
            log_level="error", timeout_graceful_shutdown=1,
        )  # fmt: skip
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def wait_until(holds: Callable[[], Any], seconds: float = 5.0) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it did not come about in time"
        time.sleep(0.05)


def test_pages_follow_the_runs_and_leave_alone_what_the_reader_did(
    driver, open_page, make_run, add_iteration, address
):
    folder = make_run("a-run", parts=("before", "rollouts", "looks"))
    make_run("b-run")
    page = open_page(f"{address}/")
    page.get_log("browser")
    page.execute_script("window.same = true; document.querySelector('[name=run]').click()")
    header = page.find_element("css selector", "thead th:first-child button")
    header.click()  # the names, from the last one
    header.click()
    header.click()
    add_iteration(folder, 5)

    def row() -> str:
        rows = page.execute_script(
            "return [...document.querySelectorAll('tbody tr')].map((r) => r.innerText)"
        )
        return rows[1] if rows[0].startswith("b-run") else ""

    wait_until(lambda: "\t5\n" in row())
    chosen = page.execute_script(
        "return [...document.querySelectorAll('[name=run]:checked')].length"
    )
    focused = page.execute_script("return document.activeElement.textContent")
    assert (page.execute_script("return window.same"), chosen, focused) == (True, 1, "Run")
    page.find_element("link text", "a-run").click()
    page.execute_script("window.same = true")
    details = "document.querySelector('#curves details')"
    page.execute_script(f"{details}.open = true; scrollTo(0, 600)")
    add_iteration(folder, 6)
    facts = "return document.querySelector('.masthead').textContent"
    wait_until(lambda: "6 iterations" in page.execute_script(facts))
    assert page.execute_script(f"return [window.same, {details}.open, scrollY]") == [
        True,
        True,
        600,
    ]
    # The column of iterations in the table, which was drawn anew, still sorts.
    page.execute_script(f"{details}.querySelector('thead button').click()")
    first = page.execute_script(f"return {details}.querySelector('tbody th').textContent.trim()")
    assert first == "6"
    assert page.get_log("browser") == []


def test_the_pages_open_without_errors_fit_a_phone_and_can_be_read(
    open_page, find_lowest_contrast, make_run, hostile, address
):
    make_run(
        "a <img src=x onerror='window.pwned=3'>", text=hostile, best=(0.9,) * 4, model="m" * 90
    )
    make_run("b" * 90, text="x" * 300, parts=("about", "looks"), reward="r" * 90)
    failed = make_run("failed", parts=("before",))
    (failed / "about.json").write_text(json.dumps({"ending": {"error": hostile}}))
    page = open_page(f"{address}/", PHONE)
    boxes = page.find_elements("css selector", "[name=run]")
    runs = [box.get_attribute("value") for box in boxes]
    chosen = "&".join(f"run={run}" for run in runs)
    paths = [
        "/",
        f"/runs/{runs[0]}",
        f"/compare?{chosen}",
        "/texts?search=a",
        "/texts?stage=sample",
    ]
    for path in paths:
        page = open_page(f"{address}{path}", PHONE)
        assert page.get_log("browser") == [], path
        assert page.execute_script("return window.pwned") is None, path
        page.execute_script("for (const one of document.querySelectorAll('details')) one.open = 1")
        assert page.execute_script("return document.documentElement.scrollWidth") == 375, path
        assert page.execute_script(NAMELESS) == [], path
    for path in ("/", "/texts?search=a"):
        for scheme in ("light", "dark"):
            lowest = find_lowest_contrast(open_page(f"{address}{path}", scheme=scheme))
            assert lowest["ratio"] >= 4.5, (path, scheme, lowest)


def test_runs_are_chosen_and_compared_by_keyboard_alone(open_page, make_run, address):
    keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
    chains = pytest.importorskip("selenium.webdriver.common.action_chains").ActionChains
    make_run("a")
    make_run("b", seed=1)
    page = open_page(f"{address}/")
    seen = 0
    for _ in range(30):
        chains(page).send_keys(keys.TAB).perform()
        if page.execute_script("return document.activeElement.name") == "run":
            chains(page).send_keys(keys.SPACE).perform()
            seen += 1
        if seen == 2:
            break
    chains(page).send_keys(keys.ENTER).perform()
    wait_until(lambda: "/compare?" in page.current_url)
    assert "On the same 4 examples" in page.find_element("css selector", ".verdict").text
