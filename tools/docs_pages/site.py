"""A hook of MkDocs: brings pages from outside of `docs/` into the site, and mends links.

Pages are written for the repository, where a link leads from file to file. On the site README is
the first page, and `docs/` is the root. The build fails if a page would load something from
another host.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FIRST_PAGE = "README.md"
_LINK = re.compile(r"(\]\()(?!\w+:|#)([^)#\s]+)")
_FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_NESTED = re.compile(r"^ {2,3}(?=[-*] )", re.MULTILINE)
_LOADED = re.compile(r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=\"?((?:https?:)?//[^\s\">]+)")


def site_path(path: str) -> str:
    """Returns where a file of the repository stands on the site."""
    return "index.md" if path == FIRST_PAGE else path.removeprefix("docs/")


def repository_path(path: str) -> str:
    """Returns which file of the repository a file of the site is."""
    if path == "index.md":
        return FIRST_PAGE
    return path if (ROOT / path).is_file() else f"docs/{path}"


def find_links(text: str, path: str) -> list[str]:
    """Returns the files of the repository to which a file's text leads."""
    prose = _FENCED.sub("", text)
    return [
        posixpath.normpath(f"{posixpath.dirname(path)}/{m[2]}".lstrip("/"))
        for m in _LINK.finditer(prose)
    ]


def for_site(text: str, path: str) -> str:
    """Returns a file's text as MkDocs reads it: links to places of the site, lists nested by 4."""
    here = posixpath.dirname(site_path(path)) or "."

    def mended(link: re.Match[str]) -> str:
        target = posixpath.normpath(f"{posixpath.dirname(path)}/{link[2]}".lstrip("/"))
        return link[1] + posixpath.relpath(site_path(target), here)

    parts = _FENCED.split(text)
    parts[::2] = [_NESTED.sub("    ", _LINK.sub(mended, part)) for part in parts[::2]]
    return "".join(parts)


def find_outside(first: str = FIRST_PAGE) -> list[str]:
    """Returns the files outside of `docs/` to which pages lead, and README itself."""
    pages = sorted((ROOT / "docs").rglob("*.md"))
    waiting = [first, *(page.relative_to(ROOT).as_posix() for page in pages)]
    seen = list(waiting)
    for path in waiting:
        if path.endswith(".md"):
            for found in find_links((ROOT / path).read_text(encoding="utf-8"), path):
                if found not in seen and (ROOT / found).is_file():
                    seen.append(found)
                    waiting.append(found)
    return [path for path in seen if not path.startswith("docs/")]


def on_files(files: Any, config: Any) -> Any:
    """Adds what lies outside of `docs/`."""
    from mkdocs.structure.files import File

    for path in find_outside():
        files.append(File.generated(config, site_path(path), abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Makes a page of the repository one of the site."""
    return for_site(markdown, repository_path(page.file.src_uri))


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Refuses a page that would load something from another host."""
    loaded = sorted(set(_LOADED.findall(output)))
    if loaded:
        raise ValueError(f"{page.file.src_uri} loads from other hosts: {', '.join(loaded)}")
    return output
