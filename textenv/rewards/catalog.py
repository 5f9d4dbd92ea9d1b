"""The rewards by name: where each is made, what it reads, its range, and what it agrees with.

A row costs nothing until its reward is made: what it needs is imported then. The page
`docs/rewards.md` is generated from these rows and the docstrings of what they name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from textenv.import_paths import load_module
from textenv.rewards.base import Reward

RewardFactory: TypeAlias = Callable[..., Reward]
Family = Literal[
    "lexical",
    "semantic",
    "learned",
    "style",
    "verifiable",
    "judge",
    "task",
    "composition",
    "control",
    "own",
]
Input = Literal["references", "prompt", "metadata"]


@dataclass(frozen=True)
class NamedReward:
    """One reward of the library, or one that a user registered.

    Attributes:
        factory: Makes the reward from its options; "module:attribute" is imported when it is made.
        family: The section of the generated page.
        reads: Parts of an example that it needs besides the response.
        bounds: The least and the greatest total; None where it has none.
        agrees_with: The package whose scores it repeats, and how closely; empty for one of our own.
        extra: The optional dependencies of this package that it needs, as in `textenv[extra]`.
    """

    factory: str | RewardFactory
    family: Family = "own"
    reads: tuple[Input, ...] = ()
    bounds: tuple[float | None, float | None] = (0.0, 1.0)
    agrees_with: str = ""
    extra: str | None = None

    def load_factory(self) -> RewardFactory:
        """Imports what makes the reward."""
        if not isinstance(self.factory, str):
            return self.factory
        module, _, attribute = self.factory.partition(":")
        factory: RewardFactory = getattr(load_module(module), attribute)
        return factory


_ROUGE_SCORE = "rouge-score, to 1e-6"
_SACREBLEU = "sacrebleu, to 1e-6"
_SQUAD = "SQuAD's evaluation script"


def _row(
    family: Family,
    factory: str,
    *reads: Input,
    bounds: tuple[float | None, float | None] = (0.0, 1.0),
    agrees_with: str = "",
    extra: str | None = None,
) -> NamedReward:
    """One reward of the library; `factory` is its place within `textenv.rewards`."""
    return NamedReward(f"textenv.rewards.{factory}", family, reads, bounds, agrees_with, extra)


REWARDS: dict[str, NamedReward] = {
    # Lexical
    "rouge1": _row("lexical", "lexical.rouge:rouge1", "references", agrees_with=_ROUGE_SCORE),
    "rouge2": _row("lexical", "lexical.rouge:rouge2", "references", agrees_with=_ROUGE_SCORE),
    "rougeL": _row("lexical", "lexical.rouge:rouge_l", "references", agrees_with=_ROUGE_SCORE),
    "rougeLsum": _row(
        "lexical", "lexical.rouge:rouge_lsum", "references", agrees_with=_ROUGE_SCORE
    ),
    "bleu": _row("lexical", "lexical.bleu:Bleu", "references", agrees_with=_SACREBLEU),
    "chrf": _row("lexical", "lexical.bleu:ChrF", "references", agrees_with=_SACREBLEU),
    "chrf++": _row("lexical", "lexical.bleu:chrf_plus_plus", "references", agrees_with=_SACREBLEU),
    "ter": _row("lexical", "lexical.ter:Ter", "references", agrees_with=_SACREBLEU),
    "edit_similarity": _row(
        "lexical",
        "lexical.edit:edit_similarity",
        "references",
        agrees_with="rapidfuzz's normalised Levenshtein similarity, exactly",
    ),
    "exact_match": _row("lexical", "lexical.squad:exact_match", "references", agrees_with=_SQUAD),
    "token_f1": _row("lexical", "lexical.squad:token_f1", "references", agrees_with=_SQUAD),
    "substring_match": _row("lexical", "lexical.squad:substring_match", "references"),
    "coverage": _row("lexical", "tasks.keywords:Coverage", "metadata", "prompt"),
    "negation_agreement": _row("lexical", "style.guards:negation_agreement", "references"),
    "novelty": _row("lexical", "style.guards:Novelty", "prompt", "metadata"),
    "grounding": _row("lexical", "style.guards:Grounding", "prompt", "metadata"),
    "prose": _row("lexical", "style.guards:Prose"),
    # Semantic
    "embedding_cosine": _row(
        "semantic",
        "learned.embedding:EmbeddingCosine",
        "references",
        agrees_with="sentence-transformers, to 1e-5",
        extra="semantic",
    ),
    "bertscore": _row(
        "semantic",
        "learned.bertscore:BertScore",
        "references",
        agrees_with="bert-score without idf, to 1e-5",
    ),
    # Learned
    "reward_model": _row(
        "learned",
        "learned.reward_model:RewardModel",
        "prompt",
        bounds=(None, None),
        agrees_with="transformers' own logits, to 1e-5",
    ),
    "nli_faithfulness": _row(
        "learned", "learned.faithfulness:NliFaithfulness", "metadata", "prompt"
    ),
    "perplexity": _row(
        "learned",
        "learned.perplexity:Perplexity",
        "prompt",
        agrees_with="transformers' own loss, to 1e-5",
    ),
    # Style and safety
    "repetition": _row("style", "style.repetition:Repetition"),
    "distinct": _row("style", "style.repetition:Distinct"),
    "polarity": _row("style", "style.polarity:Polarity", agrees_with="vaderSentiment, exactly"),
    "toxicity": _row("style", "learned.toxicity:Toxicity"),
    "readability": _row("style", "style.readability:Readability"),
    "language": _row(
        "style",
        "style.detected_language:Language",
        "metadata",
        agrees_with="lingua, exactly",
        extra="style",
    ),
    "length": _row("style", "style.length:Length"),
    # Verifiable
    "regex": _row("verifiable", "verifiable.format:Regex"),
    "json": _row("verifiable", "verifiable.format:Json"),
    "constraints": _row("verifiable", "verifiable.format:Constraints", "metadata"),
    "numeric": _row("verifiable", "verifiable.numeric:Numeric", "references"),
    "choice": _row("verifiable", "verifiable.choice:Choice", "references", "metadata"),
    # Judge
    "judge": _row("judge", "judge.judge:Judge", "references", "prompt", extra="chat"),
    # Rewards that belong to a task
    "dialogue": _row("task", "tasks.dialogue:DialogueQuality", "metadata"),
    "turn_f1": _row("task", "tasks.dialogue:TurnF1", "metadata"),
    "selection": _row("task", "tasks.dialogue:selection", "references"),
    "keyword_sentence": _row("task", "tasks.keywords:KeywordSentence", "references", "metadata"),
    "data_to_text": _row("task", "tasks.data_to_text:DataToText", "references", "metadata"),
    "sentiment": _row("task", "tasks.continuation:Sentiment", "metadata"),
    "topic": _row("task", "tasks.continuation:Topic", "metadata"),
    "rewrite": _row("task", "tasks.rewrite:Rewrite", "references", "prompt", "metadata"),
    # Composition: their options hold rewards
    "product": _row("composition", "operators:product", bounds=(None, None)),
    "gate": _row("composition", "operators:gate", bounds=(None, None)),
    "clip": _row("composition", "operators:clip", bounds=(None, None)),
    "normalise": _row("composition", "normalise:normalise", bounds=(None, None)),
    "by_language": _row("composition", "by_language:by_language", "metadata", bounds=(None, None)),
    "dense": _row("composition", "operators:dense", bounds=(None, None)),
    # Controls
    "random": _row("control", "controls:Random"),
    "constant": _row("control", "controls:Constant", bounds=(None, None)),
}
