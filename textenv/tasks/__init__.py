"""The tasks that come with the package, and the base of those that do not."""
