"""The choices of low-rank adapters: checked, and plain enough for YAML and JSON."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, field_validator


class LoraSettings(BaseModel):
    """Low-rank adaptation: W x becomes W x + alpha / r * B A x, and only A and B learn.

    Hu et al. 2021 (arXiv 2106.09685). B starts at zero, so the first policy is the base model.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    r: PositiveInt = Field(16, description="the rank: rows of A")
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
