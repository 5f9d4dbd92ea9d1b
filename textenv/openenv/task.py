"""A task that an OpenEnv server plays: each slot has a session there.

The server holds what the task knows: it says the opening, answers each turn, and pays. What it paid
stands in the example of the episode that is played (`RECORD` in its metadata), where
`OpenEnvReward` finds it. An episode in which the server fails ends there, and cannot be scored.
"""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from textenv.chat import compute_pause
from textenv.errors import ConfigError, DatasetError, TextEnvError, shown
from textenv.examples import Example, Turn
from textenv.openenv.connection import (
    Answered,
    Connection,
    Endpoint,
    OpenEnvError,
    finite,
)
from textenv.openenv.reading import opening_of, read_turns, said_since
from textenv.tasks.base import Field, Task

RESET = "reset"  # in an example's metadata: the arguments of the server's reset
RECORD = "openenv"  # in an episode's: what has become of it
_BACKOFF_S, _LONGEST_PAUSE_S = 0.5, 4.0
_MOST_OPENINGS = 4096
_MOST_COMPONENTS = 64
_COMPONENT_CHARS = 80


@dataclass
class _Session:
    """A session at the server, and the episode that it plays."""

    connection: Connection
    record: dict[str, Any] = field(default_factory=dict)
    shown: tuple[Turn, ...] = ()  # what the latest observation said
    texts: list[str] = field(default_factory=list)  # what the agent has said
    answer: Turn | None = None  # to the last of them


class OpenEnvTask(Task):
    """Plays the episodes of an OpenEnv server.

    Rows name an episode by the arguments of the server's reset: `seed`, or `split` and `index`, or
    anything in `options`. `references` are ideal texts, for audits; of a conversation, turn by
    turn.

    Args:
        endpoint: Where the server is.
        action_field: Field of an action that holds what the agent says.
        observation_field: Field of an observation that the agent reads; None finds it.
        reconnect_s: Time in which a server that has gone may come back before an episode begins,
            in seconds.
    """

    fields: ClassVar[tuple[Field, ...]] = (
        Field("seed", required=False, takes="data"),
        Field("split", required=False),
        Field("index", required=False, takes="data"),
        Field("options", required=False, takes="data"),
        Field("references", required=False, takes="texts"),
    )

    def __init__(
        self,
        endpoint: Endpoint,
        action_field: str,
        observation_field: str | None = None,
        reconnect_s: float = 60.0,
    ) -> None:
        self._endpoint = endpoint
        self._action_field = action_field
        self._observation_field = observation_field
        self._reconnect_s = reconnect_s
        self._sessions: dict[int, _Session] = {}
        self._n_begun = 0
        # For what is asked outside of any slot: openings, and episodes that were not played here.
        self._spare: _Session | None = None
        self._spare_lock = threading.RLock()
        self._openings: OrderedDict[str, tuple[Turn, ...]] = OrderedDict()

    def example(self, id: str, row: Mapping[str, Any]) -> Example:
        """Builds the example of a row that names an episode."""
        options = row.get("options") or {}
        if not isinstance(options, Mapping):
            raise DatasetError(
                f"Example '{id}': 'options' are the arguments of the server's reset by name, not "
                f"{shown(options)}."
            )
        arguments = dict(options)
        arguments |= {key: row[key] for key in ("seed", "split", "index") if key in row}
        if not arguments:
            raise DatasetError(
                f"Example '{id}' has neither a seed nor a split and an index: nothing says which "
                "episode of the server it is."
            )
        references = row.get("references", ())
        texts = [references] if isinstance(references, str) else references
        if not isinstance(texts, list | tuple) or not all(isinstance(t, str) for t in texts):
            raise DatasetError(
                f"Example '{id}': 'references' are one text or a list of texts, not "
                f"{shown(references)}."
            )
        try:
            return episode_example(id, arguments, references=tuple(texts))
        except (TypeError, ValueError) as error:
            raise DatasetError(
                f"Example '{id}' cannot be sent to the server as JSON: {error}."
            ) from error

    def split_key(self, example: Example) -> str:
        """Returns what names the episode; the server is not asked."""
        return _key(example)

    def begin(self, example: Example, slot: int) -> Example:
        """Has the server begin an episode in the session of a slot.

        Raises:
            OpenEnvError: The server cannot be reached, or does not begin it.
            ConfigError: It says nothing for an agent to answer.
        """
        session, opening = self._begin(self._sessions.pop(slot, None), example)
        self._sessions[slot] = session
        self._n_begun += 1
        session.record |= {"slot": slot, "number": self._n_begun}
        metadata = {**example.metadata, RECORD: session.record}
        prompt = "\n".join(turn.text for turn in opening)
        return replace(example, prompt=prompt, metadata=metadata)

    def opening(self, example: Example) -> tuple[Turn, ...]:
        """Returns what the server said, or would say, first."""
        record = example.metadata.get(RECORD)
        if record is not None:
            return tuple(Turn(role, text) for role, text in record["opening"])
        key = _key(example)
        if key not in self._openings:
            with self._spare_lock:
                spare, self._spare = self._spare, None
                self._spare, opening = self._begin(spare, example)
            self._openings[key] = opening
            if len(self._openings) > _MOST_OPENINGS:
                self._openings.popitem(last=False)
        return self._openings[key]

    def reply(self, example: Example, transcript: tuple[Turn, ...]) -> Turn | None:
        """Returns the server's answer, or None where it ended the episode, or failed."""
        record = example.metadata.get(RECORD)
        if record is None:
            return self.replay(example, _agent_texts(self.opening(example), transcript))[1]
        if record["failed"] or record["done"]:
            return None
        session = self._sessions.get(record["slot"])
        if session is None or session.record is not record:
            record["failed"] = (
                "The session in which this episode began was closed, or plays another one now. "
                "Begin an episode with reset."
            )
            return None
        return self._say(session, transcript[-1].text)

    def finish(self, example: Example, transcript: tuple[Turn, ...]) -> None:
        """Sends the last turn of the agent, so that the server pays it."""
        self.reply(example, transcript)

    def gold(self, example: Example, transcript: tuple[Turn, ...] = ()) -> str:
        """Returns the ideal text of the next turn.

        Raises:
            ConfigError: Nothing tells one.
        """
        if not example.references:
            raise ConfigError(
                f"Nothing tells an ideal text of example '{example.id}'. A server of ours does with"
                " textenv openenv ID --references; else give rows with 'references'."
            )
        n_said = len(_agent_texts(self.opening(example), transcript)) if transcript else 0
        return example.references[min(n_said, len(example.references) - 1)]

    def replay(self, example: Example, texts: Sequence[str]) -> tuple[dict[str, Any], Turn | None]:
        """Plays what an agent said, outside of any slot; goes on where the same was played before.

        Returns:
            What became of the episode, and the server's answer to the last text.
        """
        key = _key(example)
        with self._spare_lock:
            session = self._spare
            goes_on = (
                session is not None
                and session.record["key"] == key
                and session.texts == list(texts[: len(session.texts)])
                and not session.record["failed"]
            )
            if session is None or not goes_on:
                self._spare = None
                self._spare = session = self._begin(session, example)[0]
            record = session.record
            for text in texts[len(session.texts) :]:
                if record["failed"]:
                    break
                if record["done"]:
                    n_said = len(session.texts)
                    record["failed"] = f"The server ended this episode after {n_said} turns."
                    break
                self._say(session, text)
            return dict(record), session.answer

    def close(self) -> None:
        """Ends all sessions."""
        sessions = [*self._sessions.values(), *filter(None, [self._spare])]
        self._sessions, self._spare = {}, None
        for session in sessions:
            session.connection.close()

    def __getstate__(self) -> dict[str, Any]:
        """A copy opens sessions of its own: no two may play in one."""
        state = {**self.__dict__, "_sessions": {}, "_spare": None}
        del state["_spare_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._spare_lock = threading.RLock()

    def _begin(
        self, session: _Session | None, example: Example
    ) -> tuple[_Session, tuple[Turn, ...]]:
        """Begins an episode, in a session that is there or in a new one."""
        began_at = time.monotonic()
        n_tries = 0
        while True:
            try:
                if session is None or not session.connection.is_open:
                    session = None  # not the closed one, if the next line fails
                    session = _Session(Connection(self._endpoint))
                return session, self._reset(session, example)
            except TextEnvError as error:
                if session is not None:
                    session.connection.close()
                left_s = began_at + self._reconnect_s - time.monotonic()
                if left_s <= 0 or not (isinstance(error, OpenEnvError) and error.passes):
                    raise
                time.sleep(min(compute_pause(n_tries, _BACKOFF_S), _LONGEST_PAUSE_S, left_s))
                n_tries += 1

    def _reset(self, session: _Session, example: Example) -> tuple[Turn, ...]:
        """Begins an episode in a session; returns its opening."""
        answer = session.connection.reset(_reset_arguments(example))
        now = read_turns(answer.observation, self._observation_field)
        opening = opening_of(now)
        session.record = {
            "key": _key(example),
            "opening": [[turn.role, turn.text] for turn in opening],
            "paid": 0.0,
            "says_pay": False,  # whether the server has paid any number since the reset
            "done": answer.done,
            "components": {},
            "failed": "The server ended the episode before the agent spoke." * answer.done,
        }
        session.shown, session.texts, session.answer = now, [], None
        return opening

    def _say(self, session: _Session, text: str) -> Turn | None:
        """Sends a turn of the agent; returns the answer, or None at the end of the episode."""
        record = session.record
        session.texts.append(text)
        session.answer = None
        try:
            answer = session.connection.step({self._action_field: text})
            self._note(record, answer)
            if answer.done:  # nobody answers what the last observation says
                return None
            now = read_turns(answer.observation, self._observation_field)
        except TextEnvError as error:
            record["failed"] = str(error)
            return None
        said = said_since(session.shown, now)
        session.shown, session.answer = now, Turn("user", said)
        return session.answer

    def _note(self, record: dict[str, Any], answer: Answered) -> None:
        """Writes down what a step paid."""
        if answer.reward is not None:
            record["paid"] += answer.reward
            record["says_pay"] = True
        record["done"] = answer.done
        if answer.done:
            record["components"] = _components(answer.metadata.get("reward_components"))


def episode_example(
    id: str, arguments: Mapping[str, Any], prompt: str = "", references: tuple[str, ...] = ()
) -> Example:
    """Returns the example of an episode that a server begins with these arguments."""
    return Example(id, prompt or json.dumps(arguments), references, {RESET: dict(arguments)})


def _reset_arguments(example: Example) -> Mapping[str, Any]:
    """Returns the arguments of the server's reset that begin an episode.

    Raises:
        ConfigError: The example is one by hand, of which the server knows nothing.
    """
    arguments = example.metadata.get(RESET)
    if not isinstance(arguments, Mapping):
        raise ConfigError(
            "An OpenEnv server plays its own episodes, not a prompt that is given by hand: pin one "
            'with the reset option "index".'
        )
    return arguments


def _key(example: Example) -> str:
    return json.dumps(_reset_arguments(example), sort_keys=True)


def _agent_texts(opening: Sequence[Turn], transcript: Sequence[Turn]) -> list[str]:
    return [turn.text for turn in transcript[len(opening) :] if turn.role == "assistant"]


def _components(given: object) -> dict[str, float]:
    """Returns the parts of a reward that a server tells; none where they cannot be read as such."""
    if not isinstance(given, dict) or len(given) > _MOST_COMPONENTS:
        return {}
    found = {name: finite(value) for name, value in given.items()}
    numbers = {name: value for name, value in found.items() if value is not None}
    fit = all(name.isprintable() and 0 < len(name) <= _COMPONENT_CHARS for name in numbers)
    return numbers if fit and "total" not in numbers else {}
