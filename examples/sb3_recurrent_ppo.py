"""sb3-contrib's RecurrentPPO books tables in dialogues of several turns, with an LSTM.

    python examples/sb3_recurrent_ppo.py

What a guest wants is hidden until asked for: a partially observable task. At select level the agent
chooses among questions and a booking.
"""

import argparse

import gymnasium as gym
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.evaluation import evaluate_policy

import textenv  # noqa: F401 - registers the environments
from agents import TextVecEnv
from agents.integrations.sb3_features import candidate_policy_kwargs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--id", default="TextDialogueEasy-v0", help="any with candidates")
    parser.add_argument("--steps", type=int, default=4096, help="turns to learn from")
    parser.add_argument("--episodes", type=int, default=128, help="held-out episodes to score")
    parser.add_argument("--envs", type=int, default=32, help="that run at a time")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    def make(split: str) -> TextVecEnv:
        return TextVecEnv(
            gym.make_vec(args.id, num_envs=args.envs, action_level="select", split=split)
        )

    env, held_out = make("train"), make("test")
    agent = RecurrentPPO(
        "MultiInputLstmPolicy",
        env,
        n_steps=16,
        batch_size=128,
        n_epochs=4,
        learning_rate=2e-3,
        gamma=1.0,
        ent_coef=0.01,
        policy_kwargs={
            **candidate_policy_kwargs(env),
            "lstm_hidden_size": 128,
            "shared_lstm": True,
            "enable_critic_lstm": False,
        },
        seed=args.seed,
        device="cpu",
    )

    def score() -> float:
        held_out.seed(args.seed)
        return float(evaluate_policy(agent, held_out, args.episodes)[0])

    before = score()
    for _ in range(1, 5):
        agent.learn(args.steps // 4, reset_num_timesteps=False)
        print(f"{agent.num_timesteps} turns: mean reward {score():.3f}", flush=True)
    print(f"RecurrentPPO on {args.id}: before {before:.3f} after {score():.3f}")


if __name__ == "__main__":
    main()
