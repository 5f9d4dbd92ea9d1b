"""Steered continuation: go on from the opening of a text, towards a sentiment or a topic."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from textenv.errors import ConfigError, DatasetError, UnknownNameError
from textenv.examples import Example, Turn
from textenv.rewards.tasks.continuation import SENTIMENTS
from textenv.rewards.tasks.topics import TOPICS
from textenv.tasks.base import Field, Task, ask
from textenv.tasks.rows import references_of, text_of

_LABELS = {
    "0": "negative",
    "1": "positive",
    "neg": "negative",
    "pos": "positive",
    "false": "negative",
    "true": "positive",
}
_BREAK = re.compile(r"<br\s*/?>")


class ContinueTask(Task):
    """Continue a text so that it takes a given direction: positive, negative, or a topic.

    ## Description
    The agent sees the opening of a review or a story and where it is to go ("so that it ends up
    positive"), and writes on. The task is the one with which IMDB reviews are used in the
    literature on RL with language models: free text, no right answer, and a reward that is easy
    to please too much.

    ## Rewards
    In [0, 1], at the end of the episode. `sentiment`: VADER's score of what was written, enough
    of which earns everything, x guards against lists, loops, copies and texts that break off or
    fit no opening x closeness to the real continuation. `topic`: how many words of the topic there
    are x how few of other topics x the same. Each factor is a component; see
    `textenv.rewards.tasks.continuation`. A good text in its own words earns 0.48, and no lazy one
    earns more; what is above takes the real continuation's words.

    ## Starting State
    One turn of the user: what to do, and the opening.

    ## Episode End
    After the agent's one turn.

    ## Arguments
    - `target`: "positive", "negative" or a topic (weather, sport, cooking, music, travel, money,
      health, school), for all rows; by default each row's own. A row whose real continuation goes
      elsewhere keeps it as its reference, which is then not ideal.
    - `opening_words`: how many words of a `text` make its opening (16 by default; half of a text
      that has fewer than twice as many).
    - `dataset="reviews"` (for the sentiments) and `dataset="stories"` (for the topics) are
      generated. Option: `difficulty`, by what the opening suggests: the target already ("easy"),
      nothing ("medium"), or another direction ("hard"). Generated rows have 4 candidates, one
      for each target that the argument may ask for: reviews praise, blame, or do both in either
      order; stories turn to one of 4 topics.
    - Your own rows need
      - `text`, to be cut into opening and continuation, such as IMDB's; or `opening` and
        `continuation` (a text, several, or a mapping from directions to texts, which are then
        the candidates);
      - `label` (0 or 1, "neg" or "pos") or `target` (as above), unless the argument is given.

    ## Version History
    - v0: first version.
    """

    fields: ClassVar[tuple[Field, ...]] = (
        Field("text", ("review", "document", "story", "sentence"), required=False),
        Field("opening", ("prompt",), required=False),
        Field(
            "continuation",
            ("completion", "references", "reference"),
            required=False,
            takes="texts",
        ),
        Field("label", ("sentiment",), required=False),
        Field("target", ("topic",), required=False),
    )
    n_candidates = 4

    def __init__(self, target: str | None = None, opening_words: int = 16) -> None:
        if target is not None and target not in (*SENTIMENTS, *TOPICS):
            raise UnknownNameError("target of ContinueTask", target, (*SENTIMENTS, *TOPICS))
        if not isinstance(opening_words, int) or isinstance(opening_words, bool):
            raise ConfigError(f"opening_words is {opening_words!r}; use a whole number.")
        if opening_words < 1:
            raise ConfigError(f"opening_words is {opening_words}; an opening has 1 word or more.")
        self.target = target
        self.opening_words = opening_words

    def example(self, id: str, row: Mapping[str, Any]) -> Example:
        """Builds an example from a text, or from an opening and how it goes on."""
        target = self.target or _target_of(id, row)
        if row.get("opening") is None:
            opening, continuation = self._cut(id, text_of(id, row, "text"))
            return Example(id, opening, (continuation,), {"target": target})
        metadata: dict[str, Any] = {"target": target}
        ways = row.get("continuation")
        if isinstance(ways, Mapping):
            if target not in ways:
                raise DatasetError(
                    f"Example '{id}' has no continuation towards '{target}', only towards "
                    f"{', '.join(map(str, ways))}."
                )
            if len(ways) > self.n_candidates:
                raise DatasetError(
                    f"Example '{id}' has continuations in {len(ways)} directions; give "
                    f"{self.n_candidates} at most."
                )
            metadata["candidates"] = references_of(id, {"way": list(ways.values())}, "way")
            ways = ways[target]
        references = references_of(id, {"continuation": ways}, "continuation")
        return Example(id, text_of(id, row, "opening"), references, metadata)

    def opening(self, example: Example) -> tuple[Turn, ...]:
        """Returns what to do and the opening, which may lose its end."""
        target = example.metadata.get("target", self.target)
        verb = "ends up" if target in SENTIMENTS else "turns to"
        how = "" if target is None else f" so that it {verb} {target}"
        return ask(f"Continue this text{how}.\n\n", example.prompt)

    def split_key(self, example: Example) -> str:
        """Returns the opening, wherever it is to go."""
        return example.prompt

    def _cut(self, id: str, text: str) -> tuple[str, str]:
        words = _BREAK.sub(" ", text).split()
        if len(words) < 2:
            raise DatasetError(
                f"The text of example '{id}' is a single word, so nothing of it can be continued. "
                "Filter such rows out."
            )
        n = min(self.opening_words, len(words) // 2)
        return " ".join(words[:n]), " ".join(words[n:])


def _target_of(id: str, row: Mapping[str, Any]) -> str:
    given = row.get("target") if row.get("target") is not None else row.get("label")
    if given is None:
        raise DatasetError(
            f"Example '{id}' has neither a 'label' nor a 'target'. Map a column to either, or say "
            'where all rows are to go: task_kwargs={"target": "positive"}.'
        )
    target = str(given).strip().lower()
    target = _LABELS.get(target, target)
    if target not in SENTIMENTS and target not in TOPICS:
        raise DatasetError(
            f"The target of example '{id}' is {given!r}; use 0 or 1, or one of "
            f"{', '.join((*SENTIMENTS, *TOPICS))}."
        )
    return target
