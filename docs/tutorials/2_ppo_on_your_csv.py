# %% [markdown]
# # 2. PPO on your CSV
#
# You have a table of messages from customers, and know which team should answer each. A model should choose the team.
# This tutorial makes such a table, reads it, trains on it with PPO, and looks at what was learned. It takes about a
# minute on two cores.

# %%
import csv
import json
import random
from pathlib import Path

import gymnasium as gym

import agents
from textenv.plots import plot_reward

EPISODES = 5120  # of the training
EXAMPLES = 128  # held-out ones, on which the gain is measured

# %% [markdown]
# ## The table
#
# Each row has a message, the teams to choose from, and the right one. Replace this cell by a file of yours.

# %%
ASKS = {
    "shipping": [
        "When will my {thing} arrive?",
        "My {thing} has not come yet.",
        "Please send the {thing} to my office.",
    ],
    "returns": [
        "I do not want the {thing} any more.",
        "May I give the {thing} back?",
        "You sent a {thing} that I did not order.",
    ],
    "payment": [
        "I have paid for the {thing} twice.",
        "What does the {thing} cost?",
        "Please send a bill for the {thing}.",
    ],
    "repairs": [
        "The {thing} is broken.",
        "My {thing} makes a loud noise.",
        "Can you mend my {thing}?",
    ],
}
TEAMS = list(ASKS)
THINGS = ["lamp", "phone", "chair", "camera", "bicycle", "watch", "radio", "table", "clock", "coat"]
THINGS += ["book", "guitar", "piano", "drum", "bag", "box", "ring", "robot", "boat", "car"]
OPENINGS = ["Hello!", "Good morning.", "Hi there,", "Dear team,"]

rng = random.Random(0)
rows = []
for _ in range(1200):
    team = rng.choice(TEAMS)
    ask = rng.choice(ASKS[team]).format(thing=rng.choice(THINGS))
    rows.append((f"{rng.choice(OPENINGS)} {ask}", json.dumps(TEAMS), team))

with Path("tickets.csv").open("w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file)
    writer.writerow(["message", "teams", "team"])
    writer.writerows(rows)
print(*rows[:3], sep="\n")

# %% [markdown]
# ## What textenv makes of it
#
# The task TextQAChoice reads the columns `question`, `choices` and `answer`. Ours have other names, which `columns`
# says. The report tells what became of every row. Rows with the same prompt are one example, and no prompt stands in
# two splits: what is measured later was never trained on.

# %%
columns = {"question": "message", "choices": "teams", "answer": "team"}
data = {"path": "tickets.csv", "columns": columns}
env = gym.make("TextQAChoice-v0", dataset=data, action_level="text")
print(*env.unwrapped.core.dataset().report.lines(), sep="\n")
messages, info = env.reset(seed=0)
print(messages[-1]["content"])

# %% [markdown]
# ## Train
#
# `agents.train` is what `textenv train` calls. It measures the model on held-out rows, trains it with PPO, measures
# it again, and leaves everything in a folder. The model is the small one that comes with textenv; `model=` takes any
# other.
#
# The reward is 1 for the right team and 0 for another one. PPO is not shown the right team. It sees what its own
# answers earned, and makes those more likely that earned more than expected.

# %%
config = agents.load_config(
    id="TextQAChoice-v0",
    dataset=data,
    total_episodes=EPISODES,
    eval_examples=EXAMPLES,
    validation_every=10,
    validation_examples=EXAMPLES // 2,
    device="cpu",
)
result = agents.train(config, Path("runs/tickets"))
print("before", result["before"]["reward"])
print("after ", result["after"]["reward"])
print("gain  ", result["gain"])

# %% [markdown]
# The gain is the mean difference on the same held-out rows, with its 95 % interval. If that interval lies above 0,
# the model has learned something that holds for messages it has never seen.
#
# ## Look at it
#
# The curve of the reward. The band around it is its interval. *Looks* are greedy answers to validation rows.

# %%
plot_reward("runs/tickets")

# %% [markdown]
# A number hides a lot. Read some answers, before and after:

# %%
for line in Path("runs/tickets/samples.jsonl").read_text(encoding="utf-8").splitlines()[:4]:
    row = json.loads(line)
    print(row["prompt"].split("\n")[0])
    for when in ("before", "after"):
        print(f"  {when:6} {row[when]['reward']:.2f}  {row[when]['response']!r}")

# %% [markdown]
# The model has learned the letters. The words behind them are as odd as before: nothing is paid for them, so nothing
# is learned about them. A reward gets what it pays for, which the next tutorial is about.
#
# `runs/tickets/report.html` shows all of this in one page, and `runs/tickets/model` loads with plain transformers. On the
# command line the same run is
#
# ```sh
# textenv train TextQAChoice-v0 --dataset '{path: tickets.csv, columns: {question: message, choices: teams, answer: team}}'
# ```
#
# Next: [your own reward, and how it gets hacked](3_your_own_reward.md).
