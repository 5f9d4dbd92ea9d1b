"""Wrappers of single environments: other spaces over the same task, shaping, and recording."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, SupportsFloat, cast

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from textenv.episode import TextCore
from textenv.errors import ConfigError
from textenv.examples import Episode
from textenv.levels import Info, Observation
from textenv.rendering import transcript_text
from textenv.rewards import compute_rewards, load_reward
from textenv.rewards.dense import PotentialDifferences
from textenv.rewards.loading import RewardSpec
from textenv.spaces import AnyText
from textenv.tokenization import TokenizerSpec, load_tokenizer

__all__ = [
    "PotentialShaping",
    "RecordEpisodes",
    "RecordVectorEpisodes",
    "SmallVocabulary",
    "TokenObservation",
    "TranscriptObservation",
]

Step = tuple[Observation, SupportsFloat, bool, bool, Info]


class SmallVocabulary(gym.Wrapper[Observation, Any, Observation, Any], RecordConstructorArgs):
    """Lets a token-level agent write only some words: few actions, for small networks.

    ## Action Space
    `Discrete(K + 1)`: 0 ends the turn, i writes the i-th word. A word of several tokens is written
    whole, in one step.

    `action_masks()` closes the words that are longer than what remains of the turn.

    Args:
        env: A token-level text environment.
        words: The K different texts that may be written. A space at their beginning matters.

    Raises:
        ConfigError: The environment is of another level, or a word is empty or given twice.
    """

    def __init__(self, env: gym.Env[Observation, Any], words: Sequence[str]) -> None:
        RecordConstructorArgs.__init__(self, words=tuple(words))
        gym.Wrapper.__init__(self, env)
        self._core = _core(env, "token")
        tokenizer = self._core.tokenizer
        if isinstance(words, str) or not words or len({*words}) < len(words) or "" in words:
            raise ConfigError("words is a list of one or more texts; each once, and none empty.")
        self.words = tuple(words)
        self._ids = [[tokenizer.end_id], *(tokenizer.encode(word) for word in words)]
        self._n_tokens = np.array([len(ids) for ids in self._ids])
        self.action_space = gym.spaces.Discrete(len(self._ids))

    def step(self, action: Any) -> Step:
        """Ends the turn (0), or writes a word; rewards of its tokens are summed."""
        if not self.action_space.contains(action):
            raise ConfigError(
                f"Action {action!r} is not in the vocabulary: 0 ends the turn, 1 to "
                f"{len(self.words)} write a word."
            )
        paid, n_turns = 0.0, len(self._core.turns[0])
        for id in self._ids[int(action)]:
            observation, reward, terminated, truncated, info = self.env.step(np.int64(id))
            paid += float(reward)
            # A word that is too long for the turn is cut where the turn ends.
            if terminated or truncated or len(self._core.turns[0]) > n_turns:
                break
        return observation, paid, terminated, truncated, info

    def action_masks(self) -> NDArray[np.bool_]:
        """Returns which actions are open, bool (K + 1,)."""
        return np.asarray(self._n_tokens <= self._core.remaining[0])


class TranscriptObservation(gym.ObservationWrapper[str, Any, Observation], RecordConstructorArgs):
    """Shows the conversation as one string, whatever the level, an unfinished turn included.

    ## Observation Space
    `AnyText()`.
    """

    def __init__(self, env: gym.Env[Observation, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        gym.ObservationWrapper.__init__(self, env)
        self._core = _core(env)
        self.observation_space = AnyText()

    def observation(self, observation: Observation) -> str:
        """Returns the conversation."""
        return transcript_text(self._core.transcript(0))


class TokenObservation(
    gym.ObservationWrapper[dict[str, NDArray[Any]], Any, Observation], RecordConstructorArgs
):
    """Shows the conversation as tokens of any tokenizer, whatever the level.

    ## Observation Space
    A `Dict` of `input_ids` int32 (max_tokens,) and `attention_mask` int8 (max_tokens,), padded on
    the right. A conversation that is too long loses its beginning.

    Args:
        env: A text environment.
        tokenizer: Name, folder or loaded tokenizer, as for the environments.
        max_tokens: The length of both arrays.
    """

    def __init__(
        self,
        env: gym.Env[Observation, Any],
        tokenizer: TokenizerSpec = "embedded",
        max_tokens: int = 512,
    ) -> None:
        RecordConstructorArgs.__init__(self, tokenizer=tokenizer, max_tokens=max_tokens)
        gym.ObservationWrapper.__init__(self, env)
        if max_tokens < 1:
            raise ConfigError(f"max_tokens must be 1 or more, not {max_tokens}.")
        self._core = _core(env)
        self._tokenizer = load_tokenizer(tokenizer)
        self._max_tokens = max_tokens
        largest = self._tokenizer.vocab_size - 1
        boxes: dict[str, gym.Space[Any]] = {
            "attention_mask": gym.spaces.Box(0, 1, (max_tokens,), np.int8),
            "input_ids": gym.spaces.Box(0, largest, (max_tokens,), np.int32),
        }
        self.observation_space = cast("gym.Space[dict[str, NDArray[Any]]]", gym.spaces.Dict(boxes))

    def observation(self, observation: Observation) -> dict[str, NDArray[Any]]:
        """Returns the conversation, encoded."""
        ids = self._tokenizer.encode(transcript_text(self._core.transcript(0)))
        ids = ids[-self._max_tokens :]
        input_ids = np.full(self._max_tokens, self._tokenizer.pad_id, np.int32)
        mask = np.zeros(self._max_tokens, np.int8)
        input_ids[: len(ids)] = ids
        mask[: len(ids)] = 1
        return {"attention_mask": mask, "input_ids": input_ids}


class PotentialShaping(gym.Wrapper[Observation, Any, Observation, Any], RecordConstructorArgs):
    """Pays a reward at every step by what it adds to a potential, without changing what is best.

    Each step adds gamma * potential(after) - potential(before), and the potential of an ended
    episode is 0. The start counts as 0, too, so with gamma 1 an episode's sum is what the
    environment itself pays. `info["shaping"]` is what was added. The reward `dense` does the same
    within the environment, every so many tokens, and in vector environments, too.

    Paper: Ng, Harada and Russell, "Policy invariance under reward transformations" (1999).

    Args:
        env: A text environment.
        potential: A reward (a name, weights, or a callable) that scores the unfinished episode.
        gamma: The agent's discount.
    """

    def __init__(
        self, env: gym.Env[Observation, Any], potential: RewardSpec, gamma: float = 1.0
    ) -> None:
        RecordConstructorArgs.__init__(self, potential=potential, gamma=gamma)
        gym.Wrapper.__init__(self, env)
        self._core = _core(env)
        self._reward = load_reward(potential)
        self._differences = PotentialDifferences(1, gamma)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, Info]:
        """Begins an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._start = self._score()
        self._differences.start(0)
        return observation, info

    def step(self, action: Any) -> Step:
        """Takes an action; its reward is the environment's own and the shaping."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        potential = 0.0 if terminated else self._score() - self._start
        shaping = float(self._differences.move(0, potential))
        return (
            observation,
            float(reward) + shaping,
            terminated,
            truncated,
            {**info, "shaping": shaping},
        )

    def _score(self) -> float:
        return float(compute_rewards(self._reward, [self._core.so_far(0)]).total[0])


class RecordEpisodes(gym.Wrapper[Observation, Any, Observation, Any], RecordConstructorArgs):
    """Appends each finished episode to a JSON Lines file, for a person or another program.

    A line holds example_id, turns (role and text), response, stop_reason, n_tokens (the agent's),
    reward (of the whole episode), reward_components, and truncated. An episode that was truncated
    has no stop reason, no pay and no components; one that could not be scored, where the agent
    allows that, has null as its reward.

    Args:
        env: A text environment.
        path: The file; folders above it are made.
    """

    def __init__(self, env: gym.Env[Observation, Any], path: str | Path) -> None:
        RecordConstructorArgs.__init__(self, path=str(path))
        gym.Wrapper.__init__(self, env)
        self._core = _core(env)
        self._file = _EpisodeFile(path)
        self._paid = 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, Info]:
        """Begins an episode."""
        self._paid = 0.0
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> Step:
        """Takes an action, and records the episode if it ends it."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._paid += float(reward)
        if terminated or truncated:
            worth = self._paid if terminated else 0.0
            self._file.append(self._core.so_far(0), worth, terminated, info)
        return observation, reward, terminated, truncated, info


class RecordVectorEpisodes(gym.vector.VectorWrapper):
    """Appends each finished episode of a text vector environment to a file, as `RecordEpisodes`.

    It does so in every autoreset mode, and under SB3's `TextVecEnv`, too.

    Args:
        env: Text vector environment, made by `gymnasium.make_vec`.
        path: The file; folders above it are made.
    """

    def __init__(self, env: gym.vector.VectorEnv[Any, Any, Any], path: str | Path) -> None:
        super().__init__(env)
        _core(env).end_listeners.append(_EpisodeFile(path).record)


class _EpisodeFile:
    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._path.parent.mkdir(parents=True, exist_ok=True)

    def record(
        self, core: TextCore, slot: int, reward: float, terminated: bool, info: Info
    ) -> None:
        self.append(core.so_far(slot), reward, terminated, info)

    def append(self, episode: Episode, reward: float, terminated: bool, info: Info) -> None:
        record = {
            "example_id": episode.example.id,
            "turns": [{"role": turn.role, "text": turn.text} for turn in episode.turns],
            "response": episode.response,
            "stop_reason": episode.stop_reason if terminated else None,
            "n_tokens": int(episode.action_mask.sum()),
            "reward": reward if info.get("valid", True) else None,
            "reward_components": info.get("reward_components", {}),
            "truncated": not terminated,
        }
        line = json.dumps(record, ensure_ascii=False)
        # Half a surrogate pair becomes its own JSON escape.
        with self._path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(line + "\n")


def _core(env: Any, level: str | None = None) -> TextCore:
    """Returns the slots of a text environment; raises for other environments and action levels."""
    core = getattr(env.unwrapped, "core", None)
    if not isinstance(core, TextCore):
        raise ConfigError(f"{env.unwrapped} is not a text environment; this wrapper needs one.")
    if level is not None and core.action_level != level:
        raise ConfigError(
            f'This wrapper needs an environment made with action_level="{level}", not '
            f'"{core.action_level}".'
        )
    return core
