"""Sampled answers with their rewards, as rows of files, and the training files made of them."""
