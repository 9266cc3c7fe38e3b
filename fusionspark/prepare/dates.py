"""Dates to numbers: age, and parts that come round again as points on a circle."""

from __future__ import annotations

import math
from typing import Any

from pyspark import keyword_only
from pyspark.ml import Transformer
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

#: Ages are counted up to this day where no column gives another; scaling takes any such constant out again.
_EPOCH = "2000-01-01"
_CYCLES = ("month", "weekday", "hour")


class DateParts(Transformer, DefaultParamsReadable, DefaultParamsWritable):
    """Appends seven numbers for each date: age in days, and sine and cosine of month, weekday and hour.

    December lies next to January on a circle, as 12 and 1 do not on a line. All are null where the date is.

    Parameters
    ----------
    inputCols : list of str
        Dates or timestamps.
    referenceCol : str, optional
        Date of the row, up to which ages are counted.
    """

    _input_kwargs: dict[str, Any]

    inputCols: Param[list[str]] = Param(
        Params._dummy(), "inputCols", "dates or timestamps", TypeConverters.toListString
    )
    referenceCol: Param[str] = Param(
        Params._dummy(), "referenceCol", "date up to which ages are counted", TypeConverters.toString
    )

    @keyword_only
    def __init__(self, *, inputCols: list[str] | None = None, referenceCol: str = "") -> None:
        super().__init__()
        self._setDefault(inputCols=[], referenceCol="")
        self._set(**self._input_kwargs)

    @keyword_only
    def setParams(self, *, inputCols: list[str] | None = None, referenceCol: str | None = None) -> DateParts:
        """Set several Params at once; what is left out stays as it is."""
        return self._set(**self._input_kwargs)  # type: ignore[no-any-return]

    def _transform(self, dataset: DataFrame) -> DataFrame:
        reference = self.getOrDefault(self.referenceCol)
        for name in self.getOrDefault(self.inputCols):
            moment = F.col(f"`{name}`").cast("timestamp")
            upto = F.col(f"`{reference}`") if reference and reference != name else F.lit(_EPOCH)
            age = (F.unix_micros(upto.cast("timestamp")) - F.unix_micros(moment)) / 86_400e6
            parts = [age, *_circle(F.month(moment) - 1, 12), *_circle(F.weekday(moment), 7),
                     *_circle(F.hour(moment), 24)]  # fmt: skip
            for column, part in zip(part_names(name), parts, strict=True):
                dataset = dataset.withColumn(column, part.cast("double"))
        return dataset


def part_names(name: str) -> list[str]:
    """Columns that `DateParts` appends for a date."""
    circles = [f"{name}: {part} {wave}" for part in _CYCLES for wave in ("sine", "cosine")]
    return [f"{name}: age in days", *circles]


def _circle(step: Column, steps: int) -> tuple[Column, Column]:
    angle = step * F.lit(2 * math.pi / steps)
    return F.sin(angle), F.cos(angle)
