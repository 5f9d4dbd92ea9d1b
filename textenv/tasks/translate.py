"""Translation: say a sentence in another language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textenv.errors import ConfigError, DatasetError
from textenv.examples import Example, Turn
from textenv.tasks.base import Field, Task, ask
from textenv.tasks.rows import references_of, text_of

_NAMES: dict[str, str] = dict(
    pair.split("=")
    for pair in str.split(
        "ar=Arabic cs=Czech da=Danish de=German el=Greek en=English es=Spanish fi=Finnish "
        "fr=French he=Hebrew hi=Hindi hu=Hungarian id=Indonesian it=Italian ja=Japanese "
        "ko=Korean nl=Dutch no=Norwegian pl=Polish pt=Portuguese ro=Romanian ru=Russian "
        "sv=Swedish th=Thai tr=Turkish uk=Ukrainian vi=Vietnamese zh=Chinese"
    )
)


class TranslateTask(Task):
    """Translates a sentence from one language into another.

    ## Description

    The agent reads a sentence and writes it in the language that is asked for.

    Generated sentences ("phrases") are drawn as plans and spelled in English, German and Chinese by
    the rules of each, so that any of the three can be the source and any other the target. Word
    order, cases, genders, measure words and tenses all have to be got right; the words are few.

    ## Rewards

    `chrf`, by default: character n-gram F-score against the closest reference (Popović, 2015).
    `bleu` is the other usual choice.

    ## Starting State

    One turn of the user, "Translate to German: " and the sentence. A sentence that does not fit
    `max_prompt_tokens` loses its end.

    ## Episode End

    After the agent's first turn.

    ## Arguments

    - `source_language` (default "en"): the code of the language to translate from.
    - `target_language` (default "de"): the code of the language to translate into.

    Both hold unless a row says otherwise. For another direction,
    `gym.make("TextTranslate-v0", dataset="phrases", task_kwargs={"source_language": "zh",
    "target_language": "de"})`; the sets "phrases-en-de" and "phrases-en-zh" have one direction.

    Options of `dataset={"path": "phrases", ...}`, and of these two:

    - `difficulty`: "easy" (4 to 8 English words, one clause), "medium" (6 to 14, one or two
      clauses, questions) or "hard" (14 to 24, three clauses).

    Your own rows need either

    - `translation`: a dict from codes to texts, as in WMT, OPUS-100 and IWSLT; or
    - `source` (or `src`, `en`, `text`) and `target` (or `tgt`, `reference`, `references`): a text,
      the target also a list of equally good ones. `translation` may be the target, too.

    `source_language` (or `src_lang`) and `target_language` (or `tgt_lang`) are optional columns.

    ## Version History

    - v0: the first version.
    """

    fields: ClassVar[tuple[Field, ...]] = (
        Field("source", aliases=("src", "en", "text"), required=False),
        Field("target", aliases=("tgt", "references", "reference"), required=False, takes="texts"),
        Field("translation", required=False, takes="data"),
        Field("source_language", aliases=("src_lang",), required=False),
        Field("target_language", aliases=("tgt_lang",), required=False),
    )

    def __init__(self, source_language: str = "en", target_language: str = "de") -> None:
        for name, code in (("source", source_language), ("target", target_language)):
            if not isinstance(code, str) or not code:
                raise ConfigError(
                    f"The {name}_language of TranslateTask is {code!r}; use a code such as 'en'."
                )
        self.source_language = source_language
        self.target_language = target_language

    def example(self, id: str, row: Mapping[str, Any]) -> Example:
        """Builds the example of one sentence.

        A row has `source` and `target` (a text, or several equally good ones), and the codes of
        their languages where they differ from the task's. Or `translation`, which maps codes to
        texts; it may also be just the target.
        """
        source_language = str(row.get("source_language") or self.source_language)
        target_language = str(row.get("target_language") or self.target_language)
        row = dict(row)
        translation = row.pop("translation", None)
        if isinstance(translation, Mapping):
            for code in (source_language, target_language):
                if code not in translation:
                    raise DatasetError(
                        f"The translation of example '{id}' has no '{code}', only "
                        f"{', '.join(map(str, translation))}. Set source_language and "
                        "target_language to two of them."
                    )
            row["source"] = translation[source_language]
            row["target"] = translation[target_language]
        else:
            row.setdefault("target", translation)
        return Example(
            id=id,
            prompt=text_of(id, row, "source"),
            references=references_of(id, row, "target"),
            metadata={"source_language": source_language, "target_language": target_language},
        )

    def opening(self, example: Example) -> tuple[Turn, ...]:
        """Asks for the translation; a source that is too long loses its end."""
        code = str(example.metadata.get("target_language", self.target_language))
        return ask(f"Translate to {_language_name(code)}: ", example.prompt)

    def split_key(self, example: Example) -> str:
        """Returns the sentence, whatever language it is put into."""
        return example.prompt


def _language_name(code: str) -> str:
    """Names a language in English; "zh-CN" is Chinese, and an unknown code is its own name."""
    return _NAMES.get(code) or _NAMES.get(code.replace("_", "-").split("-")[0].lower(), code)
