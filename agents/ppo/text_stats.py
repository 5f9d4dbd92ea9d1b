"""How many texts of a rollout repeat themselves, and how many prompts get one and the same text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from textenv.examples import Episode
from textenv.rewards.lexical.words import find_words
from textenv.rewards.style.writing import unlooped
from textenv.rollout import PlayedEpisode

# Short answers are alike by right: "yes", a name, the letter of an option.
LEAST_WORDS = 8


@dataclass(frozen=True)
class TextStats:
    """Counts of the texts of a rollout, of which processes add theirs.

    Attributes:
        n_texts: Number of episodes whose text is known.
        n_looping: Number of them in which a turn repeats itself: see `is_loop`.
        long_texts: A digest of each text of `LEAST_WORDS` words or more, once for each prompt that
            it answers.
        n_prompts: Number of prompts.
    """

    n_texts: int = 0
    n_looping: int = 0
    long_texts: tuple[bytes, ...] = ()
    n_prompts: int = 0

    def __add__(self, other: TextStats) -> TextStats:
        return TextStats(
            self.n_texts + other.n_texts,
            self.n_looping + other.n_looping,
            self.long_texts + other.long_texts,
            self.n_prompts + other.n_prompts,
        )

    def metrics(self) -> dict[str, float]:
        """Returns the numbers to log; none where no text is known."""
        if not self.n_texts:
            return {}
        most = max(Counter(self.long_texts).values(), default=0)
        return {
            "rollout/looping_share": self.n_looping / self.n_texts,
            # Of a text that one prompt alone got, nothing is repeated.
            "rollout/same_text_share": most / self.n_prompts if most > 1 else 0.0,
        }


def count_texts(episodes: Sequence[PlayedEpisode], group_size: int = 1) -> TextStats:
    """Counts the texts of a rollout.

    Args:
        episodes: Episodes of one process.
        group_size: Episodes of a group, which answer the same prompt.
    """
    n_texts = n_looping = 0
    long_texts: set[tuple[int, bytes]] = set()
    prompts: set[int] = set()
    for number, episode in enumerate(episodes):
        if episode.said is None:
            continue
        prompt = episode.group if group_size > 1 else number
        turns = [find_words(text) for text in episode.said.responses]
        n_texts += 1
        n_looping += _has_loop(turns)
        prompts.add(prompt)
        if sum(map(len, turns)) >= LEAST_WORDS:
            text = "\n".join(text.strip() for text in episode.said.responses)
            long_texts.add((prompt, blake2b(text.encode(errors="replace"), digest_size=8).digest()))
    return TextStats(n_texts, n_looping, tuple(digest for _, digest in long_texts), len(prompts))


def is_loop(episode: Episode) -> bool:
    """Tells whether a turn of the agent says the same three words again and again."""
    return _has_loop([find_words(text) for text in episode.responses])


def _has_loop(turns: Sequence[Sequence[str]]) -> bool:
    return any(unlooped(words) < 1 for words in turns)
