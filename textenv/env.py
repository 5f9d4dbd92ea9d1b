"""A text task as a single Gymnasium environment: one slot of the batched transition."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from textenv.episode import RENDER_MODES, TextCore, check_arguments
from textenv.levels import Info, Observation
from textenv.rendering import RENDER_FPS, render_transcript, reward_text


class TextEnv(gym.Env[Observation, Any]):
    """A conversation in which the agent writes a token, a text, or picks a reply, at each step.

    ## Action Space
    By `action_level`:

    * "token": `Discrete(V)`, the next token, V from the tokenizer. The end-of-turn token ends the
      agent's turn.
    * "text": `AnyText()`, a whole turn as a string, of any length and any characters; what exceeds
      `max_new_tokens` is cut. A `textenv.chat.UnfinishedText` is a turn that its writer did not
      end.
    * "select": `Discrete(N)`, the number of one of the candidate replies, for tasks that have some.

    `action_masks()` tells which actions are open, at token and select level.

    ## Observation Space
    By `action_level`, too:

    * "token": a `Dict` of `input_ids` int32 (L,), everything said so far; `attention_mask` int8
      (L,), 1 where there is a token; `remaining` int32 (1,), the tokens left to the agent in this
      turn. Both arrays are append-only within an episode and padded on the right;
      L = max_turns * (max_prompt_tokens + max_new_tokens).
    * "text": the conversation as messages, a tuple of `{"role": ..., "content": ...}`, or as one
      string with `text_observation="string"`.
    * "select": `input_ids` and `attention_mask` as above; and `candidate_ids` int32 (N * C,) and
      `candidate_mask` int8 (N * C,), the candidates' tokens with C = max_new_tokens, end included;
      `candidate_mask` is 0 all along where the turn has fewer than N.

    ## Rewards
    0 at every step but the last of an episode, which pays what `reward` says of the whole episode.
    The same conversation is paid the same at every level. A `dense` reward pays in parts, every
    so many tokens, at token level; they sum to the same.

    ## Starting State
    The task's opening messages for an example drawn from `split` with `self.np_random`, or pinned
    by `reset(options={"index": i, "split": ...})` or `options={"prompt": ..., "references": ...}`.

    ## Episode End
    Terminated when the agent's turn ends (its end-of-turn token, `max_new_tokens` written, or any
    action at text and select level) and the task has no reply, or after `max_turns` turns of the
    agent. Truncated, unpaid and without more information, only at `max_episode_steps` (of
    `gym.make`), if that is given.

    ## Information
    On reset `example_id` and `prompt_cut` (the prompt was shortened to fit). At select level
    `candidates`, the texts to choose from, on reset and whenever the environment has replied. At
    the end `example_id`, `prompt_cut`, `response`, `stop_reason` ("end_of_turn" or
    "max_new_tokens") and `reward_components`.

    Args:
        render_mode: "ansi" (a string), "rgb_array" (a picture) or "human" (prints each
            conversation once, at its end, with its reward).
        autoreset_mode: Checked and otherwise without effect; only vector environments restart by
            themselves.
        arguments: `task`, `task_kwargs`, `tokenizer`, `dataset`, `split`, `reward`,
            `action_level`, `text_observation`, `max_prompt_tokens` (of the environment, in one
            turn), `max_new_tokens` (of the agent, in one turn), `max_turns` and `dataset_seed`,
            with the defaults of `TextCore`.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - declared like this by Gymnasium
        "render_modes": list(RENDER_MODES),
        "render_fps": RENDER_FPS,
    }

    def __init__(
        self,
        *,
        render_mode: str | None = None,
        autoreset_mode: str = "next_step",
        **arguments: Any,
    ) -> None:
        check_arguments(arguments, render_mode, autoreset_mode)
        self.render_mode = render_mode
        self.core = TextCore(1, **arguments)
        self.observation_space = self.core.single_observation_space
        self.action_space = self.core.single_action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, Info]:
        """Begins an episode.

        Args:
            seed: Restarts the environment's random numbers.
            options: "index" (with "split") pins an example; "prompt" with "references" gives one.
        """
        super().reset(seed=seed)
        example = self.core.choose_example(self.np_random, options or {})
        info = self.core.start(0, example)
        return self.core.level.observe_slot(0), info

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, Info]:
        """Takes an action: writes a token or a turn.

        Raises:
            ConfigError: The action is not a token id, a text, or a candidate's number.
            RewardError: The episode ended and could not be scored.
            gymnasium.error.ResetNeeded: No episode is running.
        """
        if not self.core.playing[0]:
            raise gym.error.ResetNeeded("This episode has ended, or none was begun: call reset().")
        rewards, terminated, truncated, infos = self.core.step([action])
        reward, info = float(rewards[0]), infos.get(0, {})
        if self.render_mode == "human" and (terminated[0] or truncated[0]):
            result = reward_text(float(self.core.worth[0]), info)
            render_transcript(self.core.transcript(0), "human", result)
        observation = self.core.level.observe_slot(0)
        return observation, reward, bool(terminated[0]), bool(truncated[0]), info

    def action_masks(self) -> NDArray[np.bool_]:
        """Returns which actions are open, bool (n_actions,), as sb3-contrib's MaskablePPO asks.

        Raises:
            ConfigError: At text level there is no end of actions.
        """
        return np.asarray(self.core.level.action_masks()[0])

    def render(self) -> Any:
        """Draws the conversation so far; None where `step` itself prints it, or nothing does."""
        if self.render_mode is None or self.render_mode == "human":
            return None
        return render_transcript(self.core.transcript(0), self.render_mode)
