"""Rewards by frozen neural models."""
