"""Rewards that ask a language model for a score."""
