"""PPO on whole sequences: rollout, advantages, losses, update."""
