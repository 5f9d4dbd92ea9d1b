"""Writes the tokens of a rollout with vLLM, in place of the policy's own decoding."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from agents.decoding.sampling import check_tokens
from agents.policy.lm_policy import LMPolicy
from agents.ppo.vllm_engine import PolicyEngine
from textenv.errors import ModelError


class VLLMSampler:
    """Writes tokens as `LMPolicy.act` does, from the same distribution, with vLLM.

    `collect_episodes` takes it in the policy's place. The turn of a row is requested once, when its
    first token is needed, and each token is returned once, as soon as vLLM has computed it. So rows
    that begin an episode join the passes of the others. If the sequence of a row is not the one
    that was returned, because an episode began, the environment spoke or another token was written,
    a new request is made. vLLM gets the policy's weights when they have changed, with adapters
    merged.

    Each turn has its own seed from torch's generator, so runs are as repeatable as vLLM's kernels.
    These differ from the policy's, so the log-probabilities differ a little from those of the
    update. `TextPPO` logs the difference, and its `importance_cap` corrects for it.

    Args:
        policy: Policy at token level, with a temperature between 0.01 and 2.
        end_id: Token that ends a turn; None if only the environment knows it.
        gpu_memory_utilization: Share of the GPU's memory that vLLM may take; the policy and its
            update must fit into the rest.
        sleep: Whether `rest` frees that memory. The weights are then kept in the host's memory.
        engine_args: Further fields of `vllm.EngineArgs`, such as `enforce_eager`.

    Attributes:
        engine: Engine that computes the tokens.
        reading_share: Share of slots that must have a prompt to read; 0, so none waits.

    Raises:
        ModelError: vLLM is not installed, or cannot run this model.
        ConfigError: vLLM cannot sample with the policy's settings.
    """

    reading_share = 0.0

    def __init__(
        self,
        policy: LMPolicy,
        *,
        end_id: int | None = None,
        gpu_memory_utilization: float = 0.3,
        sleep: bool = False,
        **engine_args: Any,
    ) -> None:
        self.engine = PolicyEngine(policy, gpu_memory_utilization, sleep, **engine_args)
        self._window = policy.window
        self._stop_ids = [] if end_id is None else [end_id]
        remaining: Any = policy.observation_space["remaining"]  # type: ignore[index] # a Dict, at token level
        self._max_new_tokens = int(remaining.high[0])
        self._deterministic = False
        self._n_requests = 0
        self._turns: dict[int, _Turn] = {}  # by slot
        self._running: dict[str, _Turn] = {}  # by request

    def act(
        self,
        input_ids: NDArray[np.int32],
        lengths: NDArray[np.int64],
        rows: NDArray[np.int64],
        deterministic: bool = False,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Chooses the next token of some of the environment's slots, as `LMPolicy.act` does.

        With `deterministic`, log-probabilities are those at temperature 1.
        """
        if deterministic != self._deterministic or not self.engine.is_current:
            self._forget()
            self._deterministic = deterministic
        self.engine.prepare()
        turns = [
            self._turn(row, ids[:length])
            for row, ids, length in zip(rows.tolist(), input_ids, lengths.tolist(), strict=True)
        ]
        while not all(turn.pending for turn in turns):
            for turn in turns:
                if turn.request is None and not turn.pending:
                    raise ModelError(
                        f"vLLM wrote nothing after {turn.length} tokens; its log says why. With a "
                        "smaller n_envs it needs less memory."
                    )
            self._step()
        taken = [turn.take() for turn in turns]
        tokens = np.array([token for token, _ in taken], np.int64)
        logprobs = np.array([logprob for _, logprob in taken], np.float32)
        check_tokens(torch.from_numpy(np.where(np.isnan(logprobs), -1, tokens)))
        return tokens, logprobs

    def rest(self) -> None:
        """Ends a rollout: drops tokens that were not returned, and frees memory with `sleep`."""
        self._forget()
        self.engine.sleep()

    def _forget(self) -> None:
        self.engine.abort(list(self._running))
        self._running.clear()
        self._turns.clear()

    def _turn(self, row: int, ids: NDArray[np.int32]) -> _Turn:
        """Returns the turn that continues these tokens; a new one if there is none."""
        turn = self._turns.get(row)
        if turn is not None:
            if turn.goes_on(ids):
                return turn
            if turn.request is not None:
                self.engine.abort([turn.request])
                del self._running[turn.request]
        request = str(self._n_requests)
        self._n_requests += 1
        self.engine.add(
            request,
            ids,
            max_tokens=min(self._max_new_tokens, self._window - len(ids)),
            stop_ids=self._stop_ids,
            seed=None if self._deterministic else int(torch.randint(2**62, ())),
        )
        turn = _Turn(self._window, request, ids)
        self._turns[row] = self._running[request] = turn
        return turn

    def _step(self) -> None:
        for request, found, has_ended in self.engine.step():
            # A request that was ended may still give tokens.
            turn = self._running.get(request)
            if turn is None:
                continue
            turn.pending.extend(found)
            if has_ended:
                del self._running[request]
                turn.request = None


class _Turn:
    """The current turn of a slot, of which some tokens are still being computed.

    Attributes:
        request: Name of its request; None once vLLM has finished it.
        length: Number of tokens before the next one to return.
        pending: Tokens to return, with their log-probabilities.
    """

    def __init__(self, window: int, request: str, ids: NDArray[np.int32]) -> None:
        self.request: str | None = request
        self.length = len(ids)
        self.pending: deque[tuple[int, float]] = deque()
        self._ids = np.zeros(window, np.int32)
        self._ids[: self.length] = ids

    def goes_on(self, ids: NDArray[np.int32]) -> bool:
        """Returns whether a sequence is exactly what was returned, and more tokens follow."""
        has_more = bool(self.pending) or self.request is not None
        return has_more and np.array_equal(ids, self._ids[: self.length])

    def take(self) -> tuple[int, float]:
        """Returns the next token; no other sequence gets it, not even one of the same prompt."""
        token, logprob = self.pending.popleft()
        self._ids[self.length] = token
        self.length += 1
        return token, logprob
