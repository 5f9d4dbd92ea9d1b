"""What to know before an environment is played: texts that do not fit, a reward that fails.

Each finding is a sentence for the user, with what to do about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from textenv.datasets.generated.procedural import ProceduralDataset
from textenv.episode import TextCore
from textenv.errors import DatasetError, PromptTooLongError
from textenv.examples import Example, Turn
from textenv.rewards import Reward, compute_rewards
from textenv.rollout import play_text
from textenv.tokenization import EMBEDDED

EXAMPLES = 200  # examples of a split that are looked at, from the first on
SCALE_EXAMPLES = 8  # examples whose ideal and empty answers are scored
FEW = 30  # examples below which an interval says little

_ENDLESS = 10**9
# Shares of the way from what empty answers earn to what ideal ones do
_AT_CEILING, _NEAR_NOTHING = 0.995, 0.1


@dataclass
class _Lengths:
    """Tokens that the texts of some examples need."""

    prompts: list[int] = field(default_factory=list)
    cannot_be_cut: int = 0
    answers: list[int] = field(default_factory=list)  # the longest turn of each ideal episode


def find_misfits(core: TextCore, splits: Sequence[str], n_examples: int = EXAMPLES) -> list[str]:
    """Finds prompts that are cut or refused, and ideal answers that are longer than a turn may be.

    Args:
        core: Slots of the environment; an episode that runs in the first one is lost.
        splits: Splits to look at.
        n_examples: Number of examples of each split, from the first on.
    """
    lengths = _Lengths()
    for split in dict.fromkeys(splits):
        dataset = core.dataset(split)
        for index in range(min(n_examples, len(dataset))):
            _measure(core, dataset[index], lengths)
    found = []
    n, most = len(lengths.prompts), core.max_prompt_tokens
    remedy = _remedy("max_prompt_tokens", lengths.prompts)
    cut = sum(needed > most for needed in lengths.prompts) - lengths.cannot_be_cut
    if cut:
        found.append(
            f"{cut} of {n} prompts do not fit max_prompt_tokens={most}: their source text loses "
            f"its end. {remedy}"
        )
    if lengths.cannot_be_cut:
        found.append(
            f"{lengths.cannot_be_cut} of {n} prompts do not fit max_prompt_tokens={most} and may "
            f"not be cut: an episode that draws one is an error. {remedy}"
        )
    too_long = sum(needed > core.max_new_tokens for needed in lengths.answers)
    if too_long:
        found.append(
            f"{too_long} of {len(lengths.answers)} ideal answers do not fit max_new_tokens="
            f"{core.max_new_tokens}, so nobody can write them. "
            + _remedy("max_new_tokens", lengths.answers)
        )
    return found


def find_few(core: TextCore, split: str) -> list[str]:
    """Finds whether a split is too small to measure on."""
    n = len(core.dataset(split))
    if n >= FEW:
        return []
    instead = "measure on another split"
    if split == "validation":
        instead = "do without its looks (validation_every=0)"
    return [
        f"The {split} split has {n} example{'s' * (n != 1)}: with fewer than {FEW}, an interval is "
        f"wide and may be wrong. Give more rows, or {instead}."
    ]


def find_foreign_text(core: TextCore, model: str, split: str) -> list[str]:
    """Finds whether the embedded model is to write on text that it never saw."""
    if model != EMBEDDED or isinstance(core.dataset(split), ProceduralDataset):
        return []
    return [
        "The embedded model knows the generated data sets alone; on other text it writes "
        "nonsense. Name a language model: --model with a folder or a Hugging Face id. Or teach it "
        "your rows first: textenv sft with your --dataset."
    ]


def find_in_data(core: TextCore, model: str, splits: Sequence[str]) -> tuple[list[str], str | None]:
    """Finds what a training would say of the data, an empty split included.

    Args:
        core: Slots of the environment; an episode that runs in the first one is lost.
        model: Name of the language model.
        splits: Splits that would be played. On all but "train" something is measured.

    Returns:
        Findings, and a sentence that all texts fit if they do.
    """
    found, filled = [], []
    for split in dict.fromkeys(splits):
        try:
            core.dataset(split)
        except DatasetError as error:
            found.append(str(error))
            continue
        filled.append(split)
        found += [] if split == "train" else find_few(core, split)
    if not filled:
        return found, None
    misfits = find_misfits(core, filled)
    sizes = [len(core.dataset(split)) for split in filled]
    n = sum(min(EXAMPLES, size) for size in sizes)
    looked_at = f" (the first {EXAMPLES} of a split are measured)" if max(sizes) > EXAMPLES else ""
    fit = f"All {n} prompts and ideal answers fit{looked_at}."
    foreign = find_foreign_text(core, model, filled[0])
    return misfits + found + foreign, None if misfits else fit


def try_rewards(rewards: Mapping[str, Reward], core: TextCore, split: str) -> None:
    """Scores an ideal and an empty answer by each reward, before anything slow begins.

    Raises:
        RewardError: A reward fails; the message has its line and the example.
    """
    example = core.dataset(split)[0]
    episodes = [play_text(core, example, speak) for speak in (core.task.gold, _say_nothing)]
    for reward in rewards.values():
        compute_rewards(reward, episodes)


@dataclass(frozen=True)
class RewardScale:
    """What a reward pays for answers whose worth is known: means over a few examples."""

    ideal: float
    empty: float

    def is_ideal(self, reward: float) -> bool:
        """Tells whether a reward is what ideal answers earn, or more."""
        share = self._share(reward)
        return share is not None and share >= _AT_CEILING

    def is_near_nothing(self, reward: float) -> bool:
        """Tells whether a reward is hardly more than what empty answers earn."""
        share = self._share(reward)
        return share is not None and share < _NEAR_NOTHING

    def _share(self, reward: float) -> float | None:
        """Returns how far a reward lies from empty (0) to ideal (1) answers.

        None if ideal answers do not earn more than empty ones: then the scale says nothing.
        """
        width = self.ideal - self.empty
        return (reward - self.empty) / width if width > 1e-9 else None


def measure_scale(core: TextCore, examples: Sequence[Example]) -> RewardScale:
    """Scores the ideal and the empty answers of the first of some examples.

    Args:
        core: Slots of the environment; an episode that runs in the first one is lost.
        examples: One example or more, of which the first `SCALE_EXAMPLES` are taken.

    Raises:
        RewardError: The reward fails.
    """
    means = []
    for speak in (core.task.gold, _say_nothing):
        episodes = [play_text(core, example, speak) for example in examples[:SCALE_EXAMPLES]]
        means.append(float(np.mean(compute_rewards(core.reward, episodes).total)))
    return RewardScale(*means)


def _say_nothing(example: Example, transcript: tuple[Turn, ...]) -> str:
    return ""


def _measure(core: TextCore, example: Example, lengths: _Lengths) -> None:
    encode = core.tokenizer.encode_opening
    turns = core.task.opening(example)
    needed = len(encode(turns, _ENDLESS)[0])
    lengths.prompts.append(needed)
    if needed > core.max_prompt_tokens:
        try:
            encode(turns, core.max_prompt_tokens)
        except PromptTooLongError:
            lengths.cannot_be_cut += 1
            return
    longest = 0

    def speak(example: Example, transcript: tuple[Turn, ...]) -> str:
        nonlocal longest
        text = core.task.gold(example, transcript)
        longest = max(longest, len(core.tokenizer.encode(text)) + 1)  # and the end token
        return text

    if core.max_turns == 1:
        speak(example, tuple(turns))
    else:
        play_text(core, example, speak)
    lengths.answers.append(longest)


def _remedy(argument: str, needed: Sequence[int]) -> str:
    """Names the value of an argument that fits all texts, and a smaller one that fits most."""
    most, nearly = max(needed, default=0), int(np.quantile(needed or [0], 0.95, method="higher"))
    smaller = f"; {nearly} fits 95 %" if nearly < 0.8 * most else ""
    return f"env.{argument}={most} fits all{smaller}."
