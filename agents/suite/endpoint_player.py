"""A chat model behind an endpoint, which plays a suite by messages."""

from __future__ import annotations

from typing import Any

from agents.suite.players import Row, hash_model, name_of_model
from agents.suite.suite import Suite, SuiteTask
from agents.training.agent_evaluation import AgentEvaluation
from agents.training.agent_specs import AgentSpec, EvaluationSetting
from textenv.endpoints.chat_options import ChatOptions
from textenv.endpoints.chat_player import NoAnswersError
from textenv.errors import ConfigError
from textenv.rollout import Progress
from textenv.tokenization import EMBEDDED


class EndpointPlayer:
    """A chat model, at temperature 0.

    Its answers are kept on disk as they come, so a part is a whole task.

    Args:
        suite: What is played.
        model: Name of the model at the endpoint.
        chat: Where the endpoint is, and how it is asked.
        tokenizer: Tokenizer that counts the budgets: "embedded", a folder, a Hugging Face id or a
            .gguf file. With the model's own one they are those of the same model played here.

    Raises:
        ConfigError: The model has no name, or the options ask for answers that are drawn.
    """

    def __init__(
        self, suite: Suite, model: str, chat: ChatOptions, tokenizer: str = EMBEDDED
    ) -> None:
        self._suite, self.name, self.device = suite, model, ""
        self._tokenizer = tokenizer
        self._agent = AgentSpec("chat", model, chat=chat)
        if self._agent.draws and "temperature" not in chat.request:
            raise ConfigError("A suite is played at temperature 0: leave the temperature out.")

    def describe(self) -> dict[str, Any]:
        """Returns the model's name, what is asked for, and who counts the budgets."""
        return {
            "kind": "chat",
            "model": self.name,
            "request": dict(self._agent.chat.request),
            "tokenizer": name_of_model(self._tokenizer),
            "tokenizer_files": hash_model(self._tokenizer),
        }

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
        env = {**task.env, "dataset_seed": suite.dataset_seed, "tokenizer": self._tokenizer}
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
