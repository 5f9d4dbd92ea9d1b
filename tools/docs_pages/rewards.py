"""The page of rewards, made of the catalogue's rows and the docstrings of what they name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from textenv.rewards import score
from textenv.rewards.catalog import Family, NamedReward
from textenv.rewards.learned.frozen_models import Loading
from textenv.rewards.lexical.rouge import rouge_words
from textenv.rewards.lexical.squad import answer_words
from tools.docs_pages.markdown import code, entries_of, link, plain, render_page, table

RESPONSE = "A cat sat on the mat, I think."
REFERENCE = "The cat sat on the mat."
METADATA = {"target_language": "en"}
# Title, and a reward as YAML.
EXAMPLES: tuple[tuple[str, str], ...] = (
    ("A weighted sum; a weight of 0 only reports", "{rougeL: 1, chrf: 0.5, token_f1: 0}"),
    (
        "The same reward twice, by names of one's own",
        """\
two: {reward: repetition, n: 2, weight: 0.2}
four: {reward: repetition, n: 4, weight: 0.2}
rougeL: 1""",
    ),
    ("All of them have to be good", "product: {of: [rougeL, repetition]}"),
    ("Only where a condition holds", "gate: {of: rougeL, when: repetition, at_least: 0.9}"),
    ("Enough is enough", "clip: {of: rougeL, high: 0.5}"),
    (
        "On one scale: over the standard deviation on the initial policy's samples",
        """\
a: {reward: normalise, of: rougeL, std: 0.12}
b: {reward: normalise, of: chrf, std: 0.05, weight: 0.5}""",
    ),
    ("By the language of the example", "by_language: {en: rougeL, zh: chrf, default: token_f1}"),
    (
        "Paid every 8 tokens by what they added, to the same total",
        "dense: {of: rougeL, potential: chrf, every: 8}",
    ),
    (
        "Any of it in any other",
        """\
gate:
  of: {product: {of: [{clip: {of: rougeL, high: 0.8}}, repetition]}}
  when: token_f1
  at_least: 0.9
  otherwise: -1""",
    ),
)
# Name, what its words are, a text, and what to know. The page adds the words of the text.
SCRIPTS: tuple[tuple[str, str, str, str], ...] = (
    (
        "Latin",
        "the package's own",
        "naïve “e-mail” – 2½",
        "Equal to every package, typographic marks included. Exceptions: a text in which "
        "rouge-score sees no word (`é`, `+`; 0 there) equals itself here; decomposed (NFD) and "
        "full-width letters are folded, and marks of direction dropped.",
    ),
    (
        "Greek, Cyrillic, Armenian, Georgian, Cherokee, Tifinagh, ...",
        "between spaces and marks",
        "Об’єкт «Ту-154»",
        "Case is folded (final sigma, Cherokee). An answer loses quotation marks and dashes as "
        "SQuAD's loses ASCII punctuation.",
    ),
    (
        "Arabic, Hebrew, Syriac, N'Ko, Adlam, ...",
        "between spaces and marks",
        "كـتاب، صفحة ١٢؟",
        "Presentation forms are folded; tatweel, joiners and marks of direction dropped. Vowel "
        "points count: the word without them is another.",
    ),
    (
        "Devanagari, Bengali, Tamil, Telugu, Sinhala, ...",
        "between spaces and marks, with their vowel signs",
        "हिन्दी भाषा १९४७।",
        "A danda is a mark. Joiners are dropped.",
    ),
    (
        "Tibetan, Ethiopic, ...",
        "between their marks for a space",
        "བོད་ཡིག།",
        "`་` and `፡` are spaces.",
    ),
    (
        "Chinese, Japanese, Yi",
        "single characters",
        "去GPU２，ﾊﾞﾅﾅ。",
        "`bleu` is sacrebleu's with its tokenizer zh where no spaces stand between. `chrf++`, "
        "`ter`, ROUGE and `token_f1` are not the packages', which do not split Chinese.",
    ),
    (
        "Korean",
        "single syllables",
        "서울은 크다.",
        "Particles stand within words. Jamo are composed.",
    ),
    (
        "Thai, Lao, Khmer, Burmese, Tai, Javanese, Balinese, ...",
        "single letters with the marks above and below",
        "ไปที่น้ำ",
        "All scripts in which Unicode lets a line break between letters (UAX 14). Letters come "
        "back sooner than words: `repetition` of natural Thai of 150 characters is 0.95.",
    ),
    (
        "Emojis",
        "single ones, with skin tone and joined parts",
        "so 👍🏽👩‍👧 ❤️",
        "Wherever they stand. A symbol that is shown as text (`❤`, `★`) is no word beside others.",
    ),
)
_FAMILIES: Mapping[Family, tuple[str, str]] = {
    "lexical": ("Lexical", "Overlap of words or characters with references."),
    "semantic": ("Semantic", "Closeness of meaning to references, by an encoder."),
    "learned": ("Learned", "What a model says that was trained to judge or to foresee text."),
    "style": ("Style and safety", "How the text is written, whatever it says."),
    "verifiable": ("Verifiable", "Right or wrong by rule."),
    "judge": ("Judge", "A language model asked for a grade."),
    "task": ("Of one task", "Made for a task of this suite, and its default."),
    "composition": ("Composition", "Their options hold rewards, as any `reward` is written."),
    "control": ("Controls", "What a training against a real reward is compared with."),
}
_LONGEST_DEFAULT = 60


def render_rewards(rewards: Mapping[str, NamedReward]) -> str:
    """Returns the page; rewards of a family stand together, in the catalogue's order."""
    families = []
    for family, (title, words) in _FAMILIES.items():
        rows = {name: row for name, row in rewards.items() if row.family == family}
        if rows:
            told = [_reward(name, row) for name, row in rows.items()]
            overview = _overview(rows)
            families.append({"title": title, "words": words, "overview": overview, "rewards": told})
    return render_page(
        "rewards",
        families=families,
        scripts=_scripts(),
        examples=[_example(title, text) for title, text in EXAMPLES],
        response=RESPONSE,
        reference=REFERENCE,
    )


def _example(title: str, text: str) -> dict[str, str]:
    result = score(yaml.safe_load(text), [RESPONSE], [REFERENCE], metadata=[METADATA])
    parts = (f"{name} {values[0]:.3f}" for name, values in result.components.items())
    paid = f"Pays {result.total[0]:.3f}: {', '.join(parts)}."
    return {"title": title, "text": text, "paid": paid}


def _scripts() -> str:
    """Returns the table of scripts, with the words of a text of each."""
    header = ("script", "words are", "text", "words of ROUGE", "words of an answer", "remarks")
    rows = (
        (
            plain(name),
            what,
            code(text),
            _listed(rouge_words(text)),
            _listed(answer_words(text)),
            told,
        )
        for name, what, text, told in SCRIPTS
    )
    return table(header, rows)


def _listed(words: Sequence[str]) -> str:
    return " ".join(map(code, words))


def _overview(rows: Mapping[str, NamedReward]) -> str:
    """Returns a table of a family, without the columns that would be empty."""
    header = ("name", "what", "range", "reads", "agrees with", "extra")
    cells = [
        (
            link(name, f"#{name}"),
            _first_line(row),
            _range(row),
            ", ".join(row.reads),
            plain(row.agrees_with),
            code(row.extra) if row.extra else "",
        )
        for name, row in rows.items()
    ]
    kept = [i for i in range(len(header)) if any(row[i] for row in cells)]
    return table([header[i] for i in kept], [[row[i] for i in kept] for row in cells])


def _first_line(row: NamedReward) -> str:
    """Returns what a reward is, without its usual range, which has a column of its own."""
    line = (inspect.getdoc(row.load_factory()) or "").partition("\n")[0]
    return re.sub(r"; in \[0, 1\](?=[.,;:]|$)", "", line).replace("|", r"\|")


def _range(row: NamedReward) -> str:
    low, high = row.bounds
    if low is None and high is None:
        return "any number"
    if high is None:
        return f"from {low:g}"
    return f"to {high:g}" if low is None else f"{low:g} to {high:g}"


def _reward(name: str, row: NamedReward) -> dict[str, Any]:
    factory = row.load_factory()
    options = options_of(factory)
    return {"name": name, "row": row, "factory": factory, "options": options, "range": _range(row)}


def options_of(factory: Any) -> Sequence[tuple[str, str, str]]:
    """Returns name, default ("" if it is required) and meaning of what a factory takes."""
    documented = entries_of(Loading) | entries_of(factory)
    if inspect.isclass(factory):
        documented |= entries_of(factory.__init__)
    found = []
    for parameter in inspect.signature(factory).parameters.values():
        if parameter.name == "name":  # What the reward calls itself; an entry's key does that.
            continue
        default = "" if parameter.default is parameter.empty else repr(parameter.default)
        if parameter.kind is parameter.VAR_KEYWORD:
            default = "{}"
        # The default of a field that is made anew is no value; an address is no text.
        default = re.sub(r"^<factory>$|<.* at 0x.*>", "...", default)
        if len(default) > _LONGEST_DEFAULT:
            default = default[:_LONGEST_DEFAULT] + " ..."
        found.append((parameter.name, default, documented.get(parameter.name, "")))
    return found
