"""The page of a training run, and the page that compares runs; both are made of files alone."""

from agents.training.report.render import reported, write_run_report

__all__ = ["reported", "write_run_report"]
