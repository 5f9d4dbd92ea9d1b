"""Generated sentence pairs: one plan of a sentence, spelled in English, German and Chinese.

A sentence is drawn as a plan (who does what to which thing, where, when; stated, denied or asked;
alone, or joined to a second clause). Each language spells the plan by its own rules, so a pair is
a translation by construction. German: cases, gender, verb second, the sentence bracket. Chinese:
measure words, time before the verb, 了, 不 and 没有. Plans that one of the three languages would
say in a roundabout way (a place beside a denied definite thing, say) are never drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import numpy as np

Tense = Literal["present", "past", "future", "want"]
Mood = Literal["statement", "whether", "why", "where", "who"]
Spelled = tuple[str, str, str]  # English, German, Chinese

_MIN_WORDS, _MAX_WORDS = 6, 14

T = TypeVar("T")


@dataclass(frozen=True)
class _Subject:
    spelled: Spelled
    pronoun: Spelled
    person: int  # column of the German verb: 0 ich, 1 du, 2 er/sie, 3 wir/sie


@dataclass(frozen=True)
class _Verb:
    english: tuple[str, str, str]  # base, third person, past
    german: tuple[str, str, str, str, str]  # ich, du, er, infinitive (also wir), participle
    chinese: str
    tenses: tuple[Tense, ...]
    places: str  # the letters of the places where it can happen, or "" for none
    needs_machine: bool = False
    because: tuple[str, ...] = ()
    because_not: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Noun:
    english: tuple[str, str]
    german: tuple[str, str]
    gender: Literal["m", "f", "n"]
    chinese: tuple[str, str]  # measure word, noun
    machine: bool = False  # can be repaired and cleaned
    large: bool = False  # is found only out of doors


@dataclass(frozen=True)
class _Clause:
    subject: _Subject
    verb: _Verb
    tense: Tense
    negated: bool
    noun: _Noun
    determiner: str
    adjective: Spelled | None
    place: Spelled | None = None
    time: Spelled | None = None
    fronted: bool = False  # the time opens the sentence


@dataclass(frozen=True)
class _Reason:
    about: Literal["subject", "object"]
    verb: Literal["be", "have"]
    spelled: Spelled


_ICH, _HE, _SHE, _THEY = (
    _Subject(("I", "ich", "我"), ("I", "ich", "我"), 0),
    _Subject(("he", "er", "他"), ("he", "er", "他"), 2),
    _Subject(("she", "sie", "她"), ("she", "sie", "她"), 2),
    _Subject(("they", "sie", "他们"), ("they", "sie", "他们"), 3),
)
_YOU = _Subject(("you", "du", "你"), ("you", "du", "你"), 1)
_WE = _Subject(("we", "wir", "我们"), ("we", "wir", "我们"), 3)
_WHO = _Subject(("who", "wer", "谁"), _HE.pronoun, 2)


def _named(like: _Subject, *spelled: Spelled) -> tuple[_Subject, ...]:
    return tuple(_Subject(words, like.pronoun, like.person) for words in spelled)


_OTHERS = (
    *_named(
        _SHE,
        ("Anna", "Anna", "安娜"),
        ("Maria", "Maria", "玛丽亚"),
        ("Lisa", "Lisa", "丽莎"),
        ("my mother", "meine Mutter", "我妈妈"),
        ("my sister", "meine Schwester", "我姐姐"),
        ("the woman", "die Frau", "那个女人"),
    ),
    *_named(
        _HE,
        ("Tom", "Tom", "汤姆"),
        ("Peter", "Peter", "彼得"),
        ("David", "David", "大卫"),
        ("my father", "mein Vater", "我爸爸"),
        ("my brother", "mein Bruder", "我哥哥"),
        ("the man", "der Mann", "那个男人"),
        ("the boy", "der Junge", "那个男孩"),
        ("the teacher", "der Lehrer", "老师"),
        ("the doctor", "der Arzt", "医生"),
    ),
    *_named(
        _THEY,
        ("the children", "die Kinder", "孩子们"),
        ("the students", "die Schüler", "学生们"),
        ("my parents", "meine Eltern", "我父母"),
    ),
)
_ASKED_ABOUT = (*_OTHERS, _YOU, _HE, _SHE, _THEY)
_SUBJECTS = (*_ASKED_ABOUT, _ICH, _WE)

_ALL_TENSES: tuple[Tense, ...] = ("present", "past", "future", "want")
_ANY, _TRADE = "tio", "t"
_TIRED = ("no time", "tired", "sick")
# "find", "lose" and "see" are told of the past alone: Chinese has other words for them elsewhere.
_VERBS = (
    _Verb(
        ("buy", "buys", "bought"),
        ("kaufe", "kaufst", "kauft", "kaufen", "gekauft"),
        "买",
        _ALL_TENSES,
        _TRADE,
        because=("cheap", "useful"),
        because_not=("no money", "no time", "expensive", "heavy"),
    ),
    _Verb(
        ("sell", "sells", "sold"),
        ("verkaufe", "verkaufst", "verkauft", "verkaufen", "verkauft"),
        "卖",
        _ALL_TENSES,
        _TRADE,
        because=("no money", "heavy"),
        because_not=("useful",),
    ),
    _Verb(
        ("look for", "looks for", "looked for"),
        ("suche", "suchst", "sucht", "suchen", "gesucht"),
        "找",
        _ALL_TENSES,
        _ANY,
        because=("useful",),
        because_not=_TIRED,
    ),
    _Verb(
        ("draw", "draws", "drew"),
        ("zeichne", "zeichnest", "zeichnet", "zeichnen", "gezeichnet"),
        "画",
        _ALL_TENSES,
        _ANY,
        because=("time",),
        because_not=_TIRED,
    ),
    _Verb(
        ("need", "needs", "needed"),
        ("brauche", "brauchst", "braucht", "brauchen", "gebraucht"),
        "需要",
        ("present", "future"),
        "",
        because=("useful",),
    ),
    _Verb(
        ("repair", "repairs", "repaired"),
        ("repariere", "reparierst", "repariert", "reparieren", "repariert"),
        "修",
        _ALL_TENSES,
        _ANY,
        needs_machine=True,
        because=("time", "useful"),
        because_not=_TIRED,
    ),
    _Verb(
        ("clean", "cleans", "cleaned"),
        ("putze", "putzt", "putzt", "putzen", "geputzt"),
        "擦",
        _ALL_TENSES,
        _ANY,
        needs_machine=True,
        because=("time",),
        because_not=_TIRED,
    ),
    _Verb(
        ("find", "finds", "found"),
        ("finde", "findest", "findet", "finden", "gefunden"),
        "找到",
        ("past",),
        _ANY,
        because_not=_TIRED,
    ),
    _Verb(
        ("lose", "loses", "lost"),
        ("verliere", "verlierst", "verliert", "verlieren", "verloren"),
        "丢",
        ("past",),
        _ANY,
        because=("tired",),
    ),
    _Verb(
        ("see", "sees", "saw"),
        ("sehe", "siehst", "sieht", "sehen", "gesehen"),
        "看见",
        ("past",),
        _ANY,
        because_not=("tired",),
    ),
)

_NOUNS = (
    _Noun(("hat", "hats"), ("Hut", "Hüte"), "m", ("顶", "帽子")),
    _Noun(("bag", "bags"), ("Tasche", "Taschen"), "f", ("个", "包")),
    _Noun(("table", "tables"), ("Tisch", "Tische"), "m", ("张", "桌子"), machine=True),
    _Noun(("chair", "chairs"), ("Stuhl", "Stühle"), "m", ("把", "椅子"), machine=True),
    _Noun(("lamp", "lamps"), ("Lampe", "Lampen"), "f", ("盏", "灯"), machine=True),
    _Noun(("book", "books"), ("Buch", "Bücher"), "n", ("本", "书")),
    _Noun(("picture", "pictures"), ("Bild", "Bilder"), "n", ("幅", "画")),
    _Noun(("clock", "clocks"), ("Uhr", "Uhren"), "f", ("个", "钟"), machine=True),
    _Noun(("cup", "cups"), ("Tasse", "Tassen"), "f", ("个", "杯子")),
    _Noun(("car", "cars"), ("Auto", "Autos"), "n", ("辆", "汽车"), machine=True, large=True),
    _Noun(("bicycle", "bicycles"), ("Fahrrad", "Fahrräder"), "n", ("辆", "自行车"), machine=True),
    _Noun(("ball", "balls"), ("Ball", "Bälle"), "m", ("个", "球")),
    _Noun(("coat", "coats"), ("Mantel", "Mäntel"), "m", ("件", "外套")),
    _Noun(("shirt", "shirts"), ("Hemd", "Hemden"), "n", ("件", "衬衫")),
    _Noun(("dress", "dresses"), ("Kleid", "Kleider"), "n", ("条", "裙子")),
    _Noun(("bed", "beds"), ("Bett", "Betten"), "n", ("张", "床"), machine=True),
    _Noun(("key", "keys"), ("Schlüssel", "Schlüssel"), "m", ("把", "钥匙")),
    _Noun(("phone", "phones"), ("Handy", "Handys"), "n", ("部", "手机"), machine=True),
    _Noun(("camera", "cameras"), ("Kamera", "Kameras"), "f", ("台", "相机"), machine=True),
    _Noun(("computer", "computers"), ("Computer", "Computer"), "m", ("台", "电脑"), machine=True),
    _Noun(("umbrella", "umbrellas"), ("Regenschirm", "Regenschirme"), "m", ("把", "雨伞")),
    _Noun(("boat", "boats"), ("Boot", "Boote"), "n", ("条", "船"), machine=True, large=True),
    _Noun(("box", "boxes"), ("Kiste", "Kisten"), "f", ("个", "箱子")),
    _Noun(("bottle", "bottles"), ("Flasche", "Flaschen"), "f", ("个", "瓶子")),
    _Noun(("basket", "baskets"), ("Korb", "Körbe"), "m", ("个", "篮子")),
    _Noun(("guitar", "guitars"), ("Gitarre", "Gitarren"), "f", ("把", "吉他"), machine=True),
    _Noun(("knife", "knives"), ("Messer", "Messer"), "n", ("把", "刀")),
    _Noun(("ring", "rings"), ("Ring", "Ringe"), "m", ("枚", "戒指")),
    _Noun(("pen", "pens"), ("Stift", "Stifte"), "m", ("支", "笔")),
    _Noun(("plate", "plates"), ("Teller", "Teller"), "m", ("个", "盘子")),
    _Noun(("mirror", "mirrors"), ("Spiegel", "Spiegel"), "m", ("面", "镜子")),
)

_ADJECTIVES: tuple[Spelled, ...] = (
    ("red", "rot", "红色的"),
    ("blue", "blau", "蓝色的"),
    ("green", "grün", "绿色的"),
    ("yellow", "gelb", "黄色的"),
    ("black", "schwarz", "黑色的"),
    ("white", "weiß", "白色的"),
    ("brown", "braun", "棕色的"),
    ("beautiful", "schön", "漂亮的"),
    ("strange", "seltsam", "奇怪的"),
    ("big", "groß", "大"),
    ("small", "klein", "小"),
    ("old", "alt", "旧"),
    ("new", "neu", "新"),
)

_SINGULAR = ("a", "the", "this")
_COUNTS: dict[str, tuple[str, str]] = {
    "two": ("zwei", "两"),
    "three": ("drei", "三"),
    "four": ("vier", "四"),
    "five": ("fünf", "五"),
    "many": ("viele", "很多"),
}
# German accusative: the determiner, then the ending of the adjective after it.
_ACCUSATIVE: dict[str, dict[str, tuple[str, str]]] = {
    "a": {"m": ("einen", "en"), "f": ("eine", "e"), "n": ("ein", "es")},
    "no": {"m": ("keinen", "en"), "f": ("keine", "e"), "n": ("kein", "es")},
    "the": {"m": ("den", "en"), "f": ("die", "e"), "n": ("das", "e")},
    "this": {"m": ("diesen", "en"), "f": ("diese", "e"), "n": ("dieses", "e")},
}

# "t": a place to trade; "i": another place indoors; "o": another place out of doors.
_PLACES: tuple[tuple[Spelled, str], ...] = (
    (("at the market", "auf dem Markt", "在市场上"), "t"),
    (("in the city", "in der Stadt", "在城里"), "t"),
    (("in the village", "im Dorf", "在村里"), "t"),
    (("in Berlin", "in Berlin", "在柏林"), "t"),
    (("in Beijing", "in Peking", "在北京"), "t"),
    (("in the street", "auf der Straße", "在街上"), "t"),
    (("at the station", "am Bahnhof", "在车站"), "t"),
    (("at home", "zu Hause", "在家里"), "i"),
    (("at school", "in der Schule", "在学校"), "i"),
    (("in the kitchen", "in der Küche", "在厨房里"), "i"),
    (("in the library", "in der Bibliothek", "在图书馆里"), "i"),
    (("in the office", "im Büro", "在办公室里"), "i"),
    (("in the park", "im Park", "在公园里"), "o"),
    (("in the garden", "im Garten", "在花园里"), "o"),
    (("at the beach", "am Strand", "在海边"), "o"),
    (("at the lake", "am See", "在湖边"), "o"),
)

_SOON: tuple[Spelled, ...] = (
    ("tomorrow", "morgen", "明天"),
    ("next week", "nächste Woche", "下周"),
    ("next month", "nächsten Monat", "下个月"),
    ("next year", "nächstes Jahr", "明年"),
    ("on Sunday", "am Sonntag", "星期天"),
)
_TIMES: dict[Tense, tuple[Spelled, ...]] = {
    "present": (("today", "heute", "今天"), ("this week", "diese Woche", "这周")),
    "past": (
        ("yesterday", "gestern", "昨天"),
        ("last week", "letzte Woche", "上周"),
        ("last month", "letzten Monat", "上个月"),
        ("last year", "letztes Jahr", "去年"),
        ("last summer", "letzten Sommer", "去年夏天"),
        ("this morning", "heute Morgen", "今天早上"),
        ("three days ago", "vor drei Tagen", "三天前"),
    ),
    "future": _SOON,
    "want": _SOON,
}
_HABITS: tuple[Spelled, ...] = (
    ("every day", "jeden Tag", "每天"),
    ("every week", "jede Woche", "每周"),
    ("every month", "jeden Monat", "每个月"),
)

_REASONS = {
    "cheap": _Reason("object", "be", ("very cheap", "sehr billig", "很便宜")),
    "useful": _Reason("object", "be", ("very useful", "sehr nützlich", "很有用")),
    "expensive": _Reason("object", "be", ("too expensive", "zu teuer", "太贵了")),
    "heavy": _Reason("object", "be", ("too heavy", "zu schwer", "太重了")),
    "time": _Reason("subject", "have", ("time", "Zeit", "有时间")),
    "no time": _Reason("subject", "have", ("no time", "keine Zeit", "没有时间")),
    "no money": _Reason("subject", "have", ("no money", "kein Geld", "没有钱")),
    "tired": _Reason("subject", "be", ("very tired", "sehr müde", "很累")),
    "sick": _Reason("subject", "be", ("sick", "krank", "生病了")),
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
    noun = clause.noun.english[clause.determiner in _COUNTS]
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
    if clause.determiner in _COUNTS:
        thing = _join(_COUNTS[clause.determiner][0], stem and f"{stem}e", clause.noun.german[1])
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
    elif clause.determiner in _COUNTS:
        counted = _COUNTS[clause.determiner][1] + measure
    elif clause.determiner == "a":
        counted = "" if clause.negated else "一" + measure
    else:
        counted = {"the": "那", "this": "这"}[clause.determiner] + measure
    thing = counted + (clause.adjective[2] if clause.adjective else "") + noun
    place = "在哪里" if mood == "where" else clause.place[2] if clause.place else ""
    opening = time + subject if clause.fronted else subject + time
    why = "为什么" if mood == "why" else ""
    return opening + why + auxiliary + place + verb + aspect + thing


def _because(clause: _Clause, reason: _Reason) -> Spelled:
    past = clause.tense == "past"
    if reason.about == "subject":
        pronoun, person = clause.subject.pronoun, clause.subject.person
    else:
        plural = clause.determiner in _COUNTS
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
    verb = _pick(rng, _VERBS)
    fitting = [n for n in _NOUNS if n.machine] if verb.needs_machine else _NOUNS
    if definite:
        determiner = _pick(rng, ("the", "this"))
    elif negated or rng.random() < 0.6:
        determiner = _pick(rng, _SINGULAR)
    else:
        determiner = _pick(rng, tuple(_COUNTS))
    return _Clause(
        subject=_pick(rng, _SUBJECTS),
        verb=verb,
        tense=_pick(rng, verb.tenses),
        negated=negated,
        noun=_pick(rng, fitting),
        determiner=determiner,
        adjective=_pick(rng, _ADJECTIVES),
    )


def _draw_place(rng: np.random.Generator, clause: _Clause) -> _Clause:
    if clause.negated and clause.determiner != "a":
        return clause
    allowed = clause.verb.places.replace("i", "") if clause.noun.large else clause.verb.places
    places = [spelled for spelled, letter in _PLACES if letter in allowed]
    return replace(clause, place=_pick(rng, places)) if places else clause


def _draw_time(rng: np.random.Generator, clause: _Clause) -> _Clause:
    times = _TIMES[clause.tense]
    if clause.tense == "present" and not clause.negated and clause.determiner not in _SINGULAR[1:]:
        times += _HABITS
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
    clause = replace(clause, subject=_WHO if mood == "who" else _pick(rng, _ASKED_ABOUT))
    if mood == "where":
        # Whoever needs a thing needs it everywhere; "where" asks of the other verbs.
        clause = clause if clause.verb.places else replace(clause, verb=_VERBS[0])
    elif rng.random() < 0.5:
        clause = _draw_place(rng, clause)
    clause = _draw_time(rng, clause)
    return _end(_spell(clause, mood), "?", "吗？" if mood == "whether" else "？")


def _draw_because(rng: np.random.Generator) -> Spelled:
    clause = _draw_clause(rng, negated=rng.random() < 0.4)
    names = clause.verb.because_not if clause.negated else clause.verb.because
    # A thing that was not bought is "it" only when it is a certain thing.
    if clause.negated and clause.determiner == "a":
        names = tuple(name for name in names if _REASONS[name].about == "subject")
    if not names:
        return _draw_statement(rng)
    if rng.random() < 0.5:
        clause = _draw_time(rng, clause)
    reason = _because(clause, _REASONS[_pick(rng, names)])
    first = _spell(clause)
    return _end((first[0] + reason[0], first[1] + reason[1], first[2] + reason[2]), ".", "。")


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
    links = (", but ", ", aber ", "，但是") if contrast else (" and ", " und ", "，")
    return _end(
        (one[0] + links[0] + two[0], one[1] + links[1] + two[1], one[2] + links[2] + two[2]),
        ".",
        "。",
    )


def _end(spelled: Spelled, stop: str, chinese_stop: str) -> Spelled:
    english, german, chinese = spelled
    return (
        f"{english[0].upper()}{english[1:]}{stop}",
        f"{german[0].upper()}{german[1:]}{stop}",
        chinese + chinese_stop,
    )


_DRAWS = (_draw_statement, _draw_statement, _draw_question, _draw_because, _draw_pair)


@dataclass(frozen=True)
class PhrasesGenerator:
    """Draws an English sentence of 6 to 14 words with its one translation.

    Attributes:
        target_language: "de" or "zh". Both see the same English sentences.
    """

    target_language: Literal["de", "zh"]

    def sample(self, rng: np.random.Generator) -> tuple[str, Mapping[str, Any]]:
        """Draws a row; its content is the English sentence."""
        while True:
            english, german, chinese = _pick(rng, _DRAWS)(rng)
            if _MIN_WORDS <= len(english.split()) <= _MAX_WORDS:
                break
        return english, {
            "source": english,
            "target": german if self.target_language == "de" else chinese,
            "source_language": "en",
            "target_language": self.target_language,
        }


PHRASES_EN_DE = PhrasesGenerator("de")
PHRASES_EN_ZH = PhrasesGenerator("zh")
