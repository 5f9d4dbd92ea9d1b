"""What is counted of a rollout's texts: those that loop, and one text for many prompts."""

from __future__ import annotations

import numpy as np

from agents.ppo.text_stats import TextStats, count_texts
from textenv.examples import Episode, Example, Turn
from textenv.rollout import PlayedEpisode

LONG = "The number nine is a fine one to begin with."
LOOP = "it is a dark and ominous tale, is a dark and ominous tale of old."


def played(*turns: str, group: int = 0) -> PlayedEpisode:
    said = Episode(Example("e", "Say it.", ()), tuple(Turn("assistant", text) for text in turns))
    one = np.zeros(1)
    return PlayedEpisode(
        one.astype(np.int32), one > -1, one.astype(np.float32), group=group, said=said
    )


def test_texts_that_loop_and_texts_that_many_prompts_get_are_counted():
    episodes = [played(LONG), played(f"{LONG} "), played("Yes."), played("Yes."), played(LOOP)]
    assert count_texts(episodes).metrics() == {
        "rollout/looping_share": 0.2,
        "rollout/same_text_share": 0.4,
    }
    # One turn of several is enough.
    assert count_texts([played("Yes.", LOOP), played(LONG)]).metrics() == {
        "rollout/looping_share": 0.5,
        "rollout/same_text_share": 0.0,
    }


def test_samples_of_one_prompt_may_be_alike():
    group = [played(LONG, group=7), played(LONG, group=7)]
    other = [played(LOOP, group=8), played("Nine is a fine number to end a text with.", group=8)]
    assert count_texts(group + other, 2).metrics()["rollout/same_text_share"] == 0.0
    assert count_texts(group + other).metrics()["rollout/same_text_share"] == 0.5
    another = [played(LONG, group=9), played("Yes.", group=9)]
    assert count_texts(group + another, 2).metrics()["rollout/same_text_share"] == 1.0


def test_processes_add_their_counts():
    parts = [count_texts([played(LONG), played(LOOP)]), count_texts([played(LONG), played("No")])]
    assert sum(parts, TextStats()).metrics() == {
        "rollout/looping_share": 0.25,
        "rollout/same_text_share": 0.5,
    }


def test_without_texts_nothing_is_logged():
    one = np.zeros(1)
    silent = PlayedEpisode(one.astype(np.int32), one > -1, one.astype(np.float32))
    assert count_texts([silent]).metrics() == {}
    assert count_texts([]).metrics() == {}
    assert count_texts([played("\ud800 half a pair, and seven more words to go")]).n_texts == 1
