"""The commands that train and evaluate, which `textenv` finds by an entry point.

Slow imports are inside the commands, so that `textenv --help` is fast.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from agents.cli.arguments import AllowCode, Device, Out, Seed
from agents.cli.check import check
from agents.cli.compare import compare
from agents.cli.display import (
    describe_precision,
    duration,
    interval,
    print_comparison,
    print_facts,
    print_folder,
    print_samples,
    print_training_result,
    spec_text,
)
from agents.cli.evaluate import evaluate
from agents.cli.keys import command_with_keys
from agents.cli.plan import plan
from agents.cli.push import push
from agents.cli.report import report
from agents.cli.rewards import add_rewards_commands
from agents.cli.rollouts import rollouts
from agents.cli.serve import serve
from agents.cli.suite import leaderboard, suite
from agents.models.options import choose_bf16
from agents.ppo.options import trained_defaults
from agents.suite.definition import SCRIPTED
from agents.training.agent_specs import AGENTS
from agents.training.config import SFT_EPOCHS, SFT_MOST_STEPS, SFTOptions, TrainConfig, load_config
from agents.training.model_lookup import find_model, pick_device
from textenv.cli.arguments import Dataset, Model, RewardText
from textenv.cli.console import parse_spec, print_error
from textenv.cli.overrides import apply_overrides
from textenv.cli.rewards import find_rewards_app
from textenv.cli.terminal import make_console
from textenv.errors import ConfigError, ExitCode
from textenv.registry import environment_row
from textenv.run_names import describe_no_run

_TRAINED = {
    "embedded": "the embedded model, also trained further",
    "full": "full weights",
    "lora": "LoRA",
}


def add_commands(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    env = "Keys such as env.max_new_tokens=64 set any argument that 'textenv show ID' lists."
    app.command(
        "train",
        cls=command_with_keys(TrainConfig, {_TRAINED[k]: v for k, v in trained_defaults().items()}),
        epilog=f"{env} --config with the config.yaml of a run's folder repeats that run. "
        "[bold]Keys:[/]",
    )(train)
    agents = "\n\n".join(f"[bold]{name}[/]: {what}" for name, what in AGENTS.items())
    app.command("evaluate", epilog=f"[bold]Agents[/]\n\n{agents}")(evaluate)
    app.command("sft", cls=command_with_keys(SFTOptions), epilog=f"{env} [bold]Keys:[/]")(sft)
    app.command("rollouts", no_args_is_help=True)(rollouts)
    app.command()(plan)
    app.command()(report)
    app.command(no_args_is_help=True)(check)
    app.command(no_args_is_help=True)(push)
    app.command(no_args_is_help=True)(compare)
    agents_of_suite = "\n\n".join(f"[bold]{name}[/]: {what}" for name, what in SCRIPTED.items())
    app.command(no_args_is_help=True, epilog=f"[bold]Scripted agents[/]\n\n{agents_of_suite}")(
        suite
    )
    app.command(no_args_is_help=True)(leaderboard)
    app.command()(serve)
    # The group is made by `textenv.cli`.
    add_rewards_commands(find_rewards_app(app))


def train(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID KEY=VALUE", help="Environment id, and keys listed below."),
    ] = None,
    model: Model = None,
    dataset: Dataset = None,
    reward: RewardText = None,
    config: Annotated[Path | None, typer.Option(help="A YAML file of keys.")] = None,
    out: Out = None,
    seed: Seed = None,
    device: Device = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            help="Continue the run in this folder. Only total_episodes=N may differ; a larger one "
            "extends a finished run."
        ),
    ] = None,
    from_iteration: Annotated[
        int | None,
        typer.Option(
            "--from",
            metavar="N",
            min=1,
            help="With --resume: continue from the earlier checkpoint of iteration N, such as when "
            "the last one is damaged. What came after it is removed.",
        ),
    ] = None,
    allow_code: AllowCode = False,
) -> None:
    """Train a language model on an environment with PPO, and measure the gain.

    The agent of the best look at validation examples is kept in FOLDER/best, and measured beside
    the last one.

    Ctrl-C (or SIGTERM, SIGHUP) stops the training after the current iteration and saves the agent.
    A second one stops it at once and keeps the last checkpoint. The exit status is 130. A guard of
    stop_on ends the run with its result, and with exit status 7. --resume FOLDER continues the run
    as if it had not been stopped. With a larger total_episodes=N it extends a finished run from its
    final agent; the learning rate is then computed from what remains of N, so it rises again. Under
    accelerate launch, or torchrun, several processes train together.
    """
    given = list(words or ())
    id = given.pop(0) if given and "=" not in given[0] else None
    if resume is not None:
        others = (id, model, dataset, reward, config, out, seed, device)
        _check_resume(given, [value for value in others if value is not None])
        config = resume / "config.yaml"
        if not config.exists():
            raise ConfigError(describe_no_run(resume))
    elif from_iteration is not None:
        raise ConfigError("--from goes with --resume FOLDER.")
    elif allow_code:
        raise ConfigError("--allow-code goes with --resume: other configurations are your own.")
    elif id is None and config is None:
        raise ConfigError("Name an environment; 'textenv list' shows them.")
    settings = load_config(
        config,
        given,
        id=id,
        model=model,
        dataset=parse_spec(dataset),
        reward=parse_spec(reward),
        seed=seed,
        device=device,
    )
    row = environment_row(settings.id)
    settings = settings.replace(model=find_model(settings.model)[0])
    out = resume or out or _new_folder(settings.id)
    chosen = pick_device(settings.device)
    settings = settings.replace(bf16=choose_bf16(settings.bf16, chosen.type))

    from agents.ppo.distributed import is_first_rank
    from agents.training.guards import is_guard_stop
    from agents.training.run import train as run_training

    console = make_console(quiet=not is_first_rank())
    facts = {
        "model": settings.model,
        "dataset": spec_text(settings.dataset or row.kwargs.dataset),
        "reward": spec_text(settings.reward or row.kwargs.reward),
        "budget": f"{settings.total_episodes} episodes, {settings.n_episodes} an iteration",
        "device": chosen,
        "precision": describe_precision(settings.bf16),
        "folder": out,
    }
    try:
        result = run_training(
            settings,
            out,
            resume is not None,
            from_iteration,
            allow_code=allow_code,
            begun=lambda: print_facts(console, f"Training on {settings.id}", facts),
        )
    except KeyboardInterrupt as error:
        if is_first_rank():
            print_error(_what_is_saved(out))
        raise typer.Exit(ExitCode.INTERRUPTED) from error
    # The first process writes the folder, perhaps later than another comes here.
    if is_first_rank():
        print_training_result(console, result, out)
    if is_guard_stop(result["stop_reason"]):
        raise typer.Exit(ExitCode.GUARD)


def _what_is_saved(out: Path) -> str:
    from agents.ppo.kept_checkpoints import saved_iteration
    from agents.training.looks import read_best
    from textenv.report import REPORT_NAME

    iteration, best = saved_iteration(out), read_best(out)
    kept = f" The best, of iteration {best.iteration}, is in {out / 'best'}." if best else ""
    page = out / REPORT_NAME
    kept += f" To look at: {page}." if page.is_file() else ""
    if iteration is None:
        again = f" textenv train --resume {out} begins it anew." if out.is_dir() else ""
        return f"Stopped before the first checkpoint: no agent is saved.{again}{kept}"
    return (
        f"Stopped. The agent after iteration {iteration} is in {out}; textenv train --resume {out} "
        f"continues from there.{kept}"
    )


def _check_resume(overrides: Sequence[str], others: Sequence[object]) -> None:
    """Raises for settings that would change the run that is to be resumed."""
    if others:
        raise ConfigError(
            "A resumed run keeps its own settings: textenv train --resume FOLDER takes only "
            "total_episodes=N."
        )
    for word in overrides:
        if word.partition("=")[0] != "total_episodes":
            raise ConfigError(f"{word} would change the run. Only total_episodes may differ.")


def sft(
    words: Annotated[
        list[str],
        typer.Argument(metavar="ID|KEY=VALUE", help="Environment ids, and keys listed below."),
    ],
    model: Model = None,
    dataset: Dataset = None,
    conversations: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.jsonl",
            help="Learn from these conversations, such as those of 'textenv export sft', instead "
            "of from ideal answers.",
        ),
    ] = None,
    out: Out = None,
    seed: Seed = None,
    device: Device = None,
    max_seconds: Annotated[
        float | None, typer.Option(min=0, help="Time limit of the training.")
    ] = None,
    examples: Annotated[
        int, typer.Option(min=1, help="Held-out examples to measure the gain on.")
    ] = 256,
) -> None:
    """Fine-tune a language model on ideal answers: a start for PPO.

    With --conversations it learns from answers of your own, such as the best of 8 samples. The gain
    is measured on held-out examples of the environment either way.

    Ctrl-C stops the training and saves the model.
    """
    ids = tuple(word for word in words if "=" not in word)
    if not ids:
        raise ConfigError("Name at least one environment; 'textenv list' shows them.")
    for id in ids:
        environment_row(id)
    if dataset is not None and len(ids) > 1:
        raise ConfigError("--dataset goes with one environment: each reads rows of its own kind.")
    if conversations is not None and len(ids) > 1:
        raise ConfigError("--conversations goes with one environment: name one id.")
    options, env = _sft_options([word for word in words if "=" in word], seed)
    found = find_model(model or "embedded")[0]
    out = out or _new_folder("+".join(ids))
    chosen = pick_device(device or "auto")
    options = options.replace(bf16=choose_bf16(options.bf16, chosen.type))

    from agents.training.sft_run import WarmStart, samples_path, train_warm_start

    recorded = None if conversations is None else str(conversations)
    run = WarmStart(ids, found, parse_spec(dataset), env, options, examples, max_seconds, recorded)
    console = make_console()
    limit = "" if max_seconds is None else f", at most {duration(max_seconds)}"
    steps = f"{options.steps} steps"
    if options.steps is None:
        steps = f"{SFT_EPOCHS} times the rows, at most {SFT_MOST_STEPS} steps"
    facts = {
        "model": found,
        "dataset": spec_text(run.dataset or [environment_row(id).kwargs.dataset for id in ids]),
        **({} if recorded is None else {"conversations": recorded}),
        "budget": f"{steps} of {options.batch_size} episodes{limit}",
        "device": chosen,
        "precision": describe_precision(options.bf16),
        "folder": out,
    }
    title = f"Fine-tuning on {', '.join(ids)}"
    try:
        result = train_warm_start(run, out, chosen, lambda: print_facts(console, title, facts))
    except KeyboardInterrupt as error:
        kept = (out / "model" / "config.json").is_file()
        what = f"The model is saved in {out / 'model'}." if kept else "Nothing was trained yet."
        print_error(f"Stopped. {what}")
        raise typer.Exit(ExitCode.INTERRUPTED) from error
    for id, measured in result["environments"].items():
        stages = {stage: measured[stage] for stage in ("before", "after")}
        print_comparison(console, f"{id}, {measured['before']['examples']} examples", stages)
        console.print(f"gain {interval(measured['gain'], signed=True)}", markup=False)
        print_samples(console, samples_path(out, id), 3 if len(ids) == 1 else 1)
    console.print()
    console.print(f"{result['steps']} steps in {duration(result['train_wall_s'])}.")
    print_folder(console, out, f"to train further, use --model {out / 'model'}")


def _sft_options(overrides: Sequence[str], seed: int | None) -> tuple[SFTOptions, dict[str, Any]]:
    """Returns the options, and the arguments of the environments."""
    values: dict[str, Any] = {} if seed is None else {"seed": seed}
    apply_overrides(values, overrides)
    env = values.pop("env", {})
    return SFTOptions(**values), env


def _new_folder(id: str) -> Path:
    return Path("runs") / f"{id.replace('/', '-')}-{time.strftime('%Y%m%d-%H%M%S')}"
