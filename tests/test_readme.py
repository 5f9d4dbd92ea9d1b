"""The README is true: its Python runs, in order, and its table lists every task."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from textenv.datasets import NAMED
from textenv.registry import load_registry, registry_path
from tools.docs_pages.environments import family_name

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.M | re.S)
# What takes long, needs a network or is the reader's own, and what stands in for it here.
STAND_INS = {
    '"LMPolicy", "TextSummarize-v0")': '"LMPolicy", "TextSummarize-v0", n_episodes=8)',
    "total_episodes=2000,": "total_episodes=8,",
    '"test", 256': '"test", 8',
    "n_envs=8), n_steps=64).learn(10_000)": "n_envs=2), n_steps=8).learn(16)",
    'dataset="squad"': 'dataset="facts"',
    "path/to/a/model": "embedded",
    'check_text_env("TextQA-v0")': 'check_text_env("TextQA-v0", n_examples=2)',
}
ROWS = {
    "articles.jsonl": [
        json.dumps({"article": f"Report {i}. It rained.", "summary": f"Rain {i}."})
        for i in range(40)
    ],
    "faq.csv": ["q,a", *(f"What is {i} plus one?,{i + 1}" for i in range(40))],
}


def test_every_python_block_runs_after_those_before_it(tmp_path):
    code = "\n".join(BLOCKS)
    for text, stand_in in STAND_INS.items():
        assert text in code, f"The README no longer says {text}."
        code = code.replace(text, stand_in)
    for name, lines in ROWS.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", code],
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
