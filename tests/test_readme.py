"""README and the guides are true: their Python runs, in order, and the table lists every task."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from textenv.datasets import NAMED
from textenv.registry import load_registry, registry_path
from tools.docs_pages.environments import family_name

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Pages whose blocks of Python are one program each, and what stands in for what takes long, needs
# a network or is the reader's own.
PAGES = {
    "README.md": {
        '"LMPolicy", "TextSummarize-v0")': '"LMPolicy", "TextSummarize-v0", n_episodes=8)',
        "total_episodes=2000,": "total_episodes=8,",
        '"test", 256': '"test", 8',
        'dataset="squad"': 'dataset="facts"',
    },
    "docs/using-environments.md": {
        'dataset="squad"': 'dataset="facts"',
        "path/to/a/model": "embedded",
        'check_text_env("TextQA-v0")': 'check_text_env("TextQA-v0", n_examples=2)',
    },
    "docs/training.md": {
        "learning_rate=3e-4,": "learning_rate=3e-4, n_episodes=8,",
        "total_episodes=2000,": "total_episodes=8,",
        '"test", 256': '"test", 8',
    },
    "docs/your-reward.md": {},
    "docs/evaluation.md": {"examples=64": "examples=2"},
    "docs/your-agent.md": {
        "n_envs=8), n_steps=64).learn(10_000)": "n_envs=2), n_steps=8).learn(16)",
    },
}
ROWS = {
    "articles.jsonl": [
        json.dumps({"article": f"Report {i}. It rained.", "summary": f"Rain {i}."})
        for i in range(40)
    ],
    "faq.csv": ["q,a", *(f"What is {i} plus one?,{i + 1}" for i in range(40))],
}


def program_of(page):
    """Returns a page's Python, with what stands in for the rest."""
    text = (ROOT / page).read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S))
    for said, stand_in in PAGES[page].items():
        assert said in code, f"{page} no longer says {said}."
        code = code.replace(said, stand_in)
    return code


# The guides share a process, since most of their time is that of imports.
@pytest.mark.parametrize(
    "pages",
    [
        ["README.md"],
        pytest.param([p for p in PAGES if p != "README.md"], marks=pytest.mark.slow),
    ],
    ids=len,
)
def test_every_python_block_runs_after_those_before_it(pages, tmp_path):
    for name, lines in ROWS.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    for number, page in enumerate(pages):
        (tmp_path / f"page{number}.py").write_text(program_of(page), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", "import runpy, sys\nfor f in sys.argv[1:]: runpy.run_path(f)"]
        + [f"page{number}.py" for number in range(len(pages))],
        cwd=tmp_path,
        # One thread: small models gain nothing from more, and lose much on a busy machine.
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "mine" / "model" / "config.json").is_file()


def test_the_table_of_environments_lists_every_task_and_every_id():
    families: dict[str, list[str]] = {}
    for row in load_registry(registry_path()):
        families.setdefault(row.task, []).append(row.id)
    listed = {}
    for id, others in re.findall(r"^\| \[(\w+-v\d+)\].*\| ([\w, ]*) ?\|$", README, re.M):
        stem, version = id.split("-")
        listed[stem] = {
            f"{stem}{name}-{version}" for name in filter(None, others.strip().split(", "))
        }
        listed[stem].add(id)
    assert listed == {family_name(ids): set(ids) for ids in families.values()}


def test_it_counts_right():
    n_tasks = len({row.task for row in load_registry(registry_path())})
    assert n_tasks == 11, "README and CHANGELOG say eleven tasks; correct the number there and here"
    assert "eleven tasks" in README
    assert len(NAMED) == 23
    assert "one of twenty-three well-known sets" in README


def test_it_is_read_in_a_few_minutes():
    assert len(README.splitlines()) <= 150
