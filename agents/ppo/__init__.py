"""PPO on whole sequences: policy, rollout, advantages, losses, update."""
