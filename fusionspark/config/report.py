"""The page."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fusionspark.config.section import Section


class Explain(Section):
    """Why the model answers as it does: how much is asked for it."""

    rows: int = Field(3, ge=0)
    samples: int = Field(36, ge=16)
    background: int = Field(24, ge=1)
    shuffled: int = Field(300, ge=0)
    seconds: float = Field(60.0, gt=0)


class Mlflow(Section):
    """Where runs are logged as experiments; nowhere without a uri."""

    uri: str | None = None
    experiment: str = "fusionspark"


class Receipt(Section):
    """What the text is worth: the same learners on each block alone, on all, and with shuffled texts."""

    metric: Literal["auc", "macro_f1", "accuracy"] = "auc"
    rows: int = Field(20_000, ge=0)
    samples: int = Field(1000, ge=100)


class Report(Section):
    """The page."""

    language: Literal["en", "zh"] = "en"
    map: Literal["pca", "umap"] = "pca"
    map_sample: int = Field(2000, ge=0)
    top_terms: int = Field(8, ge=1)
    naming_model: str | None = None
    explain: Explain = Explain()
    mlflow: Mlflow = Mlflow()
    receipt: Receipt = Receipt()
    pictures: int = Field(24, ge=0, le=100)
