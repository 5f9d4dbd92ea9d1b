"""Question answering: a question, with or without a context that holds the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textenv.errors import ConfigError, DatasetError
from textenv.examples import Example, Turn
from textenv.tasks.base import Field, Task
from textenv.tasks.rows import candidates_of, references_of, text_of

# Else a chat model writes sentences, and precision counts.
ASK_FOR_FEW = "Answer in a few words."


class QATask(Task):
    """Answers one question in a few words, from the text that comes with it.

    ## Description

    The agent reads a text and a question, and writes the answer, as a rule a few words of the
    text. Without a text it answers from what it knows.

    Generated texts ("facts") tell two things about each of a few people, and the question asks for
    one of them, or for the person whom something is said of. Everybody has another town, job or
    pet, so the kind of answer alone never decides.

    At select level the replies to choose from are, for generated questions, the values of the
    people of the text (at most four).

    ## Rewards

    `token_f1`, by default: F1 of the words shared with the closest answer, as in SQuAD. All values
    of the context at once score low, since precision counts. `exact_match` is stricter.

    ## Starting State

    One turn of the user: the text, the question, and "Answer in a few words." A text that does not
    fit `max_prompt_tokens` loses its end; the question is never cut.

    ## Episode End

    After the agent's first turn.

    ## Arguments

    - `unanswerable` (default None): what to answer where the text does not tell, such as
      "unanswerable". The prompt then says so, and a question whose list of answers is empty (as
      in SQuAD v2) has it as its reference. None: such a row is an error.

    Options of `dataset={"path": "facts", ...}`:

    - `difficulty`: "easy" (2 people), "medium" (3 or 4) or "hard" (5 or 6, and questions for which
      two facts have to be found).

    Your own rows need

    - `question` (or `query`): a text, or NarrativeQA's dict with `text`;
    - `answers` (or `answer`, `answer_text`): a text, a list of texts, SQuAD's dict of `text` and
      `answer_start`, or NarrativeQA's list of dicts with `text`;

    and may have a `context` (or `passage`, `document`, `paragraph`): a text, or a dict with `text`
    or, as in NarrativeQA, with a `summary` that has it, which then stands for the whole book.
    `candidates`, a list of at most four replies with the first answer among them, is optional.
    The example's prompt is the question; the context is in its metadata.

    ## Version History

    - v0: the first version.
    """

    fields: ClassVar[tuple[Field, ...]] = (
        Field("context", ("passage", "document", "paragraph"), required=False, shared=True),
        Field("question", ("query",)),
        Field("answers", ("answer", "answer_text"), takes="texts"),
        Field("candidates", required=False, takes="data"),
    )
    n_candidates = 4

    def __init__(self, unanswerable: str | None = None) -> None:
        if unanswerable is not None and not (
            isinstance(unanswerable, str) and unanswerable.strip()
        ):
            raise ConfigError(
                f"The unanswerable of QATask is {unanswerable!r}; give the text to answer with, "
                'such as "unanswerable", or None.'
            )
        self.unanswerable = unanswerable

    def example(self, id: str, row: Mapping[str, Any]) -> Example:
        """Builds an example from a question, its answers, and perhaps a context and candidates."""
        question = text_of(id, {"question": _inner_text(row.get("question"))}, "question")
        references = self._references(id, row.get("answers"))
        metadata: dict[str, Any] = {}
        if row.get("context") is not None:
            context = row["context"]
            if isinstance(context, Mapping) and "summary" in context:
                context = context["summary"]
            metadata["context"] = text_of(id, {"context": _inner_text(context)}, "context")
        candidates = candidates_of(id, row, references[0], self.n_candidates)
        if candidates:
            metadata["candidates"] = candidates
        return Example(id, question, references, metadata)

    def opening(self, example: Example) -> tuple[Turn, ...]:
        """Returns the context and the question, in one user turn; the question is never cut."""
        question = f"Question: {example.prompt}\n{ASK_FOR_FEW}"
        if self.unanswerable is not None:
            question += f' If it cannot be answered, write "{self.unanswerable}".'
        context = example.metadata.get("context")
        if context is None:
            return (Turn("user", question),)
        return (Turn("user", f"{context}\n\n{question}", cut=(0, len(context))),)

    def split_key(self, example: Example) -> str:
        """Returns the context and the question, whatever else the prompt asks for."""
        return f"{example.metadata.get('context', '')}\n{example.prompt}"

    def _references(self, id: str, answers: Any) -> tuple[str, ...]:
        if isinstance(answers, Mapping):
            if "text" not in answers:
                raise DatasetError(
                    f"Example '{id}' has answers with the keys {sorted(map(str, answers))}; "
                    "a dict of answers needs the key 'text', as in SQuAD."
                )
            answers = answers["text"]
        if isinstance(answers, list | tuple):
            if not answers and self.unanswerable is not None:
                return (self.unanswerable,)
            if not answers:
                raise DatasetError(
                    f"Example '{id}' has no answer. For questions that cannot be answered (as in "
                    "SQuAD v2), set the task's argument unanswerable to the text that says so, or "
                    "keep only the rows whose list of answers is not empty."
                )
            answers = [_inner_text(answer) for answer in answers]
        return references_of(id, {"answers": answers}, "answers")


def _inner_text(value: Any) -> Any:
    """Returns the text of a dict that has one, as in NarrativeQA; else the value itself."""
    return value["text"] if isinstance(value, Mapping) and "text" in value else value
