"""Generated data sets: a generator a file, the words that it draws from beside it."""
