"""The page of metrics, made of the list that declares them."""

from __future__ import annotations

from agents.training.metrics import METRICS
from tools.docs_pages.markdown import render_page


def render_metrics() -> str:
    """Returns the page."""
    return render_page("metrics", groups=METRICS)
