"""Compares expressions by math-verify, in a process of its own that may be killed at any time.

Reads a JSON list a line, [reference, answer, seconds], and writes a JSON value a line: true or
false, or null if the reference cannot be read. With null for the answer, true if it can be.

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

    logging.disable(logging.CRITICAL)
    latex = [LatexExtractionConfig(boxed_match_priority=0)]

    def read(text: str) -> list[Any]:
        found: list[Any] = parse(
            f"\\boxed{{{text}}}", latex, fallback_mode="no_fallback", parsing_timeout=None
        )
        return [] if any(_is_undefined(value) for value in found) else found

    def compare(reference: str, answer: str | None) -> bool | None:
        wanted = read(reference)
        if not wanted:
            return None
        return answer is None or bool(verify(wanted, read(answer), timeout_seconds=None))

    print("ready", file=replies, flush=True)
    for line in sys.stdin:
        reference, answer, seconds = json.loads(line)
        if hasattr(signal, "alarm"):  # ends this process, should nobody be left to kill it
            signal.alarm(int(seconds) + 5)
        try:
            same = compare(reference, answer)
        except (Exception, RecursionError):
            same = False if answer is not None else None
        if hasattr(signal, "alarm"):
            signal.alarm(0)
        print(json.dumps(same), file=replies, flush=True)


def _is_undefined(value: Any) -> bool:
    """Tells whether a value is no number: 12/0 is "zoo" to sympy."""
    return str(value) in ("zoo", "nan")


if __name__ == "__main__":
    main()
