"""How tokens are written: the slots' keys and values, passes over them, drawing, and vLLM."""
