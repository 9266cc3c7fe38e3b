"""What the source promises about itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from fusionspark.config.section import Section, as_list

Type = Literal["string", "boolean", "int", "bigint", "float", "double", "date", "timestamp"]
#: A bound of a column: a number, or a date or moment as text, ``2026-01-31`` or ``2026-01-31 12:00:00``.
Bound = int | float | str


def _as_lists(value: object) -> object:
    """Let a list of names stand for a list of one list."""
    if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
        return [value]
    return [[value]] if isinstance(value, str) else value


class ColumnContract(Section):
    """What one column holds. Blank strings and NaN count as null."""

    type: Type | None = None
    required: bool = True
    null_share: float | None = Field(None, ge=0, le=1)
    min: Bound | None = None
    max: Bound | None = None
    allowed: Annotated[list[str | bool | int | float] | None, BeforeValidator(as_list)] = None
    pattern: str | None = None
    unique: bool = False
    tolerance: float | None = Field(None, ge=0, le=1)

    @model_validator(mode="after")
    def _bounds_fit_the_type(self) -> ColumnContract:
        texts = [bound for bound in (self.min, self.max) if isinstance(bound, str)]
        moments = self.type in ("date", "timestamp")
        if texts and not moments:
            raise ValueError(
                f"min and max: {texts[0]!r} is text; a bound is a number, or a date in a column of type date "
                "or timestamp"
            )
        numbers = [bound for bound in (self.min, self.max) if bound is not None and bound not in texts]
        if numbers and moments:
            raise ValueError(f"min and max: {numbers[0]!r} is no date; write 'YYYY-MM-DD'")
        if numbers and self.type in ("string", "boolean"):
            raise ValueError(f"min and max: a column of type {self.type} has no range; leave them out")
        # Dates as text compare like dates; a bound that is a number has met no text above.
        if self.min is not None and self.max is not None and self.min > self.max:  # type: ignore[operator]
            raise ValueError(f"min {self.min!r} is above max {self.max!r}; no value could pass")
        return self


class RowBand(Section):
    """How many rows a run may pick."""

    min: int = Field(1, ge=0)
    max: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _is_a_band(self) -> RowBand:
        if self.max is not None and self.max < self.min:
            raise ValueError(f"contract.rows: max {self.max} is below min {self.min}; no source could pass")
        return self


class Freshness(Section):
    """How old the newest row may be, in days before the run date."""

    column: str
    days: int = Field(1, ge=0)


class Contract(Section):
    """What the source promises: checked on every run before anything is written."""

    columns: dict[str, ColumnContract] = {}
    unique: Annotated[list[list[str]], BeforeValidator(_as_lists)] = []
    rows: RowBand | None = None
    freshness: Freshness | None = None
    tolerance: float = Field(0.0, ge=0, le=1)
    cast_tolerance: float = Field(0.1, ge=0, le=1)
