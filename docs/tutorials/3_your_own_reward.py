# %% [markdown]
# # 3. Your own reward, and how it gets hacked
#
# A reward says what you want. An agent finds out what it *pays for*, which is not always the same. In this tutorial
# you write a reward that sounds right, train on it, and see what becomes of the texts. Then you mend it. It takes
# under two minutes on two cores.

# %%
import gymnasium as gym

import textenv
from agents import TextPPO, evaluate_policy_on_split

EPISODES = 1024  # of each training
EXAMPLES = 64  # held-out ones

# %% [markdown]
# ## A reward that sounds right
#
# A good summary tells details: where it happened, when, with whom. Such details begin with a small word: *in*, *on*,
# *at*, *with*, *for*. So let us pay for these words: the share of them that the summary has.
#
# A reward takes finished episodes and returns a number for each.

# %%
SMALL_WORDS = {"in", "on", "at", "with", "for"}


def details(episodes):
    return [
        len(SMALL_WORDS & set(episode.response.lower().split())) / len(SMALL_WORDS)
        for episode in episodes
    ]


# %% [markdown]
# ## Train on it
#
# `TextPPO` has the interface of Stable-Baselines3's PPO. We measure two things: our reward, and ROUGE-L beside what
# a person wrote. The second is the *gold* metric: it plays no part in the training.


# %%
def measure(agent, reward):
    core = gym.make_vec("TextSummarize-v0", num_envs=32, reward=reward).core
    found = evaluate_policy_on_split(agent.policy, core, "test", EXAMPLES)
    texts = [episode.response for episode in found.episodes]
    references = [list(episode.example.references) for episode in found.episodes]
    gold = textenv.score("rougeL", texts, references).total
    print(f"our reward {found.rewards.mean():.3f}   gold {gold.mean():.3f}")
    return texts


def train(reward, **options):
    env = gym.make_vec("TextSummarize-v0", num_envs=32, reward=reward)
    agent = TextPPO("LMPolicy", env, n_episodes=64, seed=0, device="cpu", **options)
    before = measure(agent, reward)
    agent.learn(total_episodes=EPISODES)
    after = measure(agent, reward)
    for i in range(3):
        print(f"\n  before: {before[i]}\n  after:  {after[i]}")


train(details, kl_coef=0.0)

# %% [markdown]
# Our reward went up. Read the texts, and the gold metric: the agent has found that small words are paid and sense is
# not. It did nothing wrong. It does what it is paid for. This is called *reward hacking*, and more training makes it
# worse.
#
# ## Know it before you train
#
# An audit asks a reward what it would pay for texts that deserve nothing: the source itself, its words in any order,
# one sentence repeated. It takes seconds and no training:

# %%
core = gym.make("TextSummarize-v0").unwrapped.core
found = textenv.audit(details, core, n_examples=EXAMPLES)
print(found.verdict)
for probe in found.probes[:4]:
    print(f"  {probe.score.mean:.2f}  {probe.name}")

# %% [markdown]
# ## Mend it
#
# Two rules help. Pay for the whole, not for a part that is easy to fake: here ROUGE-L is paid, and details come on top
# with a small weight. And hold the agent near its start, which knows how a sentence looks: `kl_coef` is the price of
# moving away from it. It was 0 above, and is now what it usually is.

# %%
textenv.register_reward("details", lambda: details)
mended = {"rougeL": 0.8, "details": 0.2}
print(textenv.audit(mended, core, n_examples=EXAMPLES).verdict)

# %%
train(mended)

# %% [markdown]
# The texts are sentences again, and gold has hardly moved. It has not risen either: this model was taught to summarize
# before, and so short a training has little to add. No harm done is a result, too. [What PPO gains](../results.md)
# shows tasks where there is more to learn.
#
# The reward that you optimize is never the thing that you want. Keep a gold metric out of the training, and read
# texts.
#
# Next: [which of four rewards is right](4_which_reward.md).
