"""Compares expressions by math-verify, in a process of its own that may be killed at any time.

Reads a JSON list a line, [reference, answer, seconds, most], and writes a JSON value a line: true
or false, or null if the reference cannot be read. With null for the answer, true if it can be.
Where there are such signals, it ends after those seconds of the CPU, or the most by the clock.

This file is run as a script. It imports nothing of this package, and runs no code that a text
holds: math-verify's reader of plain expressions, which uses `eval`, is left out.
"""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import sys
from typing import Any

_MEMORY = 4 << 30  # bytes of address space


def main() -> None:
    """Answers one line after the other, until there are no more."""
    replies = sys.stdout
    sys.stdout = sys.stderr
    with contextlib.suppress(ImportError, ValueError, OSError):  # not on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    from math_verify import LatexExtractionConfig, parse, verify
    from sympy import Basic, nan, zoo

    logging.disable(logging.CRITICAL)
    latex = [LatexExtractionConfig(boxed_match_priority=0)]

    def read(text: str) -> list[Any]:
        found: list[Any] = parse(
            f"\\boxed{{{text}}}", latex, fallback_mode="no_fallback", parsing_timeout=None
        )
        # 12/0 is "zoo", the complex infinity.
        return [] if any(isinstance(v, Basic) and v.has(zoo, nan) for v in found) else found

    def compare(reference: str, answer: str | None) -> bool | None:
        wanted = read(reference)
        if not wanted:
            return None
        return answer is None or bool(verify(wanted, read(answer), timeout_seconds=None))

    compare("x + 1", "x^2")  # imports what is left
    replies.write("ready\n")
    replies.flush()
    for line in sys.stdin:
        reference, answer, seconds, most = json.loads(line)
        _limit(seconds, most)
        try:
            same = compare(reference, answer)
        except (Exception, RecursionError):
            same = False if answer is not None else None
        _limit(0, 0)
        replies.write(json.dumps(same) + "\n")
        replies.flush()


def _limit(seconds: float, most: float) -> None:
    if hasattr(signal, "setitimer"):  # their signals end the process, whatever it is at
        signal.setitimer(signal.ITIMER_PROF, seconds)
        signal.setitimer(signal.ITIMER_REAL, most)


if __name__ == "__main__":
    main()
