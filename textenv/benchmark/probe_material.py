"""What a probe is written from: an example, its human text, and texts of other examples."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from textenv.benchmark.negating import language_of
from textenv.examples import Example
from textenv.rewards.lexical.words import normalised, set_apart


@dataclass(frozen=True)
class ProbeMaterial:
    """What a probe is written from."""

    example: Example  # as the reward sees it: without the reference that is held out, if one is
    reference: str  # the human text that the probe is compared with
    strangers: tuple[str, ...] = ()  # references of other examples, the best first
    # The same text for every example, the best that was found; None if none was.
    constant: str | None = None

    @property
    def source(self) -> str:
        """The text that the answer draws on: the context if there is one, else the prompt."""
        context = self.example.metadata.get("context")
        return context if isinstance(context, str) else self.example.prompt

    @property
    def language(self) -> str:
        """The language of the answer."""
        return language_of(self.reference, self.example.metadata.get("target_language"))

    def is_right(self, text: str) -> bool:
        """Tells whether a text is one of the references, but for case, spaces and punctuation."""
        same = _letters(text)
        return any(_letters(known) == same for known in (self.reference, *self.example.references))

    def others(self, n: int) -> list[str]:
        """Returns n references of other examples that are wrong here; fewer if there are none."""
        wrong = dict.fromkeys(text for text in self.strangers if not self.is_right(text))
        return list(wrong)[:n]


def split_words(text: str) -> list[str]:
    """Returns the words of a text as they stand, those of scripts without spaces by character."""
    return set_apart(text).split()


def _letters(text: str) -> str:
    """What two spellings of one answer share; the text itself where it has only punctuation."""
    composed = unicodedata.normalize("NFC", text).casefold()
    kept = (c for c in composed if not c.isspace() and unicodedata.category(c)[0] != "P")
    return "".join(kept) or normalised(text)
