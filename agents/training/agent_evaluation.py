"""Evaluates an agent in an environment: the function below `textenv evaluate`.

setting = EvaluationSetting("TextQA-v0", examples=64)
record = evaluate_agent(setting, AgentSpec("greedy", "runs/a"), out=Path("found"))
record.result["reward"]["mean"], record.rows[0]["response"]
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from agents.models.options import policy_options
from agents.policy.lm_policy import LMPolicy
from agents.training.agent_specs import CHAT, AgentSpec, EvaluationSetting
from agents.training.evaluation import Evaluation, question
from agents.training.held_out import (
    evaluate_chat,
    evaluate_policy_on_split,
    evaluate_random,
    evaluate_speaker,
    load_policy,
)
from agents.training.model_lookup import find_model, pick_device
from agents.training.preflight import (
    find_before_loading,
    find_in_answers,
    find_in_chat,
    warm_start_command,
)
from agents.training.run_folder import write_rows
from agents.training.speakers import cut_to_first_sentence, speak_lead_sentence
from textenv.endpoints.chat_options import ChatOptions
from textenv.endpoints.chat_player import ChatPlayer, check_level
from textenv.preflight import find_misfits, measure_scale, try_rewards
from textenv.registry import environment_row
from textenv.rewards.base import name_of
from textenv.rollout import Progress, silent
from textenv.safe_text import without_lone_surrogates
from textenv.storage.whole_files import write_whole
from textenv.tokenization import EMBEDDED
from textenv.vector import environment_arguments, make_core

__all__ = [
    "AgentEvaluation",
    "AgentSpec",
    "ChatOptions",
    "EvaluationRecord",
    "EvaluationSetting",
    "evaluate_agent",
]

_SLOTS = 64  # episodes that are played at a time
RESULT_FILE = "result.json"


@dataclass(frozen=True)
class EvaluationRecord:
    """What an evaluation found, as plain values.

    Attributes:
        result: What was evaluated on what, and means with 95 % intervals.
        rows: An answer each: `samples` of the first example, then of the second, and so on.
        evaluation: The episodes and their scores.
        n_requests: Requests that were sent to a chat endpoint by this call.
        n_kept: Answers of a chat endpoint that were kept from before.
    """

    result: dict[str, Any]
    rows: list[dict[str, Any]]
    evaluation: Evaluation
    n_requests: int = 0
    n_kept: int = 0

    def write(self, path: Path) -> None:
        """Writes the result as FILE.json, and the rows beside it as FILE.jsonl; folders are made.

        Raises:
            OSError: A file cannot be written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        # The result comes last: where it is, the rows are whole.
        write_rows(path.with_suffix(".jsonl"), self.rows)
        # A path of a data set may have a name that is no UTF-8.
        result = without_lone_surrogates(self.result)
        write_whole(path, json.dumps(result, indent=2, ensure_ascii=False))


def evaluate_agent(
    setting: EvaluationSetting,
    agent: AgentSpec,
    *,
    seed: int = 0,
    out: str | Path | None = None,
    progress: Progress = silent,
) -> EvaluationRecord:
    """Plays the first examples of a split with an agent, and scores them.

    Args:
        setting: What it plays.
        agent: Who plays.
        seed: Seed of what is drawn.
        out: Folder for result.json and result.jsonl; it is made.
        progress: Called with the number of finished episodes.

    Raises:
        TextEnvError: The environment or the model cannot be made, or an episode cannot be scored.
        OSError: The folder cannot be written.
    """
    record = AgentEvaluation(setting, agent).play(seed, progress)
    if out is not None:
        record.write(Path(out) / RESULT_FILE)
    return record


class AgentEvaluation:
    """An agent in an environment, ready to be evaluated with one seed after the other.

    Args:
        setting: What it plays.
        agent: Who plays.

    Attributes:
        n_episodes: Episodes that `play` plays.
        model: Name or path of the model that was found, or None.

    Raises:
        TextEnvError: The environment cannot be made, the reward fails on it, or the model cannot be
            found.
    """

    def __init__(self, setting: EvaluationSetting, agent: AgentSpec) -> None:
        setting.check_samples(agent.samples)
        environment_row(setting.id)
        self._setting, self._agent = setting, agent
        self._is_chat = agent.name == CHAT
        self._found, acting = find_model(EMBEDDED if self._is_chat else agent.model)
        self._device = pick_device(agent.device)
        drawn = agent.name == "sample" and agent.temperature is not None
        given = {"temperature": agent.temperature} if drawn else {}
        self._policy_arguments = {**acting, **given, **agent.policy}
        self._temperature = policy_options(
            {"model": self._found, **self._policy_arguments}
        ).temperature
        self._arguments = environment_arguments(
            self._found, setting.dataset, setting.reward, setting.env
        )
        n_slots = agent.chat.concurrency if self._is_chat else _SLOTS
        self._core = make_core(setting.id, n_slots, self._arguments)
        if self._is_chat:
            check_level(self._core.action_level)
            self._player(0)  # a key that is missing is told now
        try_rewards({name_of(self._core.reward): self._core.reward}, self._core, setting.split)
        self._n_examples = min(setting.examples, len(self._core.dataset(setting.split)))
        self.n_episodes = self._n_examples * agent.samples
        self.model = agent.model if self._is_chat else self._found if agent.needs_model else None

    def play(self, seed: int = 0, progress: Progress = silent) -> EvaluationRecord:
        """Plays and scores the examples.

        Raises:
            TextEnvError: The model cannot be loaded, or an episode cannot be scored.
        """
        setting, agent, core = self._setting, self._agent, self._core
        findings = self._findings  # first, since what fails should fail before a model is loaded
        player = self._player(seed) if self._is_chat else None
        evaluation = self._evaluate(seed, progress, player)
        row = environment_row(setting.id).make_kwargs()
        result = {
            "id": setting.id,
            "agent": agent.name,
            "model": self.model,
            "dataset": self._arguments.get("dataset", row.get("dataset")),
            "reward_spec": self._arguments.get("reward", row.get("reward")),
            "split": setting.split,
            "seed": seed,
            "temperature": self._temperature if agent.name == "sample" else None,
            "findings": [*findings, *self._findings_in(evaluation)],
            **evaluation.summary(),
        }
        if player is not None:
            result["temperature"] = player.fields.get("temperature")
            result.setdefault("invalid", 0)
            result["chat"] = {
                "base_url": player.base_url,
                "request": player.fields,
                **asdict(player.usage()),
            }
        if setting.pass_at:
            found_at = evaluation.pass_at(setting.pass_at, setting.pass_reward)
            result["pass_reward"] = setting.pass_reward
            result["pass_at"] = {str(k): estimate.to_json() for k, estimate in found_at.items()}
        rows = [
            question(core, episode.example) | {"sample": i % agent.samples} | evaluation.answer(i)
            for i, episode in enumerate(evaluation.episodes)
        ]
        n_requests, n_kept = (0, 0) if player is None else (player.n_calls, player.n_kept)
        return EvaluationRecord(result, rows, evaluation, n_requests, n_kept)

    @cached_property
    def _findings(self) -> list[str]:
        """What the data alone can tell."""
        splits = [self._setting.split]
        if self._agent.needs_model:
            return find_before_loading(self._core, self._found, splits)
        return find_misfits(self._core, splits)

    def _findings_in(self, evaluation: Evaluation) -> list[str]:
        """What the answers tell."""
        core, setting = self._core, self._setting
        if self._is_chat:
            return find_in_chat(evaluation, core)
        if not self._agent.needs_model:
            return []
        scale = measure_scale(core, [episode.example for episode in evaluation.episodes])
        warm_start = warm_start_command(setting.id, self._found, setting.dataset, setting.env)
        return find_in_answers(evaluation, core, scale, warm_start)

    @cached_property
    def _policy(self) -> LMPolicy:
        return load_policy(self._found, self._core, self._device, **self._policy_arguments)

    def _player(self, seed: int) -> ChatPlayer:
        agent = self._agent
        return ChatPlayer(
            agent.model,
            agent.chat,
            temperature=agent.chat_temperature,
            max_new_tokens=self._core.max_new_tokens,
            seed=seed,
            samples=agent.samples,
        )

    def _evaluate(self, seed: int, progress: Progress, player: ChatPlayer | None) -> Evaluation:
        agent, core, split, n = self._agent, self._core, self._setting.split, self._n_examples
        if player is not None:
            concurrency = agent.chat.concurrency
            return evaluate_chat(player, core, split, n, concurrency, progress, agent.samples)
        if agent.needs_model:
            policy = self._policy
            torch.manual_seed(seed)
            evaluation = evaluate_policy_on_split(
                policy, core, split, n, not agent.draws, progress, n_samples=agent.samples
            )
            cuts = agent.name == "first_sentence"
            return cut_to_first_sentence(core, evaluation) if cuts else evaluation
        if agent.name == "random":
            return evaluate_random(core, split, n, seed, progress, agent.samples)
        speak = core.task.gold if agent.name == "gold" else speak_lead_sentence
        return evaluate_speaker(speak, core, split, n, progress)
