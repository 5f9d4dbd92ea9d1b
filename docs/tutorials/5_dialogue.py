# %% [markdown]
# # 5. A dialogue over turns
#
# Most of what one asks of a chat model takes several turns: it has to find out what is wanted before it acts. In this
# tutorial a small model books tables for guests. It has learned by imitation to make up what it was not told, and
# PPO teaches it to ask. It takes about a minute and a half on two cores.

# %%
import gymnasium as gym

import textenv
from agents import TextPPO, evaluate_policy_on_split

EPISODES = 1536  # of the training
EXAMPLES = 64  # held-out guests
ID = "TextDialogueReturning-v0"

# %% [markdown]
# ## A conversation by hand
#
# The environment plays the guest. `step` takes what the agent says, and returns what the guest answers. The reward
# is 0 until the booking ends the episode.

# %%
env = gym.make(ID, action_level="text")
messages, info = env.reset(seed=3)
print("guest:", messages[-1]["content"])
said = "What food, how many people, which area, what day and what time?"
messages, reward, terminated, truncated, info = env.step(said)
print("agent:", said)
print("guest:", messages[-1]["content"], "| reward so far:", reward)

# %% [markdown]
# This is the *transition* of the environment: state (the conversation so far), action (what the agent says), next
# state (with the guest's answer). A simulated guest answers within microseconds, so that thousands of conversations
# can be played.
#
# ## What the model does at first


# %%
def talk(agent, n=3):
    core = gym.make_vec(ID, num_envs=32).core
    found = evaluate_policy_on_split(agent.policy, core, "test", EXAMPLES)
    for episode, reward in list(zip(found.episodes, found.rewards, strict=True))[:n]:
        for turn in episode.turns[1:]:
            print(f"  {'agent' if turn.role == 'assistant' else 'guest'}: {turn.text}")
        print(f"  reward {reward:.2f}\n")
    return found


env = gym.make_vec(ID, num_envs=64)
agent = TextPPO("LMPolicy", env, n_episodes=64, seed=0, device="cpu")
before = talk(agent)
print("mean reward", before.rewards.mean().round(3))

# %% [markdown]
# It books at once, with an area or a time that nobody has said. Its teacher could do so: a clerk who knows the guests
# that have been there before. The model has seen only *that* the clerk books at once, not why.
#
# ## Train
#
# Only what the agent wrote is learned from. What the guest says stands between, and PPO's advantages pass over it:
# the reward at the end pays for the question at the beginning.

# %%
rewards = []


def note(metrics):
    rewards.append(metrics["rollout/reward_mean"])
    return True  # go on


agent.learn(total_episodes=EPISODES, after_iteration=note)
for i in range(0, len(rewards), max(len(rewards) // 8, 1)):
    print(f"iteration {i + 1:3}: reward {rewards[i]:.3f} {'#' * round(40 * rewards[i])}")

# %% [markdown]
# ## And now?

# %%
after = talk(agent)
print("mean reward", after.rewards.mean().round(3))
print("gain", textenv.estimate_gain(after.rewards, before.rewards))

# %% [markdown]
# Nobody showed it how to ask. It tried both now and then, and what was asked for was paid. That is what reinforcement
# learning adds to imitation: it learns from what its own words lead to.
#
# Next: [another agent](6_another_agent.md).
