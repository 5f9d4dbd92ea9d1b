"""What a benchmark's configuration must not say, and what the files it names hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textenv.benchmark.matrix import GOLD
from textenv.errors import ConfigError

if TYPE_CHECKING:
    from agents.bench.config import BenchConfig
    from agents.config import TrainConfig

UNTRAINED, RANDOM = "untrained", "random"
# What the benchmark decides itself, run by run.
_RESERVED = ("id", "model", "dataset", "env", "reward", "seed", "total_episodes", "device")
# What `textenv train` does beside the training.
_UNUSED = (
    *("eval_split", "eval_examples", "validation_examples", "validation_every"),
    *("patience", "save_every"),
)
_TRAINED_ON = "train"  # the split of an environment that names none
_LONGEST_NAME = 100  # bytes; file systems take 255


def named_rewards(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns designs and gold metrics as mappings, where they are a list of names."""
    found = {}
    for key in ("designs", "gold"):
        if values.get(key) is None:
            raise ConfigError(
                f"{key}: missing. Give a list of names of rewards, or a mapping from names to "
                "rewards."
            )
        given = values[key]
        if isinstance(given, list | tuple):
            given = dict(zip(given, given, strict=True)) if _are_texts(given) else None
        elif not isinstance(given, Mapping) or not _are_texts(given):
            given = None
        if given is None:
            raise ConfigError(
                f"{key}: give a list of names of rewards, or a mapping from names to rewards, not "
                f"{values[key]!r}. A name that YAML takes for something else than text, such "
                "as on, yes or 1, stands in quotes."
            )
        found[key] = given
    return found


def _are_texts(names: Iterable[Any]) -> bool:
    return all(isinstance(name, str) for name in names)


def check_names(config: BenchConfig) -> None:
    """Refuses names that cannot be folders or mean something else, and designs that are gold."""
    known: dict[str, str] = {}
    for name in (*config.designs, *config.gold):
        if name in config.designs and name in config.gold:
            raise ConfigError(
                f"gold: '{name}' is a design, too; a gold metric must not be trained on."
            )
        if (
            not name.isprintable()
            or not set(name).isdisjoint("/\\")
            or name != name.strip()
            or name.startswith(".")
            or not 0 < len(name.encode()) <= _LONGEST_NAME
            or name.casefold() in (UNTRAINED, RANDOM, GOLD)
        ):
            raise ConfigError(f"{name!r} cannot name a design or a metric; choose another name.")
        other = known.setdefault(name.casefold(), name)
        if other != name:
            raise ConfigError(f"'{other}' and '{name}' differ in case alone; choose other names.")
    for design, spec in config.designs.items():
        for gold, metric in config.gold.items():
            if _unweighted(spec) == _unweighted(metric):
                raise ConfigError(
                    f"gold: '{gold}' is the same reward as the design '{design}'; a gold metric "
                    "must not be trained on."
                )


def contents(specs: Any) -> dict[str, str]:
    """Returns digests of the files of data and code that descriptions name, by what they say."""
    found = {}
    for text in _texts(specs):
        module = text.rpartition(":")[0]
        for path in (text, module, f"{module.replace('.', '/')}.py"):
            with suppress(OSError, ValueError):  # what can be no path is none
                found[text] = hashlib.blake2b(Path(path).read_bytes(), digest_size=12).hexdigest()
                break
    return found


def _texts(spec: Any) -> Iterator[str]:
    """Goes through every text in a description, keys included."""
    if isinstance(spec, str):
        yield spec
    elif isinstance(spec, Mapping):
        yield from _texts([*spec.keys(), *spec.values()])
    elif isinstance(spec, list | tuple):
        for part in spec:
            yield from _texts(part)


def _unweighted(spec: Any) -> Any:
    """Returns a reward's description without a weight above 0, which only changes its unit."""
    if not isinstance(spec, Mapping) or len(spec) != 1:
        return spec
    ((name, entry),) = spec.items()
    options = dict(entry) if isinstance(entry, Mapping) else {"weight": entry}
    weight = options.pop("weight", 1)
    if not isinstance(weight, int | float) or weight <= 0:
        return spec
    return {name: options} if options else name


def check_settings(config: BenchConfig) -> None:
    """Refuses what would make no benchmark, or would be ignored."""
    for name in ("designs", "gold", "seeds"):
        if not getattr(config, name):
            raise ConfigError(f"{name}: at least one is needed.")
    for key in ("seeds", "controls"):
        if len(set(getattr(config, key))) < len(getattr(config, key)):
            raise ConfigError(f"{key}: each only once.")
    if config.audit == 1:
        raise ConfigError("audit: one example shows nothing; give 2 or more, or 0 for no audit.")
    if config.pool < 2:
        raise ConfigError("pool: give 2 samples of a prompt or more, to pick the better one from.")
    for key in config.train:
        if key in _RESERVED:
            raise ConfigError(f"train: '{key}' is set by the benchmark itself.")
        if key in _UNUSED:
            raise ConfigError(
                f"train: '{key}' changes nothing here: a benchmark looks at its runs by 'looks', "
                "'prompts' and 'split', and trains each to the end of its 'budget'."
            )
    if "reward" in config.env:
        raise ConfigError("env: 'reward' is set by the benchmark itself.")
    if config.env.get("split", _TRAINED_ON) == config.split:
        raise ConfigError(
            f"split: '{config.split}' is what the runs train on; held-out prompts need another."
        )


def check_budget(settings: TrainConfig) -> None:
    """Refuses a budget within which no run could move.

    Args:
        settings: Those of a run.
    """
    idle = settings.n_episodes * settings.critic_warmup
    if settings.total_episodes <= idle:
        raise ConfigError(
            f"budget: in the first {settings.critic_warmup} iterations of {settings.n_episodes} "
            f"episodes only the critic learns, so give more than {idle} episodes, or set "
            "train.critic_warmup or train.n_episodes."
        )
