# %% [markdown]
# # 4. Which of four rewards is right
#
# Several people have several ideas what to reward. Which one is right? You can find out before you spend much: train
# a small model against each for a short time, and see what *other* metrics say of the result. `textenv rewards bench`
# does that. Here it takes under two minutes on two cores.

# %%
import json
import subprocess
import sys
from pathlib import Path

import gymnasium as gym

import textenv
from textenv.plots import plot_bench

BUDGET = 768  # training episodes of each design
PROMPTS = 32  # held-out prompts

# %% [markdown]
# ## Four designs for summaries
#
# - `rougeL`: the words of the reference, in their order
# - `chrf`: the letters of the reference, in short pieces
# - `recall`: the words of the reference, however long the text is
# - `checklist`: words that good summaries often have, whatever the report says

# %%
DESIGNS = {
    "rougeL": "rougeL",
    "chrf": "chrf",
    "recall": {"rouge1": {"measure": "recall"}},
    "checklist": {"coverage": {"keywords": ["in", "on", "with", "for", "of", "by", "at", "from"]}},
}

# %% [markdown]
# ## First the cheap question: what do bad texts earn?
#
# An audit needs no training. It writes texts that deserve nothing and asks each reward what it would pay.

# %%
core = gym.make("TextSummarize-v0").unwrapped.core
for name, spec in DESIGNS.items():
    found = textenv.audit(spec, core, n_examples=PROMPTS)
    lazy = next(probe for probe in found.probes if probe.name == found.best_lazy)
    print(
        f"{name:10} {'passes' if found.passes else 'FAILS':6}  a good text {found.ceiling.mean:.2f}, "
        f"the best bad one {lazy.score.mean:.2f} ({lazy.name})"
    )

# %% [markdown]
# ## Then the dear one: what does training make of them?
#
# The bench trains one agent for each design, and one that is paid at random: whatever that one gains is luck. All are
# measured by every reward, and by two *gold* metrics that no one was trained on.

# %%
plan = {
    "title": "Which reward for one-sentence summaries?",
    "id": "TextSummarize-v0",
    "designs": DESIGNS,
    "gold": ["rouge2", "bleu"],
    "controls": ["random"],
    "seeds": 1,
    "budget": BUDGET,
    "looks": 1,
    "prompts": PROMPTS,
    "samples": 4,
}
# YAML takes JSON.
Path("bench.yaml").write_text(json.dumps(plan), encoding="utf-8")
subprocess.run(
    [sys.executable, "-m", "textenv", "rewards", "bench", "bench.yaml", "--out", "runs/bench"],
    check=True,
    capture_output=True,
)
bench = json.loads(Path("runs/bench/bench.json").read_text(encoding="utf-8"))
print(bench["verdict"])

# %% [markdown]
# ## See it
#
# Each design has two marks: what it gained by its own reward, and what the gold metrics say. A design whose own mark
# runs far ahead of the gold one pays for something else than quality.

# %%
plot_bench("runs/bench")

# %%
for design in bench["designs"]:
    print(f"{design['name']:10} {design['judgement']:8} {design['words']}")

# %% [markdown]
# One seed and a short training find the coarse faults only, and the bench says "unclear" where it cannot tell.
# `textenv rewards bench bench.yaml --plan` says how many seeds and prompts would tell, and what they cost.
# `runs/bench/report.html` shows curves, texts and tables. [Which reward design is right](../reward-benchmark.md)
# explains how it judges.
#
# Next: [a dialogue over turns](5_dialogue.md).
