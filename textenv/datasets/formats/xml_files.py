"""Rows of XML files: elements of one name side by side, with their attributes and children."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from textenv.datasets.formats.text_files import ReadOptions, open_bytes
from textenv.datasets.row import Row
from textenv.errors import DatasetError

_QUOTED = 40  # characters of a text that is out of place


def iterate_xml(path: Path, options: ReadOptions) -> Iterator[tuple[int, Row | str]]:
    """Yields the rows: each element's attributes, and the texts of its children by their names.

    Children of one name make a list. No entity is expanded.
    """
    with open_bytes(path) as file:
        data = file.read()
    if b"<!ENTITY" in data.replace(b"\0", b""):  # in UTF-16, too
        raise DatasetError(f"{path}: it declares entities, which are not read.")
    try:
        parser = ElementTree.XMLParser(encoding=options.encoding)
        element = ElementTree.fromstring(data, parser)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DatasetError(f"{path}: not valid XML: {error}.") from error
    rows = _find_rows(element)
    if rows is None:
        found = ", ".join(sorted({str(child.tag) for child in element})) or "no elements"
        raise DatasetError(
            f"{path}: an XML file holds elements of one name side by side, one a row; "
            f"<{element.tag}> holds {found}."
        )
    for holder in element.iter():  # what the rows stand in comes first
        if text := _loose(holder, tails=holder is not rows):
            raise DatasetError(
                f"{path}: {text!r} stands in <{holder.tag}> outside the rows, and would be lost. "
                "Remove it, or put it into a row."
            )
        if holder is rows:
            break
    for child in rows:
        try:
            if text := (child.tail or "").strip():
                raise ValueError(f"{text[:_QUOTED]!r} stands behind a row, and would be lost")
            yield 0, _row(child)
        except ValueError as error:
            yield 0, str(error)


def _find_rows(element: ElementTree.Element) -> ElementTree.Element | None:
    """Returns the innermost element that holds rows: children of one name that hold something."""
    found = None
    while len({child.tag for child in element}) == 1 and any(_names(child) for child in element):
        found = element
        if len(element) > 1:
            break
        element = element[0]
    return found


def _names(element: ElementTree.Element) -> list[str]:
    return [*element.attrib, *(child.tag for child in element)]


def _loose(element: ElementTree.Element, *, tails: bool = True) -> str:
    """Returns the text that stands in an element beside its children, the first of it."""
    texts = [element.text, *(child.tail for child in element if tails)]
    return next((text.strip()[:_QUOTED] for text in texts if text and text.strip()), "")


def _row(element: ElementTree.Element) -> Row:
    if text := _loose(element):
        raise ValueError(
            f"<{element.tag}> holds the text {text!r} beside its columns. Put it into an element"
        )
    row: dict[str, str | list[str]] = dict(element.attrib)
    for name in dict.fromkeys(child.tag for child in element):
        if name in row:
            raise ValueError(f"'{name}' is an attribute as well as a child of <{element.tag}>")
        texts = [_texts(child) for child in element.findall(name)]
        row[name] = texts[0] if len(texts) == 1 else [t for text in texts for t in _listed(text)]
    return row


def _texts(element: ElementTree.Element) -> str | list[str]:
    if not len(element):
        return element.text or ""
    if any(len(child) for child in element) or _loose(element):
        raise ValueError(f"<{element.tag}> nests elements, or mixes them with text")
    return [child.text or "" for child in element]


def _listed(text: str | list[str]) -> list[str]:
    return text if isinstance(text, list) else [text]
