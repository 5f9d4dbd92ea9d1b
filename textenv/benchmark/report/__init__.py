"""The page on which people read what a benchmark of rewards has found."""

from textenv.benchmark.report.record_files import find_record_files, read_record
from textenv.benchmark.report.render import render_report, write_page, write_report

__all__ = [
    "find_record_files",
    "read_record",
    "render_report",
    "write_page",
    "write_report",
]
