"""Reads recorded dialogues in the layouts that corpora have.

A list of turns, each a mapping {"speaker" or "role": ..., "text" or "content" or "utterance": ...};
the same as columns, {"speaker": [...], "utterance": [...]} (multi_woz, schema-guided dialogue on
the hub); or a list of texts in which two speakers alternate, the user first (daily_dialog), which
may be mappings without a speaker (MultiWOZ's "log"). Of two speakers with names of their own, such
as Topical-Chat's "agent_1" and "agent_2", the one who speaks first is the user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from textenv.errors import DatasetError
from textenv.examples import Turn
from textenv.tasks.base import Field

TURNS_FIELD = Field(
    "turns",
    aliases=("dialogue", "dialog", "messages", "conversation", "utterances", "log", "content"),
    required=False,
    takes="data",
)
"""The column of a recorded dialogue."""

_SPEAKER_KEYS = ("speaker", "role", "from", "agent")
_TEXT_KEYS = ("text", "content", "utterance", "value", "message")
# Class labels of corpora on the hub are numbers: 0 is the user.
_SPEAKERS = {
    "user": "user",
    "human": "user",
    "customer": "user",
    "0": "user",
    "system": "system",
    "assistant": "assistant",
    "agent": "assistant",
    "bot": "assistant",
    "gpt": "assistant",
    "1": "assistant",
}


@dataclass(frozen=True)
class RecordedDialogue:
    """A conversation that the user opens; consecutive turns of one speaker are joined."""

    system: str  # the prompt before it, or ""
    turns: tuple[Turn, ...]  # user and assistant alternating, from the user's first turn on

    def said_by(self, role: str) -> tuple[str, ...]:
        """Returns the texts of one side, in order."""
        return tuple(turn.text for turn in self.turns if turn.role == role)


def read_dialogue(id: str, recorded: object, column: str = "turns") -> RecordedDialogue:
    """Reads a recorded dialogue in any of the layouts of this module; errors name id and column.

    What the agent says before the user's first turn, a greeting, is left out.
    """
    listed = _as_list(id, recorded, column)
    names = _two_names(listed)
    spoken = [_spoken(id, turn, names) for turn in listed]
    # "system" is the agent in task-oriented corpora, and the prompt where an "assistant" talks.
    has_assistant = any(role == "assistant" for role, _ in spoken)
    prompts: list[str] = []
    turns: list[Turn] = []
    for role, text in spoken:
        if role == "system" and has_assistant:
            prompts.append(text)
        elif turns and (turns[-1].role == "user") == (role == "user"):
            turns[-1] = Turn(turns[-1].role, f"{turns[-1].text} {text}")
        elif turns or role == "user":
            turns.append(Turn("user" if role == "user" else "assistant", text))
    return RecordedDialogue("\n".join(prompts), tuple(turns))


def _as_list(id: str, recorded: object, column: str) -> list[object]:
    """Returns the turns one by one, whatever the layout."""
    if isinstance(recorded, Mapping):
        speakers = next((recorded[key] for key in _SPEAKER_KEYS if key in recorded), None)
        texts = next((recorded[key] for key in _TEXT_KEYS if key in recorded), None)
        if not (
            isinstance(speakers, list | tuple)
            and isinstance(texts, list | tuple)
            and len(speakers) == len(texts)
        ):
            raise DatasetError(
                f"The '{column}' of example '{id}' is a mapping with the keys "
                f"{', '.join(map(str, recorded))}; as columns it needs 'speaker' and "
                "'utterance', two lists of one length."
            )
        return [{"role": s, "text": t} for s, t in zip(speakers, texts, strict=True)]
    if isinstance(recorded, str | bytes) or not isinstance(recorded, Sequence):
        raise DatasetError(
            f"The '{column}' of example '{id}' must be a list of turns, one a message."
        )
    if all(isinstance(turn, str) for turn in recorded):
        return [
            {"role": "assistant" if i % 2 else "user", "text": text}
            for i, text in enumerate(recorded)
        ]
    if not any(_speaker_of(turn) is not None for turn in recorded):
        return [
            {**turn, "role": "assistant" if i % 2 else "user"}
            if isinstance(turn, Mapping)
            else turn
            for i, turn in enumerate(recorded)
        ]
    return list(recorded)


def _speaker_of(turn: object) -> str | None:
    """Returns the name of a turn's speaker, None if it tells none."""
    if not isinstance(turn, Mapping):
        return None
    speaker = next((turn[key] for key in _SPEAKER_KEYS if key in turn), None)
    return None if speaker is None else str(speaker).strip().lower()


def _two_names(turns: Sequence[object]) -> Mapping[str, str]:
    """Returns the roles of two speakers who have names of their own; else none."""
    names = list(dict.fromkeys(filter(None, map(_speaker_of, turns))))
    if len(names) == 2 and not any(name in _SPEAKERS for name in names):
        return {names[0]: "user", names[1]: "assistant"}
    return {}


def _spoken(id: str, turn: object, names: Mapping[str, str]) -> tuple[str, str]:
    """Reads one recorded turn as (role, text)."""
    if not isinstance(turn, Mapping):
        raise DatasetError(
            f"A turn of example '{id}' is {type(turn).__name__}; use a mapping with 'speaker' and "
            "'text', or with 'role' and 'content'; or only texts, the user's and the agent's in "
            "turn."
        )
    speaker = next((turn[key] for key in _SPEAKER_KEYS if key in turn), None)
    text = next((turn[key] for key in _TEXT_KEYS if key in turn), None)
    known = {**_SPEAKERS, **names}
    role = known.get(_speaker_of(turn) or "")
    if role is None:
        raise DatasetError(
            f"A turn of example '{id}' has the speaker {speaker!r}; use 'user' and 'system', or "
            "'user' and 'assistant'."
        )
    if isinstance(text, list) and text and all(isinstance(part, str) for part in text):
        text = " ".join(text)  # Topical-Chat has sentences
    if not isinstance(text, str) or not text.strip():
        raise DatasetError(f"A turn of example '{id}' by '{speaker}' has no text.")
    return role, text.strip()
