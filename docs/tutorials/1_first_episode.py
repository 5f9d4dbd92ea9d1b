# %% [markdown]
# # 1. A first episode
#
# In reinforcement learning an agent acts in an environment, which pays it a reward. Here the agent writes text.
# This tutorial plays one episode by hand and looks at every part of it. It needs no training and takes seconds.

# %%
import gymnasium as gym

import textenv
from agents import load_model_tokenizer

# %% [markdown]
# ## The environment
#
# `import textenv` has registered its environments with Gymnasium. This one shows a short news report, and pays for
# a summary of it.

# %%
env = gym.make("TextSummarize-v0")
observation, info = env.reset(seed=0)
for name, array in observation.items():
    print(f"{name:15} {array.dtype!s:6} {array.shape}")
print("actions:", env.action_space)

# %% [markdown]
# The *state* is the conversation so far, as numbers: `input_ids` are tokens, pieces of words, and `attention_mask`
# says which places are filled. `remaining` counts how many tokens the agent may still write. An *action* is the next
# token, one of some thousands.
#
# A tokenizer turns the numbers into text again:

# %%
tokenizer = load_model_tokenizer("embedded")
written = int(observation["attention_mask"].sum())
print(tokenizer.decode(observation["input_ids"][:written]))

# %% [markdown]
# ## An agent that draws at random
#
# Every step appends one token. The reward comes at the end: until then it is 0. An episode ends when the agent
# writes the end-of-turn token, or when `remaining` is used up.

# %%
terminated = truncated = False
n_steps = 0
while not (terminated or truncated):
    observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
    n_steps += 1
print(n_steps, "tokens:", repr(info["response"]))
print("reward", reward, "because", info["stop_reason"])

# %% [markdown]
# Random tokens are no summary, and earn next to nothing. That is the point from which learning from scratch would
# have to start, and why one begins with a language model instead.
#
# ## The same task in whole texts
#
# Nobody writes token by token. At *text level* an action is a whole turn, and the observation is a list of messages,
# as chat models take them. It is the same task with the same reward:

# %%
env = gym.make("TextSummarize-v0", action_level="text")
messages, info = env.reset(seed=0)
report = messages[-1]["content"]
print(report)

# %% [markdown]
# An old rule for news: the first sentence says it all. How well does that do?

# %%
first_sentence = report.split(". ")[0].split("\n")[-1] + "."
messages, reward, terminated, truncated, info = env.step(first_sentence)
print(f"{reward:.3f} for {first_sentence}")
example = env.unwrapped.core.example(0)
print("the reference:", example.references[0])

# %% [markdown]
# The reward here is ROUGE-L: how much of a reference, in its order, the text has. It is between 0 and 1, and the
# reference itself earns 1.
#
# ## Many examples at once
#
# One example says little. `gym.make_vec` steps many episodes in one call. Here the rule above plays 64 of them:

# %%
envs = gym.make_vec("TextSummarize-v0", num_envs=64, action_level="text")
conversations, infos = envs.reset(seed=0)
reports = [messages[-1]["content"] for messages in conversations]
texts = [report.split(". ")[0].split("\n")[-1] + "." for report in reports]
conversations, rewards, terminated, truncated, infos = envs.step(texts)
print(textenv.estimate_mean(rewards))

# %% [markdown]
# `ci95` is the 95 % interval of the mean: other examples would give a mean within it. Every figure in textenv comes
# with one, since a gain that is smaller than the noise is no gain.
#
# Next: [PPO on your CSV](2_ppo_on_your_csv.md).
