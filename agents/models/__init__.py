"""Language models: loading, attention, adapters, log-probabilities."""
