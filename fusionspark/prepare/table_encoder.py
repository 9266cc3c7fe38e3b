"""Structured columns to one block of numbers: imputed, scaled, one-hot, missing values indicated."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pyspark import keyword_only
from pyspark.ml import Estimator, Model
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasOutputCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from fusionspark.columns import TABLE_BLOCK


class _TableParams(HasOutputCol):
    _input_kwargs: dict[str, Any]

    numericCols: Param[list[str]] = Param(
        Params._dummy(), "numericCols", "columns of numbers", TypeConverters.toListString
    )
    categoricalCols: Param[list[str]] = Param(
        Params._dummy(), "categoricalCols", "columns of categories", TypeConverters.toListString
    )
    maxCategories: Param[int] = Param(
        Params._dummy(), "maxCategories", "most frequent values that get a feature", TypeConverters.toInt
    )

    def getNumericCols(self) -> list[str]:
        """Columns of numbers."""
        return self.getOrDefault(self.numericCols)

    def getCategoricalCols(self) -> list[str]:
        """Columns of categories."""
        return self.getOrDefault(self.categoricalCols)

    def getMaxCategories(self) -> int:
        """Most frequent values of a category that get a feature each."""
        return self.getOrDefault(self.maxCategories)


def _is_value(value: Column) -> Callable[[Column], Column]:
    """Expression of one array element: 1.0 where it equals ``value``; 0.0 elsewhere, also for null."""
    return lambda element: F.when(element == value, 1.0).otherwise(0.0)


class TableEncoder(Estimator, _TableParams, DefaultParamsReadable, DefaultParamsWritable):
    """Learns how structured columns become one dense block of numbers.

    A number gives two features: the value (null and NaN replaced by the median, then standardised to mean 0
    and standard deviation 1 over the rows seen in `fit`) and an indicator of having been missing. A category
    gives one feature for each of its ``maxCategories`` most frequent values, one for all others (also those
    never seen in `fit`) and one for null.

    Parameters
    ----------
    numericCols, categoricalCols : list of str
        Columns as `collect` types them: double and string.
    maxCategories : int
        Ties in frequency are broken by name, so the result does not depend on the order of rows.
    outputCol : str
        Receives ``array<double>``.
    """

    @keyword_only
    def __init__(
        self,
        *,
        numericCols: list[str] | None = None,
        categoricalCols: list[str] | None = None,
        maxCategories: int = 100,
        outputCol: str = TABLE_BLOCK,
    ) -> None:
        super().__init__()
        self._set(
            numericCols=numericCols or [],
            categoricalCols=categoricalCols or [],
            maxCategories=maxCategories,
            outputCol=outputCol,
        )

    @keyword_only
    def setParams(
        self,
        *,
        numericCols: list[str] | None = None,
        categoricalCols: list[str] | None = None,
        maxCategories: int = 100,
        outputCol: str = TABLE_BLOCK,
    ) -> TableEncoder:
        """Set several Params at once."""
        return self._set(**self._input_kwargs)

    def _fit(self, dataset: DataFrame) -> TableEncoderModel:
        statistics: dict[str, Any] = {"numeric": {}, "categorical": {}}
        numeric = self.getNumericCols()
        if numeric:
            statistics["numeric"] = self._numbers(dataset, numeric)
        for name in self.getCategoricalCols():
            value = F.col(f"`{name}`")
            frequent = (
                dataset.where(value.isNotNull())
                .groupBy(value.alias("value"))
                .count()
                .orderBy(F.desc("count"), "value")
                .limit(self.getMaxCategories())
                .collect()
            )
            statistics["categorical"][name] = [row["value"] for row in frequent]
        model = TableEncoderModel(statistics=json.dumps(statistics, ensure_ascii=False))
        # A model carries the uid of the estimator that made it, as MLlib's own do.
        return self._copyValues(model._resetUid(self.uid))

    @staticmethod
    def _numbers(dataset: DataFrame, names: list[str]) -> dict[str, dict[str, float]]:
        """Median, mean and deviation of every number in two passes, however many columns there are."""
        finite = {n: F.when(~F.isnan(F.col(f"`{n}`")), F.col(f"`{n}`").cast("double")) for n in names}
        medians = dataset.agg(
            *[F.percentile_approx(finite[n], 0.5, 10000).alias(str(i)) for i, n in enumerate(names)]
        ).collect()[0]
        filled = {
            n: F.coalesce(finite[n], F.lit(0.0 if medians[i] is None else float(medians[i])))
            for i, n in enumerate(names)
        }
        moments = dataset.agg(
            *[F.avg(filled[n]).alias(f"m{i}") for i, n in enumerate(names)],
            *[F.stddev_pop(filled[n]).alias(f"s{i}") for i, n in enumerate(names)],
        ).collect()[0]
        return {
            n: {
                "median": float(medians[i] or 0.0),
                "mean": float(moments[f"m{i}"] or 0.0),
                # A constant column says nothing; dividing by one keeps it at zero.
                "std": float(moments[f"s{i}"] or 0.0) or 1.0,
            }
            for i, n in enumerate(names)
        }


class TableEncoderModel(Model, _TableParams, DefaultParamsReadable, DefaultParamsWritable):
    """What `TableEncoder` learnt, as one JSON Param; transforms lazily with SQL expressions alone."""

    statistics: Param[str] = Param(
        Params._dummy(), "statistics", "medians, means, deviations and category values, as JSON",
        TypeConverters.toString,
    )  # fmt: skip

    @keyword_only
    def __init__(self, *, statistics: str = '{"numeric": {}, "categorical": {}}') -> None:
        super().__init__()
        self._set(statistics=statistics)

    def _learnt(self) -> dict[str, Any]:
        return dict(json.loads(self.getOrDefault(self.statistics)))

    @property
    def featureNames(self) -> list[str]:
        """Name of each position of the block: ``age``, ``age is missing``, ``class = Dresses``, ..."""
        learnt, names = self._learnt(), []
        for name in learnt["numeric"]:
            names += [name, f"{name} is missing"]
        for name, values in learnt["categorical"].items():
            names += [*[f"{name} = {value}" for value in values], f"{name} is another", f"{name} is missing"]
        return names

    @property
    def columnSlices(self) -> dict[str, slice]:
        """Positions of the block that each column fills."""
        learnt, found, start = self._learnt(), {}, 0
        widths = dict.fromkeys(learnt["numeric"], 2)
        widths |= {name: len(values) + 2 for name, values in learnt["categorical"].items()}
        for name, width in widths.items():
            found[name] = slice(start, start + width)
            start += width
        return found

    def _transform(self, dataset: DataFrame) -> DataFrame:
        learnt = self._learnt()
        parts: list[Column] = []
        for name, s in learnt["numeric"].items():
            value = F.col(f"`{name}`").cast("double")
            missing = value.isNull() | F.isnan(value)
            filled = F.when(missing, F.lit(s["median"])).otherwise(value)
            parts.append(F.array((filled - F.lit(s["mean"])) / F.lit(s["std"]), missing.cast("double")))
        for name, values in learnt["categorical"].items():
            value = F.col(f"`{name}`").cast("string")
            known = F.array(*[F.lit(v) for v in values]) if values else F.array().cast("array<string>")
            hot = F.transform(known, _is_value(value))
            other = value.isNotNull() & ~F.coalesce(F.array_contains(known, value), F.lit(False))
            parts.append(F.concat(hot, F.array(other.cast("double"), value.isNull().cast("double"))))
        block = F.concat(*parts) if parts else F.array().cast("array<double>")
        return dataset.withColumn(self.getOutputCol(), block)
