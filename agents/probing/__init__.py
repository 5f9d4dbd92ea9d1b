"""Whether a model computes in our passes what a plain forward pass of transformers does."""
