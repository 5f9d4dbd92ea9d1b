"""What an OpenEnv environment says and hears, as texts."""

from __future__ import annotations

import pytest

from textenv.errors import ConfigError, TextEnvError
from textenv.examples import Turn
from textenv.openenv.reading import find_action_field, opening_of, read_turns, said_since

TEXT, NUMBER = {"type": "string"}, {"type": "integer"}
MAYBE = {"anyOf": [{"type": "string"}, {"type": "null"}]}


def user(text):
    return Turn("user", text)


@pytest.mark.parametrize(
    ("properties", "required", "named", "found"),
    [
        ({"message": TEXT, "metadata": {}}, ["message"], None, "message"),
        ({"answer": TEXT, "note": TEXT}, ["answer"], None, "answer"),
        ({"answer": MAYBE, "n": NUMBER}, [], None, "answer"),
        ({"answer": TEXT, "note": TEXT}, [], "note", "note"),
        ({"answer": {"type": ["string", "null"]}}, [], None, "answer"),
        ({"answer": TEXT, "note": TEXT}, [["note"], {}, "answer"], None, "answer"),
    ],
)
def test_the_field_of_what_the_agent_says(properties, required, named, found):
    schema = {"properties": properties, "required": required}
    assert find_action_field(schema, named) == found


@pytest.mark.parametrize(
    ("properties", "required", "said"),
    [
        ({"answer": TEXT, "note": TEXT}, [], "action_field="),
        ({"move": NUMBER}, ["move"], "Only text environments"),
        ({"move": {"anyOf": [{"type": ["string", "integer"]}]}}, [], "Only text environments"),
        ({"tool": {"enum": ["a"], "type": "string"}}, [], "Only text environments"),
        ({"say": TEXT, "to": NUMBER}, ["say", "to"], "needs 'to', too"),
        ("none", [], "Only text environments"),
    ],
)
def test_an_action_that_is_no_text_is_refused(properties, required, said):
    with pytest.raises(ConfigError, match=said):
        find_action_field({"properties": properties, "required": required})


@pytest.mark.parametrize(
    ("observation", "turns"),
    [
        ({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]},
         (Turn("system", "s"), user("u"))),
        # as TextArena's environments say it
        ({"prompt": "Guess.", "messages": [{"sender_id": -1, "content": "Guess.", "category": "X"},
                                           {"sender_id": -1, "content": "Now.", "category": "X"}]},
         (user("Guess.\nNow."),)),
        # as reasoning-gym's
        ({"question": "2 + 2?", "score": None, "correct_answer": None}, (user("2 + 2?"),)),
        ({"echo": "hello", "length": 5}, (user("hello"),)),
        ({"text": "a", "note": "b", "metadata": {}}, (user("a"),)),
        ({"question": None, "messages": []}, ()),
        ({"messages": [3, {"content": 4}], "text": " "}, ()),
        # roles that are no texts
        ({"messages": [{"role": ["user"], "content": "a"}, {"role": {}, "content": "b"}]},
         (user("a\nb"),)),
    ],
)  # fmt: skip
def test_what_an_observation_says(observation, turns):
    assert read_turns(observation) == turns


def test_a_named_field_is_read_and_an_unknown_one_refused():
    assert read_turns({"a": "x", "b": "y"}, "b") == (user("y"),)
    with pytest.raises(TextEnvError, match="field of the observation 'c'"):
        read_turns({"a": "x"}, "c")
    with pytest.raises(ConfigError, match="observation_field="):
        read_turns({"a": "x", "b": "y"})


def test_an_opening_ends_with_what_the_agent_answers():
    assert opening_of([Turn("system", "s"), user("u")]) == (Turn("system", "s"), user("u"))
    for turns in ((), (user("u"), Turn("assistant", "a"))):
        with pytest.raises(ConfigError, match="observation_field="):
            opening_of(turns)


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        # the conversation so far
        ([user("a")], [user("a"), Turn("assistant", "b"), user("c")], "c"),
        ([user("a"), Turn("assistant", "b"), user("c")],
         [user("a"), Turn("assistant", "b"), user("c")], ""),
        # what is new
        ([user("a")], [user("c")], "c"),
        ([user("try again")], [user("try again")], "try again"),
        # one text that grows
        ([user("a\n")], [user("a\nb")], "b"),
        ([user("a")], [], ""),
    ],
)  # fmt: skip
def test_what_is_new_in_an_observation(before, now, said):
    assert said_since(before, now) == said
