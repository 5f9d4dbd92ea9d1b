"""The commands `textenv suite` and `textenv leaderboard`: fixed tasks for every agent.

Slow imports are inside the commands.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agents.cli.arguments import Device
from agents.cli.chat_options import (
    ApiKeyEnv,
    BaseUrl,
    Cache,
    Concurrency,
    MaxCalls,
    Request,
    Retries,
    TimeoutS,
    read_chat_options,
)
from agents.cli.display import interval, print_facts
from agents.suite.definition import DEFAULT_SUITE, SCRIPTED, load_definition
from agents.training.agent_specs import CHAT
from textenv.chat import shorten
from textenv.cli.arguments import AsJson
from textenv.cli.console import print_error, print_json
from textenv.cli.terminal import make_console
from textenv.endpoints.chat_options import ChatOptions
from textenv.errors import ConfigError, ExitCode, UnknownNameError
from textenv.tokenization import EMBEDDED

if TYPE_CHECKING:
    from agents.suite.leaderboard import Leaderboard
    from agents.suite.results import SuiteResult

GREEDY = "greedy"
_FOLDER_CHARS = 60
_NAME_CHARS = 24, 12  # of an agent in a table, from its start and from its end
_LINE_S = 15.0  # between two lines of progress in a file


def suite(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="'embedded', a folder, a run's folder, a Hugging Face id or a .gguf file; or "
            "gold, lazy or random; with --agent chat its name at the endpoint.",
        ),
    ],
    suite: Annotated[
        str, typer.Option(help="Name of a suite, or a YAML file that defines one.")
    ] = DEFAULT_SUITE,
    agent: Annotated[
        str, typer.Option(help="greedy, or chat for a model behind a chat endpoint.")
    ] = GREEDY,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the result.", show_default="runs/SUITE/MODEL"),
    ] = None,
    name: Annotated[
        str, typer.Option(help="Name on leaderboards.", show_default="the model's")
    ] = "",
    device: Device = None,
    bf16: Annotated[
        bool | None,
        typer.Option(
            "--bf16/--no-bf16",
            help="Compute in bfloat16, or in float32.",
            show_default="what is faster here",
        ),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="With --agent chat: the model's tokenizer, which counts the budgets as they are "
            "counted for a model that is played here; named as MODEL is.",
            show_default=EMBEDDED,
        ),
    ] = None,
    as_json: AsJson = False,
    base_url: BaseUrl = None,
    api_key_env: ApiKeyEnv = None,
    concurrency: Concurrency = None,
    request: Request = None,
    timeout: TimeoutS = None,
    retries: Retries = None,
    max_calls: MaxCalls = None,
    cache: Cache = None,
) -> None:
    """Play a standard suite: fixed examples, prompts and budgets, greedy answers.

    Every part is kept as soon as it is played. The same command goes on where it was stopped, and
    gives the same result as without a stop. textenv leaderboard compares results.
    """
    definition = load_definition(suite)
    chat = read_chat_options(
        base_url=base_url,
        api_key_env=api_key_env,
        concurrency=concurrency,
        request=request,
        timeout=timeout,
        retries=retries,
        max_calls=max_calls,
        cache=cache,
    )
    if agent not in (GREEDY, CHAT):
        raise UnknownNameError("agent of a suite", agent, (GREEDY, CHAT))
    if agent == CHAT and (device is not None or bf16 is not None):
        raise ConfigError(
            "--device and --bf16 are for a model that is loaded here: leave them out."
        )
    if agent != CHAT and (chat is not None or tokenizer is not None):
        raise ConfigError(
            "--tokenizer and options of a chat endpoint are for --agent chat: give that, too."
        )

    from agents.suite.endpoint_player import EndpointPlayer
    from agents.suite.players import ModelPlayer, Player, ScriptedPlayer
    from agents.suite.playing import play_suite
    from agents.suite.suite import make_suite
    from textenv.cli.progress import track

    made = make_suite(definition)
    player: Player
    if agent == CHAT:
        player = EndpointPlayer(made, model, chat or ChatOptions(), tokenizer or EMBEDDED)
    elif model in SCRIPTED:
        player = ScriptedPlayer(made, model)
    else:
        player = ModelPlayer(made, model, device or "auto", bf16)
    folder = out or Path("runs") / made.name / _folder_name(name or player.name)
    try:
        with track("Playing", made.examples * len(made.tasks), _LINE_S) as report:
            result = play_suite(made, player, folder, name, report)
    except KeyboardInterrupt as error:
        print_error(f"Stopped. What was played is in {folder}; the same command goes on.")
        raise typer.Exit(ExitCode.INTERRUPTED) from error
    if as_json:
        print_json(result.to_json())
        return
    console = make_console()
    print_result(console, result)
    console.print(f"\nIn {folder}. To compare: textenv leaderboard {folder} ...", markup=False)


def _folder_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip(".-")[:_FOLDER_CHARS] or "agent"


def print_result(console: Console, result: SuiteResult) -> None:
    """Prints an agent's score, and its reward and normalised reward on each task."""
    from textenv.benchmark.statistics import estimate_mean

    facts = {
        "suite": f"{result.suite['name']}, hash {result.suite_hash}",
        "score": interval(result.score().to_json()),
        "seconds": "" if result.seconds is None else f"{result.seconds:.0f}",
    }
    print_facts(console, result.name, facts)
    console.print()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("task")
    table.add_column("reward [95 %]", no_wrap=True)
    table.add_column("normalised", justify="right")
    means = result.normalised.mean(axis=1)
    for id, rewards, mean in zip(result.ids, result.rewards, means, strict=True):
        table.add_row(Text(id), Text(interval(estimate_mean(rewards).to_json())), f"{mean:z.3f}")
    console.print(table)
    cut = sum(facts["prompts_cut"] for facts in result.facts.values())
    if cut:
        console.print(
            Text(
                f"! {cut:.0f} prompts were cut, since this model's tokenizer needs more tokens "
                "than the suite allows: its score is too low.",
                style="yellow",
            )
        )


def leaderboard(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR ...", help="Folders of textenv suite.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="New folder for a page, a Markdown table and a data set for the Hugging Face Hub.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Rank agents that played the same suite, as far as their results allow.

    An agent's rank is a range: from 1 + the number of agents that are shown to be better, to the
    number of agents that are not shown to be worse. Results of another suite, or of another version
    of its data or rewards, are refused.
    """
    from agents.suite.leaderboard import read_leaderboard
    from textenv.output_paths import check_new_folder

    if out is not None:
        check_new_folder(out)
    board = read_leaderboard(folders)
    page = None
    if out is not None:
        from agents.suite.leaderboard_files import write_leaderboard

        page = write_leaderboard(board, out)
    if as_json:
        print_json(board.to_json())
        return
    print_leaderboard(make_console(), board)
    if page is not None:
        make_console().print(f"\nTo look at: {page}", markup=False)


def print_leaderboard(console: Console, board: Leaderboard) -> None:
    """Prints a line for each agent: its rank, its score and its time."""
    from textenv.report.numbers import format_duration

    title = f"{board.suite['name']}, hash {board.suite_hash}"
    console.print(Text(title, style="bold"))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("rank", justify="right")
    table.add_column("agent", no_wrap=True)
    table.add_column("score [95 %]", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    for one in board.entries:
        seconds = one.result.seconds
        table.add_row(
            str(one.place),
            Text(shorten(one.name, *_NAME_CHARS)),
            Text(interval(one.score.to_json())),
            "" if seconds is None else format_duration(seconds),
        )
    console.print(table)
