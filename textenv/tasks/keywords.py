"""Constrained generation: one sentence that uses every given word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textenv.errors import DatasetError
from textenv.examples import Example, Turn
from textenv.rewards.tasks.keywords import KeywordSentence, split_concepts
from textenv.tasks.base import Field, Task
from textenv.tasks.rows import best_reference, candidates_of, references_of, written


class KeywordsTask(Task):
    """Write one sentence that uses all of the given words, in any of their forms.

    ## Description
    The agent sees a few words, mostly an action and what goes with it ("catch, dog, frisbee,
    park"), and writes one natural sentence with all of them: "A dog catches a frisbee in the
    park." The task is that of CommonGen. A policy soon finds that naming the words is enough for
    plain coverage, so the default reward asks for a sentence, too.

    ## Rewards
    `keyword_sentence`, in [0, 1], at the end of the episode: the share of the words that are used
    x whether it is one sentence x closeness to the nearest reference (see
    `textenv.rewards.tasks.keywords`). `coverage` is the first factor alone, which the bare list of
    words gets in full. "runs", "running" and "ran" use "run".

    ## Starting State
    One turn of the user: the instruction and the words, in alphabetical order for generated rows
    and in their own for yours.

    ## Episode End
    After the agent's one turn.

    ## Arguments
    - No `task_kwargs`.
    - `dataset="keywords"` is generated. Options: `difficulty` ("easy": 4 words, "medium": 5,
      "hard": 7) and `n_keywords` (4 to 8, instead of the difficulty's number). Generated rows
      have 4 candidates: the reference, and the same sentence without one or two of the words.
    - Your own rows: `concepts`, a list of words or a text with commas, "#" or spaces between
      them; `references`, a sentence or several. `candidates`, optionally: 2 to 4 texts, the first
      reference among them. CommonGen's columns are found by themselves; rows with the same
      words are one example.

    ## Version History
    - v0: first version.
    """

    fields: ClassVar[tuple[Field, ...]] = (
        Field("concepts", ("keywords", "concept_set", "words"), takes="data"),
        Field(
            "references",
            ("target", "reference", "scene", "sentence", "text"),
            takes="texts",
        ),
        Field("candidates", required=False, takes="data"),
    )
    n_candidates = 4
    instruction: ClassVar[str] = "Write one sentence with all of these words: "

    def example(self, id: str, row: Mapping[str, Any]) -> Example:
        """Builds an example from keywords and the sentences that use them."""
        concepts = _concepts_of(id, row.get("concepts"))
        references = references_of(id, row, "references")
        metadata: dict[str, Any] = {"concepts": concepts}
        if candidates := candidates_of(id, row, references[0], self.n_candidates):
            metadata["candidates"] = candidates
        return Example(id, ", ".join(concepts), references, metadata)

    def opening(self, example: Example) -> tuple[Turn, ...]:
        """Returns the instruction and the keywords; nothing of it may be cut."""
        return (Turn("user", f"{self.instruction}{example.prompt}"),)

    def gold(self, example: Example, transcript: tuple[Turn, ...] = ()) -> str:
        """Returns the reference that uses most of the words: people leave some out."""
        return best_reference(example, KeywordSentence())

    def split_key(self, example: Example) -> str:
        """Returns the keywords, whatever their order."""
        return ", ".join(sorted(example.metadata["concepts"]))


def _concepts_of(id: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = split_concepts(value)
    if not isinstance(value, list | tuple):
        raise DatasetError(
            f"The concepts of example '{id}' are of type {type(value).__name__}; give a list of "
            "words, or one text with commas, '#' or spaces between them."
        )
    words = (written(f"Example '{id}' has a concept", word).strip() for word in value)
    concepts = tuple(dict.fromkeys(filter(None, words)))
    if not concepts:
        raise DatasetError(f"Example '{id}' has no concepts. Filter such rows out.")
    return concepts
