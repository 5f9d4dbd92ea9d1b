"""The configuration of a training run: defaults, a YAML file, and key=value overrides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)

from agents.models.options import LoraSettings
from textenv.errors import ConfigError, UnknownNameError
from textenv.strict_yaml import load_yaml
from textenv.tokenization import EMBEDDED

# For the model that comes with the package, in place of the defaults below, which are meant for
# large pretrained ones. It is tiny, so it takes larger steps; and so briefly trained that its
# samples at temperature 1 are mostly noise. How they were chosen stands in docs/results.md.
EMBEDDED_SETTINGS: Mapping[str, Any] = {
    "learning_rate": 3e-4,
    "n_epochs": 1,
    "gae_lambda": 1.0,
    "kl_coef": 0.005,
    "temperature": 0.5,
}

_NESTED = ("lora",)  # keys that hold keys of their own


class TrainConfig(BaseModel):
    """Everything that decides a training run, with the defaults of `textenv train`.

    The learning settings are `TextPPO`'s and `LMPolicy`'s arguments of the same names.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(description="environment id")
    model: str = Field(
        "embedded", description="'embedded', a folder, a Hugging Face id or a .gguf file"
    )
    dataset: JsonValue = Field(None, description="a data set in place of the environment's own")
    reward: JsonValue = Field(None, description="a reward in place of the environment's own")
    env: dict[str, JsonValue] = Field({}, description="further arguments of the environment")
    seed: NonNegativeInt = 0
    device: str = "auto"

    total_episodes: PositiveInt = Field(10_000, description="budget of training")
    n_episodes: PositiveInt = Field(64, description="episodes of one iteration")
    n_envs: PositiveInt = Field(64, description="episodes that are played at a time")
    batch_size: PositiveInt = Field(32, description="episodes of one step of the optimizer")
    n_epochs: PositiveInt = 2
    learning_rate: PositiveFloat = 3e-5
    learning_rate_end: NonNegativeFloat = Field(
        0.1, description="share of the learning rate that is left at the end; it falls linearly"
    )
    gamma: float = Field(1.0, gt=0, le=1)
    gae_lambda: float = Field(0.95, ge=0, le=1)
    clip_range: PositiveFloat = 0.2
    clip_range_vf: PositiveFloat | None = None
    clip_range_high: PositiveFloat | None = None
    dual_clip: float | None = Field(None, gt=1)
    importance_cap: PositiveFloat | None = None
    advantage: Literal["gae", "rloo", "grpo", "dr_grpo", "reinforce++"] = "gae"
    group_size: PositiveInt = Field(1, description="episodes of each prompt")
    normalize_advantage: bool = True
    ent_coef: float = 0.0
    vf_coef: NonNegativeFloat = 0.1
    max_grad_norm: PositiveFloat = 1.0
    max_grad_norm_critic: PositiveFloat | None = None
    target_kl: PositiveFloat | None = None
    kl_coef: NonNegativeFloat = 0.02
    kl_target: PositiveFloat | None = None
    kl_horizon: PositiveInt = 10_000
    scale_rewards: bool = False
    value_lr_factor: PositiveFloat = 3.0
    critic_warmup: NonNegativeInt = 2
    max_invalid_share: float = Field(
        0.5, ge=0, le=1, description="of a rollout that a reward may fail to score"
    )
    temperature: PositiveFloat = 1.0
    separate_critic: bool = False
    bf16: bool = False
    max_tokens_per_batch: PositiveInt = 8192
    lora: LoraSettings | None = Field(
        None, description="learn low-rank adapters instead of the weights: lora.r=16, lora.alpha=32"
    )
    quantize: Literal["4bit", "8bit"] | None = Field(
        None, description="hold the weights that adapters go beside in so few bits"
    )
    frozen_layers: NonNegativeInt = Field(
        0, description="so many of the lowest layers do not learn, nor the embeddings"
    )
    gradient_checkpointing: bool = Field(False, description="less memory, a third more computation")
    compile_layers: bool = Field(False, description="a slow start, faster updates")
    sampler: Literal["vllm"] | None = Field(
        None, description="what writes rollouts in place of the policy's own decoding"
    )
    sampler_kwargs: dict[str, JsonValue] = Field(
        {}, description="arguments of it: sampler_kwargs.gpu_memory_utilization=0.4"
    )

    parallel: Literal["ddp", "fsdp"] | None = Field(
        None, description="in several processes: all weights in each, or a part of them"
    )

    eval_split: str = Field("test", description="where the gain is measured")
    eval_examples: PositiveInt = Field(256, description="how many of its examples")
    validation_examples: PositiveInt = Field(128, description="for the convergence stop")
    validation_every: NonNegativeInt = Field(
        10, description="iterations between two looks at held-out reward; 0 for none"
    )
    patience: PositiveInt = Field(
        6, description="stop after so many looks without a new best held-out reward"
    )
    save_every: NonNegativeInt = Field(
        50, description="iterations between two checkpoints; 0: none"
    )


def load_config(
    file: Path | None = None, overrides: Sequence[str] = (), **given: Any
) -> TrainConfig:
    """Builds a configuration: defaults, then the file, then given values, then overrides.

    The embedded model has defaults of its own, `EMBEDDED_SETTINGS`.

    Args:
        file: A YAML file of configuration keys.
        overrides: "key=value" each, the value as in YAML; "env.max_new_tokens=64" reaches inside.
        given: Values by key; None means not given.

    Raises:
        UnknownNameError: A key that does not exist.
        ConfigError: A value that does not fit, or a file that cannot be read.
    """
    values: dict[str, Any] = {}
    if file is not None:
        values |= read_config_file(file)
    values |= {key: value for key, value in given.items() if value is not None}
    apply_overrides(values, overrides)
    if values.get("model", EMBEDDED) == EMBEDDED:
        values = {**EMBEDDED_SETTINGS, **values}
    return parse_config(values)


def read_config_file(file: Path) -> dict[str, Any]:
    """Reads a YAML file of configuration keys.

    Raises:
        ConfigError: It cannot be read, or holds something else.
    """
    try:
        data = load_yaml(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"The configuration '{file}' cannot be read: {reason}.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"'{file}' is not valid YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"'{file}' must hold keys and values, such as 'total_episodes: 1000'.")
    return data


def apply_overrides(values: dict[str, Any], overrides: Sequence[str]) -> None:
    """Sets values by "key=value" each; "env.max_new_tokens=64" reaches inside.

    Raises:
        ConfigError: One is not of this form, or its value is not YAML.
    """
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise ConfigError(f"'{override}' is not of the form key=value.")
        _set(values, key.split("."), _parse(override, text))


def parse_config(values: Mapping[str, Any]) -> TrainConfig:
    """Checks configuration values.

    Raises:
        UnknownNameError: A key that does not exist.
        ConfigError: A value that does not fit.
    """
    for key in values:
        if key not in TrainConfig.model_fields:
            raise UnknownNameError("configuration key", key, TrainConfig.model_fields)
    try:
        return TrainConfig(**values)
    except ValidationError as error:
        raise invalid(error) from error


def invalid(error: ValidationError) -> ConfigError:
    """Says pydantic's findings in our words."""
    problems = []
    for found in error.errors():
        # Types of a union are part of where it looked, not of what the user wrote.
        depth = 2 if found["loc"][0] in _NESTED else 1
        key = ".".join(str(part) for part in found["loc"][:depth])
        given = "" if found["type"] == "missing" else f"={found['input']!r}"
        problems.append(f"{key}{given}: {found['msg'][0].lower()}{found['msg'][1:]}")
    return ConfigError(f"The configuration is not valid: {'; '.join(problems)}.")


def write_config(config: TrainConfig, path: Path) -> None:
    """Writes every key, so that the file alone repeats the run."""
    path.write_text(
        yaml.safe_dump(config.model_dump(), sort_keys=False, allow_unicode=True), encoding="utf-8"
    )


def _parse(override: str, text: str) -> Any:
    try:
        value = load_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"The value of '{override}' is not valid YAML.") from error
    # YAML 1.1 reads 1e-4, which has no dot, as text.
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _set(values: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for key in path[:-1]:
        # A key that is off, such as `lora: null` in the file of a run, holds no keys yet.
        if values.get(key) is None:
            values[key] = {}
        values = values[key]
        if not isinstance(values, dict):
            raise ConfigError(f"'{'.'.join(path)}' reaches into '{key}', which holds no keys.")
    values[path[-1]] = value
