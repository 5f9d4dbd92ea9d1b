"""What a training run takes of memory, counted without weights."""
