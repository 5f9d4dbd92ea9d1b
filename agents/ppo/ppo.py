"""PPO on whole sequences, with Stable-Baselines3's constructor and methods."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback, Schedule
from stable_baselines3.common.utils import FloatSchedule, explained_variance
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from agents.ppo.buffer import CollectedEpisode, EpisodeBatch, make_batch
from agents.ppo.distributed import asks_for_fsdp, join_ranks
from agents.ppo.kl import AdaptiveKL, FixedKL
from agents.ppo.options import (
    check_at_least,
    check_groups,
    check_loss_options,
    check_sampler,
    check_token_level,
    most_tokens,
)
from agents.ppo.policy import LMPolicy
from agents.ppo.reference import Reference
from agents.ppo.rollout import Infos, collect_episodes, gather_stats, is_scored, take_valid
from agents.ppo.sharding import gathered, is_sharded, shard_policy, whole
from agents.ppo.targets import Targets, TargetSettings, evaluate_rollout, make_targets
from agents.ppo.update import LossSettings, accumulate_gradients
from agents.ppo.vec_env import TextVecEnv
from agents.ppo.vllm_engine import check_policy
from agents.ppo.vllm_sampler import VLLMSampler, find_end_id
from textenv.errors import ConfigError, UnknownNameError
from textenv.vector import TextVectorEnv

Metrics = Mapping[str, float]
_PRINTED_CHARS = 30


class TextPPO(PPO):
    """Proximal policy optimization of a language model on text environments.

    Schulman et al. 2017 (arXiv 1707.06347), with the KL penalty to a reference model of Ziegler et
    al. 2019 (arXiv 1909.08593). Where it departs from SB3's PPO: it collects whole episodes,
    one teacher-forced pass gives every log-probability and value of an episode, and advantages are
    whitened over the whole rollout. On complete episodes in one minibatch without a KL penalty the
    loss and its gradient are SB3's.

    Args:
        policy: "LMPolicy" or a subclass.
        env: An id, `gymnasium.make_vec(...)`, `gymnasium.make(...)`, or an SB3 `VecEnv`.
        learning_rate: A number or SB3 schedule.
        n_steps: SB3's size of a rollout, in tokens a slot: taken as the number of episodes that
            hold so many tokens at full length. Leave None and use `n_episodes`.
        batch_size: Episodes (not tokens) in a minibatch.
        n_epochs: Passes over each rollout.
        gamma: Discount per token; 1 by default, since the length of a text is not time.
        gae_lambda: Of generalised advantage estimation (arXiv 1506.02438).
        clip_range: Of the probability ratio.
        clip_range_vf: Of the value's change, with the maximum of both losses; None for no clip.
        normalize_advantage: Whiten advantages over the rollout.
        ent_coef: Of the entropy bonus.
        vf_coef: Of the mean squared error of the values.
        max_grad_norm: Gradient norm limit.
        use_sde: Must be False.
        sde_sample_freq: Unused.
        rollout_buffer_class: Must be None.
        rollout_buffer_kwargs: Must be None.
        target_kl: Stop an update when the mean KL to the old policy exceeds 1.5 times this.
        stats_window_size: Episodes over which rollout statistics are averaged.
        tensorboard_log: SB3's.
        policy_kwargs: `LMPolicy`'s arguments, such as {"model": "path/or/id"}.
        verbose: SB3's.
        seed: SB3's; it seeds torch, numpy and Python's random globally.
        device: "auto", "cpu", "cuda".
        n_episodes: Episodes of an iteration.
        n_envs: Slots that play at a time, where `env` is an id; at most `n_episodes`.
        kl_coef: Of the penalty -kl_coef * (log pi - log pi_ref) at each of the agent's tokens.
        kl_target: Nats a sequence that an adaptive coefficient steers to; None keeps it fixed.
        kl_horizon: Episodes over which the adaptive coefficient moves.
        scale_rewards: Divide the environment's rewards by the running standard deviation of
            returns.
        value_lr_factor: What the critic's own parameters learn faster than the language model;
            their head starts at zero.
        critic_warmup: Iterations at the start in which only the critic learns. Until it knows
            anything, lambda < 1 would pay late tokens for what early ones did.
        reference: The model of the KL penalty, as in `policy_kwargs["model"]`; by default the one
            that the policy starts from.
        max_invalid_share: The share of a rollout's episodes that the reward may fail to score.
            They are left out of the update and of all statistics, and counted in
            `rollout/invalid_episodes`; when there are more, `learn` raises. Other vector
            environments than `make_vec`'s raise at the first.
        advantage: "gae", or without a critic "rloo", "grpo", "dr_grpo" (GRPO without the
            deviation) or "reinforce++": see `agents.ppo.advantages`. Without a critic, no value is
            learned, and `vf_coef`, `critic_warmup` and `gae_lambda` have no effect; those of
            groups are not whitened.
        group_size: Episodes of each prompt.
        clip_range_high: Upper clip of the probability ratio; None for `clip_range`.
        dual_clip: Holds the loss of a negative advantage at so many times its size.
        importance_cap: Weigh each token's policy loss by its probability as computed for the update
            over that at sampling, and at most by this; None for no weights.
        max_grad_norm_critic: Gradient norm limit of the parameters that only the value depends on,
            apart from the others', so that a large error of the value does not shorten the
            policy's step (verl and OpenRLHF do so with their separate critics); None: jointly, as
            SB3 does.
        parallel: In a run of several processes: "ddp", each has all weights, or "fsdp", each has a
            part of them (`agents.ppo.sharding`). None: what accelerate's launcher was asked for.
            `n_episodes`, `n_envs` and `batch_size` are those of all processes together; an `env`
            that is no id has this process's slots. See docs/scaling.md.
        sampler: "vllm" has rollouts written by vLLM, beside the policy on the same GPU
            (`agents.ppo.vllm_sampler`); None: by the policy's own decoding. Evaluation is the
            policy's in either case. In runs of a single process only.
        sampler_kwargs: `VLLMSampler`'s arguments, such as {"gpu_memory_utilization": 0.4}.

    Raises:
        ConfigError: An argument does not fit.
        RankLostError: Another process of the run has ended; from `learn`.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"LMPolicy": LMPolicy}
    policy: LMPolicy

    def __init__(
        self,
        policy: str | type[LMPolicy] = "LMPolicy",
        env: GymEnv | TextVectorEnv | str | None = None,
        learning_rate: float | Schedule = 3e-5,
        n_steps: int | None = None,
        batch_size: int = 32,
        n_epochs: int = 2,
        gamma: float = 1.0,
        gae_lambda: float = 0.95,
        clip_range: float | Schedule = 0.2,
        clip_range_vf: float | Schedule | None = None,
        normalize_advantage: bool = True,
        ent_coef: float = 0.0,
        vf_coef: float = 0.1,
        max_grad_norm: float = 1.0,
        use_sde: bool = False,
        sde_sample_freq: int = -1,
        rollout_buffer_class: None = None,
        rollout_buffer_kwargs: None = None,
        target_kl: float | None = None,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: torch.device | str = "auto",
        _init_setup_model: bool = True,
        *,
        n_episodes: int = 64,
        n_envs: int = 64,
        kl_coef: float = 0.05,
        kl_target: float | None = None,
        kl_horizon: int = 10_000,
        scale_rewards: bool = False,
        value_lr_factor: float = 3.0,
        critic_warmup: int = 2,
        reference: str | None = None,
        max_invalid_share: float = 0.5,
        advantage: str = "gae",
        group_size: int = 1,
        clip_range_high: float | None = None,
        dual_clip: float | None = None,
        importance_cap: float | None = None,
        max_grad_norm_critic: float | None = None,
        parallel: Literal["ddp", "fsdp"] | None = None,
        sampler: Literal["vllm"] | None = None,
        sampler_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        if rollout_buffer_class is not None or rollout_buffer_kwargs is not None:
            raise ConfigError("TextPPO has a buffer of its own, of whole episodes.")
        if use_sde:
            raise ConfigError("use_sde is for continuous actions; a language model has none.")
        is_class = isinstance(policy, type) and issubclass(policy, LMPolicy)
        if not is_class and policy not in self.policy_aliases:
            raise ConfigError(f"policy must be 'LMPolicy' or a subclass of it, not {policy!r}.")
        check_at_least(
            0,
            critic_warmup=critic_warmup,
            clip_range_high=clip_range_high,
            value_lr_factor=value_lr_factor,
        )
        check_at_least(
            1,
            n_episodes=n_episodes,
            n_envs=n_envs,
            n_steps=n_steps,
            batch_size=batch_size,
            n_epochs=n_epochs,
            group_size=group_size,
        )
        check_loss_options(advantage, group_size, dual_clip, importance_cap, max_invalid_share)
        self.ranks = join_ranks()
        check_sampler(sampler, self.ranks.size)
        for name, value in (("n_episodes", n_episodes), ("batch_size", batch_size)):
            self.ranks.share(value, name)
        if isinstance(env, str):
            slots = self.ranks.share(min(n_envs, n_episodes), "n_envs")
            env = gym.make_vec(env, num_envs=slots)  # type: ignore[assignment] # SB3 knows no vector environments of Gymnasium
        super().__init__(
            policy,
            env,  # type: ignore[arg-type] # a TextVectorEnv is wrapped by `_wrap_env`
            learning_rate=learning_rate,
            # SB3 checks that minibatches divide a rollout of tokens, which is not how ours is cut.
            n_steps=batch_size,
            batch_size=batch_size,
            n_epochs=n_epochs,
            gamma=gamma,
            gae_lambda=gae_lambda,
            clip_range=clip_range,
            clip_range_vf=clip_range_vf,
            normalize_advantage=False,
            ent_coef=ent_coef,
            vf_coef=vf_coef,
            max_grad_norm=max_grad_norm,
            use_sde=use_sde,
            sde_sample_freq=sde_sample_freq,
            target_kl=target_kl,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            policy_kwargs=policy_kwargs,
            verbose=verbose,
            seed=seed,
            device=device,
            _init_setup_model=False,
        )
        self.normalize_advantage = normalize_advantage
        known = inspect.signature(self.policy_class).parameters
        for name in self.policy_kwargs:
            if name not in known and "kwargs" not in known:
                raise UnknownNameError("policy argument", name, known)
        if n_steps is not None and self.env is not None:
            n_episodes = max(1, n_steps * self.n_envs // most_tokens(self.env))
        self.n_episodes = n_episodes
        self.kl_coef = kl_coef
        self.kl_target = kl_target
        self.kl_horizon = kl_horizon
        self.scale_rewards = scale_rewards
        self.value_lr_factor = value_lr_factor
        self.critic_warmup = critic_warmup
        self.max_invalid_share = max_invalid_share
        self.advantage = advantage
        self.group_size = group_size
        self.clip_range_high = clip_range_high
        self.dual_clip = dual_clip
        self.importance_cap = importance_cap
        self.max_grad_norm_critic = max_grad_norm_critic
        self.parallel = parallel or ("fsdp" if asks_for_fsdp() else "ddp")
        self.sampler = sampler
        self.sampler_kwargs = dict(sampler_kwargs or {})
        self._vllm: VLLMSampler | None = None
        if self.env is not None:
            self._check_env(self.env)
        self._reference_name = reference
        self._reference: Reference | None = None
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        self.policy = self.policy_class(  # type: ignore[assignment] # SB3 promises no more than a base policy
            self.observation_space, self.action_space, self.lr_schedule, **self.policy_kwargs
        )
        self.policy.to(self.device)
        if self.sampler is not None:
            check_policy(self.policy)
        self._part_ranks()
        self.clip_range = FloatSchedule(self.clip_range)
        if self.clip_range_vf is not None:
            self.clip_range_vf = FloatSchedule(self.clip_range_vf)
        self.kl_controller: FixedKL | AdaptiveKL = (
            FixedKL(self.kl_coef)
            if self.kl_target is None
            else AdaptiveKL(self.kl_coef, self.kl_target, self.kl_horizon)
        )
        self.return_moments = RunningMeanStd(shape=())
        self.episodes: list[CollectedEpisode] = []
        self.n_episodes_done = 0
        self.n_iterations = 0

    def _part_ranks(self) -> None:
        """Gives all processes the same policy, and each other random numbers and slots."""
        ranks = self.ranks
        if ranks.size == 1:
            return
        ranks.copy_from_first(self.policy.parameters())
        if self.parallel == "fsdp":
            shard_policy(self.policy, ranks)
        seed = ranks.gather(int(np.random.SeedSequence().generate_state(1)[0]))[0]
        seed = seed if self.seed is None else self.seed
        torch.manual_seed(int(np.random.SeedSequence([seed, ranks.index]).generate_state(1)[0]))
        if self.env is not None and self.seed is not None:
            # Slot i of all is seeded with seed + i, in whichever process it is.
            self.env.seed(seed + ranks.index * self.env.num_envs)

    @property
    def reference_name(self) -> str:
        """The model of the KL penalty."""
        return self._reference_name or self.policy.model_name

    @property
    def reference(self) -> Reference:
        """The frozen model of the KL penalty, loaded when it is first needed."""
        if self._reference is None:
            self._reference = Reference(self.policy, self.reference_name)
            if is_sharded(self.policy):
                self._reference.shard(self.ranks)
        return self._reference

    @staticmethod
    def _wrap_env(env: Any, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:
        # Every environment comes through here, from the constructor, `set_env` and `load`.
        check_token_level(getattr(env, "single_observation_space", env.observation_space))
        if isinstance(env, TextVectorEnv):
            return TextVecEnv(env)
        if isinstance(env, gym.vector.VectorEnv):
            raise ConfigError(
                f"TextPPO takes what gymnasium.make_vec returns as it is, not inside {env}."
            )
        return PPO._wrap_env(env, verbose, monitor_wrapper)

    def _check_env(self, env: VecEnv) -> None:
        check_groups(env, self.ranks.share(self.n_episodes, "n_episodes"), self.group_size)

    def set_env(self, env: GymEnv | TextVectorEnv, force_reset: bool = True) -> None:
        """Sets the environment, whose number of slots may differ from before.

        Args:
            env: As for the constructor, but no id.
            force_reset: SB3's.
        """
        wrapped = self._wrap_env(env, self.verbose)
        self._check_env(wrapped)
        self.n_envs = wrapped.num_envs
        super().set_env(wrapped, force_reset)

    def learn(
        self,
        total_timesteps: int | None = None,
        callback: MaybeCallback = None,
        log_interval: int | None = 1,
        tb_log_name: str = "TextPPO",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
        *,
        total_episodes: int | None = None,
        after_iteration: Callable[[Metrics], bool] | None = None,
        resume: bool = False,
    ) -> Self:
        """Trains until a budget is spent or a callback says stop.

        Args:
            total_timesteps: Budget in tokens written by the agent.
            callback: SB3 callbacks.
            log_interval: Iterations between two writes of the log; None for no log.
            tb_log_name: SB3's.
            reset_num_timesteps: SB3's.
            progress_bar: SB3's, over `total_timesteps`.
            total_episodes: Budget in episodes, instead.
            after_iteration: Called with the metrics of each iteration; False stops.
            resume: Go on with the call within which a loaded agent was saved: the budget is the
                one that was given there, of which a part is spent.

        Raises:
            RewardError: The reward raised, or could not score more of a rollout than
                `max_invalid_share`, or none of it.
        """
        if (total_timesteps is None) == (total_episodes is None):
            raise ConfigError("Give learn() either total_timesteps or total_episodes.")
        if self.env is None:
            raise ConfigError("This agent has no environment: load(path, env=...) or set_env().")
        if resume:
            reset_num_timesteps = False
            if self.n_iterations and self._last_obs is None:
                # SB3 would reset the environment for an observation, and draw examples for it.
                self._last_obs = {}
        if reset_num_timesteps:
            self.n_episodes_done = 0
        # With a budget in episodes the tokens are unknown beforehand; SB3 only needs a number.
        total, callback = self._setup_learn(
            # SB3 adds what was done before to what is still to do.
            (total_timesteps or 0) - (self.num_timesteps if resume else 0),
            callback,
            reset_num_timesteps,
            tb_log_name,
            progress_bar,
        )
        callback.on_training_start(locals(), globals())
        assert self.env is not None
        first_episode, iteration = 0 if resume else self.n_episodes_done, 0

        # Loaded now, so that one that does not fit is found before anything is played.
        _ = self.reference

        def progress() -> float:
            done, budget = self.num_timesteps, total
            if total_episodes is not None:
                done, budget = self.n_episodes_done - first_episode, total_episodes
            return done / budget if budget > 0 else 1.0

        while progress() < 1:
            self._current_progress_remaining = 1 - progress()
            started_at, tokens_before = time.perf_counter(), self.num_timesteps
            if not self.collect_rollouts(self.env, callback):
                break
            iteration += 1
            self.logger.record("time/rollout_s", time.perf_counter() - started_at)
            self.train()
            wall_s = time.perf_counter() - started_at
            tokens = self.num_timesteps - tokens_before
            self.logger.record("time/iteration_s", wall_s)
            self.logger.record("time/tokens_per_s", tokens / wall_s)
            self.logger.record("time/episodes", self.n_episodes_done)
            # Callbacks may record texts and pictures, too.
            metrics = {
                name: float(value)
                for name, value in self.logger.name_to_value.items()
                if isinstance(value, int | float | np.number)
            }
            if log_interval is not None and iteration % log_interval == 0:
                self.dump_logs(iteration)
            stops = after_iteration is not None and not after_iteration(metrics)
            if self.ranks.any(stops):
                break
        callback.on_training_end()
        return self

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, *unused: Any, **unused_too: Any
    ) -> bool:
        """Plays `n_episodes` episodes to their end; False if a callback stopped it.

        What could not be scored counts as played, and as nothing else.
        """
        callback.on_rollout_start()
        components: list[Metrics] = []
        tokens_before = self.num_timesteps

        def on_step(
            n_tokens: int, rewards: NDArray[np.float32], dones: NDArray[np.bool_], infos: Infos
        ) -> bool:
            self.num_timesteps += n_tokens
            self._update_info_buffer(infos, dones)
            components.extend(info["reward_components"] for info in infos if is_scored(info))
            # SB3's callbacks look for "rewards", "dones" and "infos" among these.
            callback.update_locals(locals())
            return callback.on_step()

        # Only our own adaptor can mask; with any other a step raises, as it does for its users.
        masking = env.masking_invalid() if isinstance(env, TextVecEnv) else nullcontext()
        n_episodes = self.ranks.share(self.n_episodes, "n_episodes")
        with masking, gathered(self.policy):
            writer = self._writer(env)
            played = collect_episodes(env, writer, n_episodes, on_step, self.group_size)
        if self._vllm is not None:
            self._vllm.rest()
        if self.ranks.any(played is None):
            return False
        assert played is not None
        self.episodes = take_valid(played, self.max_invalid_share)
        n_tokens = self.num_timesteps - tokens_before
        stats = gather_stats(self.ranks, self.episodes, len(played), n_tokens, components)
        self.num_timesteps = tokens_before + stats.n_tokens
        self.n_episodes_done += stats.n_played
        self.return_moments.update(stats.returns)
        for name, value in stats.metrics().items():
            # SB3 cuts what it prints to so many characters, and fails where two are then alike.
            is_long = len(name) > len("rollout/") + _PRINTED_CHARS
            self.logger.record(name, value, "stdout" if is_long else None)
        callback.on_rollout_end()
        return True

    def _writer(self, env: VecEnv) -> LMPolicy | VLLMSampler:
        """Returns what writes the tokens of a rollout."""
        if self.sampler is None:
            return self.policy
        if self._vllm is None:
            end_id = find_end_id(env)
            self._vllm = VLLMSampler(self.policy, end_id=end_id, **self.sampler_kwargs)
        return self._vllm

    def train(self) -> None:
        """Updates the policy from the episodes collected last."""
        self._update_learning_rate(self.policy.optimizer)
        self.policy.optimizer.param_groups[1]["lr"] *= self.value_lr_factor
        batch = make_batch(self.episodes, self.device)
        has_critic = self.advantage == "gae"
        if has_critic and self.n_iterations == 0:
            self._start_values(batch)
        targets = self.compute_targets(batch)
        losses: dict[str, list[float]] = {}
        batch_size = self.ranks.share(self.batch_size, "batch_size")
        # Where episodes could not be scored, a process may have fewer minibatches than another.
        n_minibatches = self.ranks.most(-(-len(batch) // batch_size))
        for _ in range(self.n_epochs):
            order = torch.randperm(len(batch), device=self.device)
            for start in range(0, n_minibatches * batch_size, batch_size):
                rows = order[start : start + batch_size]
                stats = self.accumulate_gradients(batch, targets, rows)
                for key, value in stats.items():
                    losses.setdefault(key, []).append(value)
                if self.target_kl is not None and stats["approx_kl"] > 1.5 * self.target_kl:
                    break
                for name, norm in self._clip_gradients().items():
                    losses.setdefault(name, []).append(norm)
                self.policy.optimizer.step()
            else:
                self._n_updates += 1
                continue
            break
        # Exactly 1 unless sampling, precision or dropout differ between the two passes.
        self.logger.record("train/first_ratio", losses.pop("ratio")[0])
        if not has_critic:
            del losses["value_loss"]
        for key, values in losses.items():
            self.logger.record(f"train/{key}", float(np.mean(values)))
        written = batch.action_mask
        if has_critic:
            explained = explained_variance(
                targets.values[written].cpu().numpy(), targets.returns[written].cpu().numpy()
            )
            self.logger.record("train/explained_variance", explained)
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.n_iterations += 1

    def _clip_gradients(self) -> dict[str, float]:
        """Holds gradient norms within their limits; returns what they were."""
        clip = torch.nn.utils.clip_grad_norm_
        if self.max_grad_norm_critic is None:
            return {"grad_norm": float(whole(clip(self.policy.parameters(), self.max_grad_norm)))}
        critic = self.policy.critic_parameters()
        ids = {id(parameter) for parameter in critic}
        actor = [p for p in self.policy.parameters() if id(p) not in ids]
        return {
            "grad_norm": float(whole(clip(actor, self.max_grad_norm))),
            "grad_norm_critic": float(whole(clip(critic, self.max_grad_norm_critic))),
        }

    def _start_values(self, batch: EpisodeBatch) -> None:
        """Starts an untrained value head at the mean return, so that it only learns differences."""
        head = self.policy.value_head
        total, n = self.ranks.sum(
            batch.rewards.new_tensor([float(batch.rewards.sum()), len(batch)])
        )
        if not whole(head.weight).any() and not whole(head.bias).any():
            with torch.no_grad():
                head.bias.fill_(float(total / n) / self._reward_scale())

    def _reward_scale(self) -> float:
        return float(np.sqrt(self.return_moments.var + 1e-8)) if self.scale_rewards else 1.0

    def compute_targets(self, batch: EpisodeBatch) -> Targets:
        """Evaluates a rollout under the policy and the reference, and computes its advantages."""
        evaluated = evaluate_rollout(self.policy, self.reference, batch)
        coef = self.kl_controller.coef
        kl, n_episodes = evaluated.mean_kl(self.ranks)
        targets, metrics = make_targets(evaluated, batch, self._target_settings(coef), self.ranks)
        for name, value in metrics.items():
            self.logger.record(name, value)
        self.logger.record("kl/ref", kl)
        self.logger.record("kl/coef", coef)
        self.kl_controller.update(kl, n_episodes)
        return targets

    def _target_settings(self, kl_coef: float) -> TargetSettings:
        return TargetSettings(
            advantage=self.advantage,
            gamma=self.gamma,
            gae_lambda=self.gae_lambda,
            normalize_advantage=self.normalize_advantage,
            kl_coef=kl_coef,
            reward_scale=self._reward_scale(),
            importance_cap=self.importance_cap,
        )

    def accumulate_gradients(
        self, batch: EpisodeBatch, targets: Targets, rows: Tensor
    ) -> dict[str, float]:
        """Computes the loss of a minibatch of episodes and leaves its gradient in the parameters.

        Every token of the minibatch weighs the same, however it is split into micro-batches.

        Args:
            batch: The rollout.
            targets: Of the same rollout.
            rows: (n,) which episodes.

        Returns:
            Means over the minibatch's tokens.
        """
        return accumulate_gradients(
            self.policy, batch, targets, rows, self._loss_settings(), self.ranks
        )

    def _loss_settings(self) -> LossSettings:
        """Returns the loss as the schedules have it now."""

        def now(schedule: Any) -> Any:
            return schedule(self._current_progress_remaining)

        return LossSettings(
            clip_range=now(self.clip_range),
            clip_range_vf=None if self.clip_range_vf is None else now(self.clip_range_vf),
            vf_coef=self.vf_coef if self.advantage == "gae" else 0.0,
            ent_coef=self.ent_coef,
            clip_range_high=self.clip_range_high,
            dual_clip=self.dual_clip,
            critic_only=self.advantage == "gae" and self.n_iterations < self.critic_warmup,
        )

    def save(self, path: str | Path, *unused: Any, **unused_too: Any) -> None:  # type: ignore[override] # a folder, not a zip file
        """Saves to a folder, as safetensors and JSON: see `agents.ppo.checkpoints`."""
        from agents.ppo.checkpoints import save_agent

        save_agent(self, Path(path))

    @classmethod
    def load(  # type: ignore[override] # a folder, not a zip file
        cls,
        path: str | Path,
        env: GymEnv | TextVectorEnv | str | None = None,
        device: torch.device | str = "auto",
        **overrides: Any,
    ) -> TextPPO:
        """Loads what `save` wrote: see `agents.ppo.checkpoints`."""
        from agents.ppo.checkpoints import load_agent

        return load_agent(cls, Path(path), env, device, overrides)
