"""Goal-oriented dialogue: ask a guest for what is missing, then book."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textenv.errors import DatasetError
from textenv.examples import Example, Turn
from textenv.guests.booking_lines import SLOTS, booking_line, question_line
from textenv.guests.guest import answered, follow
from textenv.tasks.base import Field, Task
from textenv.tasks.candidates import pick_candidates, shuffled
from textenv.tasks.guest_rows import guest_example
from textenv.tasks.recorded_dialogue import TURNS_FIELD, read_dialogue

_NOTHING_TO_ASK = "Is there anything else?"


class DialogueTask(Task):
    """Find out over several turns what a guest wants, and book it.

    ## Description

    A guest of a restaurant wants a table: a cuisine, an area, a number of people, a day and a time.
    The opening tells some of the five. The agent asks for the others and ends the dialogue with
    one turn that says "Booked:" and every value, such as

        Booked: Italian food in the north for 4 people on Friday at 7 pm.

    The guest understands keywords: "food" or "cuisine"; "area", "where" or "part of town";
    "people", "guests" or "how many"; "day" or "date"; "time" or "hour"; "when" is both of the last.
    They answer exactly what they are asked for. A guest may also

    - change their mind about what they have told: "Actually, make it 4 people instead of 3." What
      counts is what they want when the agent books;
    - lose patience: a turn that asks for something told already, or for nothing that they
      understand, gets a terse answer ("I already told you: Thai food."), and after too many such
      turns they leave;
    - not care about a slot ("any area"), which a booking then leaves out;
    - answer one question at a time, and expect single questions from then on;
    - say numbers in words ("half past seven in the evening");
    - be in the house's book, which has all that they want. The ideal agent has the book open and
      books at once. An agent that learns here has no book: who imitates the ideal turns learns to
      make things up, as from any demonstrator who knows more than the learner (Ortega et al. 2021,
      arXiv 2110.10819).

    At select level the agent chooses one of seven dialogue acts: ask for one of the five slots,
    ask for all that is missing, or book with what is known so far. Their texts follow from the
    conversation alone; their order changes from turn to turn.

    Rows with recorded `turns` are replayed instead: after the agent's k-th turn the user says what
    the recorded user said next, whatever the agent said. The candidates at select level are then
    turns of the same recording.

    ## Rewards

    Paid at the end. `dialogue` is a weighted mean of success, right slots, right slots among those
    that had to be asked for and efficiency, times the share of turns on topic; see
    `textenv.rewards.tasks.dialogue`.
    Recorded dialogues have no goal: `dialogue` pays them `turn_f1`, the closeness of each turn to
    the recorded one.

    ## Starting State

    The guest's opening, such as "Hello, this is Anna Bell. I would like to book a table for Thai
    food on Friday. My sister has a new job."; in a recording the user's first turn, after the
    system prompt if there is one.

    ## Episode End

    The agent books, the guest leaves, the recording ends, or the agent has taken `max_turns` turns.

    ## Arguments

    `dataset="guests"` is the generated set. Its options: `difficulty` ("easy": patient guests who
    know what they want; "medium"; "hard": all of the above but the book, and more to ask for);
    `corrections` and `one_at_a_time` (the probability of each); `patience` (the useless turns that
    a guest bears); `returning` (every guest has been there before and says so; the probability that
    one is in the book).

    Your own rows have either `turns`, a recorded dialogue (a list of {"speaker", "text"}, of
    {"role", "content"}, of plain texts in which user and agent alternate, or the columns
    {"speaker": [...], "utterance": [...]}), or a guest:

    | column | meaning |
    |---|---|
    | `goal` | a value for each of `food`, `area`, `people`, `day`, `time`; or "any" |
    | `revealed` | the slots that the opening tells, in their order; some, but not all |
    | `opening` | the first turn, if it is not to be generated from the two |
    | `wording` | an integer that chooses among the guest's phrasings; by default 0 |
    | `changes` | a list of {"slot", "value", "turn"}: a new value, said at the earliest after \
that turn of the agent |
    | `patience` | how many useless turns the guest bears; by default any number |
    | `one_at_a_time`, `in_words` | whether the guest behaves so; by default false |
    | `in_book` | whether the ideal agent knows what the guest wants; by default false |

    ## Version History

    - v0: the first.
    """

    fields: ClassVar[tuple[Field, ...]] = (
        Field("goal", required=False, takes="data"),
        Field("revealed", required=False, takes="data"),
        Field("wording", required=False),
        Field("opening", required=False),
        Field("patience", required=False),
        Field("changes", required=False, takes="data"),
        Field("one_at_a_time", required=False),
        Field("in_words", required=False),
        Field("in_book", required=False),
        TURNS_FIELD,
    )
    n_candidates = len(SLOTS) + 2

    def example(self, id: str, row: Mapping[str, Any]) -> Example:
        """Builds the example of a row with `turns`, else of one with a `goal`."""
        if row.get("turns") is not None:
            return _recorded(id, row["turns"])
        if row.get("goal") is not None:
            return guest_example(id, row)
        raise DatasetError(
            f"Example '{id}' has neither 'turns' (a recorded dialogue) nor 'goal' (a guest to "
            "simulate). Map one of the dataset's columns to 'turns'."
        )

    def opening(self, example: Example) -> tuple[Turn, ...]:
        """Returns the user's first turn, after the recorded system prompt if there is one."""
        first = Turn("user", example.prompt)
        prompt = example.metadata.get("system")
        return (Turn("system", prompt), first) if prompt else (first,)

    def reply(self, example: Example, transcript: tuple[Turn, ...]) -> Turn | None:
        """Returns the user's answer to the agent's last turn, or None after the last one."""
        said = [turn.text for turn in transcript if turn.role == "assistant"]
        if "goal" not in example.metadata:
            recorded = example.metadata.get("user_turns", ())
            return Turn("user", recorded[len(said)]) if len(said) < len(recorded) else None
        reply = follow(example, said).reply
        return None if reply is None else Turn("user", reply)

    def gold(self, example: Example, transcript: tuple[Turn, ...] = ()) -> str:
        """Returns one question for all that is missing, then the booking; or the recorded turn.

        A guest who has asked for one thing at a time is asked so, and for one who is in the book
        the first turn books.
        """
        if "goal" not in example.metadata:
            return example.references[_place(example, transcript)]
        guest = follow(example, answered(transcript))
        if guest.in_book or not guest.missing:
            return booking_line(guest.goal)
        return question_line(guest.missing[:1] if guest.warned else guest.missing)

    def candidates(self, example: Example, transcript: tuple[Turn, ...] = ()) -> tuple[str, ...]:
        """Returns the dialogue acts as texts, shuffled; or turns of the recording, likewise.

        None of them tells more of the goal than the guest, or the book, has.
        """
        turn = sum(turn.role == "assistant" for turn in transcript)
        key = f"{example.prompt}\0{turn}"
        if "goal" not in example.metadata:
            right = example.references[_place(example, transcript)]
            return pick_candidates(key, right, example.references, self.n_candidates)
        guest = follow(example, answered(transcript))
        # The question for a single slot is there already.
        all_missing = question_line(guest.missing) if len(guest.missing) > 1 else _NOTHING_TO_ASK
        ask = (question_line([slot]) for slot in SLOTS)
        booking = booking_line(guest.goal if guest.in_book else guest.known)
        return shuffled(key, (*ask, all_missing, booking))


def _recorded(id: str, turns: object) -> Example:
    dialogue = read_dialogue(id, turns)
    references, users = dialogue.said_by("assistant"), dialogue.said_by("user")
    if not references:
        raise DatasetError(
            f"Example '{id}' has no turn of the agent ('system' or 'assistant') after a turn of "
            "the user, so there is nothing to say in it. Leave the row out."
        )
    metadata: dict[str, Any] = {"user_turns": list(users[: len(references)])}
    if dialogue.system:
        metadata["system"] = dialogue.system
    return Example(id=id, prompt=users[0], references=references, metadata=metadata)


def _place(example: Example, transcript: tuple[Turn, ...]) -> int:
    """Returns which of the recorded turns of the agent is next; the last one once all are said."""
    said = sum(turn.role == "assistant" for turn in transcript)
    return min(said, len(example.references) - 1)
