"""Collects the rollouts of a run: which prompts, who writes, and which episodes count."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from stable_baselines3.common.vec_env import VecEnv

from agents.policy.lm_policy import LMPolicy
from agents.ppo.curriculum import Answers, answers_of
from agents.ppo.distributed import Ranks
from agents.ppo.metrics import RolloutStats, gather_stats
from agents.ppo.options import PPOOptions
from agents.ppo.prompts import PromptOrder
from agents.ppo.rollout import TokenPolicy, collect_episodes, collect_groups, take_valid
from agents.ppo.sharding import gathered
from agents.ppo.vec_env import TextVecEnv, find_end_id
from agents.ppo.vllm_engine import check_policy
from agents.ppo.vllm_sampler import VLLMSampler
from textenv.datasets import TextDataset
from textenv.deadlines import ROLLOUT_VARIABLE, call_within, limit_from, limit_rewards
from textenv.rollout import PlayedEpisode, StepHook


@dataclass(frozen=True)
class Collected:
    """A rollout."""

    episodes: list[PlayedEpisode]  # Episodes to learn from, of this process
    stats: RolloutStats  # Statistics of all processes, episodes that could not be scored included
    # Rewards of each prompt that this process played, if it is measured how much prompts teach
    answers: list[Answers]


class Collector:
    """Plays rollouts with a policy, or with the sampler that the options name in its place.

    Args:
        policy: Policy that learns.
        prompt_order: Order in which prompts are played, unless each slot draws its own.
        options: Options of PPO.
        ranks: Processes of the run.

    Raises:
        ConfigError: The sampler cannot take the policy's place.
    """

    def __init__(
        self, policy: LMPolicy, prompt_order: PromptOrder, options: PPOOptions, ranks: Ranks
    ) -> None:
        if options.sampler is not None:
            check_policy(policy)
        self._policy, self._prompt_order, self._ranks = policy, prompt_order, ranks
        self._sampler: VLLMSampler | None = None

    def collect(
        self,
        env: VecEnv,
        options: PPOOptions,
        on_step: StepHook,
        levels: Mapping[str, TextDataset],
    ) -> Collected | None:
        """Plays `n_episodes` episodes to their end; None if a process's callback stopped it.

        All processes of a run must call it.

        Args:
            env: Environment.
            options: Options of PPO.
            on_step: Callback of each step, as in `textenv.rollout.play`.
            levels: Data sets of the difficulty levels whose prompts are played; empty for the
                environment's own data set.

        Raises:
            RewardError: Too few episodes could be scored.
            DeadlineError: The rollout, or a call of the reward, took too long.
        """
        group_size, n_tokens = options.group_size, 0

        def counted(n: int, *seen: Any) -> bool:
            nonlocal n_tokens
            n_tokens += n
            return on_step(n, *seen)

        order, answers = self._prompt_order, list[Answers]()
        share = options.uniform_share if options.prompts == "curriculum" else 1.0

        def collect(n: int) -> list[PlayedEpisode] | None:
            if options.prompts == "independent":
                return collect_episodes(env, writer, n, counted, group_size)
            with order.choosing(env, n // group_size, group_size, levels, share) as prompts:
                episodes = collect_episodes(env, writer, n, counted, group_size)
            if options.learns_prompts and episodes is not None:
                answers.extend(answers_of(prompts, episodes))
            return episodes

        # Only `TextVecEnv` can mask; a step of any other environment raises, as it always does.
        masking = env.masking_invalid() if isinstance(env, TextVecEnv) else nullcontext()
        n_episodes = self._ranks.share(options.n_episodes, "n_episodes")

        def collect_all() -> tuple[list[PlayedEpisode], list[PlayedEpisode]] | None:
            return collect_groups(collect, n_episodes, group_size, options.resample_rounds)

        limit_s = limit_from(ROLLOUT_VARIABLE, options.rollout_timeout_s)
        with masking, gathered(self._policy), limit_rewards(options.reward_timeout_s):
            writer = self._writer(env, options)
            what = f"a rollout of {n_episodes} episodes (rollout_timeout_s, {ROLLOUT_VARIABLE})"
            found = call_within(collect_all, what, limit_s, kind="rollout", say_every_s=limit_s / 2)
        if self._sampler is not None:
            self._sampler.rest()
        if self._ranks.any(found is None):
            return None
        assert found is not None
        played, replaced = found
        episodes = take_valid(played, options.max_invalid_share)
        everyone = played + replaced
        end_id = find_end_id(env)
        stats = gather_stats(self._ranks, episodes, everyone, n_tokens, end_id, group_size)
        return Collected(episodes, stats, answers)

    def _writer(self, env: VecEnv, options: PPOOptions) -> TokenPolicy:
        """Returns what writes the tokens of a rollout."""
        if options.sampler is None:
            return self._policy
        if self._sampler is None:
            kwargs: dict[str, Any] = dict(options.sampler_kwargs)
            self._sampler = VLLMSampler(self._policy, end_id=find_end_id(env), **kwargs)
        return self._sampler
