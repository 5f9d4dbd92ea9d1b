"""The command `evaluate`: an agent, measured on held-out examples.

Slow imports are inside the command.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agents.cli.arguments import AllowCode, Device, Seed
from agents.cli.display import print_answers, print_evaluation, print_facts, spec_text
from agents.training.agent_specs import AGENTS, AgentSpec, EvaluationSetting
from textenv.cli.arguments import Dataset, Model, RewardText, environment_keys
from textenv.cli.console import parse_spec, print_findings, print_json
from textenv.cli.overrides import check_given_once
from textenv.cli.terminal import make_console
from textenv.errors import ConfigError, DatasetError
from textenv.model_folders import describe_missing
from textenv.output_paths import check_file
from textenv.registry import environment_row
from textenv.tokenization import EMBEDDED

if TYPE_CHECKING:
    from agents.training.run_folder import Setting

_SHOWN = 3  # answers that are printed


def evaluate(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID env.KEY=VALUE",
            help="Environment id, by default that of the run; arguments of the environment.",
        ),
    ] = None,
    model: Model = None,
    agent: Annotated[
        str | None,
        typer.Option(
            help=f"{', '.join(AGENTS)}; see below.",
            show_default="greedy; sample with --samples or --temperature",
        ),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Answers to each example.")] = 1,
    temperature: Annotated[
        float | None,
        typer.Option(help="Temperature of sampled tokens.", show_default="that of the training"),
    ] = None,
    pass_at: Annotated[
        str | None,
        typer.Option(
            metavar="K,K",
            help="Chances that one of K answers passes, such as 1,8; for --samples of K or more.",
        ),
    ] = None,
    pass_reward: Annotated[
        float, typer.Option(help="Reward from which on an answer passes.")
    ] = 1.0,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    examples: Annotated[int, typer.Option(min=1, help="Number of examples, from the first.")] = 256,
    dataset: Dataset = None,
    reward: RewardText = None,
    seed: Seed = None,
    device: Device = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json",
            help="File for the result; FILE.jsonl beside it gets a row an answer.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    allow_code: AllowCode = False,
) -> None:
    """Measure an agent on held-out examples.

    The folder of a run as --model brings the run's own environment, data set and reward. It stands
    for the last agent; FOLDER/best stands for the best one.
    """
    if out is not None and out.suffix != ".json":
        raise ConfigError(f"Name a file for --out that ends in .json, not '{out}'.")
    for path in (out, out.with_suffix(".jsonl")) if out else ():
        check_file(path)
    given = list(words or ())
    named = given.pop(0) if given and "=" not in given[0] else None
    agent = agent or ("sample" if samples > 1 or temperature is not None else "greedy")
    spec = AgentSpec(agent, model or EMBEDDED, samples, temperature, device or "auto")
    sizes = _read_sizes(pass_at)
    id, run = _evaluated(named, model, allow_code)
    environment_row(id)
    env, data, paid = environment_keys(given), parse_spec(dataset), parse_spec(reward)
    check_given_once(env, dataset=data, reward=paid)
    whose = {
        name: value is not None or name in env
        for name, value in (("dataset", data), ("reward", paid))
    }
    if run is not None:
        env = {**run.env, **env}
        data = run.dataset if not whose["dataset"] else data
        paid = run.reward if not whose["reward"] else paid
    setting = EvaluationSetting(id, split, examples, data, paid, env, sizes, pass_reward)

    from agents.training.agent_evaluation import AgentEvaluation
    from agents.training.model_lookup import pick_device
    from textenv.cli.progress import track

    setting.check_samples(samples)
    pick_device(spec.device)
    try:
        evaluation = AgentEvaluation(setting, spec)
    except (ConfigError, DatasetError) as error:
        if run is None:
            raise
        raise type(error)(
            f"{error} This is what the run was trained on, named from the folder where textenv "
            "train was called. Call this there, too, or give --dataset and --reward."
        ) from error
    with track("Evaluating", evaluation.n_episodes) as report:
        record = evaluation.play(seed or 0, report)
    result = record.result
    replaced = out is not None and out.exists()
    if out is not None:
        record.write(out)
    if as_json:
        print_json(result)
        return
    console = make_console()
    source = {
        key: "given" if is_given else "the run's" if run else "the environment's"
        for key, is_given in whose.items()
    }
    facts = {
        "agent": f"{agent}, {evaluation.model}{_whose(model)}" if spec.needs_model else agent,
        "dataset": f"{spec_text(result['dataset'])} ({source['dataset']})",
        "reward": f"{spec_text(result['reward_spec'])} ({source['reward']})",
        "examples": f"{result['examples']} of {split}",
    }
    if spec.draws:
        at = "" if result["temperature"] is None else f" at temperature {result['temperature']:g}"
        facts["samples"] = f"{samples} of each example{at}"
    if sizes:
        facts["passes"] = f"reward of {pass_reward:g} or more"
    print_facts(console, id, facts)
    console.print()
    print_findings(console, result["findings"])
    print_evaluation(console, "", result)
    print_answers(console, record.rows[: _SHOWN * samples : samples])
    if out is not None:
        beside = out.with_suffix(".jsonl")
        was = " The files of before were replaced." if replaced else ""
        console.print(f"\nWritten to {out}, and a row an answer to {beside}.{was}", markup=False)


def _read_sizes(text: str | None) -> tuple[int, ...]:
    """Reads each k of pass@k."""
    try:
        sizes = tuple(int(word) for word in (text or "").split(",") if word.strip())
    except ValueError:
        sizes = (0,)
    if min(sizes, default=1) < 1 or (text is not None and not sizes):
        raise ConfigError(f"--pass-at {text}: name numbers of answers from 1 up, such as 1,8.")
    return tuple(dict.fromkeys(sizes))


def _whose(model: str | None) -> str:
    """Says which agent a run's folder stands for, where it has two."""
    from agents.training.looks import BEST

    folder = Path(model or "")
    has_best = model is not None and (folder / BEST / "model").is_dir()
    return f" (the last agent; the best is {folder / BEST})" if has_best else ""


def _evaluated(
    named: str | None, model: str | None, allow_code: bool
) -> tuple[str, Setting | None]:
    """Returns the environment to evaluate in, and the setting of the run if it is the run's own."""
    from agents.training.run_folder import read_setting

    setting = None if model is None else read_setting(Path(model), allow_code)
    if setting is None:
        if named is None and model is not None and not Path(model).exists():
            near = describe_missing(model) or f"There is no run '{model}'."
            raise ConfigError(f"{near} For a model that is no run, name an environment, too.")
        if named is None:
            raise ConfigError(
                "Name an environment ('textenv list' shows them), or give the folder of a run as "
                "--model."
            )
        return named, None
    if named is None and len(setting.ids) > 1:
        raise ConfigError(f"The run has several environments; name one: {', '.join(setting.ids)}.")
    id = named or setting.ids[0]
    return id, setting if id in setting.ids else None
