"""Drawing a conversation: every turn as text, printed once, or a picture of any script."""

from __future__ import annotations

import re
import sys

import gymnasium as gym
import numpy as np
import pytest

from textenv.examples import Turn
from textenv.rendering import render_transcript

END = 1
TURNS = (Turn("system", "Be brief."), Turn("user", "Who?\nYou?"), Turn("assistant", "me"))


def write(env, text):
    for id in env.unwrapped.core.tokenizer.encode(text):
        env.step(id)


def plain(text):
    """Takes the colours away."""
    return re.sub(r"\x1b\[[\d;]+m", "", text)


def test_ansi_shows_every_turn_in_order_with_each_speaker_in_a_colour_of_its_own():
    drawn = render_transcript(TURNS, "ansi")
    assert plain(drawn) == "system: Be brief.\nuser: Who?\nYou?\nassistant: me"
    codes = re.findall(r"(\x1b\[[\d;]+m)(\w+):\x1b\[0m", drawn)
    assert [role for _, role in codes] == ["system", "user", "assistant"]
    assert len({code for code, _ in codes}) == 3


@pytest.mark.parametrize("mode", ["ansi", "human"])
def test_text_cannot_steer_the_terminal(capsys, mode):
    attack = "\x1b[2J\x9b31m\x07\r\u202eabc\tx\ny"
    drawn = render_transcript((Turn("user", attack),), mode) or capsys.readouterr().out
    assert plain(drawn).strip() == "user: ␛[2J\ufffd31m␇␍\ufffdabc\tx\ny"


def test_human_colours_only_what_a_terminal_reads(capsys, monkeypatch):
    render_transcript(TURNS, "human")
    assert "\x1b" not in capsys.readouterr().out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    render_transcript(TURNS, "human")
    assert "\x1b" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    render_transcript(TURNS, "human")
    assert "\x1b" not in capsys.readouterr().out


def test_ansi_shows_a_dialogue_so_far_with_the_turn_being_written():
    env = gym.make("TextDialogue-v0", render_mode="ansi")
    env.reset(seed=0)
    first, *_ = plain(env.render()).split("\n")
    assert first.startswith("user: ")
    write(env, "Which day")
    assert plain(env.render()) == f"{first}\nassistant: Which day"
    write(env, "?")
    env.step(END)
    _, second, third = plain(env.render()).split("\n")
    assert second == "assistant: Which day?"
    assert third.startswith("user: ")


@pytest.mark.parametrize("own", [True, False])
def test_an_episode_that_was_truncated_shows_its_unfinished_turn(own):
    if own:
        env = gym.make_vec("TextQA-v0", num_envs=1, max_episode_steps=3, render_mode="ansi")
        env.reset(seed=0)
        ids = env.unwrapped.core.tokenizer.encode("a b c")[:3]
        for id in ids:
            env.step([id])
        (text,) = env.render()
    else:
        env = gym.make("TextQA-v0", max_episode_steps=3, render_mode="ansi")
        env.reset(seed=0)
        ids = env.unwrapped.core.tokenizer.encode("a b c")[:3]
        for id in ids:
            env.step(id)
        text = env.render()
    assert plain(text).endswith(f"\nassistant: {env.unwrapped.core.tokenizer.decode(ids)}")


def test_human_prints_a_conversation_once_at_its_end(capsys):
    env = gym.make("TextQA-v0", render_mode="human")
    env.reset(seed=0)
    write(env, "me")
    assert env.render() is None
    assert capsys.readouterr().out == ""
    env.step(END)
    assert env.render() is None
    out = capsys.readouterr().out
    assert out.startswith("user: ")
    assert out.endswith("\nassistant: me\nreward 0.000 (token_f1 0.000)\n\n")


@pytest.mark.parametrize("mode", ["next_step", "same_step", "disabled"])
def test_human_prints_the_slots_that_end(capsys, mode):
    env = gym.make_vec("TextQA-v0", num_envs=2, render_mode="human", autoreset_mode=mode)
    env.reset(seed=0)
    env.step([END, 700])
    env.step([700, 700])
    assert env.render() is None
    assert capsys.readouterr().out.count("assistant:") == 1


def test_a_vector_environment_draws_one_frame_a_slot():
    env = gym.make_vec("TextQA-v0", num_envs=2, render_mode="rgb_array")
    env.reset(seed=0)
    frames = env.render()
    assert [frame.shape for frame in frames] == [(480, 640, 3)] * 2
    assert (frames[0] != frames[1]).any()
    plain = gym.make_vec("TextQA-v0", num_envs=2)
    plain.reset(seed=0)
    assert plain.render() is None


@pytest.mark.parametrize(
    "text", ["", "你好，世界" * 60, "\x00\x1b[31m\u202e", "🙂" * 9, "ab " * 5000]
)
def test_a_picture_of_any_text_has_the_same_form(text):
    frame = render_transcript((Turn("user", text),), "rgb_array")
    assert (frame.dtype, frame.shape) == (np.uint8, (480, 640, 3))
    assert frame.flags.writeable
    assert (frame < 255).any()


def test_a_picture_shows_the_end_of_a_long_conversation():
    long = Turn("user", "\n".join(f"line {n}" for n in range(200)))
    a, b = (render_transcript((long, Turn("assistant", text)), "rgb_array") for text in "ab")
    assert (a != b).any()
    changed = Turn("user", long.text.replace("line 0", "other"))
    c = render_transcript((changed, Turn("assistant", "a")), "rgb_array")
    assert (a == c).all()
