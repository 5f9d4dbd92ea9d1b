# %% [markdown]
# # 6. Another agent
#
# The environments are plain Gymnasium environments, so that any agent plugs in. This tutorial plugs in three:
# Stable-Baselines3 learns, TorchRL plays, and TRL gets its prompts and its reward. It takes about a minute on two
# cores, and needs `pip install 'textenv[examples]'`.

# %%
import gymnasium as gym
from stable_baselines3 import DQN
from stable_baselines3.common.evaluation import evaluate_policy
from torchrl.envs import GymEnv

import textenv  # registers the environments
from agents import TextVecEnv
from agents.integrations.sb3_features import candidate_policy_kwargs
from agents.integrations.trl import prompt_rows, reward_function

STEPS = 6144  # choices that DQN learns from
EPISODES = 128  # held-out ones

# %% [markdown]
# ## Stable-Baselines3
#
# DQN cannot write text: it chooses among a handful of actions. At *select level* an action is the number of a
# candidate reply, and the observation holds the candidates. `TextVecEnv` makes SB3's vector environment of
# Gymnasium's, and `candidate_policy_kwargs` a small network that reads the tokens.


# %%
def make(split):
    envs = gym.make_vec("TextDialogueEasy-v0", num_envs=16, action_level="select", split=split)
    return TextVecEnv(envs)


env, held_out = make("train"), make("test")
agent = DQN(
    "MultiInputPolicy",
    env,
    learning_rate=1e-3,
    buffer_size=10_000,
    learning_starts=256,
    batch_size=64,
    train_freq=1,
    target_update_interval=512,
    exploration_fraction=0.5,
    gamma=1.0,
    policy_kwargs=candidate_policy_kwargs(env),
    seed=0,
    device="cpu",
)


def score():
    held_out.seed(0)
    return evaluate_policy(agent, held_out, EPISODES)[0]


print(f"before: {score():.3f}")
agent.learn(STEPS)
print(f"after {STEPS} choices: {score():.3f}")

# %% [markdown]
# That is the mean reward over held-out conversations. The agent has learned which reply comes next, from rewards
# alone. It is a small network without any language model.
#
# ## TorchRL
#
# TorchRL's `GymEnv` takes the id and the same arguments. A rollout is a table of tensors, step by step:

# %%
env = GymEnv("TextDialogueEasy-v0", action_level="select", categorical_action_encoding=True)
env.set_seed(0)
rollout = env.rollout(max_steps=20)
print(rollout["action"].tolist(), "were chosen at random")
print("reward", rollout["next", "reward"].sum().item())

# %% [markdown]
# `examples/torchrl_gymenv.py` trains TorchRL's own PPO on it.
#
# ## TRL
#
# TRL's GRPOTrainer plays no environment: it wants prompts, and a function that scores completions. Both come from the
# environment:

# %%
rows = prompt_rows("TextSummarize-v0", 4)
print(rows[0]["prompt"][-1]["content"])

reward = reward_function("TextSummarize-v0")
core = gym.make("TextSummarize-v0").unwrapped.core
reference = core.dataset()[rows[0]["index"]].references[0]
completions = [[{"role": "assistant", "content": text}] for text in (reference, "I do not know.")]
prompts = [rows[0]["prompt"]] * 2
print(
    reward(
        prompts=prompts, completions=completions, index=[rows[0]["index"]] * 2, split=["train"] * 2
    )
)

# %% [markdown]
# The reference earns 1, and the shrug next to nothing. The trainer takes them as they are:
#
# ```python
# GRPOTrainer(model, reward_funcs=reward, train_dataset=Dataset.from_list(rows), ...)
# ```
#
# [Environments in other trainers](../adapters.md) has the details, and `examples/` a script for each. For a task of
# your own see [the tutorial on tasks](../tutorial.md).
