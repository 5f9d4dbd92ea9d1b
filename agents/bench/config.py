"""The configuration of a benchmark: which designs, which gold metrics, how much of everything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    field_validator,
)

from agents.bench.checks import (
    check_budget,
    check_names,
    check_settings,
    contents,
    named_rewards,
)
from agents.config import (
    EMBEDDED_SETTINGS,
    TrainConfig,
    apply_overrides,
    invalid,
    parse_config,
    read_config_file,
)
from textenv.errors import ConfigError, UnknownNameError
from textenv.tokenization import EMBEDDED


class BenchConfig(BaseModel):
    """What is compared, and how large each run is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field("", description="what is compared, as the report's heading")
    id: str = Field(description="environment id")
    designs: dict[str, JsonValue] = Field(description="name -> reward to train against")
    gold: dict[str, JsonValue] = Field(description="name -> metric that no run is trained on")
    controls: tuple[Literal["random"], ...] = Field(
        ("random",), description="beside the untrained policy, which always is one"
    )
    seeds: tuple[NonNegativeInt, ...] = Field(
        (0, 1, 2, 3, 4), description="how many, or a list of them: a run of each"
    )
    budget: PositiveInt = Field(
        2048,
        description="training episodes of each run, in iterations of `train.n_episodes` (64): the "
        "last one is played in full",
    )
    looks: PositiveInt = Field(6, description="evaluations along each run, the last at its end")
    split: str = Field("test", description="where the held-out prompts are")
    prompts: PositiveInt = Field(128, description="how many of them each look plays")
    pool: PositiveInt = Field(
        32,
        description="samples of each prompt from the untrained policy, for all seeds together: "
        "what gains are measured from, and what the best of n is picked from",
    )
    normalise: bool = Field(
        True,
        description="pay each design in standard deviations of the untrained policy's samples, "
        "so that one KL coefficient means the same to all",
    )
    model: str = Field("embedded", description="as for `textenv train`")
    dataset: JsonValue = None
    env: dict[str, JsonValue] = {}
    train: dict[str, JsonValue] = Field({}, description="keys of `textenv train` for every run")
    samples: NonNegativeInt = Field(12, description="held-out examples shown in the report")
    audit: NonNegativeInt = Field(200, description="examples each design is probed with; 0: none")
    device: str = "auto"
    threads: PositiveInt = Field(
        1, description="CPU threads of a run; its numbers may depend on this, not on `jobs`"
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
        """Returns how often each seed's untrained policy answers each prompt."""
        return -(-self.pool // len(self.seeds))

    def train_config(self, reward: Any, seed: int) -> TrainConfig:
        """Returns the configuration of one run.

        Raises:
            UnknownNameError: `train` has a key that does not exist.
            ConfigError: A value of `train` does not fit.
        """
        own = EMBEDDED_SETTINGS if self.model == EMBEDDED else {}
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
        return parse_config({**own, **self.train, **fixed})

    def digest(self, reward: Any, seed: int) -> str:
        """Names everything that a run's numbers depend on, so that it is not repeated."""
        settings = self.train_config(reward, seed).model_dump(exclude={"device"})
        size: list[Any] = [self.looks]
        if reward is None:  # the untrained policy is the same however long others train
            del settings["total_episodes"]
            size = ["pool", self.samples_per_seed()]
        decisive = [settings, size, self.split, self.prompts, self.threads]
        # What was edited since is no longer what a run was made from.
        decisive += filter(None, [contents([settings["dataset"], reward])])
        text = json.dumps(decisive, sort_keys=True, ensure_ascii=False)
        return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def load_bench_config(file: Path, overrides: Sequence[str] = ()) -> BenchConfig:
    """Reads a configuration file, and "key=value" overrides.

    Raises:
        UnknownNameError: A key that does not exist.
        ConfigError: The file cannot be read, or a value does not fit.
    """
    values = read_config_file(file)
    apply_overrides(values, overrides)
    return parse_bench_config(values)


def parse_bench_config(values: Mapping[str, Any]) -> BenchConfig:
    """Checks configuration values.

    Raises:
        UnknownNameError: A key that does not exist.
        ConfigError: A value that does not fit.
    """
    for key in values:
        if key not in BenchConfig.model_fields:
            raise UnknownNameError("configuration key", key, BenchConfig.model_fields)
    try:
        config = BenchConfig(**{**values, **named_rewards(values)})
    except ValidationError as error:
        raise invalid(error) from error
    check_names(config)
    check_settings(config)
    # What `train` says is checked now, not in every run.
    check_budget(config.train_config(None, config.seeds[0]))
    return config


def check_rewards(config: BenchConfig) -> None:
    """Makes every reward once, so that a wrong name is found before anything is trained.

    Raises:
        TextEnvError: One cannot be made.
    """
    from textenv.errors import TextEnvError
    from textenv.rewards import load_reward

    for kind, specs in (("design", config.designs), ("gold metric", config.gold)):
        for name, spec in specs.items():
            try:
                load_reward(spec)  # type: ignore[arg-type] # JSON of any kind: it says what is wrong
            except TextEnvError as error:
                raise ConfigError(f"The {kind} '{name}': {error}") from error
