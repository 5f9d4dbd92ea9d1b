"""Names the agents that can be evaluated, and what they are evaluated on; loads nothing slow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from textenv.errors import ConfigError, UnknownNameError
from textenv.tokenization import EMBEDDED

AGENTS = {
    "greedy": "the model's most likely tokens",
    "sample": "tokens drawn from the model",
    "first_sentence": "the greedy answer, cut to its first sentence",
    "random": "tokens drawn uniformly",
    "lead": "the first sentence of the source text",
    "gold": "the ideal answer",
}
NEED_MODEL = ("greedy", "sample", "first_sentence")
DRAW = ("sample", "random")  # whose answers differ from one time to the next


@dataclass(frozen=True)
class AgentSpec:
    """An agent to be evaluated.

    Attributes:
        name: One of `AGENTS`.
        model: Language model of an agent that needs one: "embedded", a folder, a run's folder, a
            Hugging Face id or a .gguf file.
        samples: Answers to each example.
        temperature: Temperature of sampled tokens; by default that of the model's training.
        device: "auto", "cpu", "cuda", ...
        policy: Further options of `agents.PolicyOptions`, such as {"bf16": False}.

    Raises:
        UnknownNameError: There is no agent of that name.
        ConfigError: The agent does not draw, and several samples or a temperature are given.
    """

    name: str = "greedy"
    model: str = EMBEDDED
    samples: int = 1
    temperature: float | None = None
    device: str = "auto"
    policy: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in AGENTS:
            raise UnknownNameError("agent", self.name, AGENTS)
        if self.samples < 1:
            raise ConfigError(f"samples is a whole number from 1 up, not {self.samples}.")
        if self.samples > 1 and not self.draws:
            raise ConfigError(
                f"The agent '{self.name}' gives the same answer each time: leave out --samples, or "
                "give --agent sample."
            )
        if self.temperature is not None and self.name != "sample":
            raise ConfigError(f"--temperature is for --agent sample, not for '{self.name}'.")

    @property
    def needs_model(self) -> bool:
        """Whether a language model is loaded."""
        return self.name in NEED_MODEL

    @property
    def draws(self) -> bool:
        """Whether answers differ from one time to the next."""
        return self.name in DRAW


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
