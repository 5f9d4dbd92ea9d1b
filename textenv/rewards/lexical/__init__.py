"""Rewards that compare words with references."""
