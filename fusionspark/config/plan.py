"""What a run may cost."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fusionspark.config.section import Section


class Plan(Section):
    """What a run may cost, and where it would be computed."""

    gpu: Literal["T4", "L4", "A10", "A100", "H100"] | None = None
    price_per_hour: float | None = Field(None, ge=0)
    utilization: float = Field(0.4, gt=0, le=1)
    budget_gpu_hours: float | None = Field(None, ge=0)
    budget_cost: float | None = Field(None, ge=0)
    budget_seconds: float | None = Field(None, ge=0)
    sample: int = Field(512, ge=1)
    seconds: float = Field(5.0, gt=0)
    enforce: bool = False
