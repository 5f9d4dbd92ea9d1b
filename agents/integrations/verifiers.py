"""The environments as a taskset of verifiers; importing this file needs verifiers.

verifiers finds a taskset by the name of a top-level module, which is `textenv_verifiers`:

    vf-eval textenv-verifiers --env.taskset.env-id TextDialogue-v0 -n 8 --no-push

`TextEnvTaskset` yields the examples of a split. `TextEnvEnv` lets the environment be the user: it
answers each of the agent's turns and pays the whole episode. Tested with verifiers 0.4.0.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import verifiers.v1 as vf
from pydantic import Field

from agents.integrations.conversation import Conversation, ConversationPool
from textenv.errors import ConfigError
from textenv.examples import Turn, to_messages
from textenv.keys import refuse_secrets

__all__ = ["TextEnvEnv", "TextEnvTaskset"]


class TextEnvTasksetConfig(vf.TasksetConfig):  # type: ignore[misc] # verifiers is not installed where types are checked
    """Which examples of which environment are played.

    Attributes:
        env_id: Id of the environment.
        split: Split of its data set.
        arguments: Further arguments of the environment, such as `dataset` and `tokenizer`.
    """

    env_id: str = ""  # verifiers makes a configuration before it reads what is given
    split: Literal["train", "validation", "test"] = "test"
    arguments: dict[str, Any] = Field(default_factory=dict)


class TextEnvData(vf.TaskData):  # type: ignore[misc]
    """An example, as a trace records it."""

    env_id: str
    split: str
    index: int
    arguments: dict[str, Any]


class TextEnvTask(vf.Task[TextEnvData]):  # type: ignore[misc]
    """One episode; it is scored by the environment that plays it."""


class TextEnvTaskset(vf.Taskset[TextEnvTask, TextEnvTasksetConfig]):  # type: ignore[misc]
    """The examples of a split, in the order of the data set."""

    def load(self) -> Iterator[TextEnvTask]:
        """Yields a task for each example.

        Raises:
            TextEnvError: There is no such environment, or it refuses an argument, or one holds a
                key.
        """
        config = self.config
        if not config.env_id:
            raise ConfigError("Name an environment, as in --env.taskset.env-id TextDialogue-v0.")
        refuse_secrets(config.arguments)  # every trace records them
        conversation = Conversation(config.env_id, **config.arguments)
        for index in range(conversation.examples(config.split)):
            example = conversation.example(config.split, index)
            system, prompt = _as_prompt(conversation.opening(example))
            data = TextEnvData(
                id=example.id,
                name=f"{config.env_id}/{config.split}/{index}",
                prompt=prompt,
                system_prompt=system,
                env_id=config.env_id,
                split=config.split,
                index=index,
                arguments=config.arguments,
            )
            yield TextEnvTask(data, config.task)


class TextEnvEnvConfig(vf.EnvConfig):  # type: ignore[misc]
    """The agent's seat: by default a plain chat without tools, on this machine."""

    agent: vf.AgentConfig = vf.AgentConfig(harness={"id": "null"}, runtime={"type": "subprocess"})


class TextEnvEnv(vf.Env[TextEnvEnvConfig]):  # type: ignore[misc]
    """Plays an episode: the agent speaks, and the environment answers and pays."""

    def __init__(self, config: TextEnvEnvConfig) -> None:
        super().__init__(config)
        self._pool: ConversationPool | None = None

    async def run(self, task: TextEnvTask, agents: Any) -> None:
        """Plays the episode of a task, and records its reward and components on the trace.

        An episode that the agent leaves before its end, such as at `max_turns`, is paid as if the
        agent had fallen silent. One whose model fails is not paid, and verifiers records the error.

        Raises:
            TextEnvError: The episode could not be scored.
        """
        data = task.data
        with self._conversation(data) as conversation:
            conversation.start(conversation.example(data.split, data.index))
            async with agents.agent.interaction(task) as interaction:
                segment = await interaction.turn()
                while not segment.terminated:
                    # A judge may take its time; other episodes go on.
                    answer = await asyncio.to_thread(conversation.say, segment.last_reply)
                    if answer is None:
                        break
                    segment = await interaction.turn(answer)
                # Before the context closes, so that verifiers logs the reward.
                if not interaction.trace.errors:
                    await asyncio.to_thread(conversation.fall_silent)
                    interaction.trace.record_reward("textenv_reward", conversation.reward)
                    interaction.trace.record_metrics(conversation.components)

    @contextmanager
    def _conversation(self, data: TextEnvData) -> Iterator[Conversation]:
        """Lends a conversation that no other running episode has."""
        if self._pool is None:  # all tasks of a taskset have the same id and arguments
            self._pool = ConversationPool(data.env_id, **data.arguments)
        conversation = self._pool.take()
        yield conversation
        self._pool.give_back(conversation)


def _as_prompt(opening: tuple[Turn, ...]) -> tuple[str | None, str | list[dict[str, str]]]:
    """Returns an opening as the system prompt and the prompt of a task."""
    messages = list(to_messages(opening))
    system = messages.pop(0)["content"] if messages[0]["role"] == "system" else None
    if [message["role"] for message in messages] == ["user"]:
        return system, messages[0]["content"]  # harnesses take a text, not all of them messages
    return system, messages
