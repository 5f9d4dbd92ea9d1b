"""Draws the pictures of README and of the docs: an episode, and a part of a page.

    python -m tools.docs_pages.pictures episode
    python -m tools.docs_pages.pictures page RUN/report.html docs/images/report.png

The episode is what `textenv play` prints, as SVG: the same bytes each time. A page is drawn by
Chromium without a window.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from tools.docs_pages.build import DOCS

EPISODE = DOCS / "images" / "episode.svg"
COMMAND = ("play", "TextDialogueReturning-v0", "--split", "test", "--index", "0")
TYPED = (
    "How many people?",
    "Booked: Thai food in the east for 6 people on Saturday at 1:30 pm.",
    "n",
)
_COLUMNS = 100
_PROMPT = re.compile(r"you> |\[Y/n\] ")
_COLOURS = 128  # of a picture of a page: its text stays sharp at a third of the bytes


def render_episode() -> str:
    """Returns the picture of an episode that a person plays at a terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "textenv", *COMMAND],
        input="\n".join(TYPED) + "\n",
        env={**os.environ, "COLUMNS": str(_COLUMNS), "FORCE_COLOR": "1", "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    # A terminal shows what is typed; a pipe does not.
    typed = iter(TYPED)
    shown = _PROMPT.sub(lambda prompt: f"{prompt[0]}\x1b[36m{next(typed)}\x1b[0m\n", done.stdout)
    console = Console(record=True, width=_COLUMNS, file=StringIO(), highlight=False)
    console.print(Text(f"$ textenv {' '.join(COMMAND)}", style="bold"))
    console.print(Text.from_ansi(shown.rstrip()))
    svg = console.export_svg(title="textenv", theme=MONOKAI, unique_id="episode")
    # Fonts of the network are left out: the reader's own do.
    svg = re.sub(r" *@font-face \{.*?\}\n| *<!--.*?-->\n", "", svg, flags=re.DOTALL)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def episode() -> None:
    """Draws the episode."""
    EPISODE.parent.mkdir(exist_ok=True)
    EPISODE.write_text(render_episode(), encoding="utf-8")


def page(
    source: Annotated[str, typer.Argument(help="A file or an address.")],
    out: Annotated[Path, typer.Argument(help="Picture to write.")],
    width: Annotated[int, typer.Option(help="Width in pixels.")] = 1100,
    height: Annotated[int, typer.Option(help="Height in pixels.")] = 900,
    top: Annotated[int, typer.Option(help="Pixels to leave out at the top.")] = 0,
    dark: Annotated[bool, typer.Option(help="Ask the page for its dark colours.")] = False,
) -> None:
    """Draws a part of a page with Chromium."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise typer.BadParameter("Pictures of pages need Chromium or Chrome.")
    address = source if "://" in source else Path(source).resolve().as_uri()
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "page.png"
        subprocess.run(
            [
                chromium,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                f"--window-size={width},{top + height}",
                f"--screenshot={picture}",
                *(["--blink-settings=preferredColorScheme=0"] if dark else []),
                address,
            ],
            capture_output=True,
            check=True,
            timeout=120,
        )
        with Image.open(picture) as drawn:
            part = drawn.convert("RGB").crop((0, top, width, top + height))
            part.quantize(_COLOURS).save(out, optimize=True)


def make_app() -> typer.Typer:
    """Builds the command line."""
    app = typer.Typer(no_args_is_help=True, add_completion=False)
    app.command()(episode)
    app.command()(page)
    return app


if __name__ == "__main__":
    make_app()()
