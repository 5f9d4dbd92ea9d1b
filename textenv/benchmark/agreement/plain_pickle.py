"""Reads pickles of plain values; nothing that a pickle names is ever imported or called.

Published ratings are often pickles. A pickle can name any class or function, and reading it with
`pickle.load` calls it. Here a few names stand for harmless code of this file (numbers of numpy,
ordered mappings), and every other name is refused.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textenv.errors import ConfigError

_FORMATS = {
    "b1": "?",
    "i1": "b",
    "u1": "B",
    "i2": "h",
    "u2": "H",
    "i4": "i",
    "u4": "I",
    "i8": "q",
    "u8": "Q",
    "f2": "e",
    "f4": "f",
    "f8": "d",
}


class _NumberType:
    """Stands for numpy's dtype: the name of a number's format, such as "f8", and its byte order."""

    def __init__(self, name: object = "", *_: object) -> None:
        self.name = str(name).lstrip("<>=|")
        self.order = ">" if str(name).startswith(">") else "<"

    def __setstate__(self, state: object) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] == ">":
            self.order = ">"


def _make_number(kind: object, data: object = b"") -> Any:
    if not isinstance(kind, _NumberType) or kind.name not in _FORMATS:
        raise pickle.UnpicklingError("it holds an array of numpy that is not a plain number")
    raw = data.encode("latin1") if isinstance(data, str) else data
    if not isinstance(raw, bytes):
        raise pickle.UnpicklingError("a number of numpy has no bytes")
    return struct.unpack(kind.order + _FORMATS[kind.name], raw)[0]


def _encode(text: object, encoding: object = "utf-8") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "utf-8"):
        raise pickle.UnpicklingError("it holds bytes in an unknown encoding")
    return text.encode(str(encoding))


_STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): _NumberType,
    ("numpy.core.multiarray", "scalar"): _make_number,
    ("numpy._core.multiarray", "scalar"): _make_number,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): dict,
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module}.{name}") from None

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to data outside of the file")


def load_plain_pickle(path: Path) -> Any:
    """Returns the dictionaries, lists, texts and numbers of a pickle.

    Raises:
        ConfigError: The file cannot be read, is no pickle, or holds more than plain values.
    """
    try:
        with path.open("rb") as file:
            return _PlainUnpickler(file).load()
    except OSError as error:
        raise ConfigError(f"'{path}' cannot be read: {error.strerror}.") from error
    except pickle.UnpicklingError as error:
        raise ConfigError(
            f"'{path}' is not read, since a pickle can run code: {error}. Only pickles of plain "
            "values (dictionaries, lists, texts, numbers) are read; write others as JSON Lines."
        ) from error
    # A damaged pickle can raise nearly anything.
    except Exception as error:
        raise ConfigError(
            f"'{path}' is no whole pickle ({type(error).__name__}: {error})."
        ) from error
