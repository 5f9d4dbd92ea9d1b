"""Goal-oriented dialogue: ask a customer for what is missing, then book.

Rows with a `goal` are played by a user simulator; rows with recorded `turns` are replayed: after
the agent's k-th turn the user says what the recorded user said next.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from textenv.datasets.bookings import (
    SLOTS,
    answer_line,
    booking_line,
    opening_line,
    repeat_line,
)
from textenv.errors import DatasetError, RewardError
from textenv.examples import Example, Turn
from textenv.tasks.base import Field, Task

_BOOKED = re.compile(r"\bbooked\s*:", re.IGNORECASE)
_KEYWORDS = {
    "food": re.compile(r"\b(food|cuisine)\b", re.IGNORECASE),
    "area": re.compile(r"\b(area|where|part of town)\b", re.IGNORECASE),
    "people": re.compile(r"\b(how many|people|guests)\b", re.IGNORECASE),
    "day": re.compile(r"\b(day|date|when)\b", re.IGNORECASE),
    "time": re.compile(r"\b(time|hour|when)\b", re.IGNORECASE),
}
_QUESTIONS = {
    "food": "what food",
    "area": "which area",
    "people": "how many people",
    "day": "which day",
    "time": "what time",
}

_NUMBERS = {
    word: str(number)
    for number, word in enumerate(("two", "three", "four", "five", "six", "seven", "eight"), 2)
}
_NUMBER = rf"(\d+|{'|'.join(_NUMBERS)})"
_PEOPLE = re.compile(
    rf"\b{_NUMBER}\s+(?:people|persons|guests)\b|\b(?:for|party of)\s+{_NUMBER}\b"
    r"(?!\s*(?:[:.]\d|[ap]\.?m\b))"
)
_TIME = re.compile(r"\b(\d{1,2})(?:[:.](\d\d))?\s*([ap])\.?m\b")
_WORDS = {
    slot: re.compile(rf"\b({'|'.join(SLOTS[slot]).lower()})\b") for slot in ("food", "area", "day")
}
_CANONICAL = {value.lower(): value for slot in _WORDS for value in SLOTS[slot]}

_SPEAKER_KEYS = ("speaker", "role", "from")
_TEXT_KEYS = ("text", "content", "utterance", "value")
_SPEAKERS = {
    "user": "user",
    "human": "user",
    "customer": "user",
    "system": "system",
    "assistant": "assistant",
    "agent": "assistant",
    "bot": "assistant",
    "gpt": "assistant",
}


def parse_booking(text: str) -> dict[str, str] | None:
    """Reads the first booking of a text: what follows "Booked:", to the end or the next one.

    Case, the order of the slots and words between them do not matter. A slot that is not named is
    left out, and so is one that is named with several values: a hedge is no booking.

    Returns:
        The slots and their values, spelled as in a goal; None if nothing was booked.

    Example:
        "Booked: Italian food in the north for 4 people on Friday at 7 pm."
    """
    start = _BOOKED.search(text)
    if start is None:
        return None
    said = _BOOKED.split(text[start.end() :], maxsplit=1)[0].lower()
    said = said.replace("centre", "center")
    found = {
        slot: {_CANONICAL[word] for word in pattern.findall(said)}
        for slot, pattern in _WORDS.items()
    }
    counts = (first or second for first, second in _PEOPLE.findall(said))
    found["people"] = {_NUMBERS.get(count, count) for count in counts}
    found["time"] = {
        f"{int(hour)}{f':{minutes}' if minutes not in ('', '00') else ''} {half}m"
        for hour, minutes, half in _TIME.findall(said)
    }
    return {slot: next(iter(found[slot])) for slot in SLOTS if len(found[slot]) == 1}


def asked_slots(text: str) -> frozenset[str]:
    """Returns the slots that an agent's turn asks for, by its keywords ("which area", ...)."""
    return frozenset(slot for slot, pattern in _KEYWORDS.items() if pattern.search(text))


def revealed_slots(example: Example, transcript: tuple[Turn, ...]) -> frozenset[str]:
    """Returns the slots that the customer has told so far, in the opening or when asked."""
    revealed = set(example.metadata["revealed"])
    # The last turn, if it is the agent's, has no answer yet.
    for turn in transcript[:-1]:
        if turn.role == "assistant":
            revealed |= asked_slots(turn.text)
    return frozenset(revealed)


def booking_success(example: Example, transcript: tuple[Turn, ...]) -> dict[str, float]:
    """Scores the first booking of a dialogue against the customer's goal.

    Returns:
        "success": 1 if every slot is right, else 0. "slots": the share of right slots.
        "withheld": the same share among the slots that the opening did not tell, which an agent
        that books without asking can only guess. All are 0 if nothing was booked.

    Raises:
        RewardError: The example is a recorded dialogue, which has no goal.
    """
    goal = example.metadata.get("goal")
    if goal is None:
        raise RewardError(
            f"Example '{example.id}' is a recorded dialogue without a 'goal', so the success of "
            "its booking cannot be scored. Use a reward that compares with the recorded turns, "
            "or rows that have a 'goal'."
        )
    bookings = (parse_booking(turn.text) for turn in transcript if turn.role == "assistant")
    booked = next((booking for booking in bookings if booking is not None), {})
    right = {slot: float(booked.get(slot) == value) for slot, value in goal.items()}
    withheld = [right[slot] for slot in right if slot not in example.metadata["revealed"]]
    return {
        "success": float(all(right.values())),
        "slots": sum(right.values()) / len(right),
        "withheld": sum(withheld) / len(withheld),
    }


class DialogueTask(Task):
    """Asks for what is missing and books, or talks along a recorded dialogue."""

    fields: ClassVar[tuple[Field, ...]] = (
        Field("goal", required=False),
        Field("revealed", required=False),
        Field("wording", required=False),
        Field("turns", aliases=("dialogue", "dialog", "messages", "conversation"), required=False),
    )

    def example(self, id: str, row: Mapping[str, Any]) -> Example:
        """Builds the example of a row with `turns`, else of one with a `goal`.

        Args:
            id: The example's id.
            row: Either `turns`, a list of {"speaker" or "role": ..., "text" or "content": ...}; a
                system prompt before them is kept, an agent's greeting is not. Or `goal`, a value
                for each slot; `revealed`, the slots that the opening tells, in order; and
                `wording`, an integer that chooses the customer's words.

        Raises:
            DatasetError: The row has neither, or what it has cannot be played.
        """
        if row.get("turns") is not None:
            return _recorded(id, row["turns"])
        if row.get("goal") is not None:
            return _simulated(id, row)
        raise DatasetError(
            f"Example '{id}' has neither 'turns' (a recorded dialogue) nor 'goal' (a customer to "
            "simulate). Map one of the dataset's columns to 'turns'."
        )

    def opening(self, example: Example) -> tuple[Turn, ...]:
        """Returns the user's first turn, after the recorded system prompt if there is one."""
        first = Turn("user", example.prompt)
        prompt = example.metadata.get("system")
        return (Turn("system", prompt), first) if prompt else (first,)

    def reply(self, example: Example, transcript: tuple[Turn, ...]) -> Turn | None:
        """Returns the user's answer to the agent's last turn, or None after the last one.

        A simulated customer answers exactly what was asked, repeats the request in other words
        when nothing was asked, and leaves when the agent books.
        """
        said = [turn.text for turn in transcript if turn.role == "assistant"]
        if "goal" not in example.metadata:
            recorded = example.metadata["user_turns"]
            return Turn("user", recorded[len(said)]) if len(said) < len(recorded) else None
        if parse_booking(said[-1]) is not None:
            return None
        goal, wording = example.metadata["goal"], example.metadata["wording"]
        asked = asked_slots(said[-1])
        if asked:
            return Turn("user", answer_line(goal, asked, wording, len(said)))
        revealed = example.metadata["revealed"]
        return Turn("user", repeat_line(goal, revealed, wording, len(said)))

    def gold(self, example: Example, transcript: tuple[Turn, ...] = ()) -> str:
        """Returns one question for all that is missing, then the booking; or the recorded turn."""
        if "goal" not in example.metadata:
            turn = sum(turn.role == "assistant" for turn in transcript)
            return example.references[min(turn, len(example.references) - 1)]
        revealed = revealed_slots(example, transcript)
        missing = [question for slot, question in _QUESTIONS.items() if slot not in revealed]
        if not missing:
            return example.references[0]
        asked = " and ".join(filter(None, (", ".join(missing[:-1]), missing[-1])))
        return f"{asked[0].upper()}{asked[1:]}?"


def _simulated(id: str, row: Mapping[str, Any]) -> Example:
    goal, revealed, wording = row["goal"], row.get("revealed"), row.get("wording", 0)
    if not isinstance(goal, Mapping) or set(goal) != set(SLOTS):
        raise DatasetError(f"The goal of example '{id}' must map each of {', '.join(SLOTS)}.")
    goal = {slot: str(goal[slot]) for slot in SLOTS}
    for slot, value in goal.items():
        if value not in SLOTS[slot]:
            raise DatasetError(
                f"The goal of example '{id}' has {slot} = {value!r}, which is not one of "
                f"{', '.join(SLOTS[slot])}."
            )
    told = [] if revealed is None or isinstance(revealed, str) else list(revealed)
    if not 0 < len(set(told)) == len(told) < len(SLOTS) or not set(told) <= set(SLOTS):
        raise DatasetError(
            f"The 'revealed' of example '{id}' must list some, but not all, of {', '.join(SLOTS)}: "
            "the agent is to ask for the others."
        )
    if not isinstance(wording, int) or wording < 0:
        raise DatasetError(
            f"The 'wording' of example '{id}' is {wording!r}; use an integer from 0 up."
        )
    return Example(
        id=id,
        prompt=opening_line(goal, told, wording),
        references=(booking_line(goal),),
        metadata={"goal": goal, "revealed": told, "wording": wording},
    )


def _recorded(id: str, turns: object) -> Example:
    """Builds the example of a recorded dialogue; consecutive turns of one speaker are joined."""
    if isinstance(turns, str | bytes) or not isinstance(turns, Sequence):
        raise DatasetError(f"The 'turns' of example '{id}' must be a list of turns, one a message.")
    spoken = [_spoken(id, turn) for turn in turns]
    # "system" is the agent in task-oriented corpora, and the prompt where an "assistant" talks.
    has_assistant = any(role == "assistant" for role, _ in spoken)
    prompts: list[str] = []
    joined: list[tuple[str, str]] = []
    for role, text in spoken:
        if role == "system" and has_assistant:
            prompts.append(text)
            continue
        role = "user" if role == "user" else "assistant"
        if joined and joined[-1][0] == role:
            joined[-1] = (role, f"{joined[-1][1]} {text}")
        elif joined or role == "user":
            joined.append((role, text))
    references = tuple(text for role, text in joined if role == "assistant")
    users = [text for role, text in joined if role == "user"]
    if not references:
        raise DatasetError(
            f"Example '{id}' has no turn of the agent ('system' or 'assistant') after a turn of "
            "the user, so there is nothing to say in it. Leave the row out."
        )
    metadata: dict[str, Any] = {"user_turns": users[: len(references)]}
    if prompts:
        metadata["system"] = "\n".join(prompts)
    return Example(id=id, prompt=users[0], references=references, metadata=metadata)


def _spoken(id: str, turn: object) -> tuple[str, str]:
    """Reads one recorded turn as (role, text)."""
    if not isinstance(turn, Mapping):
        raise DatasetError(
            f"A turn of example '{id}' is {type(turn).__name__}; use a mapping with 'speaker' and "
            "'text', or with 'role' and 'content'."
        )
    speaker = next((turn[key] for key in _SPEAKER_KEYS if key in turn), None)
    text = next((turn[key] for key in _TEXT_KEYS if key in turn), None)
    role = _SPEAKERS.get(str(speaker).lower())
    if role is None:
        raise DatasetError(
            f"A turn of example '{id}' has the speaker {speaker!r}; use 'user' and 'system', or "
            "'user' and 'assistant'."
        )
    if not isinstance(text, str) or not text.strip():
        raise DatasetError(f"A turn of example '{id}' by '{speaker}' has no text.")
    return role, text.strip()
