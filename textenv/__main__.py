"""The command line as `python -m textenv`, which is how launchers of processes start it."""

from textenv.cli.main import main

main()
