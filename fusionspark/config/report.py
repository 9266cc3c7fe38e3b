"""The page."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fusionspark.config.section import Section


class Report(Section):
    """The page."""

    language: Literal["en", "zh"] = "en"
    map_sample: int = Field(2000, ge=0)
    top_terms: int = Field(8, ge=1)
