"""Structured columns to one block of numbers: imputed, scaled, one-hot, missing values indicated."""

from __future__ import annotations

import json
from typing import Any

from pyspark import keyword_only
from pyspark.ml import Estimator, Model
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasOutputCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fusionspark.columns import TABLE_BLOCK
from fusionspark.prepare import table_categories, table_numbers


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

    hashBuckets: Param[int] = Param(
        Params._dummy(), "hashBuckets", "features that rare categories share; 0: one", TypeConverters.toInt
    )
    clipShare: Param[float] = Param(
        Params._dummy(), "clipShare", "share of values at each end that is clipped", TypeConverters.toFloat
    )
    maxSkew: Param[float] = Param(
        Params._dummy(), "maxSkew", "skewness above which a number is transformed; 0: never",
        TypeConverters.toFloat,
    )  # fmt: skip

    def getNumericCols(self) -> list[str]:
        """Columns of numbers."""
        return self.getOrDefault(self.numericCols)

    def getCategoricalCols(self) -> list[str]:
        """Columns of categories."""
        return self.getOrDefault(self.categoricalCols)

    def getMaxCategories(self) -> int:
        """Most frequent values of a category that get a feature each."""
        return self.getOrDefault(self.maxCategories)


class TableEncoder(Estimator, _TableParams, DefaultParamsReadable, DefaultParamsWritable):
    """Learns how structured columns become one dense block of numbers.

    A number gives two features: the value (clipped to quantiles, transformed where it is skewed, null and NaN
    replaced by the median, then standardised to mean 0 and standard deviation 1 over the rows seen in `fit`)
    and an indicator of having been missing; see `fusionspark.prepare.table_numbers`. A category gives one
    feature for each of its ``maxCategories`` most frequent values, one or a few for all others (also those
    never seen in `fit`) and one for null; see `fusionspark.prepare.table_categories`.

    Parameters
    ----------
    numericCols, categoricalCols : list of str
        Columns as `collect` types them: double and string.
    maxCategories : int
        Ties in frequency are broken by name, so the result does not depend on the order of rows.
    hashBuckets : int, default 0
        Features that the other values share by their hash; 0: one feature.
    clipShare : float, default 0.001
        Values beyond this quantile at either end become that quantile; 0 clips nothing.
    maxSkew : float, default 2.0
        Skewness above which a number is transformed; 0: never.
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
        hashBuckets: int = 0,
        clipShare: float = 0.001,
        maxSkew: float = 2.0,
        outputCol: str = TABLE_BLOCK,
    ) -> None:
        super().__init__()
        self._set(
            numericCols=numericCols or [],
            categoricalCols=categoricalCols or [],
            maxCategories=maxCategories,
            hashBuckets=hashBuckets,
            clipShare=clipShare,
            maxSkew=maxSkew,
            outputCol=outputCol,
        )

    @keyword_only
    def setParams(
        self,
        *,
        numericCols: list[str] | None = None,
        categoricalCols: list[str] | None = None,
        maxCategories: int = 100,
        hashBuckets: int = 0,
        clipShare: float = 0.001,
        maxSkew: float = 2.0,
        outputCol: str = TABLE_BLOCK,
    ) -> TableEncoder:
        """Set several Params at once."""
        return self._set(**self._input_kwargs)

    def _fit(self, dataset: DataFrame) -> TableEncoderModel:
        most = self.getMaxCategories()
        statistics: dict[str, Any] = {
            "numeric": table_numbers.learn(
                dataset,
                self.getNumericCols(),
                clip=self.getOrDefault(self.clipShare),
                skew=self.getOrDefault(self.maxSkew),
            ),
            "categorical": {
                name: table_categories.learn(dataset, name, most) for name in self.getCategoricalCols()
            },
        }
        model = TableEncoderModel(statistics=json.dumps(statistics, ensure_ascii=False))
        # A model carries the uid of the estimator that made it, as MLlib's own do.
        return self._copyValues(model._resetUid(self.uid))


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
    def _buckets(self) -> int:
        return int(self.getOrDefault(self.hashBuckets)) if self.isDefined(self.hashBuckets) else 0

    @property
    def featureNames(self) -> list[str]:
        """Name of each position of the block: ``age``, ``age is missing``, ``class = Dresses``, ..."""
        learnt, names = self._learnt(), []
        for name in learnt["numeric"]:
            names += [name, f"{name} is missing"]
        for name, values in learnt["categorical"].items():
            names += table_categories.feature_names(name, values, self._buckets)
        return names

    @property
    def columnSlices(self) -> dict[str, slice]:
        """Positions of the block that each column fills."""
        learnt, found, start = self._learnt(), {}, 0
        widths = dict.fromkeys(learnt["numeric"], 2)
        others = self._buckets or 1
        widths |= {name: len(values) + others + 1 for name, values in learnt["categorical"].items()}
        for name, width in widths.items():
            found[name] = slice(start, start + width)
            start += width
        return found

    def _transform(self, dataset: DataFrame) -> DataFrame:
        learnt = self._learnt()
        parts = [table_numbers.features(name, one) for name, one in learnt["numeric"].items()]
        for name, values in learnt["categorical"].items():
            parts.append(table_categories.features(name, values, self._buckets))
        block = F.concat(*parts) if parts else F.array().cast("array<double>")
        return dataset.withColumn(self.getOutputCol(), block)
