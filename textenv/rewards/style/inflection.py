"""Whether a word is a form of another: run, runs, running and ran are one word to a keyword.

The rules are those of English verbs and nouns (-s, -es, -ies, -ed, -ied, -ing, doubled letters, a
dropped e), and a table holds the common irregular forms. Derived words ("teacher" of "teach") and
comparatives are other words. The rules have no lexicon, so that a form that English does not have
("goed") passes, too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from textenv.rewards.lexical.rouge import rouge_words

# Base form, then its irregular forms; "lie" and "lay", "see" and "saw" share one on purpose.
_IRREGULAR_FORMS = """
be am is are was were been being|beat beaten|become became|begin began begun|bend bent|bite bit
bitten|blow blew blown|break broke broken|bring brought|build built|burn burnt|buy bought|catch
caught|choose chose chosen|come came|deal dealt|dig dug|do does did done doing|draw drew drawn|dream
dreamt|drink drank drunk|drive drove driven|eat ate eaten|fall fell fallen|feed fed|feel felt|fight
fought|find found|fly flew flown|forget forgot forgotten|freeze froze frozen|get got gotten|give
gave given|go goes went gone going|grind ground|grow grew grown|hang hung|have has had having|hear
heard|hide hid hidden|hold held|keep kept|kneel knelt|know knew known|lay laid|lead led|lean leant|
leap leapt|learn learnt|leave left|lend lent|lie lay lain lying|light lit|lose lost|make made|mean
meant|meet met|pay paid|ride rode ridden|ring rang rung|rise rose risen|run ran|say said|see saw
seen|seek sought|sell sold|send sent|sew sewn|shake shook shaken|shine shone|shoot shot|show shown|
shrink shrank shrunk|sing sang sung|sink sank sunk|sit sat|sleep slept|slide slid|smell smelt|speak
spoke spoken|spend spent|spill spilt|spin spun|stand stood|steal stole stolen|stick stuck|sting
stung|strike struck|string strung|sweep swept|swim swam swum|swing swung|take took taken|teach
taught|tear tore torn|tell told|think thought|throw threw thrown|tie tying|understand understood|
wake woke woken|wear wore worn|weave wove woven|weep wept|win won|wind wound|write wrote written|
agree agreed|free freed|child children|foot feet|goose geese|man men|mouse mice|ox oxen|person
people|tooth teeth|woman women|half halves|knife knives|leaf leaves|life lives|loaf loaves|shelf
shelves|thief thieves|wife wives|wolf wolves|die dying|ski skiing skied|dye dyeing
"""
_IRREGULAR: dict[str, set[str]] = {}
for _line in " ".join(_IRREGULAR_FORMS.split()).replace("| ", "|").split("|"):
    _base, *_forms = _line.split()
    for _form in _forms:
        _IRREGULAR.setdefault(_form, set()).add(_base)

_VOWEL = re.compile(r"[aeiouy]")


@lru_cache(maxsize=1 << 14)
def lemmas(word: str) -> frozenset[str]:
    """Returns every base form that a lower-case word may be a form of, itself among them."""
    found = {word, *_IRREGULAR.get(word, ())}
    if word.endswith("ies") and len(word) > 4:
        found |= {f"{word[:-3]}y", word[:-1]}
    elif word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        found.add(word[:-1])
        if word.endswith(("ses", "xes", "zes", "ches", "shes", "oes")):
            found.add(word[:-2])
    elif word.endswith("ied") and len(word) > 4:
        found |= {f"{word[:-3]}y", word[:-1]}
    elif word.endswith("ed") and not word.endswith("eed"):
        found |= _stems(word[:-2])
    elif word.endswith("ing"):
        found |= _stems(word[:-3])
    return frozenset(found)


def _stems(stem: str) -> set[str]:
    """What stands before -ed or -ing, as a word: "mak" may be make, "runn" run."""
    if len(stem) < 2 or not _VOWEL.search(stem):
        return set()
    found = {f"{stem}e"}
    if len(stem) > 2:
        found.add(stem)
    if len(stem) > 3 and stem[-1] == stem[-2]:
        found.add(stem[:-1])
    return found


def contains(words: Sequence[str], phrase: Sequence[str]) -> bool:
    """Tells whether words hold a phrase, in a row, its last word in any form; never an empty one.

    Both are words as `rouge_words` gives them, those of the phrase in their base form.
    """
    n = len(phrase)
    if not n:
        return False
    *first, last = phrase
    return any(
        last in lemmas(words[i + n - 1]) and list(words[i : i + n - 1]) == first
        for i in range(len(words) - n + 1)
    )


def phrase_of(keyword: str) -> tuple[str, ...]:
    """Returns the words of a keyword, as `contains` takes them."""
    return tuple(rouge_words(keyword))
