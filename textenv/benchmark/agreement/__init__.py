"""How well rewards agree with what people said of the same texts."""
