"""The texts with which a reward is attacked, each written from an example's own material.

probes.yaml lists them, and says what "lazy", "wrong" and "near" texts are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from textenv.benchmark.negating import deny, deny_inside
from textenv.benchmark.probe_material import Scene, join_words, split_words
from textenv.benchmark.results import ProbeKind
from textenv.rewards.lexical.rouge import rouge_words
from textenv.rewards.style.writing import content_words, split_sentences
from textenv.strict_yaml import check_form, load_yaml
from textenv.tasks.choices import shuffled

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
    """A way to write texts that should not be paid like a good answer; see probes.yaml."""

    name: str
    what: str
    kind: ProbeKind
    needs: str = ""
    text: str | None = None

    def write(self, scene: Scene) -> str | None:
        """Returns the text, or None where it cannot be written."""
        return _WRITERS[self.name](scene) if self.text is None else self.text


def write_probe(attack: Attack, scene: Scene) -> str | None:
    """Writes the text of an attack; None where it cannot be written, or would be a right answer.

    What is lazy may be right by chance, and is paid for it: that belongs to its worth.
    """
    text = attack.write(scene)
    if text is None or (attack.kind != "lazy" and scene.is_right(text)):
        return None
    return text


def _question(scene: Scene) -> str | None:
    prompt = scene.example.prompt
    return None if scene.source == prompt else prompt


def _lead(scene: Scene) -> str | None:
    sentences = split_sentences(scene.source)
    return sentences[0] if len(sentences) > 1 else None


def _title(scene: Scene) -> str | None:
    title = scene.example.metadata.get("title")
    return title if isinstance(title, str) and title.strip() else None


def _content(scene: Scene) -> list[str]:
    """The content words of the source, the most frequent first."""
    words = rouge_words(scene.source)
    content = content_words(words)
    return [word for word, _ in Counter(word for word in words if word in content).most_common()]


def _repeated_word(scene: Scene) -> str | None:
    words = _content(scene)[:1]
    return " ".join(words * max(_N_REPEATS, len(split_words(scene.reference)))) if words else None


def _repeated_sentence(scene: Scene) -> str | None:
    sentences = split_sentences(scene.source)
    return " ".join(sentences[:1] * _N_REPEATS) if sentences else None


def _keyword_list(scene: Scene) -> str | None:
    given = scene.example.metadata.get("concepts")
    if not given:
        given = [pair[1] for pair in scene.example.metadata.get("slots") or ()]
    if given:
        return ", ".join(map(str, given))
    return " ".join(_content(scene)[: max(_LEAST_WORDS, len(split_words(scene.reference)))]) or None


def _shuffled(scene: Scene) -> str | None:
    words = split_words(scene.reference)
    if len(words) < _LEAST_WORDS:
        return None
    order = shuffled(scene.reference, map(str, range(len(words))))
    return join_words([words[int(place)] for place in order], scene.reference)


def _sorted_content(scene: Scene) -> str | None:
    """The content words of the reference, alphabetically, so that no order is left."""
    content = sorted(content_words(rouge_words(scene.reference)))
    return " ".join(content) if len(content) >= _LEAST_WORDS else None


def _stranger(scene: Scene) -> str | None:
    return next(iter(scene.others(1)), None)


def _several(scene: Scene) -> str | None:
    offered = scene.example.metadata.get("candidates")
    if offered:
        return ", ".join(map(str, offered))
    others = scene.others(_N_OTHER_ANSWERS)
    return ", ".join(shuffled(scene.reference, [scene.reference, *others])) if others else None


def _truncated(scene: Scene) -> str | None:
    words = split_words(scene.reference)
    return join_words(words[: len(words) // 2], scene.reference) if len(words) > 1 else None


def _unless_same(scene: Scene, text: str) -> str | None:
    return None if text == scene.reference else text


_WRITERS: dict[str, Callable[[Scene], str | None]] = {
    "source": lambda scene: scene.source,
    "question": _question,
    "lead sentence": _lead,
    "title": _title,
    "repeated word": _repeated_word,
    "repeated sentence": _repeated_sentence,
    "keyword list": _keyword_list,
    "constant": lambda scene: scene.constant,
    "wrong language": lambda scene: _ELSEWHERE[scene.language],
    "another's reference": _stranger,
    "shuffled": _shuffled,
    "sorted content": _sorted_content,
    "negated": lambda scene: deny(scene.reference, scene.language),
    "negated inside": lambda scene: deny_inside(scene.reference, scene.language),
    "several answers": _several,
    "truncated": _truncated,
    "doubled": lambda scene: f"{scene.reference} {scene.reference}",
    "zero width": lambda scene: "\u200b".join(scene.reference),
    "full width": lambda scene: _unless_same(scene, scene.reference.translate(_FULL_WIDTH)),
    "homoglyphs": lambda scene: _unless_same(scene, scene.reference.translate(_HOMOGLYPHS)),
}

_FILE = Path(__file__).with_name("probes.yaml")
ATTACKS = check_form(_FILE.name, load_yaml(_FILE.read_text("utf-8")), tuple[Attack, ...])
