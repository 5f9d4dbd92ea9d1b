"""A chat model behind an endpoint, which plays a suite by messages."""

from __future__ import annotations

from typing import Any

from agents.suite.players import Row
from agents.suite.suite import Suite, SuiteTask
from agents.training.agent_evaluation import AgentEvaluation
from agents.training.agent_specs import AgentSpec, EvaluationSetting
from textenv.endpoints.chat_options import ChatOptions
from textenv.endpoints.chat_player import NoAnswersError
from textenv.errors import ConfigError
from textenv.rollout import Progress


class EndpointPlayer:
    """A chat model, at temperature 0.

    Its answers are kept on disk as they come, so a part is a whole task.

    Args:
        suite: What is played.
        model: Name of the model at the endpoint.
        chat: Where the endpoint is, and how it is asked.

    Raises:
        ConfigError: The model has no name, or the options ask for answers that are drawn.
    """

    def __init__(self, suite: Suite, model: str, chat: ChatOptions) -> None:
        self._suite, self.name, self.device = suite, model, ""
        self._agent = AgentSpec("chat", model, chat=chat)
        if self._agent.draws and "temperature" not in chat.request:
            raise ConfigError("A suite is played at temperature 0: leave the temperature out.")

    def describe(self) -> dict[str, Any]:
        """Returns the model's name, and what is asked for beside the suite's settings."""
        return {"kind": "chat", "model": self.name, "request": dict(self._agent.chat.request)}

    def parts(self) -> list[range]:
        """Returns all examples as one part."""
        return [range(self._suite.examples)]

    def prepare(self) -> None:
        """Does nothing: each task is made ready as it is played."""

    def play(self, task: SuiteTask, numbers: range, progress: Progress) -> list[Row]:
        """Plays and scores all examples of a task.

        Raises:
            NoAnswersError: The endpoint did not answer, or refused a question.
        """
        suite = self._suite
        env = {**task.env, "dataset_seed": suite.dataset_seed}
        setting = EvaluationSetting(task.id, suite.split, suite.examples, env=env)
        record = AgentEvaluation(setting, self._agent).play(suite.seed, progress)
        invalid = [row for row in record.rows if row["reward"] is None]
        if invalid:
            raise NoAnswersError(
                f"{len(invalid)} of {len(numbers)} questions of {task.id} have no answer, such as "
                f"'{invalid[0]['id']}': {invalid[0].get('invalid_reason')} A suite needs all of "
                "them: what has no answer is no answer of worth 0. Give the same command again; "
                "what is answered is not asked twice."
            )
        return [
            {**row, "prompt_cut": bool(episode.prompt_cut)}
            for row, episode in zip(record.rows, record.evaluation.episodes, strict=True)
        ]
