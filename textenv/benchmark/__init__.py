"""Which reward design is right: comparisons of agents and rewards, with intervals."""
