"""Multiple-choice question answering: a question, lettered options, one of them right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from textenv.errors import ConfigError, DatasetError
from textenv.examples import Example, Turn
from textenv.rewards.verifiable.choice import LETTERS
from textenv.tasks.base import Field, Task
from textenv.tasks.rows import is_blank, text_of


class QAChoiceTask(Task):
    """Answers a question by one of several lettered options.

    ## Description

    The agent reads a question, with or without a text that holds the answer, and options "A) ...",
    "B) ...". It names the right one, ideally as it is shown: "B) baker".

    Generated questions ("facts-choice") are about a few people with three facts each, of one kind:

        Anna lives in Oslo, works in Rome and was born in Paris. Ben works in Paris, was born in
        Oslo and lives in Rome. Carl was born in Rome and lives in Paris. He works in Oslo.

        Question: Where does Ben work?
        A) Rome
        B) Paris
        C) Oslo
        Choose one.

    Each value is told once of each fact, so that neither a name nor a verb alone leads to the
    answer, and no option is likelier than another by its place or by how often it is told.

    At select level the replies to choose from are the options.

    ## Rewards

    `choice`, by default: 1 if the right option is named, by its letter or in its words, and no
    other; else 0.

    ## Starting State

    One turn of the user: the context, the question and the options. A context that does not fit
    `max_prompt_tokens` loses its end; the question and the options are never cut.

    ## Episode End

    After the agent's first turn.

    ## Arguments

    - `n_choices` (default 4): the most options of a question, and the number of actions at select
      level. Rows may have fewer; one with more is an error.

    Options of `dataset={"path": "facts-choice", ...}`:

    - `difficulty`: "easy" (3 people and options), "medium" (4) or "hard" (5 or 6 people, 4 options,
      and questions for which two facts have to be found).

    Your own rows need

    - `question` (or `question_stem`, `query`, `ctx`);
    - `choices` (or `options`, `endings`): a list of texts, ARC's dict of `text` and `label`, or a
      list of such dicts;
    - `answer` (or `answerKey`, `label`, `gold`): the right option's own label, or, where options
      have none, its letter, its index from 0, or its text. An answer that names one option by its
      letter or index and another by its text ("A" of O, A, B, AB) is refused; a number beside
      options that are texts is an index;

    and may have a `context` (or `passage`, `article`, `support`). ARC, CommonsenseQA, HellaSwag,
    MMLU, OpenBookQA and RACE need no mapping of columns.

    ## Version History

    - v0: the first version.
    """

    fields: ClassVar[tuple[Field, ...]] = (
        Field("context", ("passage", "article", "support"), required=False, shared=True),
        Field("question", ("question_stem", "query", "ctx")),
        Field("choices", ("options", "endings"), takes="data"),
        Field("answer", ("answerKey", "answer_key", "label", "gold")),
    )

    def __init__(self, n_choices: int = 4) -> None:
        if isinstance(n_choices, bool) or not isinstance(n_choices, int):
            raise ConfigError(f"The n_choices of QAChoiceTask is {n_choices!r}; use an integer.")
        if not 2 <= n_choices <= len(LETTERS):
            raise ConfigError(
                f"The n_choices of QAChoiceTask is {n_choices}; it must lie in 2 .. {len(LETTERS)}."
            )
        self.n_candidates = n_choices

    def example(self, id: str, row: Mapping[str, Any]) -> Example:
        """Builds an example from a question, its choices, the answer, and perhaps a context."""
        question = text_of(id, row, "question")
        choices, labels, are_texts = _choices(id, row.get("choices"), self.n_candidates)
        correct = _correct(id, row.get("answer"), choices, labels, are_texts)
        shown = [f"{letter}) {text}" for letter, text in zip(LETTERS, choices, strict=False)]
        metadata: dict[str, Any] = {"choices": choices, "correct": correct, "candidates": shown}
        if row.get("context") is not None:
            metadata["context"] = text_of(id, row, "context")
        return Example(id, question, (shown[correct],), metadata)

    def opening(self, example: Example) -> tuple[Turn, ...]:
        """Returns the context, the question and the options, in one user turn."""
        lines = (f"Question: {example.prompt}", *example.metadata["candidates"])
        asked = "\n".join((*lines, "Choose one."))
        context = example.metadata.get("context")
        if context is None:
            return (Turn("user", asked),)
        return (Turn("user", f"{context}\n\n{asked}", cut=(0, len(context))),)

    def split_key(self, example: Example) -> str:
        """Returns the context and the question, whatever the options and their order."""
        return f"{example.metadata.get('context', '')}\n{example.prompt}"


def _choices(id: str, given: Any, most: int) -> tuple[list[str], list[str], bool]:
    """Returns the options as texts, their own labels, if any, and whether they came as texts."""
    labels: Any = ()
    if isinstance(given, Mapping):
        if "text" not in given:
            raise DatasetError(
                f"The choices of example '{id}' have the keys {sorted(map(str, given))}; a dict of "
                "choices needs the key 'text', as in ARC."
            )
        given, labels = given["text"], given.get("label", ())
    elif isinstance(given, list) and given and all(isinstance(one, Mapping) for one in given):
        labels = [one["label"] for one in given if "label" in one]
        given = [one.get("text") for one in given]
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise DatasetError(
            f"The choices of example '{id}' are of type {type(given).__name__}; they must be a "
            'list of texts, or {"text": [...], "label": [...]}.'
        )
    if blank := [letter for letter, text in zip(LETTERS, given, strict=False) if is_blank(text)]:
        raise DatasetError(
            f"Choice {blank[0]} of example '{id}' has no text. Fill it in; or leave it out of "
            "'choices', and see to it that the answer still names the right one."
        )
    texts = [text_of(id, {"choice": text}, "choice") for text in given]
    if not 2 <= len(texts) <= most:
        raise DatasetError(
            f"Example '{id}' has {len(texts)} choices; this task takes 2 to {most}. Set n_choices "
            "to the most that the dataset has, or leave the row out."
        )
    labels = [str(label).strip() for label in labels] if isinstance(labels, Sequence) else None
    if labels is None or (labels and len({*labels}) != len(texts)):
        raise DatasetError(
            f"Example '{id}' must have a label for each of its choices, all different, or none."
        )
    return texts, labels, all(isinstance(text, str) for text in given)


def _correct(
    id: str, answer: object, choices: list[str], labels: list[str], are_texts: bool
) -> int:
    """Returns the index of the option that an answer names, if it can name no other."""
    is_number = isinstance(answer, int) and not isinstance(answer, bool)
    given = str(answer).strip() if is_number or isinstance(answer, str) else ""
    labelled = [i for i, label in enumerate(labels) if label == given] or [
        i for i, label in enumerate(labels) if label.upper() == given.upper()
    ]
    if len(labelled) == 1:
        return labelled[0]
    named = {i for i, choice in enumerate(choices) if choice == given}
    if is_number and are_texts:
        named = set()  # Of texts, a number can only be the index.
    # Beside labels 1, 2, 3, a 0 is no index; beside A, B, E, a D is not the fourth.
    has_place = all(label.isdecimal() != given.isdecimal() for label in labels)
    letter = given.upper() if len(given) == 1 and given.isalpha() else ""
    if has_place and letter and letter in LETTERS[: len(choices)]:
        same = {i for i, choice in enumerate(choices) if choice.upper() == letter}
        named = (named or same) | {LETTERS.index(letter)}
    if has_place and given.isdecimal() and int(given) < len(choices):
        named.add(int(given))
    if len(named) > 1:
        options = " or ".join(f"{LETTERS[i]}) {choices[i]}" for i in sorted(named))
        raise DatasetError(
            f"The answer of example '{id}' is {answer!r}, which may be {options}. Give its "
            f"{'index from 0,' if letter else 'letter,'} or the choices "
            'labels of their own: {"text": [...], "label": [...]}.'
        )
    if named:
        return named.pop()
    raise DatasetError(
        f"The answer of example '{id}' is {answer!r}, which is not among its {len(choices)} "
        "choices: give the letter, the index from 0, or the text of one."
    )
