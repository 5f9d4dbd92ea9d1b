"""The page of options, made of the records that declare them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from agents.models.options import LoraSettings, Options, list_options
from agents.ppo.options import trained_defaults
from agents.training.config import SFTOptions, TrainConfig
from tools.docs_pages.markdown import render_page

_TRAINED = {
    "embedded": "the embedded model, also trained further",
    "full": "full weights",
    "lora": "LoRA",
}


def render_options() -> str:
    """Returns the page."""
    lora = [
        {
            "name": f"lora.{name}",
            "default": str(field.default),
            "taken": _values(field),
            "meaning": str(field.description),
        }
        for name, field in LoraSettings.model_fields.items()
    ]
    return render_page(
        "options",
        training=_groups(TrainConfig),
        trained={_TRAINED[name]: values for name, values in trained_defaults().items()},
        lora=lora,
        supervised=_groups(SFTOptions),
    )


def _groups(record: type[Options]) -> dict[str, list[dict[str, str]]]:
    """Returns the options of each group, with the values that they take."""
    return {
        group: [
            asdict(option) | {"taken": _values(record.model_fields[option.name])}
            for option in options
        ]
        for group, options in list_options(record).items()
    }


_KINDS = {bool: "true, false", int: "whole number", float: "number", str: "text", dict: "mapping"}
_BOUNDS = {Gt: ("above", "gt"), Ge: ("from", "ge"), Lt: ("below", "lt"), Le: ("to", "le")}


def _values(field: FieldInfo) -> str:
    """Says which values an option takes."""
    return _describe(field.annotation, field.metadata)


def _describe(annotation: Any, metadata: Sequence[object] = ()) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _describe(arguments[0], (*metadata, *arguments[1:]))
    if origin in (Union, UnionType):
        return " or ".join(_describe(argument, metadata) for argument in arguments)
    if origin is Literal:
        return ", ".join(map(str, arguments))
    if origin is list:
        return f"list of {_describe(arguments[0])}"
    if annotation is NoneType:
        return "null"
    if origin is Callable or annotation is Callable:
        return "schedule"
    kind = _KINDS.get(origin or annotation)
    if kind is None:
        return "mapping" if isinstance(annotation, type) else "any"
    if kind not in ("whole number", "number"):
        return kind
    limits = [
        f"{word} {getattr(limit, attribute)}"
        for limit in metadata
        for bound, (word, attribute) in _BOUNDS.items()
        if isinstance(limit, bound)
    ]
    return " ".join([kind, *limits])
