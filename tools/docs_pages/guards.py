"""The page of guards on learning, made of the table that declares them."""

from __future__ import annotations

from agents.training import guard_rules as rules
from agents.training.guards import CALM, GUARDS
from tools.docs_pages.markdown import render_page


def render_guards() -> str:
    """Returns the page."""
    return render_page(
        "guards",
        guards=GUARDS,
        start=rules.START,
        span=rules.SPAN,
        sure=f"{rules.SURE:g}",
        calm=CALM,
    )
