"""One training run from start to end: evaluate, train with PPO, evaluate again, save results."""

from __future__ import annotations

import json
import secrets
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gymnasium as gym
from stable_baselines3.common.utils import get_device, set_random_seed

from agents.models.options import PolicyOptions, choose_bf16
from agents.ppo.distributed import is_first_rank, join_ranks
from agents.ppo.kept_checkpoints import find_checkpoint, go_back, latest_iteration, run_of
from agents.ppo.model_card import versions
from agents.ppo.options import PPOOptions
from agents.ppo.ppo import TextPPO
from agents.ppo.random_states import generator_states, restore_generators
from agents.ppo.trackers import TrackedRun, check_trackers
from agents.training.about import About, noted
from agents.training.checked_files import read_json, write_run_file, write_run_rows
from agents.training.config import TrainConfig, write_config
from agents.training.degeneration import find_spoilt
from agents.training.evaluation import Evaluation, question
from agents.training.held_out import evaluate_policy_on_split, kl_per_episode, play_policy_on_split
from agents.training.interrupts import stop_requests
from agents.training.kept_after_fault import telling_what_is_kept
from agents.training.looks import evaluate_best, load_gold, read_best
from agents.training.loop import Ending, save_checkpoint, train_in_folder
from agents.training.preflight import (
    find_before_loading,
    find_in_answers,
    find_in_budget,
    find_in_selection,
    tell,
    warm_start_command,
)
from agents.training.report import reported
from agents.training.run_card import run_facts, write_cards
from agents.training.run_folder import (
    BEFORE_FILE,
    CONFIG_FILE,
    METRICS_FILE,
    RESULT_FILE,
    SAMPLES_FILE,
    TRACKING_FILE,
    check_resumable,
    check_startable,
    clear_unsaved,
    load_evaluation,
    missing_folders,
    removed_unless_written,
    save_evaluation,
)
from agents.training.speakers import cut_to_first_sentence
from textenv.benchmark.statistics import estimate_gain
from textenv.cli.progress import track
from textenv.deadlines import limit_rewards
from textenv.episode import TextCore
from textenv.errors import ConfigError
from textenv.named_code import check_code
from textenv.preflight import measure_scale, try_rewards
from textenv.registry import environment_row
from textenv.rewards import fit_reward, load_reward
from textenv.rewards.base import name_of
from textenv.rewards.normalise import needs_fit, with_unit_std
from textenv.storage.folder_lock import check_free, locked
from textenv.vector import environment_arguments, make_core

FIT_EPISODES = 256  # episodes of the initial policy, on which rewards are normalised
KL_EPISODES = 128  # largest number of episodes at the end, which estimate the divergence


def train(
    config: TrainConfig,
    out: Path,
    resume: bool = False,
    from_iteration: int | None = None,
    *,
    allow_code: bool = False,
    begun: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Trains a model on an environment, and measures the gain on held-out examples.

    The folder then holds `report.html`, a page to look at, and what docs/runs.md lists: the
    configuration, a line of metrics for each iteration, every held-out example before and after,
    texts of the training, the result, the last agent as `TextPPO.save` writes it, and `best/`, the
    agent of the best look at validation examples (see `agents.training.looks`). Normalised rewards
    are fitted first, and `config.yaml` holds the result of the fit. A run that is stopped, or fails
    after its first iteration, has its report, too.

    The best agent is chosen on the validation split alone, then measured beside the last one on
    `eval_split`.

    During training a first SIGINT (Ctrl-C) or SIGTERM stops the run after the current iteration and
    saves the agent; a second one stops it at once and keeps the last checkpoint. See
    `agents.training.interrupts` for the cases in which signals are not handled.

    In a run of several processes all of them call this function, and only the first one's files are
    kept. A signal to one process stops all of them after the same iteration.

    Args:
        config: Configuration of the run.
        out: Folder of the run.
        resume: Whether to continue from the last checkpoint in the folder. A run that was stopped
            or killed then writes the same files as an uninterrupted one, except for times. A
            finished run continues from its final agent if `total_episodes` is larger than before;
            its `result.json` and `samples.jsonl` are kept until it ends again. The learning rate is
            then computed from what remains of the new total, so it rises again. A run that had
            converged gets `patience` more looks to find a new best held-out reward. A run that was
            killed before it saved an agent begins anew.
        from_iteration: Iteration of an earlier checkpoint to continue from, which then is the
            latest; those after it are removed.
        allow_code: Whether the code outside of the packages that the folder's `config.yaml` names
            may be loaded, though no run of this user wrote the file.
        begun: Called in the first process once the folder is the run's own, before anything slow.

    Returns:
        Content of `result.json`.

    Raises:
        ConfigError: The folder is not empty. To resume: it holds no run, or its run is finished and
            the new total is not larger, or its configuration names code and is not this user's.
            What a run wrote that fails before its first iteration is removed.
        FolderInUseError: Another process trains in the folder.
        DamagedError: To resume: a file of the run is damaged.
        StorageError: Something cannot be written; the last checkpoint is kept.
        ResourceError: Memory is spent, or the GPU is lost; the last checkpoint is kept.
        KeyboardInterrupt: A signal stopped the run.
    """
    if resume:
        check_code(out / CONFIG_FILE, allow_code)
    if not is_first_rank():
        # The first process finds the checkpoint, and says what is wrong with it.
        with (
            tempfile.TemporaryDirectory() as unread,
            noted(Path(unread)) as about,
            limit_rewards(config.reward_timeout_s),
        ):
            saved = find_checkpoint(out, from_iteration) if resume else None
            has_agent = saved is not None and latest_iteration(saved) is not None
            return _train(config, Path(unread), saved if has_agent else None, about)
    if not resume:
        # Of a run that is at work, what its folder holds already is not the thing to say.
        check_free(out)
        check_startable(out)
    made = missing_folders(out)
    if resume and made:
        raise ConfigError(f"There is no folder '{out}' to resume a run in.")
    with telling_what_is_kept(out), locked(out):
        if not resume:
            # Another run may have begun, and ended, in between.
            check_startable(out)
            with (
                removed_unless_written(out, METRICS_FILE, made),
                reported(out),
                noted(out) as about,
                limit_rewards(config.reward_timeout_s),
            ):
                begun()
                return _train(config, out, None, about)
        checkpoint = check_resumable(out, config.total_episodes, from_iteration)
        read_best(out)  # before anything is written, too
        if checkpoint is None:
            clear_unsaved(out)
        with reported(out), noted(out) as about, limit_rewards(config.reward_timeout_s):
            begun()
            return _train(config, out, checkpoint, about)


def _train(config: TrainConfig, out: Path, checkpoint: Path | None, about: About) -> dict[str, Any]:
    started_at = time.perf_counter()
    check_trackers(config.log)
    bf16 = choose_bf16(config.bf16, get_device(config.device).type)
    core, findings = _prepare(config, about)
    config = config.replace(bf16=bf16)
    if checkpoint is None:
        # From the first minute on, so that a run that is killed soon can begin anew.
        out.mkdir(parents=True, exist_ok=True)
        write_config(config, out / CONFIG_FILE, write_run_file)
    config = fit_config(config)
    core.reward = load_reward(reward_spec(config))
    arguments = environment_arguments(config.model, config.dataset, config.reward, config.env)
    if checkpoint is None:
        agent, before = _begin(config, arguments, core, out)
    else:
        agent, before = _go_on(config, arguments, core, out, checkpoint)
    if config.log:
        agent.tracked = TrackedRun(config.to_json(), *_tracking_name(out), out)
    about.save()
    agent.facts = run_facts(config, reward_spec(config), out)
    # A reward that draws random numbers says the same after a resumption, and goes on as if it had
    # not been asked.
    states = generator_states(agent.device, agent.ranks)
    set_random_seed(0)
    scale = measure_scale(core, [episode.example for episode in before.episodes])
    restore_generators(states, agent.device, agent.ranks)
    warm_start = warm_start_command(config.id, config.model, config.dataset, config.env)
    findings += tell(find_in_answers(before, core, scale, warm_start))
    trained_at = time.perf_counter()
    with stop_requests() as request:
        ending = train_in_folder(agent, core, config, out, request)
        train_wall_s = time.perf_counter() - trained_at
        if not ending.is_saved:
            save_checkpoint(agent, config, out)
        # All processes stop, or none, and none leaves before the first one has written.
        is_stopped = agent.ranks.any(request.is_made)
    # A signal may have come since then.
    if is_stopped or request.is_made:
        raise KeyboardInterrupt
    after = _evaluate(agent, core, config, "Evaluating the result")
    findings += tell(find_spoilt(before, after))
    n_sampled = min(KL_EPISODES, config.eval_examples)
    sampled = evaluate_policy_on_split(
        agent.policy, core, config.eval_split, n_sampled, deterministic=False, ranks=agent.ranks
    )
    kl_ref = float(kl_per_episode(agent.policy, agent.reference, sampled.episodes).mean())
    # The last, since it drops a part of the agent.
    best, best_summary = _measure_best(agent, core, config, out, ending, before, after)
    answers = {"before": before, "best": best, "after": after}
    if best is None or ending.last_is_best:
        del answers["best"]
    write_samples(out / SAMPLES_FILE, core, {k: e for k, e in answers.items() if e is not None})
    result = {
        "id": config.id,
        "model": config.model,
        "seed": config.seed,
        "reward": reward_spec(config),
        "eval_split": config.eval_split,
        "reward_scale": asdict(scale),
        "before": before.summary(),
        "before_cut_to_first_sentence": cut_to_first_sentence(core, before).summary(),
        "after": after.summary(),
        "gain": estimate_gain(after.rewards, before.rewards).to_json(),
        "best": best_summary,
        "kl_ref": kl_ref,
        "iterations": agent.n_iterations,
        "total_episodes": config.total_episodes,
        "episodes": agent.n_episodes_done,
        "tokens": agent.num_timesteps,
        "stop_reason": ending.stop_reason,
        "train_wall_s": train_wall_s,
        "wall_s": time.perf_counter() - started_at,
        "findings": findings,
        "versions": versions(),
    }
    if agent.ranks.index == 0:
        write_cards(out, agent.facts, result)
    # The last, since a run that has its result is finished: one that is killed before is resumed.
    write_run_file(out / RESULT_FILE, json.dumps(result, indent=2))
    return result


def _measure_best(
    agent: TextPPO,
    core: TextCore,
    config: TrainConfig,
    out: Path,
    ending: Ending,
    before: Evaluation,
    after: Evaluation,
) -> tuple[Evaluation | None, dict[str, Any] | None]:
    """Measures the best agent as the last one was; returns what there is to tell of it."""
    if ending.best is None:
        return None, None
    best = after
    if not ending.last_is_best:
        n = min(config.eval_examples, len(core.dataset(config.eval_split)))
        with track("Evaluating the best", n) as report:
            best = evaluate_best(agent, core, config, out, report)
    return best, {
        "iteration": ending.best.iteration,
        "validation": ending.best.to_json(),
        "after": best.summary(),
        "gain": estimate_gain(best.rewards, before.rewards).to_json(),
        "gain_over_last": estimate_gain(best.rewards, after.rewards).to_json(),
    }


def _prepare(config: TrainConfig, about: About) -> tuple[TextCore, list[str]]:
    """Makes the slots for evaluation; finds what would fail later, before a model is loaded."""
    spec = with_unit_std(reward_spec(config))
    arguments = environment_arguments(config.model, config.dataset, spec, config.env)
    core = make_core(config.id, config.n_envs, arguments)
    splits = ["train", *(["validation"] if config.validation_every else []), config.eval_split]
    about.describe_data(core, splits)
    rewards = {name_of(core.reward): core.reward}
    gold = load_gold(config)
    try_rewards(rewards if gold is None else rewards | {"gold": gold}, core, "train")
    found = find_before_loading(core, config.model, splits)
    return core, tell(found + find_in_budget(config) + find_in_selection(config))


def _begin(
    config: TrainConfig, arguments: Mapping[str, Any], core: TextCore, out: Path
) -> tuple[TextPPO, Evaluation]:
    """Makes and evaluates the agent of a new run, and saves the evaluation."""
    agent = make_agent(config, arguments)
    write_config(config, out / CONFIG_FILE, write_run_file)
    before = _evaluate(agent, core, config, "Evaluating the start")
    save_evaluation(out / BEFORE_FILE, before, config)
    return agent, before


def _go_on(
    config: TrainConfig,
    arguments: Mapping[str, Any],
    core: TextCore,
    out: Path,
    checkpoint: Path,
) -> tuple[TextPPO, Evaluation]:
    """Loads the agent of a run with new slots, and the evaluation before its training."""
    before = load_evaluation(run_of(checkpoint) / BEFORE_FILE, core, config)
    # Processes whose weights are divided must evaluate together.
    if join_ranks().any(before is None):
        before = _begin(config, arguments, core, out)[1]
    assert before is not None
    run = run_of(checkpoint)
    if is_first_rank():
        # Every process has found the checkpoint by now.
        go_back(run, int(checkpoint.name) if run != checkpoint else None)
    join_ranks().any(False)
    agent = TextPPO.load(
        run,
        env=_make_env(config, arguments),
        device=config.device,
        parallel=config.parallel,
        log=config.log,
    )
    write_config(config, out / CONFIG_FILE, write_run_file)
    return agent, before


def _tracking_name(out: Path) -> tuple[str, str]:
    """Returns the name and id under which trackers know a run, also after it is resumed."""
    path = out / TRACKING_FILE
    id = read_json(path).get("id")
    if id is None:
        id = secrets.token_hex(3)
        write_run_file(path, json.dumps({"id": id}))
    name = f"{out.resolve().name}-{id}"
    return name, name


def reward_spec(config: TrainConfig) -> Any:
    """Returns the description of a run's reward: its own, or the environment's."""
    arguments = environment_arguments(config.model, reward=config.reward, env=config.env)
    return arguments.get("reward", environment_row(config.id).make_kwargs().get("reward"))


def fit_config(config: TrainConfig) -> TrainConfig:
    """Fits normalised rewards on samples of a run's initial policy: see `fit_reward`.

    The samples are episodes of the first training examples. A configuration whose reward needs no
    fit, or has been fitted, is returned unchanged.

    Raises:
        RewardError: A reward to be normalised scores all samples alike.
    """
    spec = reward_spec(config)
    if not needs_fit(spec):
        return config
    arguments = environment_arguments(config.model, config.dataset, "constant", config.env)
    core = make_core(config.id, config.n_envs, arguments)
    # The run's own agent is made and seeded later, so this sampling does not affect it.
    agent = make_agent(config, arguments)
    n = min(FIT_EPISODES, len(core.dataset("train")))
    with track("Sampling to normalise rewards", n) as report:
        episodes = play_policy_on_split(
            agent.policy, core, "train", n, deterministic=False, progress=report
        )
    env = {key: value for key, value in config.env.items() if key != "reward"}
    return config.replace(reward=fit_reward(spec, episodes), env=env)


def make_agent(config: TrainConfig, arguments: Mapping[str, Any]) -> TextPPO:
    """Makes the untrained agent of a run."""
    values = dict(config)
    return TextPPO(
        "LMPolicy",
        _make_env(config, arguments),
        policy_kwargs={name: values[name] for name in PolicyOptions.model_fields},
        **{name: values[name] for name in PPOOptions.model_fields},
    )


def _make_env(config: TrainConfig, arguments: Mapping[str, Any]) -> Any:
    """Makes the environment of this process of the run."""
    slots = join_ranks().share(min(config.n_envs, config.n_episodes), "n_envs")
    return gym.make_vec(config.id, num_envs=slots, **arguments)


def write_samples(path: Path, core: TextCore, evaluations: Mapping[str, Evaluation]) -> None:
    """Writes a JSON line for each example: what was asked, and the answer of each evaluation."""
    first = next(iter(evaluations.values()))
    rows = [
        question(core, episode.example)
        | {name: evaluation.answer(i) for name, evaluation in evaluations.items()}
        for i, episode in enumerate(first.episodes)
    ]
    write_run_rows(path, rows)


def _evaluate(agent: TextPPO, core: TextCore, config: TrainConfig, what: str) -> Evaluation:
    n = min(config.eval_examples, len(core.dataset(config.eval_split)))
    with track(what, n) as report:
        return evaluate_policy_on_split(
            agent.policy, core, config.eval_split, n, progress=report, ranks=agent.ranks
        )
