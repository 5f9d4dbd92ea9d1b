"""Generated data sets: one generator in each file, and files of the words that it draws from."""
