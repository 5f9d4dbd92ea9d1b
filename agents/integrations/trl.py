"""Environments for TRL's GRPOTrainer: prompts, a reward function, a rollout function.

This module does not import TRL: rows are plain dicts, and the functions have the signatures that
its trainer expects.

    rows = prompt_rows("TextSummarize-v0", 512)
    GRPOTrainer(
        model, train_dataset=Dataset.from_list(rows),
        reward_funcs=reward_function("TextSummarize-v0"), ...
    )

This is enough for episodes of one turn. Where the environment answers, let it play the episodes:

    GRPOTrainer(
        model, train_dataset=Dataset.from_list(rows), reward_funcs=episode_reward,
        rollout_func=rollout_function("TextDialogue-v0", rows), ...
    )
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textenv.episode import TextCore
from textenv.errors import ConfigError
from textenv.examples import to_messages
from textenv.rewards import compute_rewards
from textenv.rollout import EpisodeSlots, PlayedEpisode, SpeakerWriter, Writer, play_examples
from textenv.vector import make_core

__all__ = ["episode_reward", "prompt_rows", "reward_function", "rollout_function"]

Row = dict[str, Any]
Messages = Sequence[Mapping[str, Any]]
Completion = str | Messages
TRLReward = Callable[..., list[float]]
TRLRollout = Callable[[list[Any], Any], dict[str, list[Any]]]


def prompt_rows(id: str, n: int, *, split: str = "train", **arguments: Any) -> list[Row]:
    """Exports the first examples of a split as rows of a conversational prompt dataset.

    Examples whose opening equals that of an earlier row are left out, so that a prompt identifies
    its example. Prompts are whole, even where the environment would cut them to
    `max_prompt_tokens`.

    Args:
        id: Id of the environment.
        n: Number of rows; fewer if the split has fewer different openings.
        split: "train", "validation" or "test".
        arguments: Further arguments of the environment, such as `dataset`.

    Returns:
        Rows with "prompt", a list of {"role", "content"}, and with "index" and "split", which
        identify the example. `datasets.Dataset.from_list` makes a dataset from them.

    Raises:
        ConfigError: The number of rows is less than 1.
    """
    if n < 1:
        raise ConfigError(f"The number of rows, n, is a whole number from 1 up, not {n}.")
    core = make_core(id, 1, arguments)
    dataset = core.dataset(split)
    rows: dict[tuple[tuple[str, str], ...], Row] = {}
    for index in range(len(dataset)):
        if len(rows) == n:
            break
        prompt = list(to_messages(core.task.opening(dataset[index])))
        rows.setdefault(_key(prompt), {"prompt": prompt, "index": index, "split": split})
    return list(rows.values())


def reward_function(id: str, **arguments: Any) -> TRLReward:
    """Makes a reward function that scores completions as the environment scores episodes.

    A completion is played as the agent's only turn, cut to `max_new_tokens` if it is longer. All
    completions of a call are scored in one batch. TRL logs the total as `rewards/<id>/mean`, and
    each component under its own name.

    Args:
        id: Id of the environment.
        arguments: Further arguments of the environment. `tokenizer` should be the trained model's,
            since `max_new_tokens` counts its tokens.

    Returns:
        Function of `prompts`, `completions` and the columns of `prompt_rows`.

    Raises:
        ConfigError: Episodes have several turns, and a completion is only the first.
    """
    core = make_core(id, 1, arguments)
    if core.max_turns > 1:
        raise ConfigError(
            f"An episode of '{id}' has up to {core.max_turns} turns, and a completion is only the "
            "first. Let the environment play: rollout_func=rollout_function(...) with "
            "reward_funcs=episode_reward."
        )

    def reward(
        prompts: Sequence[Any],
        completions: Sequence[Completion],
        index: Sequence[int],
        split: Sequence[str],
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float]:
        examples = [core.dataset(name)[int(row)] for row, name in zip(index, split, strict=True)]
        # A message that only calls tools has no content, and says nothing.
        texts = iter(c if isinstance(c, str) else str(c[-1]["content"] or "") for c in completions)
        # One slot plays them in order.
        writer = SpeakerWriter(core, lambda example, transcript: next(texts))
        episodes = [played.conversation for played in play_examples(core, writer, examples)]
        result = compute_rewards(core.reward, episodes)
        if log_metric is not None:
            for component, values in result.components.items():
                log_metric(f"reward_components/{component}", float(values.mean()))
        return [float(total) for total in result.total]

    reward.__name__ = id
    return reward


def rollout_function(id: str, rows: Sequence[Row], **arguments: Any) -> TRLRollout:
    """Makes a rollout function that plays whole episodes, of one or several turns.

    The trainer's own model samples the tokens with cached keys and values, and they are written
    into the environment one by one, with the same transition as in `gym.make_vec`. `env_mask` tells
    TRL which tokens the agent wrote. Sampling is from the whole distribution at the trainer's
    temperature.

    Args:
        id: Id of the environment.
        rows: Rows of `prompt_rows` that the trainer may draw, for training and evaluation.
        arguments: Further arguments of the environment. `tokenizer` must be the trained model's.

    Returns:
        Function of (prompts, trainer) for GRPOTrainer's `rollout_func`. Use it with
        `episode_reward` in `reward_funcs`.

    Raises:
        ConfigError: Two examples have the same prompt.
    """
    by_prompt: dict[Any, tuple[str, int]] = {}
    for row in rows:
        place = str(row["split"]), int(row["index"])
        if (known := by_prompt.setdefault(_key(row["prompt"]), place)) != place:
            raise ConfigError(
                f"Two rows have the same prompt, and TRL tells nothing else of a row: {known} and "
                f"{place}. Leave one of them out."
            )
    cores = [make_core(id, 1, arguments)]

    def rollout(prompts: list[Any], trainer: Any) -> dict[str, list[Any]]:
        if cores[0].n_slots < len(prompts):
            cores[0] = make_core(id, len(prompts), arguments)
        core = cores[0]
        examples = []
        for prompt in prompts:
            if _key(prompt) not in by_prompt:
                raise ConfigError(
                    f"The prompt {_key(prompt)[-1][1][:60]!r} is not one of the rows that "
                    "rollout_function was given. Give it the rows of every dataset of the trainer."
                )
            split, index = by_prompt[_key(prompt)]
            examples.append(core.dataset(split)[index])
        with trainer.accelerator.autocast():
            episodes = play_examples(core, _writer(core, trainer), examples, scored=True)
        return _as_columns(episodes)

    return rollout


def episode_reward(
    prompts: Sequence[Any],
    completions: Sequence[Completion],
    episode_rewards: Sequence[float],
    episode_components: Sequence[Mapping[str, float]],
    log_metric: Callable[[str, float], None] | None = None,
    **columns: Any,
) -> list[float]:
    """Returns the environment's rewards of the episodes that `rollout_function` played."""
    if log_metric is not None:
        for name in episode_components[0]:
            mean = float(np.mean([components[name] for components in episode_components]))
            log_metric(f"reward_components/{name}", mean)
    return [float(reward) for reward in episode_rewards]


def _as_columns(episodes: Sequence[PlayedEpisode]) -> dict[str, list[Any]]:
    """Returns episodes as GRPOTrainer takes a rollout."""
    keys = ("prompt_ids", "completion_ids", "logprobs", "env_mask")
    columns: dict[str, list[Any]] = {key: [] for key in keys}
    for episode in episodes:
        assert episode.logprobs is not None
        start = episode.n_prompt
        columns["prompt_ids"].append(episode.input_ids[:start].tolist())
        columns["completion_ids"].append(episode.input_ids[start:].tolist())
        columns["logprobs"].append(episode.logprobs[start:].tolist())
        columns["env_mask"].append(episode.action_mask[start:].astype(int).tolist())
    columns["episode_rewards"] = [episode.reward for episode in episodes]
    columns["episode_components"] = [episode.components for episode in episodes]
    return columns


def _writer(core: TextCore, trainer: Any) -> Writer:
    """Returns a writer that samples from the trainer's model."""
    import torch

    from agents.decoding.decoder import SlotDecoder
    from agents.decoding.sampling import check_tokens, choose_tokens
    from agents.models.loading import backbone_and_head, check_vocabulary
    from agents.probing.examination import Question
    from agents.probing.probe import probe

    _check_sampling(trainer.args)
    model = trainer.accelerator.unwrap_model(trainer.model)
    vocab_size = core.tokenizer.vocab_size
    check_vocabulary(model, vocab_size)
    backbone, head = backbone_and_head(model)
    ways = probe(model, Question(core.window), getattr(model, "name_or_path", ""))
    decoder = SlotDecoder(backbone, core.n_slots, core.window, head=head, cached=ways.cached)

    class TrainerWriter:
        def write(
            self, slots: EpisodeSlots, rows: NDArray[np.int64]
        ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
            with torch.no_grad():
                fed = decoder.feed(rows, slots.texts(rows), slots.lengths(rows))
                logits = decoder.logits(fed)[:, :vocab_size].float() / trainer.args.temperature
                tokens, logprobs = (part.cpu() for part in choose_tokens(logits))
            check_tokens(tokens)
            return tokens.numpy(), logprobs.numpy().astype(np.float32)

    return TrainerWriter()


def _check_sampling(args: Any) -> None:
    """Raises if settings would sample from another distribution than the trained one."""
    neutral = {"top_p": 1.0, "top_k": 0, "min_p": None, "repetition_penalty": 1.0}
    for name, value in neutral.items():
        given = getattr(args, name, value)
        if given != value and given is not None:
            raise ConfigError(
                f"rollout_function samples from the whole distribution; {name}={given} would cut "
                f"it. Leave {name} at {value}."
            )


def _key(prompt: Messages) -> tuple[tuple[str, str], ...]:
    return tuple((str(message["role"]), str(message["content"])) for message in prompt)
