"""Files that are whole or absent, checksummed, in a folder that one process writes to."""
