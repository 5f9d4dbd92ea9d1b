"""Measurements that anyone can run; each prints its figures, and writes them as JSON if asked."""
