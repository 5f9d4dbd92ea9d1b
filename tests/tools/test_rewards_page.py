"""The page of rewards tells of every one, and its examples do what it says."""

from __future__ import annotations

import re

import pytest
import yaml

from textenv.rewards import load_reward, score
from textenv.rewards.catalog import REWARDS, NamedReward
from tools.docs_pages.rewards import (
    EXAMPLES,
    METADATA,
    REFERENCE,
    RESPONSE,
    options_of,
    render_rewards,
)


@pytest.fixture(scope="module")
def page():
    return render_rewards(REWARDS)


def test_every_reward_has_a_section_and_a_row_of_its_familys_table(page):
    sections = re.findall(r"^### (\S+)$", page, re.M)
    assert sorted(sections) == sorted(REWARDS)
    rows = re.findall(r"^\| \[([^]]+)\]\(#", page, re.M)
    assert [row.replace("\\", "") for row in rows] == sections


@pytest.mark.parametrize("name", REWARDS)
def test_every_option_of_a_reward_is_told(name):
    factory = REWARDS[name].load_factory()
    assert [option for option, _, meaning in options_of(factory) if not meaning] == []


@pytest.mark.parametrize(("title", "text"), EXAMPLES)
def test_an_example_pays_what_the_page_says(page, title, text):
    spec = yaml.safe_load(text)
    result = score(spec, [RESPONSE], [REFERENCE], metadata=[METADATA])
    shown = page.partition(f"\n{title}:\n")[2].partition("Pays ")[2].partition("\n")[0]
    parts = [f"{name} {values[0]:.3f}" for name, values in result.components.items()]
    assert shown.replace("\\", "") == f"{result.total[0]:.3f}: {', '.join(parts)}."


def test_the_examples_show_every_operator():
    shown = " ".join(text for _, text in EXAMPLES)
    for name, row in REWARDS.items():
        if row.family == "composition":
            assert re.search(rf"\b{name}\b", shown), name
    for _, text in EXAMPLES:
        load_reward(yaml.safe_load(text))


def test_a_row_is_shown_with_its_range_and_what_it_needs():
    def make(scale, *, kind="a | b", more=()):
        """Scores things.

        Args:
            scale: By so much.
            kind: Of things.

        Raises:
            ConfigError: Never.
        """

    row = NamedReward(make, "style", ("prompt",), (0.0, None), "nothing, exactly", "style")
    page = render_rewards({"thing": row})
    assert (
        "| [thing](#thing) | Scores things. | from 0 | prompt | nothing, exactly | `style` |"
        in page
    )
    assert (
        "- `scale` (required): By so much.\n- `kind` (default `'a \\| b'`): Of things.\n- `more` ("
        in page
    )
    assert "Needs `textenv[style]`." in page
    assert "Raises" not in page
