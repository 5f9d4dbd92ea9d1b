"""The texts with which a reward is attacked, each written from an example's own material.

probes.yaml lists them, and says what "lazy", "wrong", "same" and "near" texts are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from textenv.benchmark.negating import deny, deny_inside
from textenv.benchmark.probe_material import ProbeMaterial, split_words
from textenv.benchmark.results import ProbeKind
from textenv.rewards.lexical.rouge import rouge_words
from textenv.rewards.lexical.words import join_words
from textenv.rewards.style.writing import content_words, split_sentences
from textenv.strict_yaml import load_yaml_file
from textenv.tasks.candidates import shuffled

_LEAST_WORDS = 3  # of what is to be shuffled
_N_REPEATS = 3
_N_OTHER_ANSWERS = 3
_ELSEWHERE = {
    "en": "Das hier ist eine Antwort in einer anderen Sprache.",
    "de": "This is an answer in another language.",
    "zh": "This is an answer in another language.",
}
# Cyrillic letters that look like the Latin ones.
_HOMOGLYPHS = str.maketrans("aceopxyABCEHKMOPTX", "асеорхуАВСЕНКМОРТХ")
_FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}


@dataclass(frozen=True)
class Attack:
    """A way to write texts that show what a reward pays for; see probes.yaml."""

    name: str
    what: str
    kind: ProbeKind
    needs: str = ""
    mend: str = ""
    text: str | None = None

    def write(self, material: ProbeMaterial) -> str | None:
        """Returns the text, or None where it cannot be written."""
        return _WRITERS[self.name](material) if self.text is None else self.text


def write_probe(attack: Attack, material: ProbeMaterial) -> str | None:
    """Writes the text of an attack; None where it cannot be written, or would be a right answer.

    What is lazy may be right by chance, and is paid for it: that belongs to its worth.
    """
    text = attack.write(material)
    if text is None or (attack.kind in ("wrong", "near") and material.is_right(text)):
        return None
    return text


def _question(material: ProbeMaterial) -> str | None:
    prompt = material.example.prompt
    return None if material.source == prompt else prompt


def _lead(material: ProbeMaterial) -> str | None:
    sentences = split_sentences(material.source)
    return sentences[0] if len(sentences) > 1 else None


def _title(material: ProbeMaterial) -> str | None:
    title = material.example.metadata.get("title")
    return title if isinstance(title, str) and title.strip() else None


def _content(material: ProbeMaterial) -> list[str]:
    """The content words of the source, the most frequent first."""
    words = rouge_words(material.source)
    content = content_words(words)
    return [word for word, _ in Counter(word for word in words if word in content).most_common()]


def _repeated_word(material: ProbeMaterial) -> str | None:
    words = _content(material)[:1]
    return (
        " ".join(words * max(_N_REPEATS, len(split_words(material.reference)))) if words else None
    )


def _repeated_sentence(material: ProbeMaterial) -> str | None:
    sentences = split_sentences(material.source)
    return " ".join(sentences[:1] * _N_REPEATS) if sentences else None


def _keyword_list(material: ProbeMaterial) -> str | None:
    given = material.example.metadata.get("concepts")
    if not given:
        given = [pair[1] for pair in material.example.metadata.get("slots") or ()]
    if given:
        return ", ".join(map(str, given))
    return (
        " ".join(_content(material)[: max(_LEAST_WORDS, len(split_words(material.reference)))])
        or None
    )


def _shuffled(material: ProbeMaterial) -> str | None:
    words = split_words(material.reference)
    if len(words) < _LEAST_WORDS:
        return None
    order = shuffled(material.reference, map(str, range(len(words))))
    return join_words(words[int(place)] for place in order)


def _sorted_content(material: ProbeMaterial) -> str | None:
    """The content words of the reference, alphabetically, so that no order is left."""
    content = sorted(content_words(rouge_words(material.reference)))
    return " ".join(content) if len(content) >= _LEAST_WORDS else None


def _stranger(material: ProbeMaterial) -> str | None:
    return next(iter(material.others(1)), None)


def _several(material: ProbeMaterial) -> str | None:
    offered = material.example.metadata.get("candidates")
    if offered:
        return ", ".join(map(str, offered))
    others = material.others(_N_OTHER_ANSWERS)
    return (
        ", ".join(shuffled(material.reference, [material.reference, *others])) if others else None
    )


def _unpunctuated(material: ProbeMaterial) -> str | None:
    text = material.reference.rstrip()
    return text[:-1].rstrip() or None if text.endswith((".", "!", "?", "。")) else None


def _truncated(material: ProbeMaterial) -> str | None:
    words = split_words(material.reference)
    return join_words(words[: len(words) // 2]) if len(words) > 1 else None


def _unless_same(material: ProbeMaterial, text: str) -> str | None:
    return None if text == material.reference else text


_WRITERS: dict[str, Callable[[ProbeMaterial], str | None]] = {
    "source": lambda material: material.source,
    "question": _question,
    "lead sentence": _lead,
    "title": _title,
    "repeated word": _repeated_word,
    "repeated sentence": _repeated_sentence,
    "keyword list": _keyword_list,
    "constant": lambda material: material.constant,
    "wrong language": lambda material: _ELSEWHERE[material.language],
    "another's reference": _stranger,
    "shuffled": _shuffled,
    "sorted content": _sorted_content,
    "negated": lambda material: deny(material.reference, material.language),
    "negated inside": lambda material: deny_inside(material.reference, material.language),
    "several answers": _several,
    "lower case": lambda material: _unless_same(material, material.reference.lower()),
    "unpunctuated": _unpunctuated,
    "truncated": _truncated,
    "doubled": lambda material: f"{material.reference} {material.reference}",
    "zero width": lambda material: "\u200b".join(material.reference),
    "full width": lambda material: _unless_same(
        material, material.reference.translate(_FULL_WIDTH)
    ),
    "homoglyphs": lambda material: _unless_same(
        material, material.reference.translate(_HOMOGLYPHS)
    ),
}

ATTACKS = load_yaml_file(Path(__file__).with_name("probes.yaml"), tuple[Attack, ...])
