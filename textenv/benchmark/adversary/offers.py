"""What a prompt offers to a text that understands nothing: its parts, by place and form.

Everything here is read from the text that the agent sees. References and metadata are never looked
at, but for the candidates of tasks that let the agent choose among them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from textenv.benchmark.adversary.options import choose_options
from textenv.examples import Turn
from textenv.rewards.lexical.rouge import rouge_words
from textenv.rewards.style.writing import content_words, split_sentences

MOST = 6  # members of a family that have a place of their own

_NAME = re.compile(r"[A-Z][\w'-]*(?: [A-Z][\w'-]*)*")
_NUMBER = re.compile(r"\d[\d.,:]*\d|\d")
_MEASURE = re.compile(rf"(?:{_NUMBER.pattern})(?: [a-z]+)?")
_CLAUSE = re.compile(r" *,(?: and| who)? ")
_DOUBLED = re.compile(r"\b(\w+)(?: \1\b)+")
_QUOTED = re.compile(r"[\"“«]([^\"”»]+)[\"”»]")
_OPTION = re.compile(r"^\(?[A-Z1-9][.)] ?(.+)$", re.MULTILINE)
_FIELD = re.compile(r"^([^\n:]{1,30}): (.+)$", re.MULTILINE)
_LIST = re.compile(r":\s*([^:.\n]+(?:, [^,:.\n]+)+)")


@dataclass(frozen=True)
class Offers:
    """The parts of one prompt.

    Attributes:
        parts: Texts by name, such as "source", "sentence 1", "name 2", "last word".
        families: The members of each family, in order, each with the names of its own parts: an
            item has an "item", a field a "key" and a "value".
        kind: What the instruction says beside the source.
    """

    parts: dict[str, str]
    families: dict[str, tuple[dict[str, str], ...]]
    kind: str


def read_offers(turns: Sequence[Turn], candidates: Sequence[str] = ()) -> Offers:
    """Reads the parts of a conversation that ends with the environment's turn."""
    last = turns[-1]
    source, kind = _divide(last)
    heard = [turn.text for turn in turns if turn.role == "user"]
    words = rouge_words(source)
    content = content_words(words)
    frequent = [word for word, _ in Counter(w for w in words if w in content).most_common(MOST)]
    sentences = split_sentences(source)
    options = [line.strip() for line in _OPTION.findall(last.text)]
    # A prompt may have several lists: words to leave out, and others to keep.
    items, *later = [found.split(", ") for found in _LIST.findall(last.text)] or [[]]
    families = {
        "sentence": sentences,
        "name": list(dict.fromkeys(_NAME.findall(source))),
        "number": list(dict.fromkeys(_NUMBER.findall(source))),
        "quote": _QUOTED.findall(source),
        "word": frequent,
        "item": items,
        "later item": [item for found in later for item in found],
        "option": options or list(candidates),
        "asked": [word for word in rouge_words(kind) if word in content_words(rouge_words(kind))],
    }
    fields = [] if options else _FIELD.findall(source)
    question = next((s for s in split_sentences(last.text) if s.endswith("?")), "")
    parts = {
        "prompt": last.text,
        "source": source,
        "said": " ".join(heard),
        "kind": kind,
        "first words": " ".join(source.split()[:5]),
        "first half": " ".join(source.split()[: len(source.split()) // 2]),
        "last words": " ".join(source.split()[-5:]),
        "last sentence": sentences[-1] if sentences else "",
        "question": question,
        **_after_name(source, question),
        **choose_options(families["option"], last.text, source, " ".join(heard)),
        **_edits(source, items),
        **_heard(heard),
        **{f"key {i + 1}": key for i, (key, _) in enumerate(fields[:MOST])},
        **{f"value {i + 1}": value for i, (_, value) in enumerate(fields[:MOST])},
    }
    for name, members in families.items():
        parts |= {f"{name} {i + 1}": text for i, text in enumerate(members[:MOST])}
    return Offers(
        {name: text for name, text in parts.items() if text},
        {name: tuple({name: text} for text in members) for name, members in families.items()}
        | _field_families(fields),
        kind,
    )


def _field_families(
    fields: Sequence[tuple[str, str]],
) -> dict[str, tuple[dict[str, str], ...]]:
    """Returns all fields, and those after the first, which often names what the others tell."""
    members = tuple({"key": key, "value": value} for key, value in fields)
    return {"field": members, "later field": members[1:]}


def _heard(heard: Sequence[str]) -> dict[str, str]:
    """Returns the names and the numbers, with a word behind each, of all that was heard."""
    if len(heard) < 2:
        return {}
    told = " ".join(heard)
    return {
        "names of what was said": " ".join(dict.fromkeys(_NAME.findall(told))),
        "numbers of what was said": " ".join(dict.fromkeys(_MEASURE.findall(told))),
    }


def _after_name(source: str, question: str) -> dict[str, str]:
    """Returns the words of a text behind the first name that a question shares with it."""
    for name in _NAME.findall(question):
        _, found, rest = source.partition(name)
        if found and rest:
            words = re.findall(r"[\w'-]+", rest)[:MOST]
            return {f"word {i + 1} after the name": word for i, word in enumerate(words)}
    return {}


def _divide(turn: Turn) -> tuple[str, str]:
    """Divides a prompt into what differs from example to example, and what is asked."""
    text = turn.text
    if turn.cut is not None and turn.cut[1] > turn.cut[0]:
        start, end = turn.cut
        return text[start:end].strip(), f"{text[:start]} {text[end:]}".strip()
    head, _, rest = text.partition("\n\n")
    return (rest.strip(), head) if rest.strip() else (text, "")


def _edits(source: str, items: Sequence[str]) -> dict[str, str]:
    """Returns the source after edits that need no understanding."""
    words = source.split()
    without = source
    for item in items:
        without = re.sub(rf"(?<!\w){re.escape(item)}(?!\w)[,;]?", "", without)
    found = {
        "source without the items": without,
        "source without long words": " ".join(word for word in words if len(word) < 8),
        "source without short words": " ".join(word for word in words if len(word) > 3),
        "source cut at commas": re.sub(r"[,;:] (?:and |but |who |which )?", ". ", source),
        "source cut at 'and'": re.sub(r",? and ", ". ", source),
        "source without doubled words": _DOUBLED.sub(r"\1", source),
        "source without the items cut at commas": _CLAUSE.sub(". ", without),
        "source without the items, 'She' in each clause": _CLAUSE.sub(". She ", without),
    }
    for name, text in (("source", source), ("source without the items", without)):
        for size in (4, 7):
            found[f"{name} in sentences of {size}"] = _in_sentences(text, size)
    return found


def _in_sentences(text: str, size: int) -> str:
    """Ends a sentence after so many words, wherever that is."""
    parts = []
    for sentence in split_sentences(text):
        words = sentence.rstrip(".!?").split()
        parts += [" ".join(words[i : i + size]) for i in range(0, len(words), size)]
    return " ".join(f"{part.rstrip(',;:')}." for part in parts)
