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
        reads: What it needs of an example beside the response.
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


_REFERENCES: tuple[Input, ...] = ("references",)
_METADATA: tuple[Input, ...] = ("metadata",)
_PROMPT: tuple[Input, ...] = ("prompt",)
_BY_ROUGE_SCORE = "rouge-score, to 1e-6"
_BY_SACREBLEU = "sacrebleu, to 1e-6"
_BY_SQUAD = "SQuAD's evaluation script"

REWARDS: dict[str, NamedReward] = {
    # Lexical
    "rouge1": NamedReward(
        "textenv.rewards.lexical.rouge:rouge1", "lexical", _REFERENCES, agrees_with=_BY_ROUGE_SCORE
    ),
    "rouge2": NamedReward(
        "textenv.rewards.lexical.rouge:rouge2", "lexical", _REFERENCES, agrees_with=_BY_ROUGE_SCORE
    ),
    "rougeL": NamedReward(
        "textenv.rewards.lexical.rouge:rouge_l", "lexical", _REFERENCES, agrees_with=_BY_ROUGE_SCORE
    ),
    "rougeLsum": NamedReward(
        "textenv.rewards.lexical.rouge:rouge_lsum",
        "lexical",
        _REFERENCES,
        agrees_with=_BY_ROUGE_SCORE,
    ),
    "bleu": NamedReward(
        "textenv.rewards.lexical.bleu:Bleu", "lexical", _REFERENCES, agrees_with=_BY_SACREBLEU
    ),
    "chrf": NamedReward(
        "textenv.rewards.lexical.bleu:ChrF", "lexical", _REFERENCES, agrees_with=_BY_SACREBLEU
    ),
    "chrf++": NamedReward(
        "textenv.rewards.lexical.bleu:chrf_plus_plus",
        "lexical",
        _REFERENCES,
        agrees_with=_BY_SACREBLEU,
    ),
    "ter": NamedReward(
        "textenv.rewards.lexical.ter:Ter", "lexical", _REFERENCES, agrees_with=_BY_SACREBLEU
    ),
    "edit_similarity": NamedReward(
        "textenv.rewards.lexical.edit:edit_similarity",
        "lexical",
        _REFERENCES,
        agrees_with="rapidfuzz's normalised Levenshtein similarity, exactly",
    ),
    "exact_match": NamedReward(
        "textenv.rewards.lexical.squad:exact_match", "lexical", _REFERENCES, agrees_with=_BY_SQUAD
    ),
    "token_f1": NamedReward(
        "textenv.rewards.lexical.squad:token_f1", "lexical", _REFERENCES, agrees_with=_BY_SQUAD
    ),
    "substring_match": NamedReward(
        "textenv.rewards.lexical.squad:substring_match", "lexical", _REFERENCES
    ),
    "coverage": NamedReward(
        "textenv.rewards.tasks.keywords:Coverage", "lexical", ("metadata", "prompt")
    ),
    "negation_agreement": NamedReward(
        "textenv.rewards.style.guards:negation_agreement", "lexical", _REFERENCES
    ),
    "novelty": NamedReward(
        "textenv.rewards.style.guards:Novelty", "lexical", ("prompt", "metadata")
    ),
    "grounding": NamedReward(
        "textenv.rewards.style.guards:Grounding", "lexical", ("prompt", "metadata")
    ),
    "prose": NamedReward("textenv.rewards.style.guards:Prose", "lexical"),
    # Semantic
    "embedding_cosine": NamedReward(
        "textenv.rewards.learned.embedding:EmbeddingCosine",
        "semantic",
        _REFERENCES,
        agrees_with="sentence-transformers, to 1e-5",
        extra="semantic",
    ),
    "bertscore": NamedReward(
        "textenv.rewards.learned.bertscore:BertScore",
        "semantic",
        _REFERENCES,
        agrees_with="bert-score without idf, to 1e-5",
    ),
    # Learned
    "reward_model": NamedReward(
        "textenv.rewards.learned.reward_model:RewardModel",
        "learned",
        _PROMPT,
        bounds=(None, None),
        agrees_with="transformers' own logits, to 1e-5",
    ),
    "nli_faithfulness": NamedReward(
        "textenv.rewards.learned.faithfulness:NliFaithfulness", "learned", ("metadata", "prompt")
    ),
    "perplexity": NamedReward(
        "textenv.rewards.learned.perplexity:Perplexity",
        "learned",
        _PROMPT,
        agrees_with="transformers' own loss, to 1e-5",
    ),
    # Style and safety
    "repetition": NamedReward("textenv.rewards.style.repetition:Repetition", "style"),
    "distinct": NamedReward("textenv.rewards.style.repetition:Distinct", "style"),
    "polarity": NamedReward(
        "textenv.rewards.style.polarity:Polarity", "style", agrees_with="vaderSentiment, exactly"
    ),
    "toxicity": NamedReward("textenv.rewards.learned.toxicity:Toxicity", "style"),
    "readability": NamedReward("textenv.rewards.style.readability:Readability", "style"),
    "language": NamedReward(
        "textenv.rewards.style.detected_language:Language",
        "style",
        _METADATA,
        agrees_with="lingua, exactly",
        extra="style",
    ),
    "length": NamedReward("textenv.rewards.style.length:Length", "style"),
    # Verifiable
    "regex": NamedReward("textenv.rewards.verifiable.format:Regex", "verifiable"),
    "json": NamedReward("textenv.rewards.verifiable.format:Json", "verifiable"),
    "constraints": NamedReward(
        "textenv.rewards.verifiable.format:Constraints", "verifiable", _METADATA
    ),
    "numeric": NamedReward("textenv.rewards.verifiable.numeric:Numeric", "verifiable", _REFERENCES),
    "choice": NamedReward(
        "textenv.rewards.verifiable.choice:Choice", "verifiable", ("references", "metadata")
    ),
    # Judge
    "judge": NamedReward(
        "textenv.rewards.judge.judge:Judge", "judge", ("references", "prompt"), extra="chat"
    ),
    # Rewards that belong to a task
    "dialogue": NamedReward("textenv.rewards.tasks.dialogue:DialogueQuality", "task", _METADATA),
    "turn_f1": NamedReward("textenv.rewards.tasks.dialogue:TurnF1", "task", _METADATA),
    "selection": NamedReward("textenv.rewards.tasks.dialogue:selection", "task", _REFERENCES),
    "keyword_sentence": NamedReward(
        "textenv.rewards.tasks.keywords:KeywordSentence", "task", ("references", "metadata")
    ),
    "data_to_text": NamedReward(
        "textenv.rewards.tasks.data_to_text:DataToText", "task", ("references", "metadata")
    ),
    "sentiment": NamedReward("textenv.rewards.tasks.continuation:Sentiment", "task", _METADATA),
    "topic": NamedReward("textenv.rewards.tasks.continuation:Topic", "task", _METADATA),
    "rewrite": NamedReward(
        "textenv.rewards.tasks.rewrite:Rewrite", "task", ("references", "prompt", "metadata")
    ),
    # Composition: their options hold rewards
    "product": NamedReward("textenv.rewards.operators:product", "composition", bounds=(None, None)),
    "gate": NamedReward("textenv.rewards.operators:gate", "composition", bounds=(None, None)),
    "clip": NamedReward("textenv.rewards.operators:clip", "composition", bounds=(None, None)),
    "normalise": NamedReward(
        "textenv.rewards.normalise:normalise", "composition", bounds=(None, None)
    ),
    "by_language": NamedReward(
        "textenv.rewards.by_language:by_language", "composition", _METADATA, (None, None)
    ),
    "dense": NamedReward("textenv.rewards.operators:dense", "composition", bounds=(None, None)),
    # Controls
    "random": NamedReward("textenv.rewards.controls:Random", "control"),
    "constant": NamedReward("textenv.rewards.controls:Constant", "control", bounds=(None, None)),
}
