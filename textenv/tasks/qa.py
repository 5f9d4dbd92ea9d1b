"""Question answering: a question, with or without a context that holds the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textenv.errors import DatasetError
from textenv.examples import Example, Turn
from textenv.tasks.base import Field, Task
from textenv.tasks.rows import references_of, text_of


class QATask(Task):
    """Asks one question; the context before it, if any, is shortened where it does not fit.

    The example's prompt is the question, and the context is in its metadata. Answers are a string,
    a list of strings, or SQuAD's `{"text": [...], "answer_start": [...]}`.
    """

    fields: ClassVar[tuple[Field, ...]] = (
        Field("context", ("passage", "document", "paragraph"), required=False),
        Field("question", ("query",)),
        Field("answers", ("answer", "answer_text")),
    )

    def example(self, id: str, row: Mapping[str, Any]) -> Example:
        """Builds an example from a question, its answers, and perhaps a context."""
        question = text_of(id, row, "question")
        answers = row.get("answers")
        if isinstance(answers, Mapping):
            if "text" not in answers:
                raise DatasetError(
                    f"Example '{id}' has answers with the keys {sorted(map(str, answers))}; "
                    "a dict of answers needs the key 'text', as in SQuAD."
                )
            answers = answers["text"]
        if isinstance(answers, list | tuple) and not answers:
            raise DatasetError(
                f"Example '{id}' has no answer. Questions that cannot be answered (as in SQuAD v2) "
                "cannot be scored: keep only the rows whose list of answers is not empty."
            )
        references = references_of(id, {"answers": answers}, "answers")
        if row.get("context") is None:
            return Example(id, question, references)
        return Example(id, question, references, {"context": text_of(id, row, "context")})

    def opening(self, example: Example) -> tuple[Turn, ...]:
        """Returns the context and the question, in one user turn; the question is never cut."""
        question = f"Question: {example.prompt}"
        context = example.metadata.get("context")
        if context is None:
            return (Turn("user", question),)
        return (Turn("user", f"{context}\n\n{question}", cut=(0, len(context))),)
