"""Searches for the rule from prompt to text that earns most without understanding anything."""
