"""The reward of text from data: every slot said, nothing else said, and said in sentences.

In the spirit of the slot error rate of Wen et al., "Semantically Conditioned LSTM-based Natural
Language Generation for Spoken Dialogue Systems" (2015), and of PARENT (Dhingra et al., "Handling
Divergent Reference Texts when Evaluating Table-to-Text Generation", 2019), which counts what a
text says against the data and the reference alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from textenv.errors import RewardError
from textenv.examples import Episode
from textenv.rewards.base import RewardResult
from textenv.rewards.lexical.best_over_references import references_of
from textenv.rewards.lexical.rouge import rouge_l
from textenv.rewards.lexical.words import find_words
from textenv.rewards.style.inflection import contains
from textenv.rewards.style.writing import split_sentences, variety
from textenv.rewards.tasks.value_contexts import suited

_NUMBERS = {
    word: str(number)
    for number, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    )
}
_ARTICLES = frozenset(("a", "an", "the"))
_YES, _NO = frozenset(("yes", "true")), frozenset(("no", "false"))
_NEGATIONS = frozenset(("no", "not", "non", "never", "without", "isn", "doesn", "t", "lacks"))
_NEGATION_REACH = 3  # words before what is denied
# What E2E's restaurants call their one boolean slot.
_OTHER_NAMES = {"family friendly": ("child friendly", "kid friendly", "children friendly")}
_LONG = 4  # words; a longer value may be told in part
_UNSUITED = 0.25  # what is left of a text none of whose values stands among words that suit it
_SPECIFIC = re.compile(r"\d[\d.,:]*|(?<![.!?\n] )(?<!^)\b[^\W\d_a-z][\w'-]*")

# "name[The [Old] Mill]", and "name: The Mill".
_NAME = r"\s*([^\[\]:,;|=\n]*[^\[\]:,;|=\s])\s*"
_SLOT = re.compile(_NAME + r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\s*[,;|]?")
_LINE = re.compile(r"\s*([^:\[\]=]*[^:\[\]=\s])\s*:(.*)")

Slots = tuple[tuple[str, str], ...]


def split_slots(text: str) -> Slots:
    """Reads slots from a text: "name[The Mill], food[Thai]", or "name: The Mill" on each line.

    Returns () if any of the text is neither a slot nor its value, or a slot has no value.
    """
    pairs, end = [], 0
    while found := _SLOT.match(text, end):
        pairs.append(found.groups())
        end = found.end()
    if not pairs or text[end:].strip():
        lines = [line for line in re.split(r"[\n|]", text) if line.strip()]
        pairs = [found.groups() for line in lines if (found := _LINE.fullmatch(line))]
        if len(pairs) < len(lines):
            return ()
    slots = tuple((slot, value.strip()) for slot, value in pairs)
    return (
        slots if all(value and slot.count("(") == slot.count(")") for slot, value in slots) else ()
    )


def words_of(text: str) -> list[str]:
    """Returns the words of a text; "five" is "5"."""
    return [_NUMBERS.get(word, word) for word in find_words(text)]


def slot_words(slot: str) -> str:
    """Returns a slot's name as words: "family friendly" for "familyFriendly"."""
    return " ".join(find_words(re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", slot)))


def realised(slot: str, value: str, words: Sequence[str]) -> float:
    """How far a text, as `words_of` gives it, tells the value of a slot, in [0, 1].

    A value counts if its words stand in a row, the last one in any form, an article before them
    aside. Of more than four words, it counts by the share that is there. A slot with "yes" or "no"
    counts if its name is there, with "no" or "not" shortly before it in the case of "no".
    """
    if value.lower() in _YES | _NO:
        name = slot_words(slot)
        phrases = [words_of(phrase) for phrase in (name, *_OTHER_NAMES.get(name, ()))]
        return float(any(_claims(words, phrase) == (value.lower() in _YES) for phrase in phrases))
    phrase = _phrase(slot, value)
    if not phrase:
        return float(value in " ".join(words))
    if contains(words, phrase):
        return 1.0
    return len(set(phrase) & set(words)) / len(set(phrase)) if len(phrase) > _LONG else 0.0


def _phrase(slot: str, value: str) -> tuple[str, ...]:
    """Returns the words by which a slot is found in a text: the value's, or the name's of a "yes".

    Without an article before them; () for a value without words.
    """
    is_boolean = value.lower() in _YES | _NO
    phrase = words_of(slot_words(slot) if is_boolean else value)
    return tuple(phrase[1:] if len(phrase) > 1 and phrase[0] in _ARTICLES else phrase)


def _claims(words: Sequence[str], phrase: Sequence[str]) -> bool | None:
    """Whether a text affirms a phrase (True), denies it (False), or does not have it (None)."""
    n = len(phrase)
    for i in range(len(words) - n + 1):
        if list(words[i : i + n]) == phrase:
            return _NEGATIONS.isdisjoint(words[max(0, i - _NEGATION_REACH) : i])
    return None


def slots_of(episode: Episode, reward: str) -> list[tuple[str, str]]:
    """Returns the (slot, value) pairs that a text must tell; a RewardError if there are none."""
    example = episode.example
    slots = example.metadata.get("slots") or split_slots(example.prompt)
    if not slots:
        raise RewardError(
            f"Reward '{reward}' looks for the values of slots, and example '{example.id}' has "
            "none: neither 'slots' in its metadata, nor lines such as 'name: The Mill' in its "
            "prompt."
        )
    return [(slot, value) for slot, value in slots]


@dataclass(frozen=True)
class DataToText:
    """A faithful text about some data; in [0, 1], and 1 for a reference that tells all of it.

    The product of five factors:

    - "slots": the share of the slots whose value is told (see `realised`);
    - "faithful": n / (n + wrong), with n slots; wrong counts the numbers and the capitalised words
      that are in neither the data nor a reference, and other values that a slot might have had,
      where the metadata "values" lists them;
    - "form": falls when there are hardly any words beside the data's own (a list, or the input
      copied): one different word, and one more for every two slots, are enough, or as many as a
      reference has; and with words over and over, or half as many words again as the longest
      reference has, or as the values have with two more for each slot;
    - 0.25 + 0.75 "wording", which asks whether the values stand among words that suit them, as in
      "serves Thai food" or "was born in 1976": see `textenv.rewards.tasks.value_contexts`;
    - 0.5 + 0.5 "rougeL", the closeness to the nearest reference.

    Copying the input, the bare values, and a text with all possible values score near 0. Rules that
    put any data into a frame earn less than half: the input with "is" in the place of every colon,
    "The food is Thai. The prices are low.", "Golden Fox has the food Thai and the prices low",
    values joined by prepositions, or beside a stock phrase. A paraphrase keeps most of the score
    where it uses words of a reference for more than half of the values; one that says everything in
    words of its own gets less than 0.4, for nothing tells it from such a rule.

    What it does not resist: a denial ("It is not true that ..."), values in the wrong roles ("Derby
    beat Oxford" for the opposite) where a reference puts both among the same words, and inventions
    in lower-case words.
    """

    name: ClassVar[str] = "data_to_text"

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        names = ("slots", "faithful", "form", "wording")
        parts = np.array([self._parts(episode) for episode in episodes]).reshape(-1, len(names))
        components = dict(zip(names, parts.T, strict=True))
        components["rougeL"] = np.asarray(rouge_l()(episodes).total)
        total = parts[:, :3].prod(axis=1) * (0.5 + 0.5 * components["rougeL"])
        total *= _UNSUITED + (1 - _UNSUITED) * components["wording"]
        return RewardResult(total, components)

    def _parts(self, episode: Episode) -> tuple[float, float, float, float]:
        slots = slots_of(episode, self.name)
        references = references_of(episode, self.name)
        words = words_of(episode.response)
        told = sum(realised(slot, value, words) for slot, value in slots) / len(slots)
        data = set(words_of(episode.example.prompt))
        for slot, value in slots:
            data |= {*words_of(slot_words(slot)), *words_of(value)}
        known = data.union(*map(words_of, references))
        values = episode.example.metadata.get("values", {})
        wrong = _other_values(slots, values, words) | _unsupported(episode.response, known)
        given = data | _INSTRUCTION
        own = [len({*one} - given) for one in (words, *map(words_of, references))]
        enough = min(1 + len(slots) / 2, *own[1:])
        longest = max(len(words_of(reference)) for reference in references)
        longest = max(longest, sum(2 + len(words_of(value)) for _, value in slots))
        form = variety(words) * (min(1.0, own[0] / enough) if enough else 1.0)
        form *= min(1.0, 1.5 * longest / max(1, len(words)))
        phrases = tuple(filter(None, (_phrase(slot, value) for slot, value in slots)))
        names = {word for slot, _ in slots for word in words_of(slot_words(slot))}
        wording = suited(words, [words_of(one) for one in references], phrases, names)
        return told, len(slots) / (len(slots) + len(wrong)), form, wording


# The prompt's own words, so that copying the prompt gains nothing from them.
_INSTRUCTION = frozenset(words_of("Write a text that says all of this, and nothing else."))


def _unsupported(text: str, known: set[str]) -> set[str]:
    """Returns the numbers and names of a text that are not among the known words."""
    found: set[str] = set()
    for sentence in split_sentences(text):
        for specific in _SPECIFIC.findall(sentence):
            is_name = specific[0].isupper() or specific[0].isdigit()
            if is_name and not known.issuperset(words_of(specific)):
                found |= set(words_of(specific))
    return found


def _other_values(
    slots: Sequence[tuple[str, str]],
    values: Mapping[str, Sequence[str]],
    words: Sequence[str],
) -> set[str]:
    """Returns the words of values that the slots might have had, but have not, in a text."""
    right = [words_of(value) for _, value in slots]
    found: set[str] = set()
    for slot, _ in slots:
        for other in values.get(slot, ()):
            phrase = words_of(other)
            if not any(contains(one, phrase) for one in right) and contains(words, phrase):
                found |= set(phrase)
    return found
