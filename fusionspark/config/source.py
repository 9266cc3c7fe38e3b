"""Where rows come from, and how far their shape may move."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, model_validator

from fusionspark.config.section import Section

#: Where a path of the source stands for a folder or file a date: ``{run_date}``, ``{run_date:%Y%m%d}``.
RUN_DATE = re.compile(r"\{run_date(?::(?P<spec>[^{}]*))?\}")


class Source(Section):
    """Where the rows come from: anything that ``spark.read.format(...)`` opens."""

    format: str = "parquet"
    path: str | list[str] | None = None
    options: dict[str, str | int | float | bool] = {}
    derive: dict[str, str] = {}
    where: str | None = None
    image_root: str = ""
    snapshot: Literal["newest", "exact"] = "newest"
    date_column: str | None = None
    days: int = Field(1, ge=0)

    @model_validator(mode="after")
    def _run_dates_are_picked_in_one_way(self) -> Source:
        paths = [self.path] if isinstance(self.path, str) else self.path or []
        for path in paths:
            specs = [found["spec"] or "%Y-%m-%d" for found in RUN_DATE.finditer(path)]
            parts = {part for spec in specs for part in re.findall("%.?", spec)}
            if specs and parts != {"%Y", "%m", "%d"}:
                raise ValueError(
                    f"source.path: {path!r} must say year, month and day of the run date with %Y, %m and %d, "
                    "for example {run_date} or {run_date:%Y/%m/%d}"
                )
        if self.snapshot == "exact" and not any(RUN_DATE.search(path) for path in paths):
            raise ValueError("source.snapshot is 'exact' but source.path holds no {run_date}; put it there")
        if self.days != 1 and self.date_column is None:
            raise ValueError("source.days picks rows by source.date_column, which is not set; name it there")
        return self


class Drift(Section):
    """How far the shape of the source may move from one run to the next."""

    null_share: float = Field(0.1, ge=0, le=1)
    category_share: float = Field(0.1, ge=0, le=1)
    action: Literal["report", "stop"] = "report"
