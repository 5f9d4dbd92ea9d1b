"""Decoding with a cache: the slots' keys and values, passes over them, and sampling."""
