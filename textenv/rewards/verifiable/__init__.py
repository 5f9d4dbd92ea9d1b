"""Rewards for answers that a rule can check."""
