"""Summarisation: one document in, one short summary out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textenv.examples import Example, Turn
from textenv.tasks.base import Field, Task, ask
from textenv.tasks.rows import is_blank, references_of, text_of


class SummarizeTask(Task):
    """Summarizes a document in one sentence.

    ## Description

    The agent reads a document and writes one sentence that says what it is about.

    Generated documents ("news") are short reports of one event: who did what, where and when. It
    stands anywhere in the report, among sentences about what came before, the weather, bystanders
    and other towns. The reference tells the event in a fixed wording, so that the best summary is
    not a matter of taste. Copying the first sentence scores about a quarter.

    ## Rewards

    `rougeL`, by default: F1 of the longest common subsequence of words with the closest reference
    (Lin, 2004). `rouge1`, `rouge2` and weighted sums are usual, too.

    ## Starting State

    One turn of the user: the instruction and the document. A document that does not fit
    `max_prompt_tokens` loses its end.

    ## Episode End

    After the agent's first turn.

    ## Arguments

    The task takes no arguments. Options of `dataset={"path": "news", ...}`:

    - `difficulty`: "easy" (2 or 3 sentences, the event first), "medium" (4 to 6) or "hard" (8 to
      10 sentences with two events, both of which the summary tells).

    Your own rows need

    - `document` (or `article`, `text`, `dialogue`, `source`, `content`): a text, or a list of
      sentences, which are joined by spaces;
    - `summary` (or `summaries`, `highlights`, `target`, `tldr`, `abstract`): a text, or a list of
      equally good ones.

    A `title` is kept in the metadata and never shown: it often gives the summary away. The columns
    of CNN/DailyMail, SAMSum, SciTLDR and XSum need no mapping.

    ## Version History

    - v0: the first version.
    """

    fields: ClassVar[tuple[Field, ...]] = (
        Field("document", ("article", "text", "dialogue", "source", "content")),
        Field("summary", ("summaries", "highlights", "target", "tldr", "abstract"), takes="texts"),
        Field("title", required=False),
    )
    instruction: ClassVar[str] = "Summarize in one sentence."

    def example(self, id: str, row: Mapping[str, Any]) -> Example:
        """Builds an example from a document, one or more summaries, and perhaps a title."""
        document = row.get("document")
        if isinstance(document, list | tuple):
            # A blank sentence adds nothing to the text; SciTLDR has one.
            said = [sentence for sentence in document if not is_blank(sentence)]
            sentences = [text_of(id, {"document": sentence}, "document") for sentence in said]
            document = " ".join(sentences)
        document = text_of(id, {"document": document}, "document")
        references = references_of(id, row, "summary")
        title = row.get("title")
        return Example(id, document, references, {} if title is None else {"title": title})

    def opening(self, example: Example) -> tuple[Turn, ...]:
        """Returns the instruction and the document, in one user turn."""
        return ask(f"{self.instruction}\n\n", example.prompt)

    def split_key(self, example: Example) -> str:
        """Returns the document, whatever the instruction says."""
        return example.prompt
