"""Looks at held-out reward during a training, and the agent of the best of them.

FOLDER/best/model/        the language model and its tokenizer, as transformers saves them, and its
                          card; an adapter is merged into it
FOLDER/best/best.json     the iteration, what the look found, and how the policy acts
FOLDER/best/config.yaml   a copy of the run's configuration
FOLDER/best/textenv-manifest.json
                          sizes and checksums of these

`--model FOLDER/best` takes it. It has no optimizer, so a run cannot be resumed from it.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from agents.ppo.atomic_replacement import replacing_entries, settle
from agents.ppo.checkpoints import save_language_model
from agents.ppo.distributed import Ranks
from agents.ppo.kept_checkpoints import AGENT_FILE, BEST_FILE, check_whole
from agents.ppo.ppo import TextPPO
from agents.ppo.sharding import shard_policy, whole
from agents.training.checked_files import read_json
from agents.training.config import TrainConfig
from agents.training.evaluation import Evaluation, question
from agents.training.held_out import evaluate_policy_on_split, kl_per_episode, load_policy
from agents.training.kept_texts import PROMPTS
from textenv.benchmark.statistics import Estimate
from textenv.episode import TextCore
from textenv.errors import DamagedError
from textenv.rewards import Reward, compute_rewards, load_reward
from textenv.rollout import Progress

BEST = "best"
_CONFIG, _RECORD = "config.yaml", BEST_FILE
# How a policy acts, whatever it learns by: what an evaluation of a saved model takes from its run.
ACTING = ("temperature", "bf16", "max_tokens_per_batch")


@dataclass(frozen=True)
class Look:
    """What greedy answers to held-out examples were worth, in the middle of a training."""

    iteration: int  # after which it was taken
    reward: Estimate  # mean reward
    response_tokens: float  # mean number of tokens
    ended_share: float  # share of episodes that the agent ended itself
    kl: float  # mean log pi - log pi_ref of the answers, in nats: see `kl_per_episode`
    wall_s: float  # seconds that it took
    # Mean of the configuration's `gold`, which nobody is paid; None where none is measured
    gold: Estimate | None = None
    # What was asked and answered of the first examples, as in `samples.jsonl`.
    answers: list[dict[str, Any]] = field(default_factory=list)

    def metrics(self) -> dict[str, float]:
        """Returns the numbers to log."""
        measured = {"reward": self.reward} | ({} if self.gold is None else {"gold": self.gold})
        return {
            **{f"validation/{name}": estimate.mean for name, estimate in measured.items()},
            **{f"validation/{name}_low": e.ci95[0] for name, e in measured.items()},
            **{f"validation/{name}_high": e.ci95[1] for name, e in measured.items()},
            "validation/response_tokens": self.response_tokens,
            "validation/ended_share": self.ended_share,
            "validation/kl": self.kl,
            "time/validation_s": self.wall_s,
        }

    def to_json(self) -> dict[str, Any]:
        """Returns plain values, without what differs between two equal runs."""
        return {
            "iteration": self.iteration,
            "reward": self.reward.to_json(),
            "response_tokens": self.response_tokens,
            "ended_share": self.ended_share,
            "kl": self.kl,
            **({} if self.gold is None else {"gold": self.gold.to_json()}),
        }

    def beats(self, other: Look | None) -> bool:
        """Returns whether its reward is a new best; of equal ones the earlier is the best.

        A run that was killed after it kept its best, and goes on from before, finds it again.
        """
        if other is None or self.reward.mean > other.reward.mean:
            return True
        return self.iteration == other.iteration and self.reward.mean == other.reward.mean


def take_look(
    agent: TextPPO, core: TextCore, config: TrainConfig, gold: Reward | None = None
) -> Look:
    """Plays held-out examples greedily; all processes of a run must call it.

    Args:
        agent: Agent that is trained.
        core: Core in which the examples are played.
        config: Configuration of the run.
        gold: Metric that is measured beside the reward; None for none.
    """
    began = time.perf_counter()
    found = evaluate_policy_on_split(
        agent.policy, core, "validation", config.validation_examples, ranks=agent.ranks
    )
    kl = kl_per_episode(agent.policy, agent.reference, found.episodes, agent.ranks)
    # A resumed run has no cached keys here, so this one may not have any either.
    agent.policy.forget()
    return Look(
        agent.n_iterations,
        found.estimate(found.rewards),
        float(found.metrics["response_tokens"].mean()),
        float(found.metrics["ended_by_agent"].mean()),
        float(kl.mean()),
        time.perf_counter() - began,
        _measure_gold(found, gold, agent.ranks),
        _first_answers(found, core),
    )


def load_gold(config: TrainConfig) -> Reward | None:
    """Returns the metric that is measured at looks, and that nobody is paid; None for none."""
    spec: Any = config.gold
    return None if spec is None else load_reward(spec)


def _measure_gold(found: Evaluation, gold: Reward | None, ranks: Ranks) -> Estimate | None:
    """Scores a look's episodes by the metric that is not paid; the first process asks it."""
    if gold is None:
        return None
    scores = None
    if ranks.index == 0:
        scores = compute_rewards(gold, found.episodes).total
    shared: list[Any] = ranks.gather(scores)
    return found.estimate(shared[0])


def answer_first(agent: TextPPO, core: TextCore, config: TrainConfig) -> list[dict[str, Any]]:
    """Plays the examples whose answers each look keeps; all processes of a run must call it."""
    n = min(PROMPTS, config.validation_examples)
    found = evaluate_policy_on_split(agent.policy, core, "validation", n, ranks=agent.ranks)
    agent.policy.forget()
    return _first_answers(found, core)


def _first_answers(found: Evaluation, core: TextCore) -> list[dict[str, Any]]:
    return [
        question(core, episode.example) | found.answer(i)
        for i, episode in enumerate(found.episodes[:PROMPTS])
    ]


def save_best(agent: TextPPO, look: Look, out: Path) -> None:
    """Keeps the agent as the best so far; the one before stays whole until it is written."""
    policy = agent.policy
    weights = {name: whole(tensor) for name, tensor in policy.lm.state_dict().items()}
    if agent.ranks.index:
        return
    record = {
        "look": look.to_json() | {"wall_s": look.wall_s},
        "policy_options": {name: getattr(policy.options, name) for name in ACTING},
    }
    with replacing_entries(out, part=BEST) as new:
        save_language_model(policy, new / "model", weights, agent.make_card())
        shutil.copyfile(out / _CONFIG, new / _CONFIG)
        (new / _RECORD).write_text(json.dumps(record, indent=2), encoding="utf-8")


def read_best(out: Path) -> Look | None:
    """Reads which agent a run has kept as its best; None if it has kept none.

    Raises:
        DamagedError: What is there is damaged.
    """
    settle(out)
    if not (out / BEST).exists():
        return None
    remedy = (
        f" Or remove '{out / BEST}': then the best agent so far is not known, and the best from "
        "here on is kept."
    )
    try:
        check_whole(out / BEST)
        data = read_json(out / BEST / _RECORD)
        return TypeAdapter(Look).validate_python(data["look"])
    except (KeyError, ValidationError) as error:
        raise DamagedError(
            f"'{out / BEST / _RECORD}' is damaged, or was written by another version.{remedy}"
        ) from error
    except DamagedError as error:
        raise DamagedError(f"{error}{remedy}") from error


def acting_options(model: Path) -> dict[str, Any]:
    """Returns the arguments of the policy in a run's folder, or in its `best/`; else none."""
    for path in (model / AGENT_FILE, model / _RECORD):
        if path.is_file():
            saved = read_json(path)["policy_options"]
            return {name: saved[name] for name in ACTING}
    return {}


def evaluate_best(
    agent: TextPPO, core: TextCore, config: TrainConfig, out: Path, progress: Progress
) -> Evaluation:
    """Plays the examples that measure the gain with the best agent that a run has kept.

    The trained agent must be saved: its optimizer's state is dropped, so that both models fit where
    the training did.
    """
    agent.policy.optimizer.zero_grad(set_to_none=True)
    agent.policy.optimizer.state.clear()
    ranks = agent.ranks
    # Only the first process has the folder; the others load a model of the same shape.
    model = config.model if ranks.index else str(out / BEST / "model")
    options = {name: getattr(agent.policy.options, name) for name in ACTING}
    policy = load_policy(model, core, agent.device, **options)
    ranks.copy_from_first(policy.parameters())
    if ranks.size > 1 and agent.options.parallel == "fsdp":
        shard_policy(policy, ranks)
    return evaluate_policy_on_split(
        policy, core, config.eval_split, config.eval_examples, progress=progress, ranks=ranks
    )


def share_best(best: Look | None, ranks: Ranks) -> Look | None:
    """Returns what the first process knows of the best agent; only it has the run's folder."""
    known: list[Look | None] = ranks.gather(best)
    return known[0]
