"""One reward for each language of the answers, known by metadata or detected."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from textenv.errors import ConfigError, RewardError, did_you_mean
from textenv.examples import Episode
from textenv.rewards.base import FloatArray, RewardResult
from textenv.rewards.lexical.best_over_references import references_of
from textenv.rewards.loading import RewardSpec, load_part
from textenv.rewards.options import check_choice
from textenv.rewards.parts import Part
from textenv.rewards.style.detected_language import (
    COMMON_LANGUAGES,
    known_languages,
    make_detector,
)
from textenv.tokenization import mended

NAME = "by_language"
DEFAULT = "default"
DETECTED = ("reference", "prompt")


def by_language(
    key: str = "target_language",
    detect: str | None = None,
    default: RewardSpec | None = None,
    **languages: RewardSpec,
) -> ByLanguage:
    """Chooses a reward by the language of the example: `en: rougeL, zh: chrf`.

    Its components are each language's total by its code, 0 where another one scored, and
    "code/share", 1 where it did and 0 elsewhere: a mean over one divided by the mean over the other
    is the mean within the language.

    Args:
        key: The metadata that holds the language's code; "en" also answers to "en-US".
        detect: "reference" or "prompt": detect the language of that text by lingua
            (`textenv[style]`) instead of reading metadata. Never the response's, which the agent
            could choose.
        default: The reward of all other languages; without one they are refused.
        languages: The other options: a reward for each code (ISO 639-1).
    """
    if not languages:
        raise ConfigError(f"'{NAME}' needs a reward for each language: en: rougeL, zh: chrf.")
    if len(set(map(_folded, languages))) < len(languages):
        raise ConfigError(f"'{NAME}' has a language twice: {', '.join(languages)}.")
    if detect is not None:
        check_choice(NAME, "detect", detect, DETECTED)
    parts = {code: Part(code, load_part(spec).reward) for code, spec in languages.items()}
    if default is not None:
        parts[DEFAULT] = Part(DEFAULT, load_part(default).reward)
    others = COMMON_LANGUAGES if default is not None else ()
    if detect is None:
        return ByLanguage(partial(_code_in_metadata, key), f"its metadata '{key}'", parts)
    find = ByDetection(detect, [*languages, *others])
    return ByLanguage(find, "its detected language", parts)


@dataclass(frozen=True)
class ByLanguage:
    """The part that belongs to each episode's language."""

    find: Callable[[Episode], str]  # returns the code of an episode's language; "" if not known
    source: str  # what the language is read from, for messages
    parts: Mapping[str, Part]  # the reward of each language by its code, and "default"
    name: ClassVar[str] = NAME

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        codes = np.array([self._code(episode) for episode in episodes], np.object_)
        total = np.zeros(len(episodes))
        valid = np.ones(len(episodes), np.bool_)
        components: dict[str, FloatArray] = {}
        reasons: dict[int, str] = {}
        for code, part in self.parts.items():
            places = np.flatnonzero(codes == code).tolist()
            shown = {code: np.zeros(0)}
            if places:
                result = part.score([episodes[place] for place in places])
                total[places] = result.total
                valid[places] = result.valid
                shown = part.components(result)
                for place, reason in result.reasons.items():
                    reasons[places[place]] = f"'{code}': {reason}"
            shown[f"{code}/share"] = np.ones(len(places))
            for name, values in shown.items():
                components[name] = np.zeros(len(episodes))
                components[name][places] = values
        return RewardResult(total, components, valid, reasons)

    def _code(self, episode: Episode) -> str:
        found = self.find(episode)
        codes = {_folded(code): code for code in self.parts if code != DEFAULT}
        for wanted in (_folded(found), _folded(found).split("-")[0]):
            if wanted in codes:
                return codes[wanted]
        if DEFAULT in self.parts:
            return DEFAULT
        raise RewardError(
            f"'{NAME}' has no reward for example '{episode.example.id}': {self.source} is "
            f"{repr(found) if found else 'missing'}.{did_you_mean(found, self.parts)} Add a reward "
            "for that language, or a 'default'."
        )


def _code_in_metadata(key: str, episode: Episode) -> str:
    return str(episode.example.metadata.get(key, ""))


class ByDetection:
    """Detects the language of an example's first reference, or of its prompt, among some codes."""

    def __init__(self, text: str, codes: Sequence[str]) -> None:
        languages = known_languages(NAME).values()
        known = {one.iso_code_639_1.name.lower(): one for one in languages}
        for code in codes:
            if code.lower() not in known:
                raise ConfigError(
                    f"'{NAME}' cannot detect '{code}'.{did_you_mean(code.lower(), known)}"
                )
        self._languages = frozenset(known[code.lower()] for code in codes)
        if len(self._languages) < 2:
            raise ConfigError(
                f"'{NAME}' tells languages apart, so it needs two or more, or a 'default'."
            )
        self._text = text
        self._found: dict[str, str] = {}

    def __call__(self, episode: Episode) -> str:
        """Returns the language's code; empty for a text without letters."""
        of_prompt = self._text == "prompt"
        text = episode.example.prompt if of_prompt else references_of(episode, NAME)[0]
        if text not in self._found:
            language = make_detector(self._languages).detect_language_of(mended(text))
            self._found[text] = language.iso_code_639_1.name.lower() if language else ""
        return self._found[text]


def _folded(code: str) -> str:
    return code.lower().replace("_", "-")
