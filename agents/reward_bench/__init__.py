"""The benchmark of reward designs: train against each, and see what it really optimises."""
