"""Keeps the Hugging Face Hub's libraries from retrying for long without a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from textenv.named_paths import named_path

_PATIENCE_S = 5.0


@contextmanager
def offline_if_unreachable(name: str) -> Iterator[None]:
    """Has the hub's libraries use their caches alone while the hub does not answer.

    By themselves they retry each file that is not cached for 23 seconds. The switch is the one that
    the variable HF_HUB_OFFLINE sets. It is put back at the end, so that a later call asks again.
    The hub is not asked about a path that exists.
    """
    if named_path(name).exists():
        yield
        return
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not _hub_answers()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _hub_answers() -> bool:
    import huggingface_hub

    try:
        response = huggingface_hub.get_session().head(
            huggingface_hub.constants.ENDPOINT, timeout=_PATIENCE_S
        )
    except Exception:  # its type depends on the HTTP library that the hub's version uses
        return False
    return response.status_code < 500
