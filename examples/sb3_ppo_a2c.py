"""Stable-Baselines3's own PPO and A2C train a language model, token by token.

    python examples/sb3_ppo_a2c.py --algorithm A2C

The policy is the embedded model; the reward is a plain function, which wants three words. Stock
algorithms read the whole text again for every token that they learn from; `agents.TextPPO` learns
from whole episodes, many times faster.
"""

import argparse

import gymnasium as gym
import numpy as np
from stable_baselines3 import A2C, PPO

import textenv
from agents import LMPolicy, TextVecEnv, evaluate_policy_on_split

SETTINGS = {
    "PPO": (PPO, {"n_steps": 32, "batch_size": 256, "n_epochs": 1, "learning_rate": 1e-3}),
    "A2C": (A2C, {"n_steps": 32, "learning_rate": 1e-3, "normalize_advantage": True}),
}


def three_words(episodes):
    """Pays 1 for an answer of exactly three words, and less the further it is from that."""
    words = np.array([len(episode.response.split()) for episode in episodes])
    return textenv.RewardResult(1 / (1 + np.abs(words - 3)), {"words": words})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--algorithm", choices=SETTINGS, default="PPO")
    parser.add_argument("--id", default="TextTranslate-v0", help="any environment")
    parser.add_argument("--steps", type=int, default=7168, help="tokens to learn from")
    parser.add_argument("--episodes", type=int, default=128, help="held-out episodes to score")
    parser.add_argument("--envs", type=int, default=32, help="that run at a time")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    # TextVecEnv steps all slots in one call; SB3's make_vec_env works as well, more slowly.
    env = TextVecEnv(gym.make_vec(args.id, num_envs=args.envs, reward=three_words))
    held_out = gym.make_vec(args.id, num_envs=64, reward=three_words).core
    algorithm, settings = SETTINGS[args.algorithm]
    agent = algorithm(
        LMPolicy,
        env,
        policy_kwargs={"model": "embedded"},
        gamma=1.0,  # a token is not worth less for coming early
        gae_lambda=0.95,
        seed=args.seed,
        device="cpu",
        **settings,
    )

    def score() -> float:
        found = evaluate_policy_on_split(agent.policy, held_out, "test", args.episodes)
        return float(found.rewards.mean())

    before = score()
    for _ in range(1, 5):
        agent.learn(args.steps // 4, reset_num_timesteps=False)
        print(f"{agent.num_timesteps} tokens: mean reward {score():.3f}", flush=True)
    print(f"{args.algorithm} on {args.id}: before {before:.3f} after {score():.3f}")


if __name__ == "__main__":
    main()
