"""Stable-Baselines3's DQN chooses what to say next in dialogues of several turns.

    python examples/sb3_dqn_select.py

At select level an action is the number of a candidate reply, so that agents for a handful of
actions work on text. `CandidateFeatures` reads the tokens for them.
"""

import argparse

import gymnasium as gym
from stable_baselines3 import DQN
from stable_baselines3.common.evaluation import evaluate_policy

import textenv  # noqa: F401 - registers the environments
from agents import TextVecEnv
from agents.integrations.sb3_features import candidate_policy_kwargs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--id", default="TextDialogueEasy-v0", help="any with candidates")
    parser.add_argument("--steps", type=int, default=4096, help="choices to learn from")
    parser.add_argument("--episodes", type=int, default=256, help="held-out episodes to score")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    def make(split: str) -> TextVecEnv:
        return TextVecEnv(gym.make_vec(args.id, num_envs=16, action_level="select", split=split))

    env, held_out = make("train"), make("test")
    agent = DQN(
        "MultiInputPolicy",
        env,
        learning_rate=1e-3,
        buffer_size=10_000,
        learning_starts=256,
        batch_size=64,
        train_freq=1,  # one minibatch for every step of the 16 slots
        target_update_interval=512,
        exploration_fraction=0.5,
        gamma=1.0,
        policy_kwargs=candidate_policy_kwargs(env),
        seed=args.seed,
        device="cpu",
    )

    def score() -> float:
        held_out.seed(args.seed)
        return float(evaluate_policy(agent, held_out, args.episodes)[0])

    before = score()
    for _ in range(1, 5):
        agent.learn(args.steps // 4, reset_num_timesteps=False)
        print(f"{agent.num_timesteps} choices: mean reward {score():.3f}", flush=True)
    print(f"DQN on {args.id}: before {before:.3f} after {score():.3f}")


if __name__ == "__main__":
    main()
