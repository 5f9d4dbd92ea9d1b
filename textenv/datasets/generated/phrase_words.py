"""The words of the set "phrases", each in English, German and Chinese."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tense = Literal["present", "past", "future", "want"]
Spelled = tuple[str, str, str]  # English, German, Chinese


@dataclass(frozen=True)
class Subject:
    """Who acts; the pronoun takes its place in a second clause."""

    spelled: Spelled
    pronoun: Spelled
    person: int  # column of the German verb: 0 ich, 1 du, 2 er/sie, 3 wir/sie


@dataclass(frozen=True)
class Verb:
    """What is done, with the tenses, places and reasons that suit it."""

    english: tuple[str, str, str]  # base, third person, past
    german: tuple[str, str, str, str, str]  # ich, du, er, infinitive (also wir), participle
    chinese: str
    tenses: tuple[Tense, ...]
    places: str  # the letters of the places where it can happen, or "" for none
    needs_machine: bool = False
    because: tuple[str, ...] = ()
    because_not: tuple[str, ...] = ()


@dataclass(frozen=True)
class Noun:
    """What it is done to."""

    english: tuple[str, str]
    german: tuple[str, str]
    gender: Literal["m", "f", "n"]
    chinese: tuple[str, str]  # measure word, noun
    machine: bool = False  # can be repaired and cleaned
    large: bool = False  # is found only out of doors


@dataclass(frozen=True)
class Reason:
    """What "because" may say about the subject, or about the object."""

    about: Literal["subject", "object"]
    verb: Literal["be", "have"]
    spelled: Spelled


_ICH, _HE, _SHE, _THEY = (
    Subject(("I", "ich", "我"), ("I", "ich", "我"), 0),
    Subject(("he", "er", "他"), ("he", "er", "他"), 2),
    Subject(("she", "sie", "她"), ("she", "sie", "她"), 2),
    Subject(("they", "sie", "他们"), ("they", "sie", "他们"), 3),
)
_YOU = Subject(("you", "du", "你"), ("you", "du", "你"), 1)
_WE = Subject(("we", "wir", "我们"), ("we", "wir", "我们"), 3)
WHO = Subject(("who", "wer", "谁"), _HE.pronoun, 2)


def _named(like: Subject, *spelled: Spelled) -> tuple[Subject, ...]:
    return tuple(Subject(words, like.pronoun, like.person) for words in spelled)


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
ASKED_ABOUT = (*_OTHERS, _YOU, _HE, _SHE, _THEY)
SUBJECTS = (*ASKED_ABOUT, _ICH, _WE)

_ALL_TENSES: tuple[Tense, ...] = ("present", "past", "future", "want")
_ANY, _TRADE = "tio", "t"
_TIRED = ("no time", "tired", "sick")
# "find", "lose" and "see" are told of the past alone: Chinese has other words for them elsewhere.
VERBS = (
    Verb(
        ("buy", "buys", "bought"),
        ("kaufe", "kaufst", "kauft", "kaufen", "gekauft"),
        "买",
        _ALL_TENSES,
        _TRADE,
        because=("cheap", "useful"),
        because_not=("no money", "no time", "expensive", "heavy"),
    ),
    Verb(
        ("sell", "sells", "sold"),
        ("verkaufe", "verkaufst", "verkauft", "verkaufen", "verkauft"),
        "卖",
        _ALL_TENSES,
        _TRADE,
        because=("no money", "heavy"),
        because_not=("useful",),
    ),
    Verb(
        ("look for", "looks for", "looked for"),
        ("suche", "suchst", "sucht", "suchen", "gesucht"),
        "找",
        _ALL_TENSES,
        _ANY,
        because=("useful",),
        because_not=_TIRED,
    ),
    Verb(
        ("draw", "draws", "drew"),
        ("zeichne", "zeichnest", "zeichnet", "zeichnen", "gezeichnet"),
        "画",
        _ALL_TENSES,
        _ANY,
        because=("time",),
        because_not=_TIRED,
    ),
    Verb(
        ("need", "needs", "needed"),
        ("brauche", "brauchst", "braucht", "brauchen", "gebraucht"),
        "需要",
        ("present", "future"),
        "",
        because=("useful",),
    ),
    Verb(
        ("repair", "repairs", "repaired"),
        ("repariere", "reparierst", "repariert", "reparieren", "repariert"),
        "修",
        _ALL_TENSES,
        _ANY,
        needs_machine=True,
        because=("time", "useful"),
        because_not=_TIRED,
    ),
    Verb(
        ("clean", "cleans", "cleaned"),
        ("putze", "putzt", "putzt", "putzen", "geputzt"),
        "擦",
        _ALL_TENSES,
        _ANY,
        needs_machine=True,
        because=("time",),
        because_not=_TIRED,
    ),
    Verb(
        ("find", "finds", "found"),
        ("finde", "findest", "findet", "finden", "gefunden"),
        "找到",
        ("past",),
        _ANY,
        because_not=_TIRED,
    ),
    Verb(
        ("lose", "loses", "lost"),
        ("verliere", "verlierst", "verliert", "verlieren", "verloren"),
        "丢",
        ("past",),
        _ANY,
        because=("tired",),
    ),
    Verb(
        ("see", "sees", "saw"),
        ("sehe", "siehst", "sieht", "sehen", "gesehen"),
        "看见",
        ("past",),
        _ANY,
        because_not=("tired",),
    ),
)

NOUNS = (
    Noun(("hat", "hats"), ("Hut", "Hüte"), "m", ("顶", "帽子")),
    Noun(("bag", "bags"), ("Tasche", "Taschen"), "f", ("个", "包")),
    Noun(("table", "tables"), ("Tisch", "Tische"), "m", ("张", "桌子"), machine=True),
    Noun(("chair", "chairs"), ("Stuhl", "Stühle"), "m", ("把", "椅子"), machine=True),
    Noun(("lamp", "lamps"), ("Lampe", "Lampen"), "f", ("盏", "灯"), machine=True),
    Noun(("book", "books"), ("Buch", "Bücher"), "n", ("本", "书")),
    Noun(("picture", "pictures"), ("Bild", "Bilder"), "n", ("幅", "画")),
    Noun(("clock", "clocks"), ("Uhr", "Uhren"), "f", ("个", "钟"), machine=True),
    Noun(("cup", "cups"), ("Tasse", "Tassen"), "f", ("个", "杯子")),
    Noun(("car", "cars"), ("Auto", "Autos"), "n", ("辆", "汽车"), machine=True, large=True),
    Noun(("bicycle", "bicycles"), ("Fahrrad", "Fahrräder"), "n", ("辆", "自行车"), machine=True),
    Noun(("ball", "balls"), ("Ball", "Bälle"), "m", ("个", "球")),
    Noun(("coat", "coats"), ("Mantel", "Mäntel"), "m", ("件", "外套")),
    Noun(("shirt", "shirts"), ("Hemd", "Hemden"), "n", ("件", "衬衫")),
    Noun(("dress", "dresses"), ("Kleid", "Kleider"), "n", ("条", "裙子")),
    Noun(("bed", "beds"), ("Bett", "Betten"), "n", ("张", "床"), machine=True),
    Noun(("key", "keys"), ("Schlüssel", "Schlüssel"), "m", ("把", "钥匙")),
    Noun(("phone", "phones"), ("Handy", "Handys"), "n", ("部", "手机"), machine=True),
    Noun(("camera", "cameras"), ("Kamera", "Kameras"), "f", ("台", "相机"), machine=True),
    Noun(("computer", "computers"), ("Computer", "Computer"), "m", ("台", "电脑"), machine=True),
    Noun(("umbrella", "umbrellas"), ("Regenschirm", "Regenschirme"), "m", ("把", "雨伞")),
    Noun(("boat", "boats"), ("Boot", "Boote"), "n", ("条", "船"), machine=True, large=True),
    Noun(("box", "boxes"), ("Kiste", "Kisten"), "f", ("个", "箱子")),
    Noun(("bottle", "bottles"), ("Flasche", "Flaschen"), "f", ("个", "瓶子")),
    Noun(("basket", "baskets"), ("Korb", "Körbe"), "m", ("个", "篮子")),
    Noun(("guitar", "guitars"), ("Gitarre", "Gitarren"), "f", ("把", "吉他"), machine=True),
    Noun(("knife", "knives"), ("Messer", "Messer"), "n", ("把", "刀")),
    Noun(("ring", "rings"), ("Ring", "Ringe"), "m", ("枚", "戒指")),
    Noun(("pen", "pens"), ("Stift", "Stifte"), "m", ("支", "笔")),
    Noun(("plate", "plates"), ("Teller", "Teller"), "m", ("个", "盘子")),
    Noun(("mirror", "mirrors"), ("Spiegel", "Spiegel"), "m", ("面", "镜子")),
)

ADJECTIVES: tuple[Spelled, ...] = (
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

SINGULAR = ("a", "the", "this")
COUNTS: dict[str, tuple[str, str]] = {
    "two": ("zwei", "两"),
    "three": ("drei", "三"),
    "four": ("vier", "四"),
    "five": ("fünf", "五"),
    "many": ("viele", "很多"),
}
# "t": a place to trade; "i": another place indoors; "o": another place out of doors.
PLACES: tuple[tuple[Spelled, str], ...] = (
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
TIMES: dict[Tense, tuple[Spelled, ...]] = {
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
HABITS: tuple[Spelled, ...] = (
    ("every day", "jeden Tag", "每天"),
    ("every week", "jede Woche", "每周"),
    ("every month", "jeden Monat", "每个月"),
)

REASONS = {
    "cheap": Reason("object", "be", ("very cheap", "sehr billig", "很便宜")),
    "useful": Reason("object", "be", ("very useful", "sehr nützlich", "很有用")),
    "expensive": Reason("object", "be", ("too expensive", "zu teuer", "太贵了")),
    "heavy": Reason("object", "be", ("too heavy", "zu schwer", "太重了")),
    "time": Reason("subject", "have", ("time", "Zeit", "有时间")),
    "no time": Reason("subject", "have", ("no time", "keine Zeit", "没有时间")),
    "no money": Reason("subject", "have", ("no money", "kein Geld", "没有钱")),
    "tired": Reason("subject", "be", ("very tired", "sehr müde", "很累")),
    "sick": Reason("subject", "be", ("sick", "krank", "生病了")),
}
