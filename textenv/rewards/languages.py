"""One reward for each language of the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from textenv.errors import ConfigError, RewardError, did_you_mean
from textenv.examples import Episode
from textenv.rewards.base import FloatArray, RewardResult
from textenv.rewards.loading import RewardSpec, load_part
from textenv.rewards.parts import Part

DEFAULT = "default"


def by_language(
    key: str = "target_language", default: RewardSpec | None = None, **languages: RewardSpec
) -> ByLanguage:
    """Chooses a reward by the language in an example's metadata: `en: rougeL, zh: chrf`.

    Its components are each language's total by its code, 0 where another one scored, and
    "code/share", 1 where it did and 0 elsewhere: a mean over one divided by the mean over the other
    is the mean within the language.

    Args:
        key: The metadata that holds the language's code; "en" also answers to "en-US".
        default: The reward of all other languages; without one they are refused.
        languages: The other options: a reward for each code.
    """
    if not languages:
        raise ConfigError("'by_language' needs a reward for each language: en: rougeL, zh: chrf.")
    parts = {code: Part(code, load_part(spec).reward) for code, spec in languages.items()}
    if default is not None:
        parts[DEFAULT] = Part(DEFAULT, load_part(default).reward)
    return ByLanguage(key, parts)


@dataclass(frozen=True)
class ByLanguage:
    """The part that belongs to each episode's language."""

    key: str
    parts: Mapping[str, Part]
    name: str = "by_language"

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order.

        Raises:
            RewardError: No reward is there for an example's language.
        """
        codes = np.array([self._code(episode) for episode in episodes], np.object_)
        total = np.zeros(len(episodes))
        valid = np.ones(len(episodes), np.bool_)
        components: dict[str, FloatArray] = {}
        reasons: dict[int, str] = {}
        for code, part in self.parts.items():
            places = np.flatnonzero(codes == code).tolist()
            shown = {code: np.zeros(0)}
            if len(places):
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
        found = str(episode.example.metadata.get(self.key, ""))
        folded = found.lower().replace("_", "-")
        for code in self.parts:
            if code != DEFAULT and code.lower().replace("_", "-") in (folded, folded.split("-")[0]):
                return code
        if DEFAULT in self.parts:
            return DEFAULT
        what = f"is '{found}'" if found else "is missing"
        raise RewardError(
            f"'by_language' has no reward for example '{episode.example.id}': its metadata "
            f"'{self.key}' {what}.{did_you_mean(found, self.parts)} Add a reward for that "
            "language, or a 'default'."
        )
