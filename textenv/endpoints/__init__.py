"""Asks endpoints of chat models: retries, a budget of requests, answers that are kept."""
