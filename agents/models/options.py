"""The options of the policy, each declared once; `LMPolicy`, configurations and docs read them."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.config import JsonDict
from pydantic_core import PydanticSerializationError

from textenv.errors import ConfigError, UnknownNameError
from textenv.keys import refuse_secrets
from textenv.model_folders import model_folder
from textenv.named_paths import named_path
from textenv.plain_json import load_json
from textenv.registry import EnvironmentKwargs
from textenv.tokenization import EMBEDDED, EMBEDDED_PATH

Trained = Literal["embedded", "full", "lora"]


def option(default: Any, group: str, meaning: str, source: str = "", **limits: Any) -> Any:
    """Declares an option of an `Options` record.

    Args:
        default: Its default; `...` where it must be given.
        group: The heading under which help and docs list it.
        meaning: One plain sentence or noun phrase, without a full stop.
        source: The paper or implementation that it follows.
        limits: pydantic's, such as gt=0.
    """
    extra: JsonDict = {"group": group, "source": source}
    return Field(default, description=meaning, json_schema_extra=extra, **limits)


class Options(BaseModel):
    """A record of options: unknown names, values out of range, NaN and infinity are refused.

    Raises:
        UnknownNameError: There is no option of that name.
        ConfigError: A value does not fit, or is a key or a password.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, arbitrary_types_allowed=True
    )

    @model_validator(mode="wrap")
    @classmethod
    def _say_it_plainly(cls, values: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        refuse_secrets(values)
        try:
            return validate(values)
        except ValidationError as error:
            raise _plain_error(error, cls) from error

    @classmethod
    def place_of(cls, name: str) -> str | None:
        """Says where an option goes that this record does not have; None if nowhere is known."""
        return None

    def to_json(self, exclude: Iterable[str] = ()) -> dict[str, Any]:
        """Returns the options as JSON can hold them; the record takes them back.

        Args:
            exclude: Options to leave out.

        Raises:
            ConfigError: One is a function.
        """
        try:
            return self.model_dump(mode="json", exclude=set(exclude))
        except PydanticSerializationError as error:
            reason = str(error).rpartition("ValueError: ")[2]
            raise ConfigError(f"These options cannot be saved: {reason}.") from error

    def replace(self, **changes: Any) -> Self:
        """Returns the record with some options changed, checked as a new one is."""
        return type(self)(**{**dict(self), **changes})


@dataclass(frozen=True)
class OptionLine:
    """What help and docs say of an option."""

    name: str  # Its name
    default: str  # Its default, as it is written on the command line; empty where it must be given
    meaning: str  # What it does
    source: str  # The paper or implementation that it follows


def list_options(record: type[Options]) -> dict[str, list[OptionLine]]:
    """Returns the options of a record by group, in the order of their declaration."""
    groups: dict[str, list[OptionLine]] = {}
    for name, field in record.model_fields.items():
        extra = field.json_schema_extra
        assert isinstance(extra, dict), f"{name} is declared without `option`"
        default = "" if field.is_required() else json.dumps(field.default)
        line = OptionLine(name, default.strip('"'), str(field.description), str(extra["source"]))
        groups.setdefault(str(extra["group"]), []).append(line)
    return groups


def signature_with(init: Callable[..., None], record: type[Options]) -> inspect.Signature:
    """Returns a constructor's signature with the options of a record in place of **options.

    `help` and notebooks show it.
    """
    own = list(inspect.signature(init).parameters.values())[1:]
    named = [p for p in own if p.kind is not inspect.Parameter.VAR_KEYWORD]
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.default)
        for name, field in record.model_fields.items()
    ]
    return inspect.Signature([*named, *options])


def place_in_environment(name: str) -> str | None:
    """Says where an argument of an environment is given in Python; None for other names."""
    if name not in EnvironmentKwargs.model_fields:
        return None
    return (
        f"{name} belongs to the environment: "
        f'TextPPO("LMPolicy", gym.make_vec(ID, num_envs=64, {name}=...)).'
    )


class LoraSettings(BaseModel):
    """Low-rank adaptation: W x becomes W x + alpha / r * B A x, and only A and B learn.

    Hu et al. 2021 (arXiv 2106.09685). B starts at zero, so the first policy is the base model.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    r: PositiveInt = Field(16, description="rank: the number of rows of A")
    alpha: PositiveFloat = Field(32, description="the adapter is scaled by alpha / r")
    target_modules: Literal["all-linear"] | list[str] = Field(
        "all-linear", description="names of linear layers, or all of them but the output layer"
    )
    dropout: float = Field(0.0, description="must be 0")

    @field_validator("dropout")
    @classmethod
    def _no_dropout(cls, value: float) -> float:
        if value != 0:
            raise ValueError(
                "lora's dropout must be 0: its noise would make the probability ratio differ from "
                "1 before the first update"
            )
        return value


_MODEL, _PRECISION, _MEMORY = "Model and policy", "Precision", "Memory and speed"


class PolicyOptions(Options):
    """The options of `LMPolicy`, which `TextPPO` takes as `policy_kwargs`."""

    @classmethod
    def place_of(cls, name: str) -> str | None:
        """Says that an argument of the environment is given where that is made."""
        return place_in_environment(name)

    model: str = option(
        EMBEDDED,
        _MODEL,
        "'embedded', a folder, a run's folder, a Hugging Face id, a .gguf file, or a peft "
        "adapter's folder",
    )
    temperature: PositiveFloat = option(
        1.0,
        _MODEL,
        "divides the logits in sampling, ratio and KL alike. With another temperature in sampling "
        "than in learning the first ratio is not 1",
    )
    length_normalized: bool = option(
        True,
        _MODEL,
        "at select level, score a candidate by its mean log-likelihood a token instead of the sum, "
        "by which long candidates hardly ever have a chance",
        "Brown et al. 2020, arXiv 2005.14165",
    )
    separate_critic: bool = option(
        False, _MODEL, "give the value head a backbone of its own instead of sharing the policy's"
    )
    lora: LoraSettings | None = option(
        None,
        _MODEL,
        "train low-rank adapters instead of the weights: lora.r=16, lora.alpha=32, or {} for the "
        "defaults. The model without them is the reference",
        "Hu et al. 2021, arXiv 2106.09685",
    )
    frozen_layers: int = option(
        0,
        _MODEL,
        "number of lowest layers that do not learn, the embeddings with them; the reference and a "
        "separate critic share them",
        ge=0,
    )
    bf16: bool | None = option(
        None,
        _PRECISION,
        "compute in bfloat16 by autocast over float32 weights. By default where the processor or "
        "GPU gains by it; the run's config.yaml says what was chosen",
    )
    quantize: Literal["4bit", "8bit"] | None = option(
        None,
        _PRECISION,
        "hold the frozen weights beside the adapters in 4 or 8 bits; with lora only",
        "QLoRA, arXiv 2305.14314; LLM.int8(), arXiv 2208.07339",
    )
    max_tokens_per_batch: PositiveInt = option(
        8192, _MEMORY, "most tokens, padding included, of one pass over whole episodes"
    )
    gradient_checkpointing: bool = option(
        False,
        _MEMORY,
        "keep only the input of each layer for the backward pass: less memory, about a third more "
        "computation",
    )
    compile_layers: bool = option(
        False, _MEMORY, "compile the layers: one to three minutes at the start, faster updates"
    )

    @field_validator("model", mode="before")
    @classmethod
    def _take_paths(cls, value: Any) -> Any:
        return str(value) if isinstance(value, Path) else value

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.quantize is not None and self.lora is None:
            raise ConfigError("Quantized weights cannot learn: with quantize, give lora, too.")
        return self


# What differs from the defaults above, by what is trained. The embedded model is so small that
# passes of a few episodes are full, and those of episodes of like length waste less on padding.
POLICY_DEFAULTS: Mapping[Trained, Mapping[str, Any]] = {
    "embedded": {"max_tokens_per_batch": 2048},
    "full": {},
    "lora": {},
}


# Keys of a model's configuration that differ by how it was saved, not by its shape
_OF_SAVING = ("transformers_version", "dtype", "use_cache", "_name_or_path")


def what_is_trained(values: Mapping[str, Any]) -> Trained:
    """Tells which defaults apply, from the values that are given for `PolicyOptions`."""
    if _is_embedded(str(values.get("model", EMBEDDED))):
        return "embedded"
    return "full" if values.get("lora") is None else "lora"


def _is_embedded(model: str) -> bool:
    """Tells whether a model is the embedded one, as it comes or trained further, by its shape."""
    if model == EMBEDDED:
        return True
    own = named_path(model_folder(model)) / "config.json"
    try:
        shapes = [load_json(path.read_bytes()) for path in (own, EMBEDDED_PATH / "config.json")]
    except (OSError, ValueError):
        return False  # another model, or none: whoever loads it says so
    if not all(isinstance(shape, dict) for shape in shapes):
        return False
    this, embedded = (
        {key: value for key, value in shape.items() if key not in _OF_SAVING} for shape in shapes
    )
    return this == embedded


def policy_options(values: Mapping[str, Any]) -> PolicyOptions:
    """Makes the policy's options of those that are given, and the defaults for what is trained.

    Raises:
        UnknownNameError: There is no option of that name.
        ConfigError: A value does not fit.
    """
    return PolicyOptions(**{**POLICY_DEFAULTS[what_is_trained(values)], **values})


def choose_bf16(bf16: bool | None, device_type: str) -> bool:
    """Tells whether to compute in bfloat16: what was asked for, else where a device gains by it.

    A CPU does with AVX512-BF16 or AMX: there the passes of a 135 M model take half of float32's
    time. A CUDA device does from compute capability 8 (Ampere) on.

    Args:
        bf16: The option.
        device_type: "cpu", "cuda" or another of torch's.
    """
    if bf16 is not None:
        return bf16
    if device_type == "cuda":
        import torch

        return torch.cuda.is_available() and torch.cuda.get_device_capability()[0] >= 8
    return device_type == "cpu" and not {"avx512_bf16", "amx_bf16"}.isdisjoint(_cpu_flags())


def _cpu_flags() -> set[str]:
    """Returns what the processor says that it can do; nothing on other systems than Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    return set(next((line for line in lines if line.startswith("flags")), "").split())


def _plain_error(error: ValidationError, record: type[Options]) -> Exception:
    """Says pydantic's findings in our words, one an option."""
    problems: dict[str, str] = {}
    for found in error.errors():
        name, *inside = [str(part) for part in found["loc"]] or [""]
        # Types of a union are part of where pydantic looked, not of what the user wrote.
        inside = inside[:1] if name == "lora" else []
        if found["type"] == "extra_forbidden":
            known = LoraSettings.model_fields if inside else record.model_fields
            hint = None if inside else record.place_of(name) or _offered(name, record)
            return UnknownNameError("option", ".".join([name, *inside]), known, hint)
        key = ".".join([name, *inside])
        is_missing = found["type"] == "missing"
        problem = " is missing" if is_missing else f"={found['input']!r} is not valid"
        needed = "" if is_missing else f": {_requirement(found['msg'])}"
        problems.setdefault(key, f"{key}{problem}{needed}")
    return ConfigError(f"{'; '.join(problems.values())}.")


def _offered(name: str, record: type[Options]) -> str | None:
    """Offers all options that end in a name, with what they are; or the one that it abbreviates."""
    for key in record.model_fields:
        if "".join(word[0] for word in key.split("_")) == name:
            return f"Did you mean '{key}'?"
    ending = {
        key: field.description
        for key, field in record.model_fields.items()
        if key.endswith(f"_{name}")
    }
    if len(ending) < 2:
        return None
    offers = (f"'{key}' ({re.split('[;.] ', text or '')[0]})" for key, text in ending.items())
    return f"Did you mean {' or '.join(offers)}?"


def _requirement(message: str) -> str:
    message = message.removeprefix("Value error, ").replace("Input should", "it should")
    return f"{message[0].lower()}{message[1:]}"
