"""The page of the API tells of every public name, and shows how each is called."""

from __future__ import annotations

import importlib
import re
import textwrap

import pytest

from tools.docs_pages.api import MODULES, _document, _signature, render_api


@pytest.fixture(scope="module")
def page():
    return render_api()


def test_every_public_name_is_told_once(page):
    names = re.findall(r"^### (\w+)$", page, re.M)
    for errors in re.findall(r"^### Errors of .*\n\n((?:- .*\n)+)", page, re.M):
        names += re.findall(r"^- `(\w+)`: ", errors, re.M)
    public = {
        id(getattr(module, name)): name
        for module in map(importlib.import_module, MODULES)
        for name in module.__all__
    }
    assert sorted(names) == sorted(public.values())


def test_no_address_of_memory_is_shown(page):
    assert "0x" not in page
    assert "<factory>" not in page


def test_a_signature_is_a_line_or_an_argument_a_line():
    def short(self, a: int, b: str = "x", *, c: float | None = None) -> bool: ...

    def long(first_argument: int, *others: str, second_argument: str = "y", **rest: object): ...

    assert _signature("f", short) == 'f(a: int, b: str = "x", *, c: float | None = None) -> bool'
    assert _signature("g" * 60, long) == textwrap.dedent(f"""\
        {"g" * 60}(
            first_argument: int,
            *others: str,
            second_argument: str = "y",
            **rest: object,
        )""")


def test_the_sections_of_a_docstring_are_lists():
    def documented(n):
        """Does a thing.

        Args:
            n: A number, as `int`
                or a_float.

        Returns:
            Another one.

        Raises:
            ValueError: It is wrong.
        """

    shown = _document("documented", documented)
    assert shown.text == "Does a thing."
    assert shown.sections == [
        ("Arguments", [("`n`", "A number, as `int` or a\\_float.")]),
        ("Returns", [("", "Another one.")]),
        ("Raises", [("`ValueError`", "It is wrong.")]),
    ]


def test_its_modules_are_the_public_ones():
    listed = {"textenv", "agents"}
    for package in sorted(listed):
        listed |= set(
            re.findall(r"^- `([\w.]+)`: ", importlib.import_module(package).__doc__, re.M)
        )
    assert sorted(MODULES) == sorted(listed)
