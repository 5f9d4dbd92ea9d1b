"""The pictures of README are there, small, free of the network, and show what they claim."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.docs_pages.pictures import EPISODE, TYPED, render_episode

ROOT = Path(__file__).resolve().parents[2]
PICTURES = sorted((ROOT / "docs" / "images").iterdir())


def words_of(svg):
    return re.sub(r"<[^>]+>|&#160;", " ", svg.partition("<g ")[2]).split()


def test_the_episode_is_what_the_terminal_shows_today():
    drawn = render_episode()
    assert EPISODE.read_text(encoding="utf-8") == drawn, (
        "Run `python -m tools.docs_pages.pictures episode` and commit what it writes."
    )
    assert "".join(TYPED[1].split()) in "".join(words_of(drawn))
    assert "http://" not in drawn.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.name)
def test_a_picture_is_small_and_in_use(picture):
    assert picture.stat().st_size <= 200_000
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    assert any(f"images/{picture.name}" in page.read_text("utf-8") for page in pages)
