"""The generated pages are those of the code as it is, and no text breaks them."""

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from textenv.rewards import load_reward
from tools.docs_pages.build import DOCS, MEASUREMENTS, find_outdated, read_records, render_pages
from tools.docs_pages.environments import family_name, render_environments
from tools.docs_pages.markdown import (
    anchor,
    code,
    demoted,
    entries_of,
    fenced,
    plain,
    table,
    text_of,
)
from tools.docs_pages.measure import digest, measure
from tools.docs_pages.records import (
    load_measurements,
    make_core_quietly,
    own_ids,
    save_measurements,
)

STALE = "Run `python -m tools.docs_pages.build` and commit what it writes."
MARKDOWN = MarkdownIt("commonmark").enable("table")


@pytest.fixture(scope="module")
def measured():
    return load_measurements(MEASUREMENTS)


@pytest.fixture(scope="module")
def records(measured):
    ids = own_ids()
    assert set(measured) == set(ids), STALE
    return read_records(ids, measured)


def test_the_pages_are_up_to_date(records):
    for path, text in render_pages(records).items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is stale. {STALE}"


def test_the_scores_belong_to_the_environments_as_they_are(measured):
    outdated = find_outdated(own_ids(), measured)
    assert outdated == [], f"Data, reward, settings or the model of these changed. {STALE}"


def test_the_ideal_answer_earns_1_and_silence_0_everywhere(measured):
    for id, scores in measured.items():
        assert (scores.gold, scores.empty) == (1.0, 0.0), id
        low, high = scores.model.ci95
        assert 0 <= low <= scores.model.mean <= high <= 1, id
        assert 0 <= scores.random < 0.5, id


def test_another_stream_reward_or_row_is_another_digest(monkeypatch):
    id = "TextSummarize-v0"
    core = make_core_quietly(id)
    before = digest(id, core)
    assert digest(id, make_core_quietly(id)) == before
    core.reward = load_reward("exact_match")  # ideal and no answers earn the same by it
    assert digest(id, core) != before
    core = make_core_quietly(id)
    monkeypatch.setattr(core, "dataset", lambda split: make_core_quietly(id).dataset("train"))
    assert digest(id, core) != before
    assert digest("TextSummarizeHard-v0", make_core_quietly(id)) != before


def test_another_docstring_is_another_page(records):
    class Documented:
        """Says something else."""

    changed = [dataclasses.replace(records[0], task_class=Documented), *records[1:]]
    assert "Says something else." in render_environments(changed)
    assert "Says something else." not in render_environments(records)


@pytest.mark.parametrize("id", ["TextQA-v0", "TextDialogueSelectEasy-v0"])
def test_a_measurement_is_kept_as_it_was_taken(id, measured, tmp_path):
    found = measure(id, 8)
    assert (found.n_examples, found.gold, found.empty) == (8, 1.0, 0.0)
    assert found.digest == measured[id].digest
    save_measurements(tmp_path / "measurements.json", {id: found})
    assert load_measurements(tmp_path / "measurements.json") == {id: found}
    assert load_measurements(tmp_path / "none.json") == {}


def test_every_link_of_the_documents_leads_somewhere():
    pages = [*DOCS.glob("*.md"), *DOCS.parent.glob("*.md")]
    headings = {
        page: {anchor(title) for title in re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.M)}
        for page in pages
    }
    for page in pages:
        for target in re.findall(r"\]\((?!https?:)([^)]*)\)", page.read_text("utf-8")):
            path, _, heading = target.partition("#")
            found = (page.parent / path).resolve() if path else page
            assert found.exists(), f"{page.name}: {target}"
            assert not heading or heading in headings[found], f"{page.name}: {target}"


AWKWARD = st.text(st.sampled_from("ab |`*_<>&[]()\\~#!-\n你"), max_size=30)


@given(AWKWARD, AWKWARD)
def test_a_table_shows_each_cell_letter_by_letter(first, second):
    html = MARKDOWN.parse(table(("a", "b"), [(plain(first), code(f"x{second}x"))]))
    cells = [token for token in html if token.type == "inline"][2:]
    assert len(cells) == 2
    shown = ["".join(part.content for part in cell.children) for cell in cells]
    assert shown == [" ".join(first.split()), " ".join(f"x{second}x".split())]


@given(AWKWARD)
def test_a_fenced_block_holds_all_of_its_text(text):
    (block,) = MARKDOWN.parse(fenced(text))
    assert block.type == "fence"
    assert block.content.split() == text.split()


def test_long_lines_are_wrapped_and_control_characters_shown():
    shown = fenced("word " * 40 + "\x1b[31m").splitlines()[1:-1]
    assert max(map(len, shown)) <= 80
    assert "\N{REPLACEMENT CHARACTER}[31m" in shown[-1]


def test_a_docstring_is_text_and_entries():
    def documented():
        """Says what it does.

        ## Rewards
        One.

        Args:
            first: What comes first,
                and a second line.
            second: What comes second.
        """

    assert text_of(documented) == "Says what it does.\n\n## Rewards\n\nOne."
    assert entries_of(documented) == {
        "first": "What comes first, and a second line.",
        "second": "What comes second.",
    }
    assert demoted(text_of(documented), 2).endswith("#### Rewards\n\nOne.")


def test_environments_of_a_task_stand_under_the_shortest_of_their_names():
    assert family_name(["TextQAEasy-v0", "TextQA-v1", "TextQA-v0"]) == "TextQA"
