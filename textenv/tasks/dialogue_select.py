"""Response selection: the next turn of a dialogue is one of N candidates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textenv.errors import ConfigError, DatasetError
from textenv.examples import Example, Turn
from textenv.rewards.lexical.words import normalised
from textenv.tasks.base import Field, Task
from textenv.tasks.candidates import below, pick_candidates, shuffled
from textenv.tasks.recorded_dialogue import TURNS_FIELD, RecordedDialogue, read_dialogue

_MOST_CANDIDATES = 16


class DialogueSelectTask(Task):
    """Choose the right next turn of a dialogue among hard wrong ones.

    ## Description

    The agent sees a dialogue of several turns and says what the assistant in it is to say next. At
    select level it chooses one of N candidate replies. At token and text level it writes the
    reply; only the right one, letter for letter, is paid, so give `show_candidates: true` there.

    In the generated set a caller books something by phone: a table, a train ticket, a hotel room,
    a taxi, cinema seats, an appointment, a rental car or a music lesson, of which each asks for
    five things. The right reply takes up what the caller said last and asks for something missing,
    or books once all is told:

        User: Hello, this is Anna Bell. I need a table for 4 people in the north.
        Assistant: In the north, I see. On which day?
        User: On Friday, not on Monday. Sorry, I meant for 5 people, not for 4 people.

        For 5 people, very well. At what time?                        (right)
        For 4 people, very well. At what time?                        (no longer so)
        For 5 people, very well. On which day?                        (told already)
        I have booked a table in the north for 5 people on Friday at 8 pm.    (made up)

    Wrong and right details are balanced over the candidates: without the dialogue, nothing tells
    which one is right. Nor do shared words, for what is wrong was said in the dialogue, too, as
    something that the caller does not want, or no longer wants.

    ## Rewards

    `selection`: 1 for the right reply, but for case and white space, else 0.

    ## Starting State

    The dialogue so far, turn by turn, ending with the user's; a longer one is shown from its last
    `max_context_turns` turns on.

    ## Episode End

    After the agent's one turn.

    ## Arguments

    Arguments of the task (`task_kwargs`): `n_candidates`, how many replies to choose from, from 2
    to 16 (default 4); `max_context_turns`, how many turns of the dialogue to show at most (default
    7); `show_candidates`, whether the last turn lists the candidates, too (default false).

    `dataset="replies"` is the generated set, with the option `difficulty`: "easy" (the first four
    replies all ask, or all book, as the right one does), "medium", "hard" (most callers correct
    themselves, and wrong replies keep to what they said before). It has eight candidates an
    example. With your own rows, choose `max_new_tokens` so that the longest reply fits: one that is
    cut is not the right one.

    Your own rows have:

    | column | meaning |
    |---|---|
    | `context` | the dialogue so far, the user's turn last: a text, or turns in any layout of \
`textenv.tasks.recorded_dialogue` |
    | `candidates` | the replies, at least two |
    | `label` | the right one: its place from 0 up, or its text |
    | `turns` | instead of these three, a recorded dialogue: one of the agent's turns in it, \
chosen by a hash, is the right reply, and its other turns are the wrong ones |

    A row with fewer replies offers fewer candidates. Of more, the right one and the first others
    are kept; of a recording, those first that have not been said yet. Their order is shuffled by a
    hash, so the place of the right one in a row gives nothing away.

    ## Version History

    - v0: first version.
    """

    fields: ClassVar[tuple[Field, ...]] = (
        Field("context", ("history",), required=False, takes="data"),
        Field("candidates", ("replies", "responses", "options"), required=False, takes="data"),
        Field("label", ("answer",), required=False),
        TURNS_FIELD,
    )

    def __init__(
        self,
        n_candidates: int = 4,
        max_context_turns: int = 7,
        show_candidates: bool = False,
    ) -> None:
        if not _whole(n_candidates) or not 2 <= n_candidates <= _MOST_CANDIDATES:
            raise ConfigError(
                f"The n_candidates of DialogueSelectTask is {n_candidates!r}; use a whole number "
                f"from 2 to {_MOST_CANDIDATES}."
            )
        if not _whole(max_context_turns) or max_context_turns < 1:
            raise ConfigError(
                f"The max_context_turns of DialogueSelectTask is {max_context_turns!r}; use a "
                "whole number from 1 up."
            )
        self.n_candidates = n_candidates
        self.max_context_turns = max_context_turns
        self.show_candidates = bool(show_candidates)

    def example(self, id: str, row: Mapping[str, Any]) -> Example:
        """Builds the example of a row with `candidates`, else of one with `turns`."""
        if row.get("candidates") is not None:
            dialogue, right, others = _given(id, row)
        elif row.get("turns") is not None:
            dialogue, right, others = _from_recording(id, row["turns"])
        else:
            raise DatasetError(
                f"Example '{id}' has neither 'candidates' (with 'context' and 'label') nor 'turns' "
                "(a recorded dialogue). Map one of the dataset's columns to 'turns'."
            )
        key = "\n".join(turn.text for turn in dialogue.turns)
        candidates = pick_candidates(key, right, others, self.n_candidates)
        if len(candidates) < 2:
            raise DatasetError(
                f"The candidates of example '{id}' are all alike, {right!r}, so there is nothing "
                "to choose. Leave the row out."
            )
        shown = dialogue.turns[-self.max_context_turns :]
        # Chat templates want the user to speak first.
        shown = shown[1:] if shown[0].role == "assistant" else shown
        metadata: dict[str, Any] = {
            "context": [{"role": turn.role, "content": turn.text} for turn in shown[:-1]],
            "candidates": candidates,
        }
        if dialogue.system:
            metadata["system"] = dialogue.system
        return Example(id, shown[-1].text, (right,), metadata)

    def opening(self, example: Example) -> tuple[Turn, ...]:
        """Returns the dialogue so far; where it does not fit, earlier turns are shortened."""
        system = example.metadata.get("system")
        turns = [Turn("system", system)] if system else []
        for turn in example.metadata.get("context", ()):
            text = turn["content"]
            turns.append(Turn(turn["role"], text, cut=(0, len(text))))
        last = example.prompt
        if self.show_candidates:
            listed = "\n".join(f"- {text}" for text in self.candidates(example))
            last = f"{last}\n\nReply with one of:\n{listed}"
        return (*turns, Turn("user", last))

    def split_key(self, example: Example) -> str:
        """Returns the turns that are shown, without the candidates."""
        before = (turn["content"] for turn in example.metadata.get("context", ()))
        return "\n".join((*before, example.prompt))


def _given(id: str, row: Mapping[str, Any]) -> tuple[RecordedDialogue, str, list[str]]:
    """Reads a row's own candidates: the dialogue so far, the right reply, and the others."""
    context = row.get("context")
    dialogue = read_dialogue(id, [context] if isinstance(context, str) else context, "context")
    if not dialogue.turns or dialogue.turns[-1].role != "user":
        raise DatasetError(
            f"The 'context' of example '{id}' must end with a turn of the user, whom the agent is "
            "to answer."
        )
    candidates = row["candidates"]
    texts = isinstance(candidates, list | tuple) and all(
        isinstance(text, str) and text.strip() for text in candidates
    )
    if not texts or len(candidates) < 2:
        raise DatasetError(
            f"The 'candidates' of example '{id}' must be a list of at least two texts, none empty."
        )
    replies = [text.strip() for text in candidates]
    label = row.get("label")
    if isinstance(label, str):
        known = [normalised(text) for text in replies]
        place = int(label) if label.strip().isdecimal() else -1
        place = known.index(normalised(label)) if normalised(label) in known else place
    else:
        place = label if _whole(label) else -1  # type: ignore[assignment] # checked just now
    if not 0 <= place < len(replies):
        raise DatasetError(
            f"The 'label' of example '{id}' is {label!r}; it must be the right candidate's place, "
            f"0 to {len(replies) - 1}, or its text."
        )
    return dialogue, replies[place], replies[:place] + replies[place + 1 :]


def _from_recording(id: str, turns: object) -> tuple[RecordedDialogue, str, list[str]]:
    """Takes one turn of the agent for the right reply, and its others for wrong ones."""
    dialogue = read_dialogue(id, turns)
    replies = dialogue.said_by("assistant")
    if len({normalised(text) for text in replies}) < 2:
        raise DatasetError(
            f"Example '{id}' has fewer than two different turns of the agent ('system' or "
            "'assistant') after a turn of the user, so there is no wrong reply to choose. Leave "
            "such rows out."
        )
    key = "\n".join(turn.text for turn in dialogue.turns)
    place = below(key, len(replies))
    context = RecordedDialogue(dialogue.system, dialogue.turns[: 2 * place + 1])
    # What was said already is seen in the context, and so the less tempting.
    later, earlier = set(replies[place + 1 :]), set(replies[:place])
    return context, replies[place], [*shuffled(key, later), *shuffled(key, earlier - later)]


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
