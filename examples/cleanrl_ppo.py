"""PPO in one file, as CleanRL has it, over `gym.make_vec`: a small network starts from nothing.

    python examples/cleanrl_ppo.py

All it knows at first is how often each token occurs in 256 references.
"""

import argparse

import gymnasium as gym
import numpy as np
import torch
from torch import nn
from torch.distributions import Categorical

import textenv  # noqa: F401 - registers the environments

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--id", default="TextTranslate-v0", help="any environment")
parser.add_argument("--iterations", type=int, default=25)
parser.add_argument("--episodes", type=int, default=256, help="held-out episodes to score")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
N_ENVS, N_STEPS, EPOCHS, BATCH, CLIP, GAE_LAMBDA, GAMMA = 64, 64, 4, 512, 0.2, 0.95, 1.0
torch.manual_seed(args.seed)
rng = np.random.default_rng(args.seed)


class Network(nn.Module):
    """Sees the mean of all tokens, the last three, and what is left of the turn."""

    def __init__(self, n_tokens, size=64):
        super().__init__()
        self.embedding = nn.Embedding(n_tokens, size)
        self.body = nn.Sequential(nn.Linear(4 * size + 1, 128), nn.Tanh())
        self.actor, self.critic = nn.Linear(128, n_tokens), nn.Linear(128, 1)
        nn.init.normal_(self.actor.weight, std=0.01)

    def forward(self, observation):
        ids, mask = (
            torch.as_tensor(observation[k]).long() for k in ("input_ids", "attention_mask")
        )
        length = mask.sum(1, keepdim=True)
        mean = (self.embedding(ids) * mask.unsqueeze(-1)).sum(1) / length
        last = self.embedding(ids.gather(1, length - torch.tensor([1, 2, 3]))).flatten(1)
        left = torch.as_tensor(observation["remaining"]) / 32
        hidden = self.body(torch.cat([mean, last, left], 1))
        return Categorical(logits=self.actor(hidden)), self.critic(hidden).squeeze(1)


envs = gym.make_vec(args.id, num_envs=N_ENVS, autoreset_mode="same_step")
held_out = gym.make_vec(args.id, num_envs=args.episodes, split="test", autoreset_mode="disabled")
network = Network(envs.single_action_space.n)
optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, eps=1e-5)

counts = np.full(envs.single_action_space.n, 1e-3)
for index in range(256):
    tokens = envs.core.tokenizer.encode(envs.core.dataset()[index].references[0])
    np.add.at(counts, [*tokens, envs.core.tokenizer.end_id], 1)
network.actor.bias.data = torch.log(torch.tensor(counts / counts.sum())).float()


@torch.no_grad()
def score():
    """The mean reward of sampled answers to the first held-out examples."""
    observation, _ = held_out.reset(options={"index": list(range(args.episodes))})
    total = np.zeros(args.episodes)
    while held_out.core.playing.any():
        actions = network(observation)[0].sample()
        observation, rewards, *_ = held_out.step(actions.numpy())
        total += rewards
    return total.mean()


before = score()
observation, _ = envs.reset(seed=args.seed)
for iteration in range(1, args.iterations + 1):
    steps = []
    for _ in range(N_STEPS):
        with torch.no_grad():
            policy, values = network(observation)
            actions = policy.sample()
        following, rewards, terminated, truncated, _ = envs.step(actions.numpy())
        done = torch.tensor(terminated | truncated).float()
        steps.append((observation, actions, policy.log_prob(actions), values,
                      torch.tensor(rewards).float(), done))  # fmt: skip
        observation = following
    observations, *columns = zip(*steps, strict=True)
    actions, logprobs, values, rewards, dones = map(torch.stack, columns)  # (steps, envs)
    with torch.no_grad():
        advantages, advantage, next_values = torch.zeros_like(values), 0, network(observation)[1]
        for t in reversed(range(N_STEPS)):
            delta = rewards[t] + GAMMA * next_values * (1 - dones[t]) - values[t]
            advantages[t] = advantage = delta + GAMMA * GAE_LAMBDA * (1 - dones[t]) * advantage
            next_values = values[t]
    flat = {k: np.concatenate([o[k] for o in observations]) for k in observations[0]}
    actions, logprobs, returns = (
        actions.flatten(),
        logprobs.flatten(),
        (advantages + values).flatten(),
    )
    advantages = advantages.flatten()
    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    for _ in range(EPOCHS):
        for rows in rng.permutation(len(actions)).reshape(-1, BATCH):
            policy, new_values = network({key: value[rows] for key, value in flat.items()})
            ratio = torch.exp(policy.log_prob(actions[rows]) - logprobs[rows])
            gain = advantages[rows]
            policy_loss = -torch.min(ratio * gain, ratio.clamp(1 - CLIP, 1 + CLIP) * gain).mean()
            value_loss = (new_values - returns[rows]).pow(2).mean()
            optimizer.zero_grad()
            (policy_loss + 0.5 * value_loss).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 0.5)
            optimizer.step()
    if iteration % max(1, args.iterations // 5) == 0:
        print(f"iteration {iteration}: mean reward {score():.3f}", flush=True)
print(f"CleanRL-style PPO on {args.id}: before {before:.3f} after {score():.3f}")
