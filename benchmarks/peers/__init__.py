"""Who takes part in `benchmarks.ppo`: one program each, all with the same work to do."""
