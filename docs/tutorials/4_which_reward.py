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
import textwrap
from pathlib import Path

import gymnasium as gym

import textenv
from textenv.plots import plot_bench

BUDGET = 384  # training episodes of each run
PROMPTS = 48  # held-out prompts
SEEDS = 3  # runs of each design

# %% [markdown]
# ## Four designs for sentences
#
# The task gives a few keywords, and asks for one sentence with all of them. What should be paid?
#
# - `rougeL`: the words of a sentence that a person wrote, in their order
# - `keywords`: the share of the keywords that the sentence has
# - `long`: a long sentence, which tells more
# - `checklist`: small words that good sentences often have

# %%
DESIGNS = {
    "rougeL": "rougeL",
    "keywords": "coverage",
    "long": {"length": {"least": 40, "margin": 40}},
    "checklist": {"coverage": {"keywords": ["in", "on", "with", "for", "of", "by", "at", "from"]}},
}

# %% [markdown]
# ## First the cheap question: what do bad texts earn?
#
# An audit needs no training. It writes texts that deserve nothing and asks each reward what it would pay.

# %%
core = gym.make("TextKeywords-v0").unwrapped.core
for name, spec in DESIGNS.items():
    found = textenv.audit(spec, core, n_examples=PROMPTS)
    lazy = next(probe for probe in found.probes if probe.name == found.best_lazy)
    print(
        f"{name:10} {'passes' if found.passes else 'FAILS':6}  a good text {found.ceiling.mean:.2f}, "
        f"the best bad one {lazy.score.mean:.2f} ({lazy.name})"
    )

# %% [markdown]
# An audit is strict: what it lets pass cannot be had for nothing. What fails may still teach, as long as the training
# is short and the policy is held near its start.
#
# ## Then the dear one: what does training make of them?
#
# The bench trains agents for each design, here one for each seed. All are measured by every reward, and by
# two *gold* metrics that no one was trained on.

# %%
plan = {
    "title": "Which reward for a sentence from keywords?",
    "id": "TextKeywords-v0",
    "designs": DESIGNS,
    "gold": ["rouge2", "chrf"],
    "controls": [],
    "seeds": SEEDS,
    "budget": BUDGET,
    "looks": 1,
    "prompts": PROMPTS,
    "pool": 8,
    "samples": 4,
    "audit": 0,  # done above
    "train": {"advantage": "rloo", "group_size": 4, "learning_rate": 8e-4, "kl_coef": 0.01},
}
# YAML takes JSON.
Path("bench.yaml").write_text(json.dumps(plan), encoding="utf-8")
subprocess.run(
    [sys.executable, "-m", "textenv", "rewards", "bench", "bench.yaml", "--out", "runs/bench"],
    check=True,
    capture_output=True,
)
bench = json.loads(Path("runs/bench/bench.json").read_text(encoding="utf-8"))
print(textwrap.fill(bench["verdict"], 84))

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
# Numbers alone convince nobody. Here is what an agent of each design writes for the same keywords. These are samples
# of a tiny model, which breaks words now and then; look at the shape of the sentences:

# %%
sample = bench["samples"][0]
print(sample["prompt"])
for shown in sample["responses"]:
    if shown["seed"] == 0:
        print(f"{shown['design']:10} {shown['text']}")

# %% [markdown]
# Three seeds and a short training find the coarse faults. Where the bench cannot tell, it says "unclear".
# `textenv rewards bench bench.yaml --plan` says how many seeds and prompts would tell, and what they cost.
# `runs/bench/report.html` shows curves, texts and tables. [Which reward design is right](../reward-benchmark.md)
# explains how it judges.
#
# Next: [a dialogue over turns](5_dialogue.md).
