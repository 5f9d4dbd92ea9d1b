"""One HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from textenv.report import charts, numbers
from textenv.report.emphasis import breakable, code_spans, emphasise
from textenv.safe_text import without_lone_surrogates

REPORT_NAME = "report.html"
FRAME = "frame.html.j2"


def make_environment(*packages: str, frame: str = FRAME, **names: object) -> Environment:
    """Returns the environment of packages' templates, which extend `frame.html.j2`.

    All values are escaped. `parts.html.j2` has the pieces that sections are made of.

    Args:
        packages: Packages that hold the templates; of two by one name the first one's is taken.
        frame: Template that a page extends which can be shown in several frames.
        names: Modules and functions that the templates call.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(one, ".") for one in (*packages, "textenv.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(charts=charts, numbers=numbers, frame=frame, **names)
    environment.filters.update(
        yaml=_yaml, breakable=breakable, code_spans=code_spans, emphasise=emphasise
    )
    return environment


def render_page(
    environment: Environment, template: str, *, title: str, data: object, **values: object
) -> str:
    """Renders a template that extends `frame.html.j2`.

    Args:
        environment: What `make_environment` returned.
        template: Name of the template.
        title: Title of the page.
        data: Plain values that the page carries for "Save as JSON".
        values: What the template shows.
    """
    script = read_asset("script.js")
    page = environment.get_template(template).render(
        title=title,
        data=_embed(data),
        style=Markup(read_asset("style.css")),
        script=Markup(script),
        script_hash=_hash(script),
        version=version("textenv"),
        **values,
    )
    return without_lone_surrogates(page)  # a folder's name may hold bytes that are no text


def read_asset(name: str) -> str:
    """Returns what `style.css` or `script.js` holds, which every page has."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """Returns what the page's content security policy knows the script by."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _embed(data: object) -> Markup:
    """Returns plain values as JSON that is safe within a script element."""
    text = json.dumps(data, allow_nan=False)  # ASCII: U+2028 and its like are escaped
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _yaml(data: Any) -> str:
    return yaml.safe_dump(data, allow_unicode=True, sort_keys=False, width=96).rstrip()
