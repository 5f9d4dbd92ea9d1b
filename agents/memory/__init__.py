"""What a training takes of memory, counted by running the engine on tensors without any."""
