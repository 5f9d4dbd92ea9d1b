"""The benchmark of reward designs, which trains against each and measures what it optimises."""
