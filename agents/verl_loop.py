"""The agent loop that verl starts for an episode; importing this file needs verl.

Written for verl 0.9.1. Name it in the YAML that `agents.verl.agent_loop_yaml` gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopOutput

from agents.verl import play_episode


class TextEnvAgentLoop(AgentLoopBase):  # type: ignore[misc] # verl is not installed where types are checked
    """Plays the example that a row of `agents.verl.export_parquet` names."""

    async def run(self, sampling_params: dict[str, Any], **row: Any) -> AgentLoopOutput:
        """Plays an episode of one or several turns.

        Args:
            sampling_params: verl's; the budget of the turn is added. Cutting the distribution
                (top_k, top_p) is verl's own setting.
            row: The columns of the data set.
        """
        request_id = uuid4().hex

        async def generate(
            ids: list[int], most: int
        ) -> tuple[Sequence[int], Sequence[float] | None]:
            output = await self.server_manager.generate(
                request_id=request_id,
                prompt_ids=ids,
                sampling_params={**sampling_params, "max_tokens": most},
            )
            return output.token_ids, output.log_probs or None

        played = await play_episode(row["data_source"], row["extra_info"], generate)
        length = self.rollout_config.response_length
        return AgentLoopOutput(
            prompt_ids=played.prompt_ids,
            response_ids=played.response_ids[:length],
            response_mask=played.response_mask[:length],
            response_logprobs=None if played.logprobs is None else played.logprobs[:length],
            reward_score=played.reward,
            num_turns=2 * played.n_turns,
            metrics={},
            extra_fields={
                "reward_extra_info": played.components,
                "turn_scores": [],
                "tool_rewards": [],
            },
        )
