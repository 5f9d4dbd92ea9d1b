"""Names the agents that can be evaluated, and what they are evaluated on; loads nothing slow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from textenv.endpoints.chat_options import ChatOptions
from textenv.errors import ConfigError, UnknownNameError
from textenv.tokenization import EMBEDDED

AGENTS = {
    "greedy": "the model's most likely tokens",
    "sample": "tokens drawn from the model",
    "first_sentence": "the greedy answer, cut to its first sentence",
    "random": "tokens drawn uniformly",
    "lead": "the first sentence of the source text",
    "gold": "the ideal answer",
    "chat": "a model behind a chat endpoint, greedy unless --temperature is above 0",
}
NEED_MODEL = ("greedy", "sample", "first_sentence")
CHAT = "chat"
_DRAW = ("sample", "random")  # whose answers differ from one time to the next


@dataclass(frozen=True)
class AgentSpec:
    """An agent to be evaluated.

    Attributes:
        name: One of `AGENTS`.
        model: Language model of an agent that needs one: "embedded", a folder, a run's folder, a
            Hugging Face id or a .gguf file. Of "chat", its name at the endpoint.
        samples: Answers to each example.
        temperature: Temperature of sampled tokens; by default that of the model's training, and 0
            for "chat".
        device: "auto", "cpu", "cuda", ...
        policy: Further options of `agents.PolicyOptions`, such as {"bf16": False}.
        chat: Where the endpoint of "chat" is, and how it is asked.

    Raises:
        UnknownNameError: There is no agent of that name.
        ConfigError: The agent does not draw, and several samples or a temperature are given; or a
            chat model has no name.
    """

    name: str = "greedy"
    model: str = EMBEDDED
    samples: int = 1
    temperature: float | None = None
    device: str = "auto"
    policy: Mapping[str, Any] = field(default_factory=dict)
    chat: ChatOptions = field(default_factory=ChatOptions)

    def __post_init__(self) -> None:
        if self.name not in AGENTS:
            raise UnknownNameError("agent", self.name, AGENTS)
        if self.name == CHAT and self.model in ("", EMBEDDED):
            raise ConfigError("The agent 'chat' needs the model's name at the endpoint: --model.")
        if self.samples < 1:
            raise ConfigError(f"samples is a whole number from 1 up, not {self.samples}.")
        if self.samples > 1 and not self.draws:
            instead = "--temperature" if self.name == CHAT else "--agent sample"
            raise ConfigError(
                f"The agent '{self.name}' gives the same answer each time: leave out --samples, or "
                f"give {instead}."
            )
        if self.temperature is None:
            return
        if self.name not in ("sample", CHAT):
            raise ConfigError(f"--temperature is for --agent sample, not for '{self.name}'.")
        if not 0 <= self.temperature < math.inf:
            raise ConfigError(f"--temperature {self.temperature}: give a number from 0 up.")

    @property
    def needs_model(self) -> bool:
        """Whether a language model is loaded into this process."""
        return self.name in NEED_MODEL

    @property
    def draws(self) -> bool:
        """Whether answers differ from one time to the next."""
        if self.name == CHAT:
            return self.chat.draws(self.chat_temperature)
        return self.name in _DRAW

    @property
    def chat_temperature(self) -> float:
        """Temperature that a chat endpoint is asked for."""
        return 0.0 if self.temperature is None else self.temperature


@dataclass(frozen=True)
class EvaluationSetting:
    """What an agent is evaluated on.

    Attributes:
        id: Id of the environment.
        split: "train", "validation" or "test".
        examples: Number of examples, from the first on; fewer if the split has fewer.
        dataset: Data set to use instead of the environment's own.
        reward: Reward to use instead of the environment's own.
        env: Further arguments of the environment, such as {"max_new_tokens": 32}. The tokenizer is
            the model's, unless one is given here.
        pass_at: Each k of pass@k, for an agent with at least k samples.
        pass_reward: Reward from which on an answer passes.

    Raises:
        ConfigError: A number is out of range.
    """

    id: str
    split: str = "test"
    examples: int = 256
    dataset: Any = None
    reward: Any = None
    env: Mapping[str, Any] = field(default_factory=dict)
    pass_at: tuple[int, ...] = ()
    pass_reward: float = 1.0

    def __post_init__(self) -> None:
        if self.examples < 1:
            raise ConfigError(f"examples is a whole number from 1 up, not {self.examples}.")
        if not math.isfinite(self.pass_reward):
            raise ConfigError(f"--pass-reward {self.pass_reward}: give a number, such as 0.5.")

    def check_samples(self, samples: int) -> None:
        """Checks that there are samples enough for each k of pass@k.

        Raises:
            ConfigError: There are not.
        """
        most = max(self.pass_at, default=1)
        if most > samples:
            raise ConfigError(
                f"pass@{most} needs as many answers to each example: give --samples {most}."
            )
