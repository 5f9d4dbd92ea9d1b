"""Training runs: configuration, loop, evaluation, folder."""
