"""Numbers as a reader wants them: few digits, a true minus sign, the interval beside the mean."""

from __future__ import annotations

import math

from textenv.benchmark.statistics import Estimate

MISSING = "–"
NBSP = "\N{NO-BREAK SPACE}"
_MINUS = "\N{MINUS SIGN}"


def format_number(value: float | None, decimals: int = 2, signed: bool = False) -> str:
    """Writes a number; what is None or not finite becomes a dash.

    A number that rounds to zero has no sign.
    """
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value:{'+' if signed else ''}.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", _MINUS)


def format_interval(estimate: Estimate | None, decimals: int = 2) -> str:
    """Writes an interval in brackets; nothing where there is none."""
    if estimate is None:
        return ""
    low, high = (format_number(bound, decimals) for bound in estimate.ci95)
    return f"[{low}, {high}]"


def count_decimals(estimate: Estimate) -> int:
    """Returns how many decimals the interval's width justifies: two digits of the half-width."""
    low, high = estimate.ci95
    size = (high - low) / 2 or abs(estimate.mean)
    if not math.isfinite(size) or size <= 0:
        return 2
    return min(max(1 - math.floor(math.log10(size)), 0), 5)


def format_p(p: float) -> str:
    """Writes a p-value; a bootstrap of 10 000 samples resolves no more than 0.001 well."""
    return "< 0.001" if p < 0.001 else format_number(p, 3)


def format_duration(seconds: float) -> str:
    """Writes a duration in its two largest units."""
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def format_bytes(n_bytes: int) -> str:
    """Formats a number of bytes in the largest unit of which there is one, such as "5.1 MB"."""
    size, unit = float(n_bytes), "B"
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def excludes_zero(estimate: Estimate) -> bool:
    """Returns True where the whole interval lies on one side of 0."""
    low, high = estimate.ci95
    return low > 0 or high < 0
