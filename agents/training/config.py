"""The configuration of a training run: defaults, a YAML file, and key=value overrides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import (
    JsonValue,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from agents.models.options import POLICY_DEFAULTS, Options, PolicyOptions, option, what_is_trained
from agents.ppo.options import PPO_DEFAULTS, PPOOptions
from agents.training.guards import GuardName
from textenv.cli.overrides import apply_overrides, check_given_once
from textenv.errors import ConfigError
from textenv.named_code import record_own
from textenv.registry import EnvironmentKwargs
from textenv.storage.whole_files import write_whole
from textenv.strict_yaml import load_yaml

# By default; a few rows are soon known by heart, and more updates only take time.
SFT_EPOCHS, SFT_LEAST_STEPS, SFT_MOST_STEPS = 20, 30, 1000
_ENVIRONMENT, _BUDGET = "Environment", "Budget and evaluation"


class RunOptions(Options):
    """The options of a training run, in addition to those of the policy and of PPO."""

    id: str = option(..., _ENVIRONMENT, "environment id")
    dataset: JsonValue = option(None, _ENVIRONMENT, "data set in place of the environment's own")
    reward: JsonValue = option(None, _ENVIRONMENT, "reward in place of the environment's own")
    env: dict[str, JsonValue] = option(
        {}, _ENVIRONMENT, "further arguments of the environment, such as env.max_new_tokens=64"
    )

    total_episodes: PositiveInt = option(10_000, _BUDGET, "training budget in episodes")
    max_seconds: PositiveFloat | None = option(
        None,
        _BUDGET,
        "time limit of the training, without loading and the measurements before and after. No "
        "iteration begins that would pass it, and the learning rate has fallen by then. A resumed "
        "run has it again",
    )
    eval_split: str = option("test", _BUDGET, "split on which the gain is measured")
    eval_examples: PositiveInt = option(
        256, _BUDGET, "number of examples on which the gain is measured"
    )
    validation_every: NonNegativeInt = option(
        10,
        _BUDGET,
        "iterations between two looks at held-out reward; 0 for no looks. The best look's agent is "
        "kept in best/, and measured beside the last one",
    )
    validation_examples: PositiveInt = option(
        128, _BUDGET, "number of held-out examples of each look"
    )
    patience: PositiveInt = option(
        6, _BUDGET, "number of looks without a new best held-out reward after which the run stops"
    )
    gold: JsonValue = option(
        None,
        _BUDGET,
        "a reward that nobody is paid, measured at each look as validation/gold: the guard 'gold' "
        "warns when it falls while the reward rises",
    )
    stop_on: list[GuardName] = option(
        [],
        _BUDGET,
        "guards whose warning ends the run, such as stop_on=[kl,turns]; docs/guards.md lists them",
    )
    save_every: NonNegativeInt = option(
        50, _BUDGET, "iterations between two checkpoints; 0 for no checkpoints but the last"
    )
    keep_checkpoints: PositiveInt = option(
        2,
        _BUDGET,
        "number of checkpoints that a run keeps: the last, and those before it in checkpoints/. "
        "Each takes the room of the model and the state of its optimizer; while one is written, "
        "there is one more",
    )

    @field_validator("stop_on", mode="before")
    @classmethod
    def _take_one_guard(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _gold_is_measured(self) -> Self:
        if self.gold is not None and not self.validation_every:
            raise ConfigError("gold is measured at the looks, and validation_every=0 takes none.")
        return self


def key_in_environment(name: str) -> str | None:
    """Returns the key that sets an argument of the environment; None for other names."""
    return f"Did you mean 'env.{name}'?" if name in EnvironmentKwargs.model_fields else None


class TrainConfig(PPOOptions, PolicyOptions, RunOptions):
    """The whole configuration of a training run: the keys of `textenv train`."""

    @classmethod
    def place_of(cls, name: str) -> str | None:
        """Says that an argument of the environment is a key within `env`."""
        return key_in_environment(name)


class SFTOptions(Options):
    """The options of supervised fine-tuning: the keys of `textenv sft`."""

    @classmethod
    def place_of(cls, name: str) -> str | None:
        """Says which options have dashes, and that the environment's are within `env`."""
        if name in ("model", "dataset", "out", "device", "examples", "max_seconds"):
            return f"Did you mean '--{name.replace('_', '-')}'?"
        return key_in_environment(name)

    steps: PositiveInt | None = option(
        None,
        _BUDGET,
        f"number of updates; by default {SFT_EPOCHS} times through the training rows, but "
        f"{SFT_LEAST_STEPS} updates or more, and {SFT_MOST_STEPS} at most",
    )
    batch_size: PositiveInt = option(64, _BUDGET, "episodes of each update")
    learning_rate: PositiveFloat = option(
        1e-3,
        _BUDGET,
        "peak learning rate, after a warm-up over a twentieth of the steps; it then falls linearly "
        "to 0",
    )
    prompt_weight: NonNegativeFloat = option(
        0.0,
        _BUDGET,
        "weight of an environment token relative to an agent token. Above 0 the model also learns "
        "to write prompts, which helps a model that is trained from scratch",
    )
    max_grad_norm: PositiveFloat = option(1.0, _BUDGET, "gradient norm limit")
    bf16: bool | None = option(
        None,
        _BUDGET,
        "compute in bfloat16 by autocast over float32 weights; by default where the processor or "
        "GPU gains by it",
    )
    max_tokens_per_batch: PositiveInt = option(
        8192, _BUDGET, "most tokens, padding included, of one pass"
    )
    seed: NonNegativeInt = option(0, _BUDGET, "seed of the order of examples")


def load_config(
    file: Path | None = None, overrides: Sequence[str] = (), **given: Any
) -> TrainConfig:
    """Builds a configuration: defaults, then the file, then given values, then overrides.

    Args:
        file: YAML file of configuration keys.
        overrides: Texts "key=value", the value as in YAML; "env.max_new_tokens=64" sets a key
            within `env`.
        given: Values by key; None for a key that is not given.

    Raises:
        UnknownNameError: A key does not exist.
        ConfigError: A value does not fit, or the file cannot be read.
    """
    values: dict[str, Any] = {}
    if file is not None:
        values |= read_config_file(file)
    values |= {key: value for key, value in given.items() if value is not None}
    apply_overrides(values, overrides)
    config = train_config(values)
    check_given_once(config.env, dataset=config.dataset, reward=config.reward)
    return config


def train_config(values: Mapping[str, Any]) -> TrainConfig:
    """Makes a configuration from the given values, and the defaults for what is trained."""
    trained = what_is_trained(values)
    return TrainConfig(**{**POLICY_DEFAULTS[trained], **PPO_DEFAULTS[trained], **values})


def read_config_file(file: Path) -> dict[str, Any]:
    """Reads a YAML file of configuration keys."""
    try:
        data = load_yaml(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"The configuration '{file}' cannot be read: {reason}.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"'{file}' is not valid YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"'{file}' must hold keys and values, such as 'total_episodes: 1000'.")
    for key in data:
        if not isinstance(key, str):
            raise ConfigError(f"'{file}': the key {key!r} is not a text. Put it in quotes.")
    return data


def write_config(
    config: TrainConfig, path: Path, write: Callable[[Path, str], None] = write_whole
) -> None:
    """Writes every key, so that the file alone is enough to repeat the run; it is this user's own.

    Args:
        config: Configuration.
        path: File to write.
        write: What writes a text to a file.
    """
    text = yaml.safe_dump(config.to_json(), sort_keys=False, allow_unicode=True)
    record_own(text)
    write(path, text)
