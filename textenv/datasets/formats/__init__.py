"""Readers of files of rows, one format a file."""
