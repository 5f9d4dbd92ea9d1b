"""Rewards for how a text is written, without references."""
