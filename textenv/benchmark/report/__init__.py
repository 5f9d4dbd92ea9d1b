"""The page on which people read what a benchmark of rewards has found."""

from textenv.benchmark.report.reading import read_records
from textenv.benchmark.report.render import REPORT_NAME, render_report, write_report

__all__ = ["REPORT_NAME", "read_records", "render_report", "write_report"]
