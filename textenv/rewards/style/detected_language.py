"""Whether a response is in the language that is wanted, by lingua's n-gram models.

https://github.com/pemistahl/lingua-py; its models come with its package, and nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from textenv.errors import ConfigError, RewardError, did_you_mean
from textenv.examples import Episode
from textenv.rewards.base import RewardResult
from textenv.tokenization import mended

# Ten take 2 s and 200 MB to load; all of lingua's 75 take 12 s and 900 MB, and single words and
# short sentences are then often taken for languages that nobody has in mind.
COMMON_LANGUAGES = ("en", "de", "fr", "es", "it", "pt", "nl", "ru", "zh", "ja")

_METADATA_KEY = "target_language"


class Language:
    """The probability that the response is in the language that is wanted; in [0, 1].

    It is the wanted language's share among those that are considered, so it depends on their list.
    Text without letters of any of them, such as an empty one, gets 0. Component: "confidence" (of
    the likeliest language, whichever it is).

    Not resisted: any text in that language will do, repetition included, and a single word of it.

    Args:
        language: The wanted one, as its code (ISO 639-1, "de") or its English name; None for
            what each example's metadata say in "target_language".
        among: The languages to consider, by code or name; the wanted one is added. More take
            longer to load.

    Raises:
        ConfigError: lingua is missing, or does not know a language, or fewer than two are
            considered.
    """

    name = "language"

    def __init__(
        self, language: str | None = None, among: Sequence[str] = COMMON_LANGUAGES
    ) -> None:
        if isinstance(among, str) or not isinstance(among, Sequence):
            raise ConfigError(f"'among' of reward '{self.name}' is a list, not {among!r}.")
        self._known = known_languages(self.name)
        self._wanted = None if language is None else self._find(language)
        considered = {self._find(one) for one in among}
        self._considered = frozenset(considered | ({self._wanted} if self._wanted else set()))
        if len(self._considered) < 2:
            raise ConfigError(
                f"Reward '{self.name}' considers one language alone; give more in 'among'."
            )

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        wanted = [self._wanted or self._wanted_of(episode) for episode in episodes]
        detector = make_detector(self._considered)
        total, confidence = np.zeros(len(episodes)), np.zeros(len(episodes))
        for i, episode in enumerate(episodes):
            found = detector.compute_language_confidence_values(mended(episode.response))
            by_language = {one.language: one.value for one in found}
            total[i] = by_language[wanted[i]]
            confidence[i] = max(by_language.values())
        return RewardResult(total, {"confidence": confidence})

    def _find(self, name: str) -> Any:
        language = self._known.get(str(name).lower())
        if language is None:
            raise ConfigError(
                f"Reward '{self.name}' knows no language '{name}'."
                f"{did_you_mean(str(name), self._known)}"
            )
        return language

    def _wanted_of(self, episode: Episode) -> Any:
        name = episode.example.metadata.get(_METADATA_KEY)
        if name is None:
            raise RewardError(
                f"Reward '{self.name}' knows no language for example '{episode.example.id}'. Give "
                f"the option 'language', or its rows a '{_METADATA_KEY}'."
            )
        language = self._known.get(str(name).lower())
        if language not in self._considered:
            raise RewardError(
                f"Example '{episode.example.id}' wants the language '{name}', which reward "
                f"'{self.name}' does not consider. Name it in the option 'among'."
            )
        return language


def known_languages(reward: str) -> dict[str, Any]:
    """Returns lingua's languages by their codes and names, in lower case, if it is installed."""
    try:
        import lingua
    except ImportError as error:
        raise ConfigError(
            f"Reward '{reward}' needs one more package: pip install textenv[style]"
        ) from error
    languages = lingua.Language.all()
    names = {str(language.name).lower(): language for language in languages}
    codes = {str(language.iso_code_639_1.name).lower(): language for language in languages}
    # Norwegian is two written languages to lingua; its code is that of the usual one.
    return {**names, **codes, "no": names["bokmal"]}


@lru_cache(maxsize=8)
def make_detector(languages: frozenset[Any]) -> Any:
    """Makes lingua's detector of some languages, once, which takes a second or more."""
    import lingua

    # In a fixed order, since sums of floats depend on it.
    ordered = sorted(languages, key=lambda language: str(language.name))
    return lingua.LanguageDetectorBuilder.from_languages(*ordered).build()
