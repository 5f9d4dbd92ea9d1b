"""Rewriting under constraints: fix a text, simplify it, or put it into another format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textenv.errors import ConfigError, DatasetError, UnknownNameError
from textenv.examples import Example, Turn
from textenv.rewards.verifiable.constraints import check_all, describe_all
from textenv.tasks.base import Field, Task, ask
from textenv.tasks.rows import candidates_of, references_of, text_of

KINDS = {
    "fix": "Correct the mistakes in this text, and change nothing else.",
    "simplify": "Rewrite this text in short and simple sentences.",
    "format": "Put this text into another format.",
    "rewrite": "Rewrite this text.",
}


class RewriteTask(Task):
    """Rewrite a text: correct it, make it simpler, or format it, under checked constraints.

    ## Description
    The agent sees a text, what to do with it, and constraints in words, and writes the new text.
    There are three kinds. "fix": a sentence with mistakes (doubled words, agreement, a or an,
    capitals, swapped or missing letters). "simplify": a long sentence with rare words, to be said
    in short sentences without them. "format": facts to be put into JSON, CSV, a numbered list or
    an ISO date. Every constraint is verified by a program.

    ## Rewards
    `rewrite`, in [0, 1], at the end of the episode: how far the constraints are met x how much of
    the content is preserved. Copying the text scores 0 where something has to change. See
    `textenv.rewards.tasks.rewrite` and `textenv.rewards.verifiable.constraints`.

    ## Starting State
    One turn of the user: what to do, the constraints, and the text, which may lose its end where
    it does not fit.

    ## Episode End
    After the agent's one turn.

    ## Arguments
    - `kind`: "fix" (default), "simplify", "format" or "rewrite", for rows that do not say.
    - `dataset="rewrites"` is generated. Options: `kind` ("mixed", "fix", "simplify" or "format")
      and `difficulty` (how many mistakes, clauses or values there are). Generated rows have 4
      candidates: the right text, one whose form is wrong (mistakes, rare words, broken JSON), one
      whose content is, and one where both are. Only the prompt tells right content from wrong.
    - Your own rows need `source` and `target` (a text or several). Optionally: `kind`;
      `constraints`, a list such as [{"check": "max_words", "n": 9}] (see
      `textenv.rewards.verifiable.constraints`), without which the edits of the target are what is
      checked;
      `keep`, a list of phrases that must stay; `candidates`, 2 to 4 texts, the first target among
      them. Columns of corpora of corrections and simplifications are found by themselves.

    ## Version History
    - v0: first version.
    """

    fields: ClassVar[tuple[Field, ...]] = (
        Field("source", ("text", "sentence", "original", "complex", "normal_sentence", "input")),
        Field(
            "target",
            (
                "simple",
                "simple_sentence",
                "simplifications",
                "corrections",
                "corrected",
                "references",
                "output",
            ),
            takes="texts",
        ),
        Field("kind", required=False),
        Field("constraints", required=False, takes="data"),
        Field("keep", required=False, takes="data"),
        Field("candidates", required=False, takes="data"),
    )
    n_candidates = 4

    def __init__(self, kind: str = "fix") -> None:
        if kind not in KINDS:
            raise UnknownNameError("kind of RewriteTask", kind, KINDS)
        self.kind = kind

    def example(self, id: str, row: Mapping[str, Any]) -> Example:
        """Builds an example from a text and what it is to become."""
        source, references = text_of(id, row, "source"), references_of(id, row, "target")
        kind = row.get("kind") or self.kind
        if not isinstance(kind, str) or kind not in KINDS:
            raise DatasetError(
                f"The kind of example '{id}' is {kind!r}; use one of {', '.join(KINDS)}."
            )
        metadata: dict[str, Any] = {"kind": kind}
        constraints = row.get("constraints")
        if constraints:
            metadata["constraints"] = _checkable(id, constraints, references[0])
        if row.get("keep"):
            metadata["keep"] = references_of(id, row, "keep")
        if candidates := candidates_of(id, row, references[0], self.n_candidates):
            metadata["candidates"] = candidates
        return Example(id, source, references, metadata)

    def opening(self, example: Example) -> tuple[Turn, ...]:
        """Returns what to do, the constraints and the text, of which only the text may be cut."""
        constraints = example.metadata.get("constraints", ())
        instruction = KINDS[example.metadata.get("kind", self.kind)]
        if constraints:
            instruction += f" {describe_all(constraints)}"
        if keep := example.metadata.get("keep"):
            instruction += f" Keep: {', '.join(keep)}."
        return ask(f"{instruction}\n\n", example.prompt)

    def split_key(self, example: Example) -> str:
        """Returns the text, whatever is to be done with it."""
        return example.prompt


def _checkable(id: str, constraints: object, reference: str) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(constraints, list | tuple):
        raise DatasetError(
            f"The constraints of example '{id}' are of type {type(constraints).__name__}; give a "
            'list such as [{"check": "max_words", "n": 9}].'
        )
    try:
        describe_all(constraints)
        check_all(reference, constraints)
    # What is wrong deep within an option, a number among words, say, shows when it is checked.
    except (ConfigError, UnknownNameError, AttributeError, LookupError, TypeError) as error:
        raise DatasetError(f"A constraint of example '{id}' cannot be checked. {error}") from error
    return tuple(constraints)
