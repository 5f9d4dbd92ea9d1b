"""The agent loop that verl starts for each episode; importing this file needs verl.

The YAML of `agents.integrations.verl.agent_loop_yaml` names it. Tested with verl 0.8.0 to 0.9.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import uuid4

import numpy as np
from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopOutput
from verl.utils.profiler import simple_timer

from agents.integrations.verl import play_episode
from textenv.errors import ConfigError
from textenv.rollout import PlayedEpisode


class TextEnvAgentLoop(AgentLoopBase):  # type: ignore[misc] # verl is not installed where types are checked
    """Plays the example of a row of `agents.integrations.verl.export_parquet`."""

    async def run(self, sampling_params: dict[str, Any], **row: Any) -> AgentLoopOutput:
        """Plays an episode of one or several turns.

        Tokens beyond `data.max_response_length` are cut off, as in verl's own loops; the reward is
        that of the whole episode.

        Args:
            sampling_params: Sampling parameters of verl, including top_k and top_p; the budget of
                the turn is added.
            row: Columns of the data set.

        Raises:
            ConfigError: The opening is longer than `data.max_prompt_length`, or the row is not from
                `export_parquet`, or was made with another tokenizer than the model's.
        """
        request_id = uuid4().hex
        metrics: dict[str, Any] = {}
        versions: dict[str, Any] = {}

        async def generate(
            ids: list[int], most: int
        ) -> tuple[Sequence[int], Sequence[float] | None]:
            with simple_timer("generate_sequences", metrics):
                output = await self.server_manager.generate(
                    request_id=request_id,
                    prompt_ids=ids,
                    sampling_params={**sampling_params, "max_tokens": most},
                )
            if output.num_preempted is not None:
                metrics["num_preempted"] = metrics.get("num_preempted", 0) + output.num_preempted
            # The trainer needs the versions of the weights that wrote the episode.
            versions.setdefault("min_global_steps", output.extra_fields.get("min_global_steps"))
            versions["max_global_steps"] = output.extra_fields.get("max_global_steps")
            return output.token_ids, output.log_probs or None

        decode = partial(
            self.tokenizer.decode, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        played = await play_episode(row["data_source"], row["extra_info"], generate, decode)
        start = played.n_prompt
        longest = self.rollout_config.prompt_length
        if start > longest:
            raise ConfigError(
                f"An episode of '{row['data_source']}' begins with {start} tokens "
                f"and data.max_prompt_length is {longest}. Raise it, or give export_parquet "
                f"max_prompt_tokens={longest}."
            )
        end = _end(played, start + self.rollout_config.response_length)
        logprobs = played.logprobs
        return AgentLoopOutput(
            prompt_ids=played.input_ids[:start].tolist(),
            response_ids=played.input_ids[start:end].tolist(),
            response_mask=played.action_mask[start:end].astype(int).tolist(),
            response_logprobs=None if logprobs is None else logprobs[start:end].tolist(),
            reward_score=played.reward,
            num_turns=2 * len(played.conversation.responses),
            metrics=metrics,
            extra_fields={
                "reward_extra_info": {**played.components, "score": played.reward},
                "turn_scores": [],
                "tool_rewards": [],
                **versions,
            },
        )


def _end(played: PlayedEpisode, longest: int) -> int:
    """Returns where to cut an episode: verl pays at the last token, which must be the model's."""
    return int(np.flatnonzero(played.action_mask[:longest])[-1]) + 1
