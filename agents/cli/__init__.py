"""The commands that train, evaluate and benchmark."""
