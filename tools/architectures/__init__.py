"""Which architectures of transformers the policy gets right: tiny random models and their judge."""
