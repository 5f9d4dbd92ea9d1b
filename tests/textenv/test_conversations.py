"""Conversations in rows are read as trainers write them, and refused where they are none."""

from __future__ import annotations

import pytest

from textenv import ConfigError, Turn
from textenv.conversations import Conversation, read_conversation
from textenv.json_lines import read_objects, to_line

ASK, SAY, ASK_ON, SAY_ON = (
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "More"},
    {"role": "assistant", "content": "No"},
)
TURNS = tuple(Turn(m["role"], m["content"]) for m in (ASK, SAY, ASK_ON, SAY_ON))


@pytest.mark.parametrize(
    ("row", "n_opening"),
    [
        ({"messages": [ASK, SAY, ASK_ON, SAY_ON]}, 1),
        ({"messages": [ASK, SAY, ASK_ON, SAY_ON], "n_opening": 3}, 3),
        ({"prompt": [ASK], "completion": [SAY, ASK_ON, SAY_ON]}, 1),
        ({"prompt": [ASK, SAY, ASK_ON], "completion": [SAY_ON]}, 3),
    ],
)
def test_all_that_was_said_is_read_and_where_the_opening_ends(row, n_opening):
    assert read_conversation(row, "Line 1") == Conversation(TURNS[:n_opening], TURNS[n_opening:])


def test_a_prompt_and_a_completion_may_be_texts():
    read = read_conversation({"prompt": "Hi", "completion": "Hello"}, "Line 1")
    assert read == Conversation(TURNS[:1], TURNS[1:2])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "Hi"}, "Line 3 has no conversation"),
        ({"messages": "Hi"}, "give a list of messages"),
        ({"messages": [ASK]}, "no assistant answers"),
        ({"messages": [SAY]}, "nothing before it"),
        ({"messages": [ASK, SAY], "n_opening": 2}, "'n_opening' is 2, of 2 messages"),
        ({"messages": [ASK, SAY], "n_opening": True}, "'n_opening' is True"),
        ({"messages": [ASK, SAY, ASK_ON]}, "the last message has to be the assistant's"),
        ({"messages": [ASK, SAY, SAY_ON]}, "the assistant speaks where the user should"),
        ({"messages": [ASK, {"role": "tool", "content": "5"}]}, "a message of 'messages' is"),
        ({"messages": [ASK, {"role": "assistant", "content": None}]}, "a message of"),
        ({"messages": [ASK, 7]}, "a message of 'messages' is 7"),
        ({"prompt": [], "completion": [SAY]}, "'prompt' has no messages"),
        ({"prompt": [ASK], "completion": []}, "'completion' has no messages"),
    ],
)
def test_what_is_no_conversation_is_refused_with_its_line(row, message):
    with pytest.raises(ConfigError, match=message):
        read_conversation(row, "Line 3")


def test_a_line_holds_any_text_and_gives_the_same_back():
    row = {"response": '你好\n\u2028 \ud800 "x" \x00'}
    line = to_line(row)
    assert line.count("\n") == 1
    assert list(read_objects([line.encode()], "rows", "{}")) == [("Line 1 of rows", row)]
    assert "你好" in to_line({"response": "你好"})
