"""README.zh-CN.md says what README.md says, and tables tell truly where the parts of PPO are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from agents.training.config import TrainConfig
from textenv.registry import EnvironmentKwargs

ROOT = Path(__file__).resolve().parent.parent
ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")
PARTS = {"en": "Where the parts of PPO are", "zh": "PPO 各部分对应的代码"}
# What a book on PPO calls its chapters; the table has a row, or several, for each.
CHAPTERS = ["构建环境", "策略网络", "训练循环", "目标函数", "KL 约束", "裁剪更新"]


def without_blocks(text):
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


def levels_of(text):
    """Returns the level of each heading, in order."""
    return [len(marks) for marks in re.findall(r"^(#+) ", without_blocks(text), re.M)]


def blocks_of(text):
    """Returns the language and the code of each block, without its comments."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)
    return [(language, re.sub(r"\s*#.*$", "", code, flags=re.M)) for language, code in blocks]


def commands_of(text):
    """Returns the code within lines that is a command, an option or an argument."""
    spans = re.findall(r"`([^`\n]+)`", without_blocks(text))
    return sorted(span for span in spans if re.search(r"[ =:/._-]", span))


def links_of(text):
    return re.findall(r"\]\(([^)]+)\)", text)


def rows_under(text, heading):
    """Returns the cells of each row of the table under a heading."""
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


ROWS = rows_under(ENGLISH, PARTS["en"])
ALGORITHMS = (ROOT / "docs" / "algorithms.md").read_text(encoding="utf-8")
FORMULAS = [
    [what, code, options]
    for what, _, code, options in rows_under(ALGORITHMS, "The formulas, and where each lives")
]


def test_headings_are_as_many_and_of_the_same_levels():
    assert levels_of(ENGLISH) == levels_of(CHINESE)
    assert len(levels_of(ENGLISH)) >= 8


def test_blocks_of_code_differ_in_comments_alone():
    assert blocks_of(ENGLISH) == blocks_of(CHINESE)
    assert len(blocks_of(ENGLISH)) > 5


def test_commands_within_lines_are_the_same():
    assert commands_of(ENGLISH) == commands_of(CHINESE)


def test_links_lead_to_the_same_pages():
    ours = sorted(set(links_of(ENGLISH)) - {"README.zh-CN.md"})
    assert ours == sorted(set(links_of(CHINESE)) - {"README.md"})


def test_a_text_that_fell_behind_is_noticed():
    changed = CHINESE.replace("textenv train --resume runs/a", "textenv train --continue runs/a")
    assert blocks_of(changed) != blocks_of(ENGLISH)
    assert levels_of(CHINESE.replace("\n## ", "\n### ", 1)) != levels_of(ENGLISH)
    assert commands_of(CHINESE.replace("`id`, `env.max_turns`", "`id`")) != commands_of(ENGLISH)


def test_the_tables_are_there():
    assert len(ROWS) >= 12
    assert len(FORMULAS) >= 10


def test_both_readmes_name_the_same_code_and_options():
    chinese = rows_under(CHINESE, PARTS["zh"])
    assert [row[1:] for row in chinese] == [row[1:] for row in ROWS]
    named = [row[0].partition("——")[0] for row in chinese]
    assert list(dict.fromkeys(named)) == CHAPTERS


@pytest.mark.parametrize("row", ROWS + FORMULAS, ids=lambda row: row[0])
def test_each_part_is_in_the_file_that_the_table_names(row):
    path, *names = re.findall(r"`([^`]+)`", row[1])
    body = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    assert names
    for name in names:
        found = body
        for part in name.split("."):
            (node,) = [node for node in found if getattr(node, "name", None) == part]
            found = getattr(node, "body", [])


@pytest.mark.parametrize("row", ROWS + FORMULAS, ids=lambda row: row[0])
def test_each_option_that_the_table_names_exists(row):
    options = re.findall(r"`([^`]+)`", row[2])
    assert options
    for option in options:
        record = EnvironmentKwargs if option.startswith("env.") else TrainConfig
        assert option.removeprefix("env.") in record.model_fields, option
