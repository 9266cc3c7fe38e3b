"""How new rows are scored, in batches and as they arrive."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fusionspark.config.section import Section


class Score(Section):
    """`fusionspark score`: everything that a run makes, or the predictions alone."""

    passes: Literal["staged", "one"] = "staged"


class Stream(Section):
    """`fusionspark stream`: where rows arrive, and where their scores go."""

    format: str = ""
    path: str | None = None
    options: dict[str, str | int | float | bool] = {}
    output: str = ""
    trigger_seconds: float = Field(1.0, ge=0)
