"""Summarisation: one document in, one short summary out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textenv.examples import Example, Turn
from textenv.tasks.base import Field, Task
from textenv.tasks.rows import references_of, text_of


class SummarizeTask(Task):
    """Asks for a summary of a document, which is shortened from its end where it does not fit.

    The example's prompt is the document. A title, if there is one, is kept in the metadata and
    never shown: it often gives the summary away.
    """

    fields: ClassVar[tuple[Field, ...]] = (
        Field("document", ("article", "text", "dialogue", "source", "content")),
        Field("summary", ("summaries", "highlights", "target", "tldr", "abstract")),
        Field("title", required=False),
    )
    instruction: ClassVar[str] = "Summarize in one sentence."

    def example(self, id: str, row: Mapping[str, Any]) -> Example:
        """Builds an example from a document, one or more summaries, and perhaps a title."""
        document = text_of(id, row, "document")
        references = references_of(id, row, "summary")
        title = row.get("title")
        return Example(id, document, references, {} if title is None else {"title": title})

    def opening(self, example: Example) -> tuple[Turn, ...]:
        """Returns the instruction and the document, in one user turn."""
        text = f"{self.instruction}\n\n{example.prompt}"
        return (Turn("user", text, cut=(len(text) - len(example.prompt), len(text))),)
