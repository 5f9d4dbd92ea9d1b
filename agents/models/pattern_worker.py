"""Matches patterns of layers with names in a process of its own, which may be killed at any time.

A pattern comes with an adapter, and may take for ever; Python does not interrupt a match. Reads a
JSON list a line, of patterns and of names, and writes a line when all are matched.

This file is run as a script. It imports nothing of this package.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys


def main() -> None:
    """Answers one line after the other, until there are no more."""
    _say("ready")
    for line in sys.stdin:
        patterns, names = json.loads(line)
        for pattern in patterns:
            # As peft puts them together; one that is not valid is peft's to refuse.
            for form in (pattern, rf"(.*\.)?({pattern})$", rf"(?:^|.*?\.){pattern}\.(\d+)\."):
                with contextlib.suppress(re.error, RecursionError):
                    for name in names:
                        re.match(form, name)
                        re.fullmatch(form, name)
        _say("matched")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
