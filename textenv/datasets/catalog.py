"""The data sets that are known by name: the generated ones, and well-known ones of the hub.

`gym.make("TextSummarize-v0", dataset="cnn_dailymail")` is all that a user writes. An entry is data
alone: where a set lies and how its columns are read, in keys of `textenv.datasets.spec.RowsSpec`,
which a user's own mapping may override. No code that comes with a data set is ever run; where the
main branch of a set is a script, the entry names the hub's own Parquet copy of it (the branch
`refs/convert/parquet`) or a mirror.

For people without a network, the same entry reads a copy:
`{"path": "my_copy.jsonl", "like": "cnn_dailymail"}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from textenv.datasets.columns import Column
from textenv.datasets.reading import PARQUET_BRANCH

PROCEDURAL: Mapping[str, str] = {
    "news": "news:NewsGenerator",
    "facts": "facts:FactsGenerator",
    "facts-choice": "facts:FactsChoiceGenerator",
    "word-problems": "word_problems:WordProblemsGenerator",
    "phrases": "phrases:PhrasesGenerator",
    "phrases-en-de": "phrases:GermanPhrases",
    "phrases-en-zh": "phrases:ChinesePhrases",
    "guests": "guests:GuestsGenerator",
    "replies": "replies:RepliesGenerator",
    "keywords": "keywords:KeywordsGenerator",
    "records": "records:RecordsGenerator",
    "reviews": "reviews:ReviewsGenerator",
    "stories": "stories:StoriesGenerator",
    "rewrites": "rewrites:RewritesGenerator",
}
"""Generated set -> its class in `textenv.datasets.generated`; its fields are the set's options."""

_SUMMARIZE = ("textenv.tasks.summarize:SummarizeTask",)
_QA = ("textenv.tasks.qa:QATask",)
_TRANSLATE = ("textenv.tasks.translate:TranslateTask",)
_DIALOGUE = (
    "textenv.tasks.dialogue:DialogueTask",
    "textenv.tasks.dialogue_select:DialogueSelectTask",
)
_KEYWORDS = ("textenv.tasks.keywords:KeywordsTask",)
_DATA = ("textenv.tasks.data_to_text:DataTask",)
_CONTINUE = ("textenv.tasks.continuation:ContinueTask",)
_MATH = ("textenv.tasks.math:MathTask",)


@dataclass(frozen=True)
class NamedDataset:
    """One well-known data set.

    Attributes:
        path: Its Hugging Face id.
        tasks: The tasks that it suits, as "module:Class".
        note: Its size, its licence, and what to know about the entry.
        columns: Field of a task -> column; fields that the task at hand lacks are left aside.
            "{source_language}", "{target_language}" and "{unanswerable}" stand for attributes of
            the task, in "fill" as well.
        name: The configuration that is read unless another is named.
        configurations: All that there are; empty if there is but one.
        pair: How a configuration names its two languages, as in "{}-{}"; the one that has the
            task's languages is read unless another is named.
        revision: The branch, where it is not the main one.
        splits: Our split -> its name for it; what is not listed is taken from the training rows.
        options: Further keys of `RowsSpec` that the entry sets.
    """

    path: str
    tasks: tuple[str, ...]
    note: str
    columns: Mapping[str, Column]
    name: str | None = None
    configurations: tuple[str, ...] = ()
    pair: str | None = None
    revision: str | None = None
    splits: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


# Where the labels of "test" are kept secret, or there is none, the validation split is our "test",
# as in the literature, and our "validation" is taken from the training rows.
_VALIDATION_IS_TEST = {"train": "train", "test": "validation"}

_PAIR_COLUMNS: Mapping[str, Column] = {
    "source": "translation.{source_language}",
    "target": "translation.{target_language}",
}
_STREAMED = {"streaming": True}
_RECORDED = "Recorded: TextDialogue pays the closeness of each turn to the recorded one."
_IWSLT_PAIRS = (
    "ar-en de-en en-ar en-de en-fr en-it en-ja en-ko en-nl en-ro en-zh fr-en it-en it-nl it-ro "
    "ja-en ko-en nl-en nl-it nl-ro ro-en ro-it ro-nl zh-en"
)
_OPUS_LANGUAGES = (
    "af am an ar as az be bg bn br bs ca cs cy da de dz el eo es et eu fa fi fr fy ga gd gl gu "
    "ha he hi hr hu hy id ig is it ja ka kk km kn ko ku ky li lt lv mg mk ml mn mr ms mt my nb "
    "ne nl nn no oc or pa pl ps pt ro ru rw se sh si sk sl sq sr sv ta te tg th tk tr tt ug uk ur "
    "uz vi wa xh yi yo zh zu"
)

NAMED: Mapping[str, NamedDataset] = {
    "cnn_dailymail": NamedDataset(
        path="abisee/cnn_dailymail",
        tasks=_SUMMARIZE,
        note="287,113 / 13,368 / 11,490 news articles, 1.3 GB; Apache-2.0.",
        columns={"document": "article", "summary": "highlights"},
        name="3.0.0",
        configurations=("1.0.0", "2.0.0", "3.0.0"),
    ),
    "xsum": NamedDataset(
        path="EdinburghNLP/xsum",
        tasks=_SUMMARIZE,
        note="204,045 / 11,332 / 11,334 BBC articles, 0.5 GB; licence not stated. Main is a "
        "script.",
        columns={"document": "document", "summary": "summary"},
        name="default",
        revision=PARQUET_BRANCH,
    ),
    "samsum": NamedDataset(
        path="knkarthick/samsum",
        tasks=_SUMMARIZE,
        note="14,732 / 818 / 819 chats, 10 MB; CC BY-NC-ND 4.0. A mirror: Samsung/samsum is gone.",
        columns={"document": "dialogue", "summary": "summary"},
    ),
    "scitldr": NamedDataset(
        path="allenai/scitldr",
        tasks=_SUMMARIZE,
        note="1,992 / 619 / 618 papers with one or more summaries, 4 MB; Apache-2.0. Main is a "
        "script.",
        columns={"document": "source", "summary": "target", "id": "paper_id"},
        name="Abstract",
        configurations=("Abstract", "AIC", "FullText"),
        revision=PARQUET_BRANCH,
        options={"join": {"document": " "}},
    ),
    "squad": NamedDataset(
        path="rajpurkar/squad",
        tasks=_QA,
        note="87,599 / 10,570 questions on Wikipedia, 90 MB; CC BY-SA 4.0.",
        columns={"context": "context", "question": "question", "answers": "answers.text"},
        splits=_VALIDATION_IS_TEST,
        options={"group": "title"},
    ),
    "squad_v2": NamedDataset(
        path="rajpurkar/squad_v2",
        tasks=_QA,
        note="130,319 / 11,873 questions, a third without an answer, 130 MB; CC BY-SA 4.0. With "
        'task_kwargs={"unanswerable": "unanswerable"} the prompt says so.',
        columns={"context": "context", "question": "question", "answers": "answers.text"},
        splits=_VALIDATION_IS_TEST,
        options={"group": "title", "fill": {"answers": "{unanswerable}"}},
    ),
    "narrativeqa": NamedDataset(
        path="deepmind/narrativeqa",
        tasks=_QA,
        note="32,747 / 3,461 / 10,557 questions on summaries of books and films; Apache-2.0. Every "
        "row carries the whole book, 6 GB in all, so that 1,000 are streamed.",
        columns={
            "context": "document.summary.text",
            "question": "question.text",
            "answers": "answers.text",
        },
        options={"streaming": True, "rows": 1000},
    ),
    "wmt14": NamedDataset(
        path="wmt/wmt14",
        tasks=_TRANSLATE,
        note="4.5 million sentence pairs in de-en; licence not stated. Streamed.",
        columns=_PAIR_COLUMNS,
        configurations=("cs-en", "de-en", "fr-en", "hi-en", "ru-en"),
        pair="{}-{}",
        options=_STREAMED,
    ),
    "wmt16": NamedDataset(
        path="wmt/wmt16",
        tasks=_TRANSLATE,
        note="4.5 million sentence pairs in de-en; licence not stated. Streamed.",
        columns=_PAIR_COLUMNS,
        configurations=("cs-en", "de-en", "fi-en", "ro-en", "ru-en", "tr-en"),
        pair="{}-{}",
        options=_STREAMED,
    ),
    "wmt19": NamedDataset(
        path="wmt/wmt19",
        tasks=_TRANSLATE,
        note="35 million sentence pairs in de-en, 26 million in zh-en; licence not stated. "
        "Streamed.",
        columns=_PAIR_COLUMNS,
        configurations=(
            "cs-en",
            "de-en",
            "fi-en",
            "fr-de",
            "gu-en",
            "kk-en",
            "lt-en",
            "ru-en",
            "zh-en",
        ),
        pair="{}-{}",
        splits=_VALIDATION_IS_TEST,
        options=_STREAMED,
    ),
    "iwslt2017": NamedDataset(
        path="IWSLT/iwslt2017",
        tasks=_TRANSLATE,
        note="206,112 / 888 / 8,079 sentences of talks in en-de; CC BY-NC-ND 4.0. Main is a "
        "script.",
        columns=_PAIR_COLUMNS,
        configurations=tuple(f"iwslt2017-{pair}" for pair in _IWSLT_PAIRS.split()),
        pair="iwslt2017-{}-{}",
        revision=PARQUET_BRANCH,
    ),
    "opus100": NamedDataset(
        path="Helsinki-NLP/opus-100",
        tasks=_TRANSLATE,
        note="Up to a million sentence pairs of English and each of 99 languages, 2,000 held out "
        "in each split; licences vary.",
        columns=_PAIR_COLUMNS,
        configurations=tuple("-".join(sorted((code, "en"))) for code in _OPUS_LANGUAGES.split()),
        pair="{}-{}",
    ),
    "daily_dialog": NamedDataset(
        path="OpenRL/daily_dialog",
        tasks=_DIALOGUE,
        note="11,118 / 1,000 / 1,000 conversations, 4 MB; CC BY-NC-SA 4.0. A mirror: "
        "li2017dailydialog/daily_dialog is a script. " + _RECORDED,
        columns={"turns": {"speaker": ["user", "assistant"], "text": "dialog"}},
        options={"skip": "unusable"},
    ),
    "multi_woz": NamedDataset(
        path="pfb30/multi_woz_v22",
        tasks=_DIALOGUE,
        note="8,437 / 1,000 / 1,000 dialogues about a town, version 2.2; Apache-2.0. Main is a "
        "script. " + _RECORDED,
        columns={
            "turns": {"speaker": "turns.speaker", "text": "turns.utterance"},
            "id": "dialogue_id",
        },
        name="v2.2",
        configurations=("v2.2", "v2.2_active_only"),
        revision=PARQUET_BRANCH,
        options={"labels": {"turns.speaker": ("user", "system")}, "skip": "unusable"},
    ),
    "schema_guided": NamedDataset(
        path="google-research-datasets/schema_guided_dstc8",
        tasks=_DIALOGUE,
        note="16,142 / 2,482 / 4,201 dialogues over 26 services; CC BY-SA 4.0. Main is a script. "
        + _RECORDED,
        columns={
            "turns": {"speaker": "turns.speaker", "text": "turns.utterance"},
            "id": "dialogue_id",
        },
        name="dialogues",
        configurations=("dialogues",),
        revision=PARQUET_BRANCH,
        options={"labels": {"turns.speaker": ("user", "system")}, "skip": "unusable"},
    ),
    "common_gen": NamedDataset(
        path="allenai/common_gen",
        tasks=_KEYWORDS,
        note="32,651 / 993 sets of words with 67,389 / 4,018 sentences, 8 MB; MIT.",
        columns={"concepts": "concepts", "references": "target"},
        name="default",
        revision=PARQUET_BRANCH,
        splits=_VALIDATION_IS_TEST,
        options={"gather": "concept_set_idx"},
    ),
    "totto": NamedDataset(
        path="google-research-datasets/totto",
        tasks=_DATA,
        note="120,761 / 7,700 tables of Wikipedia, 0.7 GB; CC BY-SA 3.0.",
        columns={"references": "sentence_annotations.final_sentence", "id": "example_id"},
        name="default",
        revision=PARQUET_BRANCH,
        splits=_VALIDATION_IS_TEST,
        options={"group": "table_webpage_url"},
    ),
    "e2e_nlg": NamedDataset(
        path="tuetschek/e2e_nlg",
        tasks=_DATA,
        note="4,862 / 547 / 630 records with 42,061 / 4,672 / 4,693 texts, 12 MB; CC BY-SA 4.0. "
        "Main is a script.",
        columns={"slots": "meaning_representation", "references": "human_reference"},
        name="default",
        revision=PARQUET_BRANCH,
        options={"gather": "meaning_representation"},
    ),
    "imdb": NamedDataset(
        path="stanfordnlp/imdb",
        tasks=_CONTINUE,
        note="25,000 / 25,000 film reviews, 85 MB; licence not stated. Where a review goes is its "
        "target; its own words are the reference, and not always ideal.",
        columns={"text": "text", "label": "label"},
        splits={"train": "train", "test": "test"},
        options={"labels": {"label": ("neg", "pos")}},
    ),
    "gsm8k": NamedDataset(
        path="openai/gsm8k",
        tasks=_MATH,
        note="7,473 / 1,319 word problems with worked solutions, 5 MB; MIT.",
        columns={"question": "question", "answer": "answer"},
        name="main",
        configurations=("main", "socratic"),
        splits={"train": "train", "test": "test"},
    ),
}
