"""Text of local files: packed or not, in the encoding that is named, or marked, or UTF-8."""

from __future__ import annotations

import codecs
import contextlib
import gzip
import io
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from textenv.errors import DatasetError

# A longer mark comes before the one that it begins with.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LOOKED_AT = 1_000_000  # bytes from which an encoding is guessed
_SHOWN = 24  # characters that show what a guess makes of the text
_LARGEST_RATIO = 200  # of unpacked bytes to packed ones; texts have 3 to 20
_ALWAYS_UNPACKED = 1 << 26  # bytes
_CHUNK = 1 << 20  # bytes that are unpacked at a time


@dataclass(frozen=True)
class ReadOptions:
    """How files are read."""

    encoding: str | None = None
    delimiter: str | None = None
    quotes: bool = True
    header: Sequence[str] | None = None  # the columns of files that begin without them
    # Whether some columns serve the task
    fits: Callable[[Collection[str]], bool] = lambda columns: True
    # Whether the task can use a row
    usable: Callable[[Mapping[str, Any]], bool] = lambda row: True


def open_bytes(path: Path) -> IO[bytes]:
    """Opens a file, unpacking it if it is packed."""
    if path.suffix.lower() == ".gz":
        return io.BufferedReader(_Bounded(path))
    return path.open("rb")


class _Bounded(io.RawIOBase):
    """A packed file, unpacked as long as it is not far larger than its bytes can hold of text."""

    def __init__(self, path: Path) -> None:
        self._packed = gzip.GzipFile(path, "rb")
        self._path, self._most = path, most_unpacked(path)
        self._n_read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._packed.read(min(len(buffer), _CHUNK))
        self._n_read += len(data)
        if self._n_read > self._most:
            raise bomb(self._path)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._packed.close()
        super().close()


def most_unpacked(path: Path) -> int:
    """Returns the most bytes that a packed file of rows may unpack to."""
    return max(_ALWAYS_UNPACKED, _LARGEST_RATIO * path.stat().st_size)


def bomb(path: Path) -> DatasetError:
    """Refuses a file that unpacks to more than `most_unpacked`."""
    return DatasetError(
        f"{path} unpacks to more than {_LARGEST_RATIO} times its size, as no text does. If it is "
        "meant so, unpack it first."
    )


def encoding_of(path: Path, options: ReadOptions) -> str:
    """Returns the encoding of a file: the one that is named, or marked, else UTF-8."""
    with open_bytes(path) as file:
        start = file.read(400)
    marked = next((name for mark, name in _MARKS if start.startswith(mark)), None)
    if options.encoding is not None:
        if codecs.lookup(options.encoding).name == "utf-8":
            return "utf-8-sig"
        return options.encoding
    if marked is None and start.count(0) * 4 > len(start):
        order = "le" if start[1::2].count(0) >= start[::2].count(0) else "be"
        raise DatasetError(
            f"{path}: every other byte is 0, as in UTF-16 without a byte order mark. Say so: "
            f'{{"path": ..., "encoding": "utf-16-{order}"}}.'
        )
    return marked or "utf-8-sig"


@contextlib.contextmanager
def open_text(path: Path, options: ReadOptions) -> Iterator[IO[str]]:
    """Opens a text file, whose line ends stay as they are; a wrong encoding is a DatasetError."""
    encoding = encoding_of(path, options)
    try:
        with open_bytes(path) as file, io.TextIOWrapper(file, encoding, newline="") as text:
            yield text
    except UnicodeError as error:
        raise wrong_encoding(path, options, error) from error


def wrong_encoding(
    path: Path, options: ReadOptions, error: UnicodeError, place: str = ""
) -> DatasetError:
    """Says which encoding a file that is not in the expected one seems to have."""
    if options.encoding is not None:
        return DatasetError(
            f"{path} is not text in the encoding '{options.encoding}': {error}. Name another, or "
            "leave the key out."
        )
    with open_bytes(path) as file:
        data = file.read(_LOOKED_AT)
    guesses = _guesses(data)
    shown = "; ".join(f'"{name}" reads …{sample}…' for name, sample in guesses.items())
    name = next(iter(guesses), "...")
    hint = f"It may be {' or '.join(guesses)}: {shown}. " if guesses else ""
    return DatasetError(
        f"{path}{f', {place}' * bool(place)}: this is not UTF-8 text. {hint}Say which it is: "
        f'{{"path": ..., "encoding": "{name}"}}.'
    )


def _guesses(data: bytes) -> dict[str, str]:
    """Returns likely encodings, each with a piece of the text as it would read."""
    from charset_normalizer import from_bytes

    at = next(place for place, byte in enumerate(data) if byte > 127)
    names = [name for name in ("cp1252", "cp850", "mac_roman") if _is_western(data, name)][:1]
    names += [match.encoding for match in from_bytes(data)][:1]
    found: dict[str, str] = {}
    for name in names:
        start = max(0, len(data[:at].decode(name, "replace")) - _SHOWN // 2)
        sample = " ".join(data.decode(name, "replace")[start : start + _SHOWN].split())
        if sample not in found.values():
            found[name] = sample
    return found


def _is_western(data: bytes, encoding: str) -> bool:
    """True if the bytes beyond ASCII are accented letters within words, and marks of print."""
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return False
    odd = [i for i, char in enumerate(text) if char > "\x7f"]
    good = sum(
        text[i] in "‘’“”–—…€£§°«»¿¡·²³½\xa0"
        or (text[i].isalpha() and (text[i].islower() or not text[i - 1 : i].islower()))
        for i in odd
    )
    n_letters = sum(map(str.isalpha, text))
    return good > 0.8 * len(odd) and len(odd) < 0.3 * n_letters
