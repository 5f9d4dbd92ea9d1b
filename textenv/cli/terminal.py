"""What commands print goes through here, so that no text that they show steers the terminal."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType, RenderHook
from rich.segment import Segment

from textenv.safe_text import for_terminal

# What progress bars of other libraries need where a terminal reads them: colours, the start of
# the line, the line above, and the rest of a line.
_HARMLESS = re.compile(r"\x1b\[[0-9;]*m|\x1b\[[0-9]*[AK]|\r")


def make_console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """Returns a console that shows control characters as signs, and takes no text for markup."""
    console = Console(stderr=stderr, quiet=quiet, highlight=False, markup=False, emoji=False)
    console.push_render_hook(_Shown())
    return console


class _Shown(RenderHook):
    """Filters what is printed, after it was laid out: rich's own styles and moves stay."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_ShownText(renderable) for renderable in renderables]


class _ShownText:
    def __init__(self, renderable: RenderableType) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[Segment]:
        for text, style, control in console.render(self._renderable, options):
            yield Segment(text if control else for_terminal(text), style, control)


class GuardedStream:
    """Standard output or error for all that does not print by a console of rich.

    Such are tracebacks, warnings, and what other libraries log.

    Args:
        stream: The stream to write to.
    """

    def __init__(self, stream: TextIO) -> None:
        # The name by which rich's consoles find the stream itself: they write styles.
        self.rich_proxied_file = stream

    def write(self, text: str) -> int:
        """Writes text with its control characters shown."""
        stream = self.rich_proxied_file
        if stream.isatty():
            stream.write("".join(_parts(text)))
        else:
            stream.write(for_terminal(text.replace("\r\n", "\n")))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes lines, as `write` does."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)


def guard_streams() -> None:
    """Has this process write to its standard streams through a `GuardedStream`."""
    # A narrow encoding, such as that of an old terminal, must not end a command.
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or isinstance(stream, GuardedStream):
            continue
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, GuardedStream(stream))


def _parts(text: str) -> Iterator[str]:
    start = 0
    for found in _HARMLESS.finditer(text):
        yield for_terminal(text[start : found.start()])
        yield found.group()
        start = found.end()
    yield for_terminal(text[start:])
