"""Generated sentence pairs: one plan of a sentence, spelled in English, German and Chinese.

A sentence is drawn as a plan (who does what to which thing, where, when; stated, denied or asked;
alone, or joined to a second clause). Each language spells the plan by its own rules, so a pair is
a translation by construction. German: cases, gender, verb second, the sentence bracket. Chinese:
measure words, time before the verb, 了, 不 and 没有. Plans that one of the three languages would
say in a roundabout way (a place beside a denied definite thing, say) are never drawn.

The English sentence decides the split, in every direction, so that training on one direction never
shows a test sentence of another. No two English sentences share a translation (all that tells
plans apart is spelled in all three languages), so no German or Chinese prompt lies in two splits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np

from textenv.datasets.generated import phrase_words as words
from textenv.datasets.generated.phrase_words import Noun, Reason, Spelled, Subject, Tense, Verb
from textenv.datasets.generated.procedural import GradedGenerator
from textenv.errors import ConfigError
from textenv.tasks.base import Task
from textenv.tasks.translate import TranslateTask

Mood = Literal["statement", "whether", "why", "where", "who"]

T = TypeVar("T")


@dataclass(frozen=True)
class _Clause:
    subject: Subject
    verb: Verb
    tense: Tense
    negated: bool
    noun: Noun
    determiner: str
    adjective: Spelled | None
    place: Spelled | None = None
    time: Spelled | None = None
    fronted: bool = False  # the time opens the sentence


# German accusative: the determiner, then the ending of the adjective after it.
_ACCUSATIVE: dict[str, dict[str, tuple[str, str]]] = {
    "a": {"m": ("einen", "en"), "f": ("eine", "e"), "n": ("ein", "es")},
    "no": {"m": ("keinen", "en"), "f": ("keine", "e"), "n": ("kein", "es")},
    "the": {"m": ("den", "en"), "f": ("die", "e"), "n": ("das", "e")},
    "this": {"m": ("diesen", "en"), "f": ("diese", "e"), "n": ("dieses", "e")},
}

_ENGLISH_REASON = {
    ("be", False): ("am", "are", "is", "are"),
    ("be", True): ("was", "were", "was", "were"),
    ("have", False): ("have", "have", "has", "have"),
    ("have", True): ("had", "had", "had", "had"),
}
_GERMAN_REASON = {
    ("be", False): ("bin", "bist", "ist", "sind"),
    ("be", True): ("war", "warst", "war", "waren"),
    ("have", False): ("habe", "hast", "hat", "haben"),
    ("have", True): ("hatte", "hattest", "hatte", "hatten"),
}
_GERMAN_AUXILIARY = {
    "past": ("habe", "hast", "hat", "haben"),
    "future": ("werde", "wirst", "wird", "werden"),
    "want": ("möchte", "möchtest", "möchte", "möchten"),
}
_AND, _BUT = (" and ", " und ", "，"), (", but ", ", aber ", "，但是")
_IT = {
    "m": ("it", "er", "它"),
    "f": ("it", "sie", "它"),
    "n": ("it", "es", "它"),
    "plural": ("they", "sie", "它们"),
}


def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _english(clause: _Clause, mood: Mood) -> str:
    base, third, past = clause.verb.english
    is_third = clause.subject.person == 2
    asks = mood in ("whether", "why", "where")
    subject = clause.subject.spelled[0]
    time = clause.time[0] if clause.time else ""
    if asks or clause.negated:
        auxiliary = {"past": "did", "future": "will"}.get(
            clause.tense, "does" if is_third else "do"
        )
        main = f"want to {base}" if clause.tense == "want" else base
        pair = (auxiliary, subject) if asks else (subject, auxiliary)
        kernel = _join(*pair, "not" if clause.negated else "", main)
    else:
        verb = {
            "present": third if is_third else base,
            "past": past,
            "future": f"will {base}",
            "want": f"{'wants' if is_third else 'want'} to {base}",
        }[clause.tense]
        kernel = _join(subject, verb)
    adjective = clause.adjective[0] if clause.adjective else ""
    noun = clause.noun.english[clause.determiner in words.COUNTS]
    determiner = clause.determiner
    if determiner == "a" and (adjective or noun)[0] in "aeiou":
        determiner = "an"
    return _join(
        mood if mood in ("why", "where") else "",
        time if clause.fronted else "",
        kernel,
        _join(determiner, adjective, noun),
        clause.place[0] if clause.place else "",
        "" if clause.fronted else time,
    )


def _german(clause: _Clause, mood: Mood) -> str:
    person, verb = clause.subject.person, clause.verb.german
    if clause.tense == "present":
        finite, last = verb[person], ""
    else:
        finite = _GERMAN_AUXILIARY[clause.tense][person]
        last = verb[4] if clause.tense == "past" else verb[3]
    stem = clause.adjective[1] if clause.adjective else ""
    if clause.determiner in words.COUNTS:
        thing = _join(
            words.COUNTS[clause.determiner][0], stem and f"{stem}e", clause.noun.german[1]
        )
    else:
        denied = clause.negated and clause.determiner == "a"
        article, ending = _ACCUSATIVE["no" if denied else clause.determiner][clause.noun.gender]
        thing = _join(article, stem and f"{stem}{ending}", clause.noun.german[0])
    time = clause.time[1] if clause.time else ""
    place = clause.place[1] if clause.place else ""
    inner_time = "" if clause.fronted else time
    if clause.negated and clause.determiner != "a":
        middle = _join(thing, inner_time, "nicht")
    else:
        middle = _join(inner_time, place, thing)
    subject = clause.subject.spelled[1]
    question = {"why": "warum", "where": "wo"}.get(mood, "")
    if question or mood == "whether":
        return _join(question, finite, subject, middle, last)
    if clause.fronted:
        return _join(time, finite, subject, middle, last)
    return _join(subject, finite, middle, last)


def _chinese(clause: _Clause, mood: Mood) -> str:
    subject, verb = clause.subject.spelled[2], clause.verb.chinese
    time = clause.time[2] if clause.time else ""
    auxiliary = {
        ("present", True): "不",
        ("past", True): "没有",
        ("future", False): "会",
        ("future", True): "不会",
        ("want", False): "想",
        ("want", True): "不想",
    }.get((clause.tense, clause.negated), "")
    aspect = "了" if clause.tense == "past" and not clause.negated else ""
    measure, noun = clause.noun.chinese
    if clause.determiner == "many":
        counted = "很多"
    elif clause.determiner in words.COUNTS:
        counted = words.COUNTS[clause.determiner][1] + measure
    elif clause.determiner == "a":
        counted = "" if clause.negated else "一" + measure
    else:
        counted = {"the": "那", "this": "这"}[clause.determiner] + measure
    thing = counted + (clause.adjective[2] if clause.adjective else "") + noun
    place = "在哪里" if mood == "where" else clause.place[2] if clause.place else ""
    opening = time + subject if clause.fronted else subject + time
    why = "为什么" if mood == "why" else ""
    return opening + why + auxiliary + place + verb + aspect + thing


def _joined(*parts: Spelled) -> Spelled:
    english, german, chinese = map("".join, zip(*parts, strict=True))
    return english, german, chinese


def _because(clause: _Clause, reason: Reason) -> Spelled:
    past = clause.tense == "past"
    if reason.about == "subject":
        pronoun, person = clause.subject.pronoun, clause.subject.person
    else:
        plural = clause.determiner in words.COUNTS
        pronoun, person = _IT["plural" if plural else clause.noun.gender], 3 if plural else 2
    english = _ENGLISH_REASON[reason.verb, past][person]
    german = _GERMAN_REASON[reason.verb, past][person]
    return (
        f" because {pronoun[0]} {english} {reason.spelled[0]}",
        f", weil {pronoun[1]} {reason.spelled[1]} {german}",
        f"，因为{pronoun[2]}{reason.spelled[2]}",
    )


def _spell(clause: _Clause, mood: Mood = "statement") -> Spelled:
    return _english(clause, mood), _german(clause, mood), _chinese(clause, mood)


def _pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    return choices[int(rng.integers(len(choices)))]


def _draw_clause(rng: np.random.Generator, *, negated: bool, definite: bool = False) -> _Clause:
    """Draws a clause without place and time."""
    verb = _pick(rng, words.VERBS)
    fitting = [n for n in words.NOUNS if n.machine] if verb.needs_machine else words.NOUNS
    if definite:
        determiner = _pick(rng, ("the", "this"))
    elif negated or rng.random() < 0.6:
        determiner = _pick(rng, words.SINGULAR)
    else:
        determiner = _pick(rng, tuple(words.COUNTS))
    return _Clause(
        subject=_pick(rng, words.SUBJECTS),
        verb=verb,
        tense=_pick(rng, verb.tenses),
        negated=negated,
        noun=_pick(rng, fitting),
        determiner=determiner,
        adjective=_pick(rng, words.ADJECTIVES),
    )


def _draw_place(rng: np.random.Generator, clause: _Clause) -> _Clause:
    if clause.negated and clause.determiner != "a":
        return clause
    allowed = clause.verb.places.replace("i", "") if clause.noun.large else clause.verb.places
    places = [spelled for spelled, letter in words.PLACES if letter in allowed]
    return replace(clause, place=_pick(rng, places)) if places else clause


def _draw_time(rng: np.random.Generator, clause: _Clause) -> _Clause:
    times = words.TIMES[clause.tense]
    if (
        clause.tense == "present"
        and not clause.negated
        and clause.determiner not in words.SINGULAR[1:]
    ):
        times += words.HABITS
    return replace(clause, time=_pick(rng, times))


def _draw_statement(rng: np.random.Generator) -> Spelled:
    clause = _draw_clause(rng, negated=rng.random() < 0.3)
    if rng.random() < 0.7:
        clause = _draw_place(rng, clause)
    clause = replace(_draw_time(rng, clause), fronted=rng.random() < 0.4)
    return _end(_spell(clause), ".", "。")


def _draw_question(rng: np.random.Generator) -> Spelled:
    mood: Mood = _pick(rng, ("whether", "whether", "why", "where", "who"))
    clause = _draw_clause(
        rng,
        negated=mood == "why" and rng.random() < 0.5,
        definite=mood in ("where", "why"),
    )
    clause = replace(clause, subject=words.WHO if mood == "who" else _pick(rng, words.ASKED_ABOUT))
    if mood == "where":
        # Whoever needs a thing needs it everywhere; "where" asks of the other verbs.
        clause = clause if clause.verb.places else replace(clause, verb=words.VERBS[0])
    elif rng.random() < 0.5:
        clause = _draw_place(rng, clause)
    clause = _draw_time(rng, clause)
    return _end(_spell(clause, mood), "?", "吗？" if mood == "whether" else "？")


def _draw_because(rng: np.random.Generator) -> Spelled:
    clause = _draw_clause(rng, negated=rng.random() < 0.4)
    names = _reasons(clause)
    if not names:
        return _draw_statement(rng)
    if rng.random() < 0.5:
        clause = _draw_time(rng, clause)
    reason = _because(clause, words.REASONS[_pick(rng, names)])
    return _end(_joined(_spell(clause), reason), ".", "。")


def _reasons(clause: _Clause) -> tuple[str, ...]:
    """Returns the names of the reasons that suit a clause."""
    names = clause.verb.because_not if clause.negated else clause.verb.because
    # A thing that was not bought is "it" only when it is a certain thing.
    if clause.negated and clause.determiner == "a":
        names = tuple(name for name in names if words.REASONS[name].about == "subject")
    return names


def _draw_pair(rng: np.random.Generator) -> Spelled:
    contrast = rng.random() < 0.5
    first = _draw_time(rng, _draw_clause(rng, negated=False))
    second = _draw_clause(rng, negated=contrast)
    if first.tense not in second.verb.tenses or first.subject.pronoun == second.subject.pronoun:
        return _draw_statement(rng)
    second = replace(second, tense=first.tense)
    if rng.random() < 0.5:
        second = replace(second, adjective=None)
    one, two = _spell(replace(first, fronted=rng.random() < 0.3)), _spell(second)
    return _end(_joined(one, _BUT if contrast else _AND, two), ".", "。")


def _end(spelled: Spelled, stop: str, chinese_stop: str) -> Spelled:
    english, german, chinese = spelled
    return (
        f"{english[0].upper()}{english[1:]}{stop}",
        f"{german[0].upper()}{german[1:]}{stop}",
        chinese + chinese_stop,
    )


def _draw_short(rng: np.random.Generator) -> Spelled:
    clause = _draw_clause(rng, negated=rng.random() < 0.2)
    if rng.random() < 0.5:
        clause = replace(_draw_time(rng, clause), fronted=rng.random() < 0.3)
    elif rng.random() < 0.5:
        clause = _draw_place(rng, clause)
    return _end(_spell(clause), ".", "。")


def _draw_long(rng: np.random.Generator) -> Spelled | None:
    """Draws two clauses and a reason for the second; None if they do not go together."""
    first = _draw_time(rng, _draw_place(rng, _draw_clause(rng, negated=False)))
    second = _draw_clause(rng, negated=rng.random() < 0.5)
    names = _reasons(second)
    same = first.subject.pronoun == second.subject.pronoun
    if same or first.tense not in second.verb.tenses or not names:
        return None
    second = replace(second, tense=first.tense)
    one = _spell(replace(first, fronted=rng.random() < 0.3))
    two = _spell(second)
    why = _because(second, words.REASONS[_pick(rng, names)])
    return _end(_joined(one, _BUT if second.negated else _AND, two, why), ".", "。")


_DRAWS: Mapping[str, Sequence[Callable[[np.random.Generator], Spelled | None]]] = {
    "easy": (_draw_short,),
    "medium": (_draw_statement, _draw_statement, _draw_question, _draw_because, _draw_pair),
    "hard": (_draw_long,),
}
_N_WORDS = {"easy": (4, 8), "medium": (6, 14), "hard": (14, 24)}  # of the English sentence


class PhrasesGenerator(GradedGenerator):
    """Rows for `TranslateTask`: a "translation" that holds the sentence in "en", "de" and "zh".

    Attributes:
        difficulty: "easy" sentences have 4 to 8 English words and one clause, "medium" 6 to 14 and
            one or two clauses or a question, "hard" 14 to 24 and three clauses.
    """

    def sample(self, rng: np.random.Generator) -> tuple[str, Mapping[str, Any]]:
        """Draws a row; its content is the English sentence."""
        english, german, chinese = self._draw(rng)
        return english, {"translation": {"en": english, "de": german, "zh": chinese}}

    def _draw(self, rng: np.random.Generator) -> Spelled:
        fewest, most = _N_WORDS[self.difficulty]
        while True:
            drawn = _pick(rng, _DRAWS[self.difficulty])(rng)
            if drawn is not None and fewest <= len(drawn[0].split()) <= most:
                return drawn


class _FromEnglish(PhrasesGenerator):
    """Rows for `TranslateTask`: an English "source" with its "target" in one language."""

    # "de" or "zh". Both see the same English sentences.
    target_language: ClassVar[Literal["de", "zh"]]

    def check_task(self, task: Task) -> None:
        """Refuses a task that asks for another direction: the rows would overrule it in silence."""
        if not isinstance(task, TranslateTask):
            return
        asked = (task.source_language, task.target_language)
        # "zh-CN" and "en_GB" name the same languages.
        if tuple(re.split("[-_]", code)[0].lower() for code in asked) != (
            "en",
            self.target_language,
        ):
            raise ConfigError(
                f"The dataset 'phrases-en-{self.target_language}' goes from 'en' to "
                f"'{self.target_language}', and the task from '{asked[0]}' to '{asked[1]}'. "
                "dataset=\"phrases\" has every direction between 'en', 'de' and 'zh'."
            )

    def sample(self, rng: np.random.Generator) -> tuple[str, Mapping[str, Any]]:
        """Draws a row; its content is the English sentence."""
        english, german, chinese = self._draw(rng)
        return english, {
            "source": english,
            "target": german if self.target_language == "de" else chinese,
            "source_language": "en",
            "target_language": self.target_language,
        }


class GermanPhrases(_FromEnglish):
    """English to German."""

    target_language = "de"


class ChinesePhrases(_FromEnglish):
    """English to Chinese."""

    target_language = "zh"
