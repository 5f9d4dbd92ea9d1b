"""Draws a conversation: as text, on the terminal, or as a picture."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textenv.examples import Turn

RENDER_FPS = 8

_SIZE = (640, 480)
_FONT_SIZE = 14
_LINE_HEIGHT = 18
_CHARS_PER_LINE = 76
_COLOURS = {"system": (110, 110, 110), "user": (20, 20, 20), "assistant": (0, 90, 170)}


def render_transcript(turns: Sequence[Turn], mode: str) -> Any:
    """Draws a conversation.

    Args:
        turns: Every turn so far.
        mode: "ansi" returns a string; "human" prints it, returning None; "rgb_array" returns
            uint8 (height, width, 3), the end of the conversation if it is too long for the frame.
            Its font is Pillow's own: scripts that it lacks, such as Chinese, show as boxes.
    """
    if mode == "rgb_array":
        return _draw(turns)
    text = transcript_text(turns)
    if mode == "human":
        sys.stdout.write(text + "\n\n")
        return None
    return text


def transcript_text(turns: Sequence[Turn]) -> str:
    """Returns a conversation as one string, a paragraph a turn, each after its speaker's role."""
    return "\n".join(f"{turn.role}: {turn.text}" for turn in turns)


def _draw(turns: Sequence[Turn]) -> NDArray[np.uint8]:
    from PIL import Image, ImageDraw, ImageFont

    lines: list[tuple[str, tuple[int, int, int]]] = []
    for turn in turns:
        colour = _COLOURS[turn.role]
        for paragraph in f"{turn.role}: {turn.text}".splitlines():
            wrapped = textwrap.wrap(paragraph, _CHARS_PER_LINE) or [""]
            lines += [(line, colour) for line in wrapped]
    room = (_SIZE[1] - 20) // _LINE_HEIGHT
    image = Image.new("RGB", _SIZE, (255, 255, 255))
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(_FONT_SIZE)
    for row, (line, colour) in enumerate(lines[-room:]):
        draw.text((12, 10 + row * _LINE_HEIGHT), line, fill=colour, font=font)
    return np.asarray(image).copy()
