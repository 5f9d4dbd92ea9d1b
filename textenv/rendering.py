"""Draws a conversation: as text, on the terminal, or as a picture."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textenv.examples import Turn
from textenv.safe_text import for_terminal

RENDER_FPS = 8

_SIZE = (640, 480)
_FONT_SIZE = 14
_LINE_HEIGHT = 18
_CHARS_PER_LINE = 76
_TERMINAL_COLOURS = {"system": "2", "user": "1", "assistant": "1;36"}  # dim, bold, bold cyan
_COLOURS = {"system": (110, 110, 110), "user": (20, 20, 20), "assistant": (0, 90, 170)}


def render_transcript(turns: Sequence[Turn], mode: str, result: str = "") -> Any:
    """Draws a conversation.

    Mode "ansi" returns a string, its speakers coloured by terminal codes. "human" prints it, with
    the result, such as the reward, on a line below it, and with colours where a terminal reads it
    and NO_COLOR is not set. "rgb_array" returns uint8 (height, width, 3), the end of the
    conversation if it is too long for the frame. Its font is Pillow's own: scripts that it lacks,
    such as Chinese, show as boxes.
    """
    if mode == "rgb_array":
        return _draw(turns)
    if mode == "ansi":
        return _coloured(turns)
    with_colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    text = _coloured(turns) if with_colours else for_terminal(transcript_text(turns))
    file = getattr(sys.stdout, "rich_proxied_file", sys.stdout)  # colours are to stay
    file.write(f"{text}\n{for_terminal(result)}\n\n" if result else f"{text}\n\n")
    return None


def transcript_text(turns: Sequence[Turn]) -> str:
    """Returns a conversation as one string, a paragraph a turn, each after its speaker's role."""
    return "\n".join(f"{turn.role}: {turn.text}" for turn in turns)


def reward_text(reward: float, info: Mapping[str, Any]) -> str:
    """Says what an episode was paid, and by which components; "" if it was not paid yet."""
    if "reward_components" not in info:
        return ""
    components = info["reward_components"].items()
    parts = ", ".join(f"{name} {value:.3f}" for name, value in components)
    return f"reward {reward:.3f} ({parts})"


def _coloured(turns: Sequence[Turn]) -> str:
    return "\n".join(
        f"\x1b[{_TERMINAL_COLOURS[turn.role]}m{turn.role}:\x1b[0m {for_terminal(turn.text)}"
        for turn in turns
    )


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
