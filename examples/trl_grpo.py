"""TRL's GRPOTrainer on any environment, from the embedded model.

python examples/trl_grpo.py                       # one turn: TRL generates, we score
python examples/trl_grpo.py --id TextDialogue-v0  # several turns: the environment plays
"""

import argparse
import tempfile

import gymnasium as gym
import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

import textenv  # noqa: F401 - registers the environments
from agents import evaluate_policy_on_split, load_model_tokenizer, load_policy
from agents.integrations.trl import episode_reward, prompt_rows, reward_function, rollout_function


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--id", default="TextTranslate-v0", help="any environment")
    parser.add_argument("--model", default="embedded", help="also a folder, a hub id, a .gguf file")
    parser.add_argument("--steps", type=int, default=36, help="of the optimizer")
    parser.add_argument("--batch", type=int, default=64, help="episodes a step, 8 of each prompt")
    parser.add_argument("--episodes", type=int, default=256, help="held-out episodes to score")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    core = gym.make_vec(args.id, num_envs=64, tokenizer=args.model).core
    policy = load_policy(args.model, core)  # for scores; TRL trains its weights
    rows = prompt_rows(args.id, args.steps * args.batch // 8)
    if core.max_turns == 1:
        played = {"reward_funcs": reward_function(args.id, tokenizer=args.model)}
    else:
        rollout = rollout_function(args.id, rows, tokenizer=args.model)
        played = {"reward_funcs": episode_reward, "rollout_func": rollout}

    def score() -> float:
        found = evaluate_policy_on_split(policy, core, "test", args.episodes, deterministic=False)
        return float(found.rewards.mean())

    before = score()
    with tempfile.TemporaryDirectory() as folder:
        config = GRPOConfig(
            output_dir=folder,
            max_steps=args.steps,
            learning_rate=1e-4,
            per_device_train_batch_size=args.batch,
            num_generations=8,
            max_completion_length=core.max_new_tokens,
            logging_steps=max(1, args.steps // 4),
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            disable_tqdm=True,
            seed=args.seed,
        )
        GRPOTrainer(
            policy.lm,
            args=config,
            train_dataset=Dataset.from_list(rows),
            processing_class=load_model_tokenizer(args.model),
            **played,
        ).train()
    print(f"GRPO on {args.id}: before {before:.3f} after {score():.3f}")


if __name__ == "__main__":
    main()
