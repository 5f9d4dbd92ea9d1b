"""Finds numbers in texts: the grammar of one, and what may stand about it."""
