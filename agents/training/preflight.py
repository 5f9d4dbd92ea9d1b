"""What to know before a training spends its budget: findings on the data, the start, the budget.

Each finding is a sentence for the user, with what to do about it.
"""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Mapping, Sequence

from agents.ppo.options import PPOOptions
from agents.training.config import TrainConfig
from agents.training.evaluation import Evaluation
from textenv.benchmark.independence import counts_overlap
from textenv.chat import brief
from textenv.episode import TextCore
from textenv.examples import Episode
from textenv.preflight import RewardScale, find_few, find_foreign_text, find_misfits
from textenv.rewards.base import name_of
from textenv.safe_text import for_terminal
from textenv.tokenization import EMBEDDED

_log = logging.getLogger(__name__)

_FEW_END = 0.05  # share of answers that end by themselves
_QUOTED, _SAID = 120, 400  # characters
_ALL_OR_NOTHING = ("exact_match", "substring_match")
_IN_STEPS = ("token_f1", "chrf")  # pay for a part of what those want whole


def find_before_loading(core: TextCore, model: str, splits: Sequence[str]) -> list[str]:
    """Finds what the data and the tokenizer alone can tell.

    Args:
        core: Slots of the environment.
        model: Name of the language model.
        splits: Splits that are played. On all but "train" something is measured.
    """
    found = find_misfits(core, splits)
    for split in dict.fromkeys(splits):
        found += [] if split == "train" else find_few(core, split)
    return found + find_foreign_text(core, model, splits[0])


def find_in_budget(config: TrainConfig) -> list[str]:
    """Finds a budget that ends before the policy has begun to learn."""
    iterations = -(-config.total_episodes // config.n_episodes)
    asked = config.critic_warmup if config.advantage == "gae" else 0
    warmup = min(asked, iterations // 4)
    found = []
    if asked > max(warmup, PPOOptions.model_fields["critic_warmup"].default):
        found.append(
            f"critic_warmup={asked} is cut to {warmup}, a quarter of the {iterations} iterations "
            f"that total_episodes={config.total_episodes} buys. For all of it give "
            f"total_episodes={4 * asked * config.n_episodes}."
        )
    if iterations <= warmup + config.learning_rate_warmup:
        enough = (asked + config.learning_rate_warmup + 10) * config.n_episodes
        found.append(
            f"total_episodes={config.total_episodes} buys {iterations} iteration"
            f"{'s' * (iterations != 1)}, and the "
            f"learning rate still rises in the last one: expect little. Give total_episodes="
            f"{enough} or more, or a smaller n_episodes."
        )
    return found


def find_in_selection(config: TrainConfig) -> list[str]:
    """Finds that the best agent is measured where it is chosen."""
    if not config.validation_every or config.eval_split != "validation":
        return []
    return [
        "The best agent is chosen on the validation split, where eval_split=validation also "
        "measures it: what it scores there is too high. Give eval_split=test."
    ]


def warm_start_command(
    id: str, model: str, dataset: object = None, env: Mapping[str, object] | None = None
) -> str:
    """Returns the command that teaches a run's own model its own data, ready to be typed."""
    words = ["textenv", "sft", id]
    words += [] if model == EMBEDDED else ["--model", model]
    words += [] if dataset is None else ["--dataset", _as_word(dataset)]
    words += ["--out", "runs/start"]
    kept = {name: value for name, value in (env or {}).items() if name != "reward"}
    words += [f"env.{name}={_as_word(value)}" for name, value in kept.items()]
    return f"`{shlex.join(words)}`"


def _as_word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def find_in_answers(
    answers: Evaluation, core: TextCore, scale: RewardScale, warm_start: str
) -> list[str]:
    """Finds in a model's answers what makes a measurement worthless, or keeps PPO from learning.

    Args:
        answers: The answers, and what they earned.
        core: Slots of the environment.
        scale: What the reward pays for ideal and for empty answers.
        warm_start: The command that teaches the model the form: `warm_start_command`.
    """
    found = []
    n, rewards = len(answers.rewards), answers.rewards
    shown = _quote(answers.episodes[0])
    ended = float(answers.metrics["ended_by_agent"].mean())
    if ended < _FEW_END:
        found.append(
            f"{'None' if ended == 0 else f'Only {round(ended * n)}'} of {n} answers end by "
            f"themselves; the others are cut at max_new_tokens={core.max_new_tokens}. {shown} If "
            f"it is unfinished, env.max_new_tokens={4 * core.max_new_tokens} gives room; if it "
            f"rambles, training teaches the model to stop, and {warm_start} does so faster."
        )
    if not any(text.strip() for episode in answers.episodes for text in episode.responses):
        found.append(
            "Every answer is empty. The model may not know the chat template: use a chat model, or "
            f"teach it the form first with {warm_start}."
        )
    elif n > 1 and rewards.max() == rewards.min() and scale.is_ideal(float(rewards[0])):
        found.append(
            f"All {n} answers earn {rewards[0]:g}, as much as the ideal answer does: there is "
            "nothing left to learn. Take harder data, another reward, or a start that was taught "
            "less."
        )
    elif n > 1 and rewards.max() == rewards.min():
        found.append(
            f"All {n} answers earn {rewards[0]:g}. PPO learns from differences alone: if samples "
            f"earn the same, it learns nothing. {shown} {_advice(core, warm_start)}"
        )
    return found


def _advice(core: TextCore, warm_start: str) -> str:
    """Says what helps where all answers earn the same."""
    name = name_of(core.reward)
    # Another count of words in common would find none, either.
    if counts_overlap(name) and name not in _ALL_OR_NOTHING:
        return f"Teach the form first with {warm_start}."
    steps = " or ".join(_IN_STEPS)
    return (
        f"Try a reward with steps in between (such as {steps}), or teach the form first with "
        f"{warm_start}."
    )


def find_in_chat(answers: Evaluation, core: TextCore) -> list[str]:
    """Finds answers of a chat model that are missing, or that were cut."""
    found, n = [], len(answers.episodes)
    if answers.invalid:
        reason = next(iter(answers.invalid.values()))
        found.append(
            f"{len(answers.invalid)} of {n} episodes have no answer, and no mean counts them. The "
            f"first, {brief(reason, _SAID)}"
        )
    whole = [e for i, e in enumerate(answers.episodes) if i not in answers.invalid]
    cut = sum(episode.stop_reason == "max_new_tokens" for episode in whole)
    if cut > _FEW_END * len(whole):
        found.append(
            f"{cut} of {len(whole)} answers were cut at max_new_tokens={core.max_new_tokens}, "
            f"counted in tokens of '{core.tokenizer.name}'. env.max_new_tokens="
            f"{4 * core.max_new_tokens} gives room; env.tokenizer=NAME counts in another's tokens."
        )
    return found


def tell(findings: list[str]) -> list[str]:
    """Logs findings as warnings, and returns them."""
    for finding in findings:
        _log.warning("%s", for_terminal(finding))
    return findings


def _quote(episode: Episode) -> str:
    references = episode.example.references
    wanted = f", where {brief(references[0], _QUOTED)!r} is ideal" if references else ""
    return f"Example '{episode.example.id}' got {brief(episode.response, _QUOTED)!r}{wanted}."
