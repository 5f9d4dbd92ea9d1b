"""sb3-contrib's MaskablePPO books tables in a dialogue, and may say nothing twice.

    python examples/sb3_maskable_ppo.py

At select level the agent chooses among questions and a booking. Its masks are those of the
environment, which close places without a candidate, and one more rule: no question is repeated.
"""

import argparse

import gymnasium as gym
import numpy as np
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.evaluation import evaluate_policy
from sb3_contrib.common.wrappers import ActionMasker
from stable_baselines3.common.env_util import make_vec_env

import textenv  # noqa: F401 - registers the environments
from agents.integrations.sb3_features import candidate_policy_kwargs


def open_actions(env: gym.Env) -> np.ndarray:
    """The candidates that the agent has not said yet, bool (N,)."""
    core = env.unwrapped.core
    said = {turn.text for turn in core.transcript(0) if turn.role == "assistant"}
    candidates = core.task.candidates(core.example(0), core.transcript(0))
    masks = env.unwrapped.action_masks()
    masks[: len(candidates)] &= [text not in said for text in candidates]
    return masks if masks.any() else env.unwrapped.action_masks()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--id", default="TextDialogueEasy-v0", help="any with candidates")
    parser.add_argument("--steps", type=int, default=6144, help="turns to learn from")
    parser.add_argument("--episodes", type=int, default=256, help="held-out episodes to score")
    parser.add_argument("--envs", type=int, default=16, help="that run at a time")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    def make(split: str):
        def masked() -> gym.Env:
            return ActionMasker(gym.make(args.id, action_level="select", split=split), open_actions)

        return make_vec_env(masked, n_envs=args.envs, seed=args.seed)

    env, held_out = make("train"), make("test")
    agent = MaskablePPO(
        "MultiInputPolicy",
        env,
        n_steps=32,
        batch_size=128,
        n_epochs=4,
        learning_rate=2e-3,
        gamma=1.0,
        ent_coef=0.01,
        policy_kwargs=candidate_policy_kwargs(env),
        seed=args.seed,
        device="cpu",
    )

    def score() -> float:
        held_out.seed(args.seed)
        return float(evaluate_policy(agent, held_out, args.episodes)[0])

    before = score()
    for _ in range(4):
        agent.learn(args.steps // 4, reset_num_timesteps=False)
        print(f"{agent.num_timesteps} turns: mean reward {score():.3f}", flush=True)
    print(f"MaskablePPO on {args.id}: before {before:.3f} after {score():.3f}")


if __name__ == "__main__":
    main()
