"""Draws the curves of a training run as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from textenv.benchmark.report.intervals import round_ticks

_WIDTH, _HEIGHT = 900, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 50, 45
_GAP = 60
_INK, _FAINT = "#222222", "#dddddd"


def draw_curves(path: Path, rewards: Sequence[float], kls: Sequence[float], title: str) -> None:
    """Draws reward and KL over the iterations, side by side.

    Args:
        path: Of the PNG file.
        rewards: The mean of each iteration.
        kls: Nats a sequence to the reference.
        title: Above both.
    """
    image = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    draw = ImageDraw.Draw(image)
    draw.text((_LEFT, 10), title, fill=_INK, font=ImageFont.load_default(16))
    half = (_WIDTH - _LEFT - _RIGHT - _GAP) // 2
    _draw_panel(draw, _LEFT, half, rewards, "reward, sampled", "#1f5fa8")
    _draw_panel(draw, _LEFT + half + _GAP, half, kls, "KL to the start, nats a sequence", "#b3470a")
    image.save(path)


def _draw_panel(
    draw: ImageDraw.ImageDraw, left: int, width: int, values: Sequence[float], name: str, color: str
) -> None:
    font = ImageFont.load_default(12)
    bottom, height = _HEIGHT - _BOTTOM, _HEIGHT - _TOP - _BOTTOM
    low, high = min(0.0, *values), max(values)
    high = high if high > low else low + 1.0
    last = max(1, len(values) - 1)

    def place(i: float, value: float) -> tuple[float, float]:
        return left + width * i / last, bottom - height * (value - low) / (high - low)

    draw.text((left, _TOP - 18), name, fill=color, font=font)
    for tick, label in round_ticks(low, high):
        y = place(0, tick)[1]
        draw.line([(left, y), (left + width, y)], fill=_FAINT)
        draw.text((left - 6, y), label, fill=_INK, font=font, anchor="rm")
    for tick, label in round_ticks(1, last + 1):
        if tick == int(tick):
            draw.text(
                (place(tick - 1, low)[0], bottom + 6), label, fill=_INK, font=font, anchor="ma"
            )
    draw.text((left + width / 2, bottom + 24), "iteration", fill=_INK, font=font, anchor="ma")
    points = [place(i, value) for i, value in enumerate(values)]
    if len(points) > 1:
        draw.line(points, fill=color, width=2, joint="curve")
    else:
        x, y = points[0]
        draw.ellipse([(x - 3, y - 3), (x + 3, y + 3)], fill=color)
