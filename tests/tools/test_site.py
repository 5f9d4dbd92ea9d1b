"""Pages of the repository become pages of the site: links, lists, navigation, nothing from afar."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.docs_pages.site import (
    find_links,
    find_outside,
    for_site,
    on_post_page,
    repository_path,
    site_path,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("here", "link", "there"),
    [
        ("README.md", "docs/faq.md", "faq.md"),
        ("README.md", "docs/images/episode.svg", "images/episode.svg"),
        ("README.md", "README.zh-CN.md", "README.zh-CN.md"),
        ("README.zh-CN.md", "README.md", "index.md"),
        ("docs/faq.md", "rewards.md#dense", "rewards.md#dense"),
        ("docs/results.md", "../examples/demo_lm.yaml", "examples/demo_lm.yaml"),
        ("examples/README.md", "trl_grpo.py", "trl_grpo.py"),
        ("CHANGELOG.md", "docs/architectures.md", "architectures.md"),
        ("examples/README.md", "../docs/faq.md", "../faq.md"),
    ],
)
def test_a_link_leads_to_the_same_file(here, link, there):
    assert for_site(f"See [it]({link}).", here) == f"See [it]({there})."
    assert repository_path(site_path(here)) == here


def test_what_is_no_link_to_a_file_stays():
    text = "[a](https://a.b/c.md) [b](#dense)\n\n```text\n[c](docs/faq.md)\n```\n"
    assert for_site(text, "README.md") == text
    assert find_links(text, "README.md") == []


def test_a_list_within_a_list_is_indented_by_four():
    assert for_site("- a\n  - b\n", "docs/faq.md") == "- a\n    - b\n"


def test_everything_that_pages_lead_to_comes_along():
    found = find_outside()
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md"} <= set(found)
    assert [path for path in found if not (ROOT / path).is_file()] == []


def test_a_page_that_loads_from_another_host_is_refused():
    class Page:
        class file:
            src_uri = "index.md"

    fine = '<a href="https://a.b">c</a><img src="images/a.png">'
    assert on_post_page(fine, Page) == fine
    for bad in ('<script src="https://a.b/c.js">', '<link rel="x" href="//a.b/c.css">'):
        with pytest.raises(ValueError, match=r"index\.md loads from other hosts: .*a\.b"):
            on_post_page(bad, Page)


def test_the_navigation_holds_every_page():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    listed = re.findall(r": (\S+\.md)$", text, re.M)
    pages = [site_path(path) for path in find_outside() if path.endswith(".md")]
    docs = ROOT / "docs"
    pages += [page.relative_to(docs).as_posix() for page in docs.rglob("*.md")]
    assert sorted(listed) == sorted(pages)
