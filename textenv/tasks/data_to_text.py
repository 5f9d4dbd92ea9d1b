"""Data to text: slots and their values, or cells of a table, told in sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from textenv.errors import DatasetError
from textenv.examples import Example, Turn
from textenv.rewards.tasks.data_to_text import DataToText, Slots, split_slots
from textenv.tasks.base import Field, Task, ask
from textenv.tasks.rows import (
    best_reference,
    candidates_of,
    datum_of,
    is_blank,
    references_of,
    text_of,
)
from textenv.tasks.tables import highlighted

# A dialogue act: "inform(name='The Mill',food=Thai)", of BAGEL and others.
_SLOT, _SAID = r"\w+", r"'[^']*'|\"[^\"]*\"|[^,;'\"]+"
_ACT = re.compile(rf"\w+\(((?:{_SLOT}=(?:{_SAID})(?:[,;]\s*|(?=\))))+)\)")
_PAIR = re.compile(rf"({_SLOT})=({_SAID})")


class DataTask(Task):
    """Tell some data in sentences: all of it, and nothing else.

    ## Description
    The agent sees slots and their values, one a line ("name: Golden Fox", "food: Thai"), and
    writes one to four sentences that tell each of them. The task is that of E2E, with slots, and
    of ToTTo, with the highlighted cells of a table. What it is about is faithfulness: to leave
    nothing out, and to make nothing up.

    ## Rewards
    `data_to_text`, in [0, 1], at the end of the episode: the share of the slots whose value is
    told x faithfulness (no other names, numbers or values) x whether it is written in sentences
    x closeness to the nearest reference. Each factor is a component; see
    `textenv.rewards.tasks.data_to_text`.

    ## Starting State
    One turn of the user: the instruction, and the data. Of a table that does not fit, the last
    lines are left out.

    ## Episode End
    After the agent's one turn.

    ## Arguments
    - No `task_kwargs`.
    - `dataset="records"` is generated: restaurants, people, matches and products. Options:
      `difficulty` ("easy": 3 slots, "medium": 5, "hard": 7) and `n_slots` (3 to 7, instead of the
      difficulty's number). Generated rows have 4 candidates: the reference, and the same text
      with one or two values wrong.
    - Your own rows need `references`, a text or several (ToTTo's `sentence_annotations`, too),
      and one of
      - `slots`: a mapping from slots to values, a list of pairs, E2E's text
        "name[The Mill], food[Thai]" (`meaning_representation`), or "inform(name='The
        Mill',food=Thai)";
      - `table`: a list of rows of cells, which are texts or ToTTo's {"value", "is_header",
        "column_span", "row_span"}; with `highlighted_cells`, a list of [row, column] from 0 (by
        default all cells that are no headers), and optionally `title` and `section`.

      Optionally, `values` maps a slot to all values that it might have had, so that wrong ones are
      noticed, and `candidates` is a list of 2 to 4 texts, the first reference among them.

    ## Version History
    - v0: first version.
    """

    fields: ClassVar[tuple[Field, ...]] = (
        Field("slots", ("meaning_representation", "mr", "data"), required=False, takes="data"),
        Field("table", required=False, takes="data"),
        Field("highlighted_cells", required=False, takes="data"),
        Field("title", ("table_page_title", "page_title"), required=False, shared=True),
        Field("section", ("table_section_title", "section_title"), required=False),
        Field(
            "references",
            ("human_reference", "sentence_annotations", "reference", "target", "text", "ref"),
            takes="texts",
        ),
        Field("values", required=False, takes="data"),
        Field("candidates", required=False, takes="data"),
    )
    n_candidates = 4
    instruction: ClassVar[str] = "Write a text that says all of this, and nothing else.\n\n"

    def example(self, id: str, row: Mapping[str, Any]) -> Example:
        """Builds an example from slots or a table, and from texts that tell them."""
        references = references_of(
            id, {"references": _final_sentences(row.get("references"))}, "references"
        )
        context: Slots = ()
        if row.get("slots") is not None:
            slots = _slots_of(id, row["slots"])
        elif row.get("table") is not None:
            slots = highlighted(id, row["table"], row.get("highlighted_cells"))
            named = (("page title", row.get("title")), ("section title", row.get("section")))
            context = tuple(
                (name, text_of(id, {name: value}, name))
                for name, value in named
                if not is_blank(value)
            )
        else:
            raise DatasetError(
                f"Example '{id}' has neither 'slots' nor a 'table'. Map one of the dataset's "
                "columns to either."
            )
        if not slots:
            raise DatasetError(f"The data of example '{id}' hold no value. Leave the row out.")
        metadata: dict[str, Any] = {"slots": slots}
        if row.get("values") is not None:
            metadata["values"] = _values_of(id, row["values"])
        if candidates := candidates_of(id, row, references[0], self.n_candidates):
            metadata["candidates"] = candidates
        lines = (f"{slot}: {value}" for slot, value in (*context, *slots))
        return Example(id, "\n".join(lines), references, metadata)

    def opening(self, example: Example) -> tuple[Turn, ...]:
        """Returns the instruction and the data, which may lose their last lines."""
        return ask(self.instruction, example.prompt)

    def gold(self, example: Example, transcript: tuple[Turn, ...] = ()) -> str:
        """Returns the reference that tells most of the data: people leave some out."""
        return best_reference(example, DataToText())

    def split_key(self, example: Example) -> str:
        """Returns the data, whatever the instruction says."""
        return example.prompt


def _final_sentences(value: Any) -> Any:
    """Finds the texts in ToTTo's annotations: one mapping of lists, or a list of mappings."""
    if isinstance(value, Mapping) and "final_sentence" in value:
        return value["final_sentence"]
    if isinstance(value, Sequence) and value and all(isinstance(item, Mapping) for item in value):
        return [item.get("final_sentence") for item in value]
    return value


def _values_of(id: str, values: object) -> dict[str, tuple[str, ...]]:
    known = isinstance(values, Mapping) and all(
        isinstance(those, Sequence) and all(isinstance(value, str) for value in those)
        for those in values.values()
    )
    if not known:
        raise DatasetError(
            f"The 'values' of example '{id}' must map each slot to the list of its texts."
        )
    assert isinstance(values, Mapping)
    return {str(slot): tuple(those) for slot, those in values.items()}


def _slots_of(id: str, value: object) -> Slots:
    if isinstance(value, str):
        act = _ACT.fullmatch(value.strip())
        said = _PAIR.findall(act[1]) if act else []
        slots = tuple((slot, text.strip(" '\"")) for slot, text in said) or split_slots(value)
        if not slots or not all(text for _, text in slots):
            raise DatasetError(
                f"The slots of example '{id}' cannot be read to the end, each with a value: write "
                "'name[The Mill], food[Thai]', or 'name: The Mill' on a line for each."
            )
        return slots
    pairs = list(value.items()) if isinstance(value, Mapping) else value
    if not isinstance(pairs, list | tuple) or not all(
        isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs
    ):
        raise DatasetError(
            f"The slots of example '{id}' are of type {type(value).__name__}; give a mapping from "
            "slots to values, a list of [slot, value] pairs, or a text."
        )
    said = [(slot, told) for slot, told in pairs if not is_blank(told)]
    return tuple(
        (text_of(id, {"slot": slot}, "slot"), datum_of(id, str(slot), told)) for slot, told in said
    )
