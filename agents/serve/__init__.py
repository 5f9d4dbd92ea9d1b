"""A local page that shows runs while they train: reads files of runs, writes nothing."""
