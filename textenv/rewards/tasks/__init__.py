"""Rewards of the package's own tasks."""
