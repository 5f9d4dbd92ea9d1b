"""The configuration of a benchmark: designs, gold metrics, and the size of its runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, JsonValue, NonNegativeInt, PositiveInt, field_validator

from agents.models.options import Options
from agents.reward_bench.records import RECORD_VERSION
from agents.training.config import TrainConfig, key_in_environment, read_config_file, train_config
from textenv.benchmark.independence import counts_overlap
from textenv.benchmark.matrix import GOLD, RANDOM
from textenv.cli.overrides import apply_overrides
from textenv.episode import TextCore
from textenv.errors import ConfigError, TextEnvError
from textenv.registry import environment_row
from textenv.rewards import load_reward
from textenv.vector import environment_arguments, make_core


class BenchConfig(Options):
    """The configuration of a benchmark: the keys of `textenv rewards bench`."""

    @classmethod
    def place_of(cls, name: str) -> str | None:
        """Says that a key of training goes into `train`, and one of the environment into `env`."""
        if name in TrainConfig.model_fields and name not in (*_RESERVED, *_UNUSED):
            return f"Did you mean 'train.{name}'?"
        return key_in_environment(name)

    title: str = Field("", description="heading of the report")
    id: str = Field(description="environment id")
    designs: dict[str, JsonValue] = Field(description="name -> reward to train against")
    gold: dict[str, JsonValue] = Field(
        description="name -> metric that no run is trained on; by default the environment's own "
        "reward, embedding_cosine, and chrf if nothing else counts words in common, without those "
        "that are designs or cannot be made"
    )
    controls: tuple[Literal["random"], ...] = Field(
        ("random",), description="controls, in addition to the untrained policy"
    )
    seeds: tuple[NonNegativeInt, ...] = Field(
        (0, 1, 2, 3, 4), description="number of seeds, or a list of them; one run for each"
    )
    budget: PositiveInt = Field(
        2048,
        description="training episodes of each run, in iterations of `train.n_episodes` (64), of "
        "which the last is played in full",
    )
    looks: PositiveInt = Field(6, description="evaluations during each run, the last at its end")
    split: str = Field("test", description="split of the held-out prompts")
    prompts: PositiveInt = Field(128, description="number of held-out prompts of each look")
    pool: PositiveInt = Field(
        32,
        description="samples of each prompt from the untrained policy, for all seeds together; "
        "gains are measured from them, and the best of n is picked from them",
    )
    normalise: bool = Field(
        True,
        description="pay each design in standard deviations of the untrained policy's samples, "
        "so that one KL coefficient means the same for all",
    )
    model: str = Field("embedded", description="as for `textenv train`")
    dataset: JsonValue = None
    env: dict[str, JsonValue] = Field({}, description="further arguments of the environment")
    train: dict[str, JsonValue] = Field({}, description="keys of `textenv train` for every run")
    samples: NonNegativeInt = Field(12, description="held-out examples shown in the report")
    audit: NonNegativeInt = Field(200, description="examples of each design's audit; 0 for none")
    device: str = "auto"
    threads: PositiveInt = Field(
        1, description="CPU threads of each run; numbers may depend on this, but not on `jobs`"
    )
    jobs: PositiveInt | None = Field(
        None, description="runs at a time; by default as many as cores or GPUs allow"
    )

    @field_validator("seeds", mode="before")
    @classmethod
    def _count(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            return tuple(range(value))
        if not isinstance(value, list | tuple):
            raise ValueError("give how many seeds, such as 5, or a list of them")
        return value

    def runs(self) -> list[tuple[str, int]]:
        """Returns (design or control, seed) of every training run."""
        names = (*self.designs, *self.controls)
        return [(name, seed) for seed in self.seeds for name in names]

    def samples_per_seed(self) -> int:
        """Returns how many times each seed's untrained policy answers each prompt."""
        return -(-self.pool // len(self.seeds))

    def train_config(self, reward: Any, seed: int) -> TrainConfig:
        """Returns the configuration of one run."""
        fixed = {
            "id": self.id,
            "model": self.model,
            "dataset": self.dataset,
            "env": self.env,
            "reward": reward,
            "seed": seed,
            "total_episodes": self.budget,
            "device": self.device,
        }
        return train_config({**self.train, **fixed})

    def digest(self, reward: Any, seed: int) -> str:
        """Returns a digest of everything that a run's numbers depend on."""
        settings = self.train_config(reward, seed).model_dump(exclude={"device"})
        size: list[Any] = [self.looks]
        if reward is None:  # the untrained policy is the same however long others train
            del settings["total_episodes"]
            size = ["pool", self.samples_per_seed()]
        decisive = [RECORD_VERSION, settings, size, self.split, self.prompts, self.threads]
        # A run depends on the content of the files that its configuration names.
        decisive += filter(None, [contents([settings["dataset"], reward])])
        text = json.dumps(decisive, sort_keys=True, ensure_ascii=False)
        return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def load_bench_config(file: Path, overrides: Sequence[str] = ()) -> BenchConfig:
    """Reads a configuration file, and "key=value" overrides."""
    values = read_config_file(file)
    apply_overrides(values, overrides)
    return parse_bench_config(values)


def parse_bench_config(values: Mapping[str, Any]) -> BenchConfig:
    """Checks configuration values."""
    values = dict(values)
    unknown = [key for key in values if key not in BenchConfig.model_fields]
    if values.get("gold") is None:
        values["gold"] = _default_gold(values)
    config = BenchConfig(**{**values, **({} if unknown else named_rewards(values))})
    check_names(config)
    check_settings(config)
    # What `train` says is checked now, not in every run.
    config.train_config(None, config.seeds[0])
    return config


def _default_gold(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns metrics of different kinds to judge the designs of a configuration by."""
    designs = named_rewards({**values, "gold": {}})["designs"]
    if not isinstance(values.get("id"), str):
        raise ConfigError("id: missing. Name an environment; 'textenv list' shows them.")
    own = environment_row(values["id"]).kwargs.reward
    candidates: dict[str, Any] = {own if isinstance(own, str) else "task": own}
    candidates |= {name: name for name in ("embedding_cosine", *_OVERLAPS)}
    taken = [_unweighted(spec) for spec in designs.values()]
    found: dict[str, Any] = {}
    for name, spec in candidates.items():
        if spec is None or name in designs or _unweighted(spec) in taken or not _can_be_made(spec):
            continue
        # One that counts words in common is enough.
        if not (name in _OVERLAPS and any(counts_overlap(one) for one in found.values())):
            found[name] = spec
    return found


def _can_be_made(spec: Any) -> bool:
    try:
        load_reward(spec)
    except TextEnvError:  # an optional package is missing
        return False
    return True


def make_bench_core(config: BenchConfig) -> TextCore:
    """Makes a slot of a benchmark's environment; a split that is missing raises."""
    environment_row(config.id)
    arguments = environment_arguments(config.model, config.dataset, None, config.env)
    core = make_core(config.id, 1, arguments)
    core.dataset(config.split)
    return core


def count_prompts(config: BenchConfig) -> int:
    """Returns how many held-out prompts each look has: those asked for, as far as there are."""
    return min(config.prompts, len(make_bench_core(config).dataset(config.split)))


def check_rewards(config: BenchConfig, core: TextCore) -> None:
    """Makes and tries every reward once, so that one that fails is found before any training."""
    from textenv.preflight import try_rewards
    from textenv.rewards.normalise import with_unit_std

    for kind, specs in (("design", config.designs), ("gold metric", config.gold)):
        for name, spec in specs.items():
            try:
                # JSON of any kind: it says what is wrong.
                reward = load_reward(with_unit_std(spec))  # type: ignore[arg-type]
                try_rewards({name: reward}, core, config.split)
            except TextEnvError as error:
                raise ConfigError(f"The {kind} '{name}': {error}") from error


UNTRAINED = "untrained"
_OVERLAPS = ("chrf", "rouge2")  # gold by default, unless it is a design
# Keys that the benchmark sets itself in each run.
_RESERVED = ("id", "model", "dataset", "env", "reward", "seed", "total_episodes", "device")
# Keys of `textenv train` that do not affect the training itself.
_UNUSED = (
    *("eval_split", "eval_examples", "validation_examples", "validation_every"),
    *("patience", "save_every"),
)
_TRAINED_ON = "train"  # the split of an environment that names none
_LONGEST_NAME = 100  # bytes; file systems take 255


def named_rewards(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns designs and gold metrics as mappings; they may be given as lists of names."""
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
                f"{values[key]!r}. Put a name in quotes if YAML would not read it as text, such "
                "as on, yes or 1."
            )
        found[key] = given
    return found


def _are_texts(names: Iterable[Any]) -> bool:
    return all(isinstance(name, str) for name in names)


def check_names(config: BenchConfig) -> None:
    """Raises for names that cannot be folders or are reserved, and for designs that are gold."""
    known: dict[str, str] = {}
    for name in (*config.designs, *config.gold):
        if name in config.designs and name in config.gold:
            raise ConfigError(
                f"gold: '{name}' is also a design; a gold metric must not be trained on."
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
            raise ConfigError(f"'{other}' and '{name}' differ only in case; choose other names.")
    for design, spec in config.designs.items():
        for gold, metric in config.gold.items():
            if _unweighted(spec) == _unweighted(metric):
                raise ConfigError(
                    f"gold: '{gold}' is the same reward as the design '{design}'; a gold metric "
                    "must not be trained on."
                )


def contents(specs: Any) -> dict[str, str]:
    """Returns digests of the files of data and code that descriptions name, by these names."""
    found = {}
    for text in _texts(specs):
        module = text.rpartition(":")[0]
        for path in (text, module, f"{module.replace('.', '/')}.py"):
            with suppress(OSError, ValueError):  # not every text is a valid path
                found[text] = hashlib.blake2b(Path(path).read_bytes(), digest_size=12).hexdigest()
                break
    return found


def _texts(spec: Any) -> Iterator[str]:
    """Yields every text in a description, including keys."""
    if isinstance(spec, str):
        yield spec
    elif isinstance(spec, Mapping):
        yield from _texts([*spec.keys(), *spec.values()])
    elif isinstance(spec, list | tuple):
        for part in spec:
            yield from _texts(part)


def _unweighted(spec: Any) -> Any:
    """Returns a reward's description without a positive weight, which only changes the unit."""
    if not isinstance(spec, Mapping) or len(spec) != 1:
        return spec
    ((name, entry),) = spec.items()
    options = dict(entry) if isinstance(entry, Mapping) else {"weight": entry}
    weight = options.pop("weight", 1)
    if not isinstance(weight, int | float) or weight <= 0:
        return spec
    return {name: options} if options else name


def check_settings(config: BenchConfig) -> None:
    """Raises for settings that would give no benchmark, or would be ignored."""
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
                f"train: '{key}' has no effect here: a benchmark evaluates its runs by 'looks', "
                "'prompts' and 'split', and trains each to the end of its 'budget'."
            )
    if "reward" in config.env:
        raise ConfigError("env: 'reward' is set by the benchmark itself.")
    if config.env.get("split", _TRAINED_ON) == config.split:
        raise ConfigError(
            f"split: the runs train on '{config.split}'; held-out prompts need another split."
        )
