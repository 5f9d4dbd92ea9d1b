"""Asks math-verify in another process: safe in threads, and bounded in time and memory.

math-verify's own time limits are signals, which only a main thread can set, and which cannot stop
a power such as 9^9^9^9. One process serves all rewards of this one; one that takes too long is
killed, and the next question starts another.
"""

from __future__ import annotations

import json
import signal
from importlib.util import find_spec
from pathlib import Path

from textenv.errors import ConfigError, RewardError
from textenv.worker_process import WorkerProcess

_START_S = 120.0  # to import sympy on a busy machine
# The worker measures its own processor time, where it can; a clock that waits for it measures what
# a busy machine does beside it as well.
_PATIENCE = 10.0 if hasattr(signal, "setitimer") else 1.0
_worker = WorkerProcess(Path(__file__).with_name("math_worker.py"), _START_S)


class TookTooLongError(Exception):
    """There was no answer within the time limit."""


def check_installed(asker: str) -> None:
    """Raises a ConfigError if math-verify is missing."""
    if find_spec("math_verify") is None:
        raise ConfigError(f"{asker} needs one more package: pip install textenv[math]")


def ask(reference: str, answer: str | None, timeout_s: float) -> bool | None:
    """Tells whether an answer says what a reference says, by math-verify.

    Args:
        reference: LaTeX of an expression.
        answer: LaTeX that is compared; None to ask whether the reference can be read at all.
        timeout_s: Seconds of the processor that this may take.

    Returns:
        None if the reference cannot be read. An answer that cannot be read is not the same.

    Raises:
        TookTooLongError: It took longer, or more memory than a process is given.
        RewardError: The process cannot be started.
    """
    most = _PATIENCE * timeout_s
    try:
        line = _worker.ask(json.dumps([reference, answer, timeout_s, most]), most + 1.0)
    except OSError as error:
        raise RewardError(
            "Reward 'math' could not start math-verify. Try it: python -c 'import math_verify'"
        ) from error
    if line is None:
        raise TookTooLongError
    reply: bool | None = json.loads(line)
    return reply
