"""The command `evaluate`: an agent, measured on held-out examples.

Slow imports are inside the command.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agents.cli.arguments import AllowCode, Device, Seed
from agents.cli.chat_options import (
    ApiKeyEnv,
    BaseUrl,
    Cache,
    Concurrency,
    MaxCalls,
    OnFailure,
    Prices,
    Request,
    Retries,
    TimeoutS,
    read_chat_options,
)
from agents.cli.environments import choose_environments
from agents.cli.evaluated import (
    SUMMARY_FILE,
    Shown,
    has_own,
    print_record,
    print_summary,
    summarize,
)
from agents.training.agent_specs import AGENTS, CHAT, AgentSpec, EvaluationSetting
from textenv.cli.arguments import Dataset, Model, RewardText, environment_keys
from textenv.cli.console import parse_spec, print_error, print_json
from textenv.cli.overrides import check_given_once
from textenv.cli.terminal import make_console
from textenv.endpoints.chat_options import ChatOptions
from textenv.errors import ConfigError, DatasetError, ExitCode
from textenv.named_paths import named_path
from textenv.output_paths import check_file
from textenv.registry import environment_row
from textenv.safe_text import without_lone_surrogates
from textenv.storage.whole_files import write_whole
from textenv.tokenization import EMBEDDED

if TYPE_CHECKING:
    from rich.console import Console

    from agents.training.agent_evaluation import AgentEvaluation, EvaluationRecord
    from agents.training.run_folder import Setting

_LARGEST_SEED = 2**63 - 1
_PAUSE_S = 10.0  # between two lines of progress in a file


def evaluate(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID env.KEY=VALUE",
            help="Environment ids, by default those of the run; arguments of the environments.",
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
        typer.Option(
            help="Temperature of sampled tokens.",
            show_default="that of the training; 0 with --agent chat",
        ),
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
    seeds: Annotated[
        str | None,
        typer.Option(metavar="N,N", help="Several seeds, such as 0,1,2, each evaluated."),
    ] = None,
    device: Device = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json|FOLDER",
            help="File for the result; FILE.jsonl beside it gets a row an answer. With several ids "
            "or seeds a folder, with files for each and summary.json.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    allow_code: AllowCode = False,
    base_url: BaseUrl = None,
    api_key_env: ApiKeyEnv = None,
    concurrency: Concurrency = None,
    request: Request = None,
    timeout: TimeoutS = None,
    retries: Retries = None,
    on_failure: OnFailure = None,
    max_calls: MaxCalls = None,
    cache: Cache = None,
    prices: Prices = None,
) -> None:
    """Measure an agent on held-out examples.

    The folder of a run as --model brings the run's own environment, data set and reward. It stands
    for the last agent; FOLDER/best stands for the best one.

    With --agent chat a model behind any endpoint of OpenAI's protocol plays: --model is its name
    there. Its answers are kept: stopped half-way, the same command goes on and asks nothing twice.
    """
    chat = read_chat_options(
        base_url=base_url,
        api_key_env=api_key_env,
        concurrency=concurrency,
        request=request,
        timeout=timeout,
        retries=retries,
        on_failure=on_failure,
        max_calls=max_calls,
        cache=cache,
        prices=prices,
    )
    agent = agent or ("sample" if samples > 1 or temperature is not None else "greedy")
    if chat is not None and agent != CHAT:
        raise ConfigError("Options of a chat endpoint are for --agent chat: give that, too.")
    spec = AgentSpec(
        agent,
        model or EMBEDDED,
        samples,
        temperature,
        device or "auto",
        chat=chat or ChatOptions(),
    )
    given = list(words or ())
    named = list(itertools.takewhile(lambda word: "=" not in word, given))
    env, data, paid = environment_keys(given[len(named) :]), parse_spec(dataset), parse_spec(reward)
    check_given_once(env, dataset=data, reward=paid)
    drawn = _read_seeds(seed, seeds, spec)
    ids, run = choose_environments(named, None if agent == CHAT else model, allow_code)
    for id in ids:
        environment_row(id)
    base = EvaluationSetting(
        ids[0], split, examples, data, paid, env, _read_sizes(pass_at), pass_reward
    )
    base.check_samples(samples)
    settings = [_with_run(replace(base, id=id), run) for id in ids]
    files = _name_files(out, ids, drawn)
    for setting in settings:
        _check_apart(files.values(), setting)

    from agents.training.model_lookup import pick_device

    pick_device(spec.device)
    several = len(ids) * len(drawn) > 1
    keeps_answers = agent == CHAT and spec.chat.cache is not False
    records: dict[str, list[EvaluationRecord]] = {}
    replaced = any(path.exists() for path in files.values())
    for setting in settings:
        evaluation = _make_evaluation(setting, spec, run)
        for one in drawn:
            record = _play(evaluation, setting.id, one, not several, keeps_answers)
            if out is not None:
                record.write(files[setting.id, one])
            records.setdefault(setting.id, []).append(record)
    by_id = {setting.id: setting for setting in settings}
    shown = Shown(spec, model, by_id, base, () if run is None else run.ids)
    summary = summarize(records, drawn, shown) if several else None
    if out is not None and summary is not None:
        text = json.dumps(without_lone_surrogates(summary), indent=2, ensure_ascii=False)
        write_whole(out / SUMMARY_FILE, text)
    if as_json:
        print_json(records[ids[0]][0].result if summary is None else summary)
        return
    console = make_console()
    if summary is None:
        print_record(console, records[ids[0]][0], shown)
    else:
        print_summary(console, summary, records, shown)
    if out is not None:
        _print_places(console, out, several, replaced)


def _read_seeds(seed: int | None, seeds: str | None, spec: AgentSpec) -> tuple[int, ...]:
    """Reads the seeds to evaluate with."""
    if seeds is None:
        _check_seed("--seed", seed or 0)
        return (seed or 0,)
    if seed is not None:
        raise ConfigError("Give --seed or --seeds, not both.")
    try:
        read = tuple(dict.fromkeys(int(word) for word in seeds.split(",") if word.strip()))
    except ValueError:
        read = ()
    if not read or min(read) < 0:
        raise ConfigError(f"--seeds {seeds}: name whole numbers from 0 up, such as 0,1,2.")
    _check_seed("--seeds", max(read))
    if len(read) > 1 and not spec.draws:
        raise ConfigError(
            f"The agent '{spec.name}' gives the same answer with each seed: leave out --seeds."
        )
    return read


def _check_seed(option: str, seed: int) -> None:
    if seed > _LARGEST_SEED:
        raise ConfigError(f"{option} {seed}: give a number up to {_LARGEST_SEED}.")


def _name_files(
    out: Path | None, ids: Sequence[str], seeds: Sequence[int]
) -> dict[tuple[str, int], Path]:
    """Names the file of each evaluation, and checks that all can be written."""
    if out is None:
        return {}
    if len(ids) * len(seeds) == 1:
        if out.suffix != ".json":
            raise ConfigError(f"Name a file for --out that ends in .json, not '{out}'.")
        files = {(ids[0], seeds[0]): out}
    else:
        if out.suffix == ".json" or out.is_file():
            raise ConfigError(
                f"Several evaluations go into a folder: name one for --out, not '{out}'."
            )
        check_file(out / SUMMARY_FILE)
        files = {
            (id, seed): out / f"{id.replace('/', '_')}-seed{seed}.json"
            for id in ids
            for seed in seeds
        }
    for path in files.values():
        check_file(path)
        check_file(path.with_suffix(".jsonl"))
    return files


def _check_apart(files: Iterable[Path], setting: EvaluationSetting) -> None:
    """Checks that no data set would be written over."""
    spec = setting.env.get("dataset", setting.dataset)
    named = spec.get("path") if isinstance(spec, Mapping) else spec
    if not isinstance(named, str) or not os.path.exists(data := named_path(named)):
        return
    for path in (file for pair in files for file in (pair, pair.with_suffix(".jsonl"))):
        if path.exists() and path.samefile(data):
            raise ConfigError(
                f"The answers would be written over the data set '{named}': name another --out."
            )


def _make_evaluation(
    setting: EvaluationSetting, spec: AgentSpec, run: Setting | None
) -> AgentEvaluation:
    from agents.training.agent_evaluation import AgentEvaluation

    try:
        return AgentEvaluation(setting, spec)
    except (ConfigError, DatasetError) as error:
        if run is None:
            raise
        raise type(error)(
            f"{error} This is what the run was trained on, named from the folder where textenv "
            "train was called. Call this there, too, or give --dataset and --reward."
        ) from error


def _play(
    evaluation: AgentEvaluation, id: str, seed: int, alone: bool, keeps_answers: bool
) -> EvaluationRecord:
    from textenv.cli.progress import track

    what = "Evaluating" if alone else f"Evaluating {id}, seed {seed}"
    try:
        with track(what, evaluation.n_episodes, pause_s=_PAUSE_S) as report:
            return evaluation.play(seed, lambda done, note: report(done, note or "episodes"))
    except KeyboardInterrupt as error:
        kept = " What was answered is kept: the same command goes on." if keeps_answers else ""
        print_error(f"Stopped.{kept}")
        raise typer.Exit(ExitCode.INTERRUPTED) from error


def _print_places(console: Console, out: Path, several: bool, replaced: bool) -> None:
    was = " The files of before were replaced." if replaced else ""
    where = (
        f"{out}: {SUMMARY_FILE}, and for each id and seed a result and a row an answer."
        if several
        else f"{out}, and a row an answer to {out.with_suffix('.jsonl')}."
    )
    console.print(f"\nWritten to {where}{was}", markup=False)


def _read_sizes(text: str | None) -> tuple[int, ...]:
    """Reads each k of pass@k."""
    try:
        sizes = tuple(int(word) for word in (text or "").split(",") if word.strip())
    except ValueError:
        sizes = (0,)
    if min(sizes, default=1) < 1 or (text is not None and not sizes):
        raise ConfigError(f"--pass-at {text}: name numbers of answers from 1 up, such as 1,8.")
    return tuple(dict.fromkeys(sizes))


def _with_run(setting: EvaluationSetting, run: Setting | None) -> EvaluationSetting:
    """Returns a setting with what a run was trained on, unless it is given or another's."""
    if run is None or setting.id not in run.ids:
        return setting
    env = setting.env
    return replace(
        setting,
        env={**run.env, **env},
        dataset=setting.dataset if has_own(setting, "dataset") else run.dataset,
        reward=setting.reward if has_own(setting, "reward") else run.reward,
    )
