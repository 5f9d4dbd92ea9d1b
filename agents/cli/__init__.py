"""The commands that need a model: training, evaluation, reward benchmarks."""
