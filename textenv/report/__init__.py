"""What the HTML pages have in common: the frame, tables, charts, and how numbers are written."""

from textenv.report.page import REPORT_NAME, make_environment, render_page

__all__ = ["REPORT_NAME", "make_environment", "render_page"]
