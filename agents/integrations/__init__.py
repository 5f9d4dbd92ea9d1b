"""Adapters to other libraries: TRL, verl, stock Stable-Baselines3."""
