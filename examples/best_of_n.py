"""Best of n: sample n answers to each prompt, keep the best; how much is there to gain?

    python examples/best_of_n.py --id TextQA-v0

The curve says what a reward could teach a model before anything is trained. It is estimated without
bias from all samples of a prompt: the expected best of n drawn without replacement.
"""

import argparse
from math import comb

import gymnasium as gym
import numpy as np
import torch

import textenv  # noqa: F401 - registers the environments
from agents import load_policy


def expected_best(rewards: np.ndarray, n: int) -> float:
    """Mean over prompts of the expected best of n, from (prompts, samples) rewards."""
    total = rewards.shape[1]
    # The i-th smallest is the best of n where the other n - 1 are among the i below it.
    weights = np.array([comb(i, n - 1) for i in range(total)]) / comb(total, n)
    return float((np.sort(rewards, axis=1) @ weights).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--id", default="TextSummarize-v0", help="any environment")
    parser.add_argument("--model", default="embedded", help="also a folder, a hub id, a .gguf file")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--samples", type=int, default=32, help="for each prompt")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    env = gym.make_vec(
        args.id, num_envs=args.prompts, split="test", tokenizer=args.model,
        autoreset_mode="disabled",
    )  # fmt: skip
    policy = load_policy(args.model, env.core)
    torch.manual_seed(args.seed)
    rewards = np.zeros((args.prompts, args.samples))
    for sample in range(args.samples):
        env.reset(options={"index": list(range(args.prompts))})
        while len(slots := np.flatnonzero(env.core.playing)):
            actions = np.zeros(args.prompts, np.int64)
            texts, lengths = env.core.input_ids[slots], env.core.lengths[slots]
            actions[slots], _ = policy.act(texts, lengths, slots)
            rewards[:, sample] += env.step(actions)[1]
    for n in [2**k for k in range(args.samples.bit_length())]:
        print(f"best of {n:3d}: mean reward {expected_best(rewards, n):.3f}")
    first, last = expected_best(rewards, 1), expected_best(rewards, args.samples)
    print(f"Best of {args.samples} on {args.id}: before {first:.3f} after {last:.3f}")


if __name__ == "__main__":
    main()
