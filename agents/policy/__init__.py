"""A language model as a policy of Stable-Baselines3: networks, passes, distribution."""
