"""PPO on whole sequences, with Stable-Baselines3's constructor and methods."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback
from stable_baselines3.common.utils import explained_variance
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from agents.models.options import choose_bf16, signature_with
from agents.policy.episode_batch import EpisodeBatch, make_batch
from agents.policy.lm_policy import LMPolicy
from agents.ppo.budget import Budget, check_budget
from agents.ppo.checkpoints import SavedAgent, read_agent, restore_policy, save_agent
from agents.ppo.collector import Collector
from agents.ppo.difficulty_levels import load_levels
from agents.ppo.distributed import asks_for_fsdp, join_ranks
from agents.ppo.env_checks import check_groups, check_prompts, check_training_env
from agents.ppo.epochs import run_epochs
from agents.ppo.evaluated_rollout import evaluate_rollout
from agents.ppo.kl import KLController
from agents.ppo.model_card import ModelFacts, render_card, versions
from agents.ppo.options import PPOOptions, ppo_options
from agents.ppo.progress import (
    describe_iteration,
    record_metrics,
    recorded_numbers,
    track_budget,
)
from agents.ppo.prompts import PromptOrder
from agents.ppo.random_states import (
    generator_states,
    restore_generators,
    restore_slots,
    slot_states,
)
from agents.ppo.reference import Reference
from agents.ppo.returns import ReturnScale
from agents.ppo.run_checks import check_run
from agents.ppo.sharding import divide_run, is_sharded
from agents.ppo.steps import OptimizerSteps
from agents.ppo.targets import Targets, make_targets
from agents.ppo.trackers import TEXTS_EVERY, TrackedRun, Trackers, text_rows, tracking
from agents.ppo.update import accumulate_gradients, start_values
from agents.ppo.vec_env import TextVecEnv, find_text_env, most_tokens, reward_seconds
from textenv.datasets import TextDataset
from textenv.errors import ConfigError
from textenv.levels import token_spaces
from textenv.rollout import Infos, PlayedEpisode
from textenv.vector import TextVectorEnv

Metrics = Mapping[str, float]
# Options that are not attributes of the agent, or mean something else there: the actual number of
# slots, the device in use, the reference model, the levels' data sets.
_FIXED = ("n_envs", "device", "reference", "parallel", "levels")
_LIVE = tuple(name for name in PPOOptions.model_fields if name not in _FIXED)
# Decided anew when the agent is loaded.
_NOT_SAVED = ("n_envs", "n_steps", "device", "parallel", "log")
_COUNTERS = ("num_timesteps", "n_episodes_done", "n_iterations", "_n_updates")
# Parts of the agent that have a state of their own, of plain numbers.
_STATEFUL = ("kl_controller", "return_scale", "steps", "prompt_order")


class TextPPO(PPO):
    """Proximal policy optimization of a language model on text environments.

    Schulman et al. 2017 (arXiv 1707.06347), with the KL penalty to a reference model of Ziegler et
    al. 2019 (arXiv 1909.08593). Where it departs from SB3's PPO: it collects whole episodes,
    one teacher-forced pass gives every log-probability and value of an episode, and advantages are
    whitened over the whole rollout. On complete episodes in one minibatch without a KL penalty the
    loss and its gradient are SB3's.

    Args:
        policy: "LMPolicy" or a subclass.
        env: An environment id, `gymnasium.make_vec(...)`, `gymnasium.make(...)`, or an SB3
            `VecEnv`. In a run of several processes, anything but an id has this process's slots.
        policy_kwargs: `LMPolicy`'s options, such as {"model": "path/or/id"}.
        tensorboard_log: Folder of TensorBoard's log, as in SB3; the same as log=["tensorboard"],
            which by itself writes to runs/tensorboard.
        options: Options of `PPOOptions` (docs/options.md), such as learning_rate=1e-5. Some
            defaults depend on what is trained: the embedded model, full weights or LoRA.

    Raises:
        ConfigError: An option does not fit.
        UnknownNameError: An option does not exist.
        RankLostError: Another process of the run has ended; from `learn`.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"LMPolicy": LMPolicy}
    policy: LMPolicy

    def __init__(
        self,
        policy: str | type[LMPolicy] = "LMPolicy",
        env: GymEnv | TextVectorEnv | str | None = None,
        *,
        policy_kwargs: dict[str, Any] | None = None,
        tensorboard_log: str | None = None,
        _init_setup_model: bool = True,
        **options: object,
    ) -> None:
        policy_class = self.policy_aliases.get(policy) if isinstance(policy, str) else policy
        if policy_class is None or not issubclass(policy_class, LMPolicy):
            raise ConfigError(f"policy must be 'LMPolicy' or a subclass of it, not {policy!r}.")
        given = ppo_options(options, policy_kwargs or {})
        if tensorboard_log is not None and "tensorboard" not in given.log:
            given = given.replace(log=["tensorboard", *given.log])
        self.ranks = join_ranks()
        check_run(policy_class, policy_kwargs or {}, given, self.ranks)
        if isinstance(env, str):
            slots = self.ranks.share(min(given.n_envs, given.n_episodes), "n_envs")
            env = gym.make_vec(env, num_envs=slots)  # type: ignore[assignment] # SB3 knows no vector environments of Gymnasium
        super().__init__(
            policy,
            env,  # type: ignore[arg-type] # a TextVectorEnv is wrapped by `_wrap_env`
            # SB3 checks that minibatches divide a rollout of tokens, which is not how ours is cut.
            n_steps=given.batch_size,
            batch_size=given.batch_size,
            normalize_advantage=False,
            stats_window_size=given.stats_window_size,
            tensorboard_log=tensorboard_log,
            policy_kwargs=policy_kwargs,
            verbose=given.verbose,
            seed=given.seed,
            device=given.device,
            _init_setup_model=False,
        )
        if given.n_steps is not None and self.env is not None:
            n_episodes = max(1, given.n_steps * self.n_envs // most_tokens(self.env))
            given = given.replace(n_episodes=n_episodes)
        parallel = given.parallel or ("fsdp" if asks_for_fsdp() else "ddp")
        self._given = given.replace(parallel=parallel)
        for name in _LIVE:
            setattr(self, name, getattr(self._given, name))
        bf16 = choose_bf16(self.policy_kwargs.get("bf16"), self.device.type)
        self.policy_kwargs = {**self.policy_kwargs, "bf16": bf16}
        self.levels: dict[str, TextDataset] = {}
        if self.env is not None:
            self._check_env(self.env)
        self._reference: Reference | None = None
        self.base_model: str | None = None
        self.facts: ModelFacts | None = None
        self.tracked = TrackedRun()
        self.trackers = Trackers()
        if _init_setup_model:
            self._setup_model()

    @property
    def options(self) -> PPOOptions:
        """The agent's options. As with SB3, setting an attribute such as `ent_coef` changes one."""
        return self._given.replace(**{name: getattr(self, name) for name in _LIVE})

    def _setup_model(self) -> None:
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        self.policy = self.policy_class(  # type: ignore[assignment] # SB3 promises no more than a base policy
            self.observation_space, self.action_space, self.lr_schedule, **self.policy_kwargs
        )
        self.policy.to(self.device)
        options, ranks = self.options, self.ranks
        divide_run(self.policy, self.env, self.seed, options.parallel, ranks)
        self.kl_controller = KLController(options.kl_coef, options.kl_target, options.kl_horizon)
        self.return_scale = ReturnScale()
        self.steps = OptimizerSteps()
        seed = (
            int(np.random.SeedSequence().generate_state(1)[0]) if self.seed is None else self.seed
        )
        self.prompt_order = PromptOrder(ranks.gather(seed)[0], ranks)
        self._collector = Collector(self.policy, self.prompt_order, options, ranks)
        self.episodes: list[PlayedEpisode] = []
        self.n_episodes_done = 0
        self.n_iterations = 0
        self._critic_warmup = options.critic_warmup

    @property
    def reference_name(self) -> str:
        """Name of the reference model of the KL penalty."""
        return self._given.reference or self.policy.options.model

    @property
    def reference(self) -> Reference:
        """Frozen reference model of the KL penalty, loaded when it is first needed."""
        if self._reference is None:
            self._reference = Reference(self.policy, self.reference_name)
            if is_sharded(self.policy):
                self._reference.shard(self.ranks)
        return self._reference

    @staticmethod
    def _wrap_env(env: Any, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:
        # Every environment comes through here, from the constructor, `set_env` and `load`.
        check_training_env(env)
        if isinstance(env, TextVectorEnv):
            return TextVecEnv(env)
        return PPO._wrap_env(env, verbose, monitor_wrapper)

    def _check_env(self, env: VecEnv) -> None:
        options = self.options
        n_episodes = self.ranks.share(options.n_episodes, "n_episodes")
        check_groups(env, n_episodes, options.group_size)
        check_prompts(env, options.prompts)
        self.levels = load_levels(env, options.levels)

    def set_env(self, env: GymEnv | TextVectorEnv | str, force_reset: bool = True) -> None:
        """Sets the environment, whose number of slots may differ from before.

        Args:
            env: Environment, as for the constructor; one given by its id keeps the number of slots.
            force_reset: SB3's argument of this name.
        """
        if isinstance(env, str):
            env = gym.make_vec(env, num_envs=self.n_envs)  # type: ignore[assignment] # SB3 knows no vector environments of Gymnasium
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
        max_seconds: float | None = None,
        after_iteration: Callable[[Metrics], bool] | None = None,
        resume: bool = False,
    ) -> Self:
        """Trains until a budget is spent or a callback says stop.

        Args:
            total_timesteps: Budget in tokens written by the agent.
            callback: SB3 callbacks.
            log_interval: Iterations between two writes of the log; None for no log.
            tb_log_name: Name of the run in TensorBoard's log.
            reset_num_timesteps: Whether to count tokens and episodes from zero again.
            progress_bar: Whether to show a bar with the reward and KL of each iteration.
            total_episodes: Budget in episodes, instead of one in tokens.
            max_seconds: Time limit. No iteration begins that would pass it, if it took as long as
                the one before; schedules follow the budget or the time, whichever is spent more.
            after_iteration: Callback that gets the metrics of each iteration and returns False to
                stop.
            resume: Whether to continue the call of `learn` during which a loaded agent was saved.
                The budget is the one of that call, including the part that is spent.

        Raises:
            ConfigError: Not exactly one budget is given, or the agent has no environment.
            RewardError: The reward raised, or could not score more of a rollout than
                `max_invalid_share`, or none of it.
            DivergedError: Losses or gradients were not finite in five optimizer steps in a row.
        """
        check_budget(total_timesteps, total_episodes)
        if self.env is None:
            raise ConfigError("This agent has no environment: load(path, env=...) or set_env().")
        if resume:
            reset_num_timesteps = False
            if self.n_iterations and self._last_obs is None:
                # SB3 would reset the environment for an observation, and draw examples for it.
                self._last_obs = {}
        if reset_num_timesteps:
            self.n_episodes_done = 0
        # With a budget in episodes the tokens are not known beforehand; SB3 only needs a number.
        self.tensorboard_log = self._tensorboard_folder()
        total, callback = self._setup_learn(
            # SB3 adds what was done before to what is still to do.
            (total_timesteps or 0) - (self.num_timesteps if resume else 0),
            callback,
            reset_num_timesteps,
            tb_log_name,
        )
        # SB3's progress bar counts up to "total_timesteps", which is not known for episodes: the
        # most that they may take.
        if total_episodes is not None:
            total = self.num_timesteps + total_episodes * most_tokens(self.env)
            self._total_timesteps = total
        callback.on_training_start({**locals(), "total_timesteps": total}, globals())
        first_episode = 0 if resume else self.n_episodes_done
        # Loaded now, so that one that does not fit is found before anything is played.
        _ = self.reference
        if total_episodes is None:
            budget = Budget(total, lambda: self.num_timesteps, max_seconds, self.ranks)
            least_episodes = (total_timesteps or 0) // most_tokens(self.env)
        else:

            def count() -> int:
                return self.n_episodes_done - first_episode

            budget = Budget(total_episodes, count, max_seconds, self.ranks)
            least_episodes = total_episodes
        n_iterations = -(-least_episodes // self.options.n_episodes)
        self._critic_warmup = min(self.options.critic_warmup, n_iterations // 4)
        names = [] if self.ranks.index else self.options.log
        with (
            tracking(self.logger, names, self._tracked_run()) as self.trackers,
            track_budget(budget.total if progress_bar else None) as report,
        ):
            for iteration, remaining in enumerate(budget.iterations(), start=1):
                self._current_progress_remaining = remaining
                metrics = self._iterate(callback)
                if metrics is None:
                    break
                if log_interval is not None and iteration % log_interval == 0:
                    self.dump_logs(iteration)
                if self.n_iterations % TEXTS_EVERY == 1:
                    rows = text_rows(self.episodes)
                    self.trackers.log_texts("rollout/texts", rows, self.num_timesteps)
                report(budget.spent, describe_iteration(metrics))
                stops = after_iteration is not None and not after_iteration(metrics)
                if self.ranks.any(stops):
                    break
        callback.on_training_end()
        return self

    def _tensorboard_folder(self) -> str | None:
        if "tensorboard" not in self.options.log or self.ranks.index:
            return None
        if self.tracked.folder is not None:
            return str(self.tracked.folder / "tensorboard")
        return self.tensorboard_log or "runs/tensorboard"

    def _tracked_run(self) -> TrackedRun:
        if self.tracked.config:
            return self.tracked
        config = self.options.to_json() | self.policy.options.to_json()
        return replace(self.tracked, config=config)

    def _iterate(self, callback: BaseCallback) -> dict[str, float] | None:
        """Plays a rollout and learns from it; None if a callback stopped it."""
        assert self.env is not None
        started_at, tokens_before = time.perf_counter(), self.num_timesteps
        if not self.collect_rollouts(self.env, callback):
            return None
        self.logger.record("time/rollout_s", time.perf_counter() - started_at)
        self.train()
        wall_s = time.perf_counter() - started_at
        metrics = {
            "time/iteration_s": wall_s,
            "time/tokens_per_s": (self.num_timesteps - tokens_before) / wall_s,
            "time/episodes": self.n_episodes_done,
        }
        record_metrics(self.logger, metrics)
        return recorded_numbers(self.logger)

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, *unused: Any, **unused_too: Any
    ) -> bool:
        """Plays `n_episodes` episodes to their end; returns False if a callback stopped it.

        Episodes that could not be scored count as played, but are not learned from.
        """
        callback.on_rollout_start()
        tokens_before = self.num_timesteps

        def on_step(
            n_tokens: int, rewards: NDArray[np.float32], dones: NDArray[np.bool_], infos: Infos
        ) -> bool:
            self.num_timesteps += n_tokens
            self._update_info_buffer(infos, dones)
            # SB3's callbacks look for "rewards", "dones" and "infos" among these.
            callback.update_locals(locals())
            return callback.on_step()

        seconds_before = reward_seconds(env)
        collected = self._collector.collect(env, self.options, on_step, self.levels)
        if collected is None:
            return False
        self.episodes, stats = collected.episodes, collected.stats
        self.num_timesteps = tokens_before + stats.n_tokens
        self.n_episodes_done += stats.n_played
        self.return_scale.see(stats.returns)
        seconds = {"time/reward_s": reward_seconds(env) - seconds_before}
        record_metrics(self.logger, {**seconds, **stats.metrics()})
        if self.options.learns_prompts:
            bounds = self.return_scale.bounds
            record_metrics(self.logger, self.prompt_order.learn(collected.answers, bounds))
        callback.on_rollout_end()
        return True

    def train(self) -> None:
        """Updates the policy from the episodes collected last."""
        options = self.options.at(self._current_progress_remaining)
        has_critic = options.advantage == "gae"
        warmup = self._critic_warmup if has_critic else 0
        rates = options.rates(self._current_progress_remaining, self.n_iterations, warmup)
        for group, rate in zip(self.policy.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self.logger.record("train/learning_rate", rates[0])
        episodes = self.return_scale.bound(self.episodes)
        batch = make_batch(episodes, self.device, tuple(options.component_weights))
        if has_critic and self.n_iterations == 0 and not options.component_weights:
            start_values(self.policy, batch, self._reward_scale(), self.ranks)
        targets = self.compute_targets(batch)
        accumulate = partial(self.accumulate_gradients, batch, targets)
        epochs = run_epochs(self.policy, batch.groups, accumulate, self.steps, options, self.ranks)
        self._n_updates += epochs.n_finished
        record_metrics(self.logger, epochs.metrics(has_critic, self.ranks))
        written = batch.action_mask
        if has_critic:
            explained = explained_variance(
                targets.values[written].cpu().numpy(), targets.returns[written].cpu().numpy()
            )
            self.logger.record("train/explained_variance", explained)
        self.logger.record("train/n_updates", self._n_updates)
        record_metrics(self.logger, self.steps.metrics())
        self.n_iterations += 1

    def _reward_scale(self) -> float:
        return self.return_scale.std if self.options.scale_rewards else 1.0

    def compute_targets(self, batch: EpisodeBatch) -> Targets:
        """Evaluates a rollout under the policy and the reference, and computes its advantages."""
        # Where weights are divided, each pass gathers those of the value head, too.
        keep_states = self._trains_critic_only() and not is_sharded(self.policy)
        evaluated = evaluate_rollout(self.policy, self.reference, batch, keep_states)
        coef = self.kl_controller.coef
        kl, n_episodes = evaluated.mean_kl(self.ranks)
        self.steps.fault = evaluated.faults(batch.action_mask)
        targets, metrics = make_targets(
            evaluated,
            batch,
            self.options,
            kl_coef=coef,
            reward_scale=self._reward_scale(),
            max_tokens=1 if self.env is None else most_tokens(self.env),
            ranks=self.ranks,
        )
        record_metrics(self.logger, {**metrics, "kl/ref": kl, "kl/coef": coef})
        self.kl_controller.update(kl, n_episodes)
        return replace(targets, states=evaluated.states)

    def _trains_critic_only(self) -> bool:
        return self.options.advantage == "gae" and self.n_iterations < self._critic_warmup

    def accumulate_gradients(
        self, batch: EpisodeBatch, targets: Targets, rows: Tensor
    ) -> dict[str, float]:
        """Computes the loss of a minibatch of episodes and leaves its gradient in the parameters.

        Every token of the minibatch weighs the same, however it is split into micro-batches.

        Args:
            batch: The rollout.
            targets: Targets of the same rollout.
            rows: (n,) numbers of the minibatch's episodes.

        Returns:
            Means over the minibatch's tokens.
        """
        options = self.options.at(self._current_progress_remaining)
        return accumulate_gradients(
            self.policy, batch, targets, rows, options,
            critic_only=self._trains_critic_only(), ranks=self.ranks,
        )  # fmt: skip

    def save(self, path: str | Path, *unused: Any, keep: int = 0, **unused_too: Any) -> None:  # type: ignore[override] # a folder, not a zip file
        """Saves to a folder, as safetensors and JSON: see `agents.ppo.checkpoints`.

        In a run of several processes all of them must call it, and the first one writes.

        Args:
            path: Folder.
            *unused: SB3's other arguments.
            keep: Number of earlier agents to keep in the folder's `checkpoints/`.
            **unused_too: SB3's other arguments.

        Raises:
            ConfigError: The optimizer is not AdamW, or the folder holds a model that the agent
                needs.
            ModelError: A weight is not finite. What the folder holds is kept.
            StorageError: Something cannot be written. What the folder holds is kept.
        """
        state = {
            **{name: getattr(self, name) for name in _COUNTERS},
            **{name: getattr(self, name).state_dict() for name in _STATEFUL},
            "slots": slot_states(self.env, self.n_envs, self.ranks),
            "base": self.base_model or self.policy.options.model,
        }
        save_agent(
            Path(path),
            self.policy,
            options=self.options.to_json(exclude=_NOT_SAVED)
            | {
                # A run has its own folder of it, and may be moved.
                "tensorboard_log": None if self.tracked.folder else self.tensorboard_log
            },
            reference=self.reference_name,
            state=state,
            generators=generator_states(self.device, self.ranks),
            card=self.make_card(),
            keep=keep,
            writes=self.ranks.index == 0,
        )

    def make_card(self) -> str:
        """Returns a card of the language model as it is: what is known of it, as Markdown."""
        facts = self.facts
        if facts is None:
            text_env = find_text_env(self.env)
            spec = None if text_env is None else text_env.env.spec
            facts = ModelFacts(
                base=self.base_model or self.policy.options.model,
                method=f"PPO (advantage={self.options.advantage}, kl_coef={self.options.kl_coef})",
                ids=() if spec is None else (spec.id,),
                seed=self.seed,
                versions=versions(),
            )
        return render_card(replace(facts, episodes=self.n_episodes_done))

    @classmethod
    def load(  # type: ignore[override] # a folder, not a zip file
        cls,
        path: str | Path,
        env: GymEnv | TextVectorEnv | str | None = None,
        device: torch.device | str = "auto",
        *,
        policy_kwargs: Mapping[str, Any] | None = None,
        **options: object,
    ) -> Self:
        """Loads what `save` wrote.

        Args:
            path: Folder of the agent.
            env: Environment to continue training in; None to predict only, or to set one later by
                `set_env`.
            device: Device of the agent.
            policy_kwargs: Options of the policy to change.
            options: Options of `PPOOptions` to change.

        Raises:
            ModelError: The folder holds no agent, or one of another version's format.
            DamagedError: A file of the agent is damaged.
            ConfigError: The agent was trained for another number of tokens than the environment's.
        """
        folder = Path(path)
        saved = read_agent(folder, policy_kwargs or {})
        agent = cls(
            "LMPolicy",
            env,
            policy_kwargs=saved.policy_kwargs,
            _init_setup_model=env is not None,
            **{**saved.options, "device": str(device), **options},
        )
        if env is None:
            agent.observation_space, agent.action_space = token_spaces(**saved.spaces)
            agent.n_envs = 1
            agent._setup_model()
        elif agent.policy.vocab_size != saved.spaces["vocab_size"]:
            raise ConfigError(
                f"This agent writes {saved.spaces['vocab_size']} different tokens, the environment "
                f"takes {agent.policy.vocab_size}: make it with the tokenizer in "
                f"'{folder / 'model'}'."
            )
        agent._restore(saved)
        return agent

    def _restore(self, saved: SavedAgent) -> None:
        """Replaces this agent's state by that of a saved one."""
        restore_policy(self.policy, saved)
        restore_slots(self.env, saved.state["slots"], self.ranks)
        self.base_model = saved.state.get("base")
        restore_generators(saved.generators, self.device, self.ranks)
        for name in _COUNTERS:
            setattr(self, name, saved.state[name])
        for name in _STATEFUL:
            getattr(self, name).load_state_dict(saved.state[name])


TextPPO.__signature__ = signature_with(TextPPO.__init__, PPOOptions)  # type: ignore[attr-defined] # read by inspect
