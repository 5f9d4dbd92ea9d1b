"""Features of text environments for any Stable-Baselines3 algorithm.

    DQN("MultiInputPolicy", env, policy_kwargs=candidate_policy_kwargs(env))  # select level
    PPO("MultiInputPolicy", env, policy_kwargs=text_policy_kwargs())  # token level

SB3's own extractor for dict observations would silently take token ids as magnitudes, from which
nothing can be learned.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from agents.policy.observations import SELECT_KEYS, TOKEN_KEYS
from textenv.errors import ConfigError

__all__ = ["CandidateFeatures", "TextFeatures", "candidate_policy_kwargs", "text_policy_kwargs"]

_N_LAST = 4  # tokens that have features of their own
_CLOSED = -1e9  # an attention score that no softmax sees


class HasSpaces(Protocol):
    """An environment, single or of Stable-Baselines3."""

    @property
    def action_space(self) -> spaces.Space[Any]:
        """Space of its actions."""
        ...


def candidate_policy_kwargs(env: HasSpaces, **arguments: Any) -> dict[str, Any]:
    """Returns the `policy_kwargs` with which an SB3 policy reads a select-level environment.

    `net_arch` is empty: further layers would mix the candidates, and learn more slowly.

    Args:
        env: Environment, for its number of actions.
        arguments: Further arguments of `CandidateFeatures`.

    Raises:
        ConfigError: The environment is not at select level.
    """
    if not isinstance(env.action_space, spaces.Discrete):
        raise ConfigError(
            'CandidateFeatures needs a text environment at select level, action_level="select"; '
            f"the actions of this one are {env.action_space}."
        )
    return {
        "features_extractor_class": CandidateFeatures,
        "features_extractor_kwargs": {"n_candidates": int(env.action_space.n), **arguments},
        "net_arch": [],
    }


def text_policy_kwargs(**arguments: Any) -> dict[str, Any]:
    """Returns the `policy_kwargs` with which an SB3 policy reads a token-level environment.

    Args:
        arguments: Arguments of `TextFeatures`.
    """
    return {"features_extractor_class": TextFeatures, "features_extractor_kwargs": arguments}


class TextFeatures(BaseFeaturesExtractor):
    """Reads the text so far: all tokens with their neighbours, pooled, and the last four each.

    It is meant for small networks that are trained from scratch, with few actions
    (`textenv.wrappers.SmallVocabulary`). `agents.LMPolicy` is the policy for whole vocabularies.

    Args:
        observation_space: Observation space of an environment at token level.
        embedding_size: Size of each token's embedding. There are six times as many features, and
            one for the tokens left in the turn.

    Raises:
        ConfigError: The environment is not a text environment at token level.
    """

    def __init__(self, observation_space: spaces.Space[Any], embedding_size: int = 48) -> None:
        _check_keys(observation_space, TOKEN_KEYS, "TextFeatures", "token")
        super().__init__(observation_space, (_N_LAST + 2) * embedding_size + 1)
        self.embedding = nn.Embedding(_vocab_size(observation_space), embedding_size)
        self.context = nn.Conv1d(embedding_size, embedding_size, kernel_size=5, padding=2)
        remaining = observation_space["remaining"]  # type: ignore[index] # checked to be a Dict
        self.budget = float(remaining.high.max())

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """Returns (batch, 6 * embedding_size + 1)."""
        ids, mask = _trim(observations["input_ids"], observations["attention_mask"])
        tokens = self.embedding(ids) * mask.unsqueeze(-1)  # (B, L, E)
        context = _add_context(self.context, tokens)
        strongest = context.masked_fill(~mask.unsqueeze(-1), -1).amax(dim=1)
        ends = mask.sum(dim=1, keepdim=True) - torch.arange(1, _N_LAST + 1, device=ids.device)
        rows = torch.arange(len(ids), device=ids.device).unsqueeze(1)
        last = tokens[rows, ends.clamp(min=0)] * (ends >= 0).unsqueeze(-1)
        left = observations["remaining"] / self.budget
        return torch.cat([_mean(context, mask), strongest, last.flatten(1), left], dim=1)


class CandidateFeatures(BaseFeaturesExtractor):
    """Reads the conversation and each candidate reply, and describes how they go together.

    Tokens are embedded, and a convolution adds their neighbours. Every token of a candidate attends
    to similar tokens of the conversation. The results are pooled over the candidate, and joined
    with the pooled conversation. All candidates share the same weights, so what is learned about
    one holds for every place.

    Args:
        observation_space: Observation space of an environment at select level.
        n_candidates: Number of actions, N.
        embedding_size: Size of each token's embedding.
        features_per_candidate: Number of features of each candidate; there are N times as many in
            all.

    Raises:
        ConfigError: The environment is not a text environment at select level.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        n_candidates: int,
        embedding_size: int = 48,
        features_per_candidate: int = 8,
    ) -> None:
        _check_keys(observation_space, SELECT_KEYS, "CandidateFeatures", "select")
        super().__init__(observation_space, n_candidates * features_per_candidate)
        self.n_candidates = n_candidates
        size = embedding_size
        self.embedding = nn.Embedding(_vocab_size(observation_space), size)
        self.context = nn.Conv1d(size, size, kernel_size=5, padding=2)
        self.query = nn.Linear(size, size, bias=False)
        self.key = nn.Linear(size, size, bias=False)
        for projection in (self.query, self.key):
            # At first a token attends to equal ones.
            nn.init.eye_(projection.weight)
        self.compare = nn.Sequential(nn.Linear(4 * size, size), nn.ReLU())
        self.describe = nn.Sequential(
            nn.Linear(3 * size, size), nn.ReLU(), nn.Linear(size, features_per_candidate)
        )

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """Returns (batch, N * features_per_candidate), candidate by candidate."""
        batch, size = len(observations["input_ids"]), self.embedding.embedding_dim
        text_ids, text_mask = _trim(observations["input_ids"], observations["attention_mask"])
        shape = (batch * self.n_candidates, -1)
        ids, mask = _trim(
            observations["candidate_ids"].view(shape), observations["candidate_mask"].view(shape)
        )

        text = self.embedding(text_ids) * text_mask.unsqueeze(-1)  # (B, L, E)
        said = self.embedding(ids) * mask.unsqueeze(-1)  # (B * N, C, E)
        text_context = _add_context(self.context, text)
        said_context = _add_context(self.context, said).reshape(batch, -1, size)
        said = said.reshape(batch, -1, size)  # (B, N * C, E)
        candidate_mask = mask.view(batch, self.n_candidates, -1)

        scores = self.query(said) @ self.key(text).transpose(1, 2) / size**0.5  # (B, N * C, L)
        scores = scores.masked_fill(~text_mask.unsqueeze(1), _CLOSED)
        attention = torch.softmax(scores, dim=-1)
        found, around = attention @ text, attention @ text_context
        compared = self.compare(
            torch.cat([said, said * found, said_context, said_context * around], dim=-1)
        )
        compared = compared.view(batch, self.n_candidates, -1, size)
        pooled = _mean(compared, candidate_mask)  # (B, N, E)
        strongest = compared.masked_fill(~candidate_mask.unsqueeze(-1), 0).amax(dim=2)
        summary = _mean(text_context, text_mask)  # (B, E)
        summary = summary.unsqueeze(1).expand_as(pooled)
        features: Tensor = self.describe(torch.cat([pooled, strongest, summary], dim=-1))
        # A place without a candidate is all zeros.
        features = features * candidate_mask.any(dim=2, keepdim=True)
        return features.flatten(1)


def _check_keys(space: spaces.Space[Any], keys: set[str], reader: str, level: str) -> None:
    if not isinstance(space, spaces.Dict) or set(space.spaces) != keys:
        raise ConfigError(
            f"{reader} needs a text environment at {level} level, for instance "
            f"gymnasium.make('TextQAChoice-v0', action_level='{level}'); this one observes {space}."
        )


def _vocab_size(space: spaces.Space[Any]) -> int:
    assert isinstance(space, spaces.Dict)
    ids = space["input_ids"]
    assert isinstance(ids, spaces.Box)
    return int(ids.high.max()) + 1


def _trim(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Drops the columns that are padding in every row.

    SB3 turns ids into floats, which are exact up to 2 ** 24; here they become ids again.
    """
    longest = max(1, int(mask.sum(dim=1).max()))
    return ids[:, :longest].long(), mask[:, :longest] > 0


def _add_context(convolution: nn.Conv1d, tokens: Tensor) -> Tensor:
    """Adds its neighbours to each token; (rows, time, E) in and out."""
    neighbours: Tensor = convolution(tokens.transpose(1, 2))
    return torch.tanh(neighbours.transpose(1, 2))


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Returns the mean over the second-last dimension of the values that the mask keeps."""
    weights = mask.unsqueeze(-1).to(values.dtype)
    return (values * weights).sum(dim=-2) / weights.sum(dim=-2).clamp(min=1)
