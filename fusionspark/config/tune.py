"""Tuning of the language model to the label (`fusionspark tune`)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fusionspark.config.section import Section


class Tune(Section):
    """How `fusionspark tune` adapts ``represent.model`` to ``columns.label``. No run reads it."""

    method: Literal["lora", "all"] = "lora"
    rank: int = Field(16, ge=1)
    epochs: int = Field(3, ge=1)
    batch_size: int = Field(32, ge=1)
    learning_rate: float = Field(0.0, ge=0)
    max_tokens: int = Field(128, ge=0)
    max_steps: int = Field(0, ge=0)
    max_minutes: float = Field(0.0, ge=0)
    patience: int = Field(2, ge=1)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    cross_fit: bool = False
    mixing: float = Field(1.0, gt=0, le=1)
    checkpoint_steps: int = Field(50, ge=1)
    processes: int = Field(0, ge=0)
