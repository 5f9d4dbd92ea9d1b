"""The action, the observation and the state of our environments, as OpenEnv's server sends them."""

from __future__ import annotations

from typing import Literal

from openenv.core.env_server.types import Action, Observation, State
from pydantic import BaseModel, Field, field_validator

from textenv.safe_text import without_lone_surrogates

MOST_CHARS = 100_000  # of an action; what exceeds the budget of tokens is cut


class TextMessage(BaseModel):
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class TextAction(Action):
    """What the agent says in its turn."""

    text: str = Field(max_length=MOST_CHARS, description="What the agent says in its turn.")

    @field_validator("text", mode="before")
    @classmethod
    def _clean(cls, text: object) -> object:
        """Replaces half of a surrogate pair, whose refusal OpenEnv could not send as UTF-8."""
        return without_lone_surrogates(text)


class TextObservation(Observation):
    """The conversation so far, whose turn it is, and what is left.

    At the end `metadata` holds the response, the reason why the last turn ended and the parts of
    the reward.
    """

    messages: list[TextMessage] = Field(default_factory=list, description="The conversation.")
    text: str = Field(default="", description="What was said since the agent's latest turn.")
    turn: Literal["agent", "over"] = Field(default="agent", description="Whose turn it is.")
    remaining_turns: int = Field(default=0, ge=0, description="Turns left to the agent.")
    remaining_tokens: int = Field(default=0, ge=0, description="Tokens of the agent's next turn.")


class TextState(State):
    """The episode, and the limits of every one."""

    env_id: str = Field(default="", description="Id of the environment.")
    max_turns: int = Field(default=1, ge=1, description="The most turns of the agent.")
    max_new_tokens: int = Field(default=1, ge=1, description="The most tokens of one turn.")
    max_prompt_tokens: int = Field(default=1, ge=1, description="The most tokens of a prompt.")
