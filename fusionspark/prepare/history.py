"""What is known of an entity from its earlier rows: counts and means over windows that end before the row."""

from __future__ import annotations

from typing import Any

from pyspark import keyword_only
from pyspark.ml import Transformer
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

_DAY = 86_400_000_000
_TIME = "__micros"


class HistoryFeatures(Transformer, DefaultParamsReadable, DefaultParamsWritable):
    """Appends, for each window, the number of earlier rows of the same entity and the mean of their values.

    A row sees rows of its entity whose time is before its own, down to ``days`` before it; neither itself
    nor any row of the same moment or a later one. The mean over no rows is null. A row without entity or
    time has neither.

    Parameters
    ----------
    entityCols : list of str
        Columns that together name the entity.
    timeCol : str
        Date or timestamp.
    valueCols : list of str
        Numbers whose means are taken. Never the label: it is not known yet when a row comes in.
    windows : list of int
        Days; 0 is all of the past.

    Notes
    -----
    The history is that of the table that is transformed.
    """

    _input_kwargs: dict[str, Any]

    entityCols: Param[list[str]] = Param(
        Params._dummy(), "entityCols", "columns that name the entity", TypeConverters.toListString
    )
    timeCol: Param[str] = Param(Params._dummy(), "timeCol", "time of a row", TypeConverters.toString)
    valueCols: Param[list[str]] = Param(
        Params._dummy(), "valueCols", "numbers whose means are taken", TypeConverters.toListString
    )
    windows: Param[list[int]] = Param(
        Params._dummy(), "windows", "lengths in days; 0: all of the past", TypeConverters.toListInt
    )

    @keyword_only
    def __init__(
        self, *, entityCols: list[str] | None = None, timeCol: str | None = None,
        valueCols: list[str] | None = None, windows: list[int] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self._setDefault(valueCols=[], windows=[0])
        self._set(**self._input_kwargs)

    @keyword_only
    def setParams(
        self, *, entityCols: list[str] | None = None, timeCol: str | None = None,
        valueCols: list[str] | None = None, windows: list[int] | None = None,
    ) -> HistoryFeatures:  # fmt: skip
        """Set several Params at once; what is left out stays as it is."""
        return self._set(**self._input_kwargs)  # type: ignore[no-any-return]

    def outputCols(self) -> list[str]:
        """Names of the appended columns."""
        return names(self.getOrDefault(self.valueCols), self.getOrDefault(self.windows))

    def _transform(self, dataset: DataFrame) -> DataFrame:
        entity = [F.col(f"`{name}`") for name in self.getOrDefault(self.entityCols)]
        time = F.col(f"`{self.getOrDefault(self.timeCol)}`").cast("timestamp")
        out = dataset.withColumn(_TIME, F.unix_micros(time))
        known = F.col(_TIME).isNotNull()
        for one in entity:
            known = known & one.isNotNull()
        for days in self.getOrDefault(self.windows):
            first = -days * _DAY if days else Window.unboundedPreceding
            # Up to one microsecond before the row: rows of the same moment are not its past.
            past = Window.partitionBy(*entity).orderBy(_TIME).rangeBetween(first, -1)
            rows = F.when(known, F.count(_TIME).over(past))
            out = out.withColumn(_rows(days), rows.cast("double"))
            for name in self.getOrDefault(self.valueCols):
                value = F.col(f"`{name}`").cast("double")
                value = F.when(F.col(_TIME).isNotNull() & ~F.isnan(value), value)
                out = out.withColumn(_mean(name, days), F.when(known, F.avg(value).over(past)))
        return out.drop(_TIME)


def names(values: list[str], windows: list[int]) -> list[str]:
    """Columns that `HistoryFeatures` appends."""
    return [name for days in windows for name in (_rows(days), *(_mean(value, days) for value in values))]


def _span(days: int) -> str:
    return f"{days} days" if days else "all days"


def _rows(days: int) -> str:
    return f"earlier rows in {_span(days)}"


def _mean(name: str, days: int) -> str:
    return f"mean {name} in {_span(days)}"
