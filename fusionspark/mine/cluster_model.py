"""What models of clusters in few dimensions share: Params, centres in the features, save and load."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.ml import Model
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasFeaturesCol, HasPredictionCol, HasSeed
from pyspark.ml.util import MLReadable, MLReader, MLWritable, MLWriter

from fusionspark.errors import ConfigError
from fusionspark.mine.packed_arrays import pack_all, unpack_all
from fusionspark.mine.persist import WrapperReader, WrapperWriter

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Scratch column of the reduced features.
REDUCED = "__reduced_features"


class ReducedParams(HasFeaturesCol, HasPredictionCol, HasSeed):
    """Params of a clustering that works on the first principal components of the features."""

    dimensions: Param[int] = Param(
        Params._dummy(), "dimensions", "principal components that rows are grouped in", TypeConverters.toInt
    )

    def getDimensions(self) -> int:
        """Return the number of principal components."""
        return self.getOrDefault(self.dimensions)

    def _check(self, dataset: DataFrame, least: Mapping[str, int]) -> None:
        from fusionspark.mine.checks import check_columns, feature_facts

        for name, number in {"dimensions": 1, **least}.items():
            value = self.getOrDefault(name)
            if value < number:
                raise ConfigError(name, f"is {value}", allowed=f"{number} or more")
        check_columns(dataset, [], self.getFeaturesCol())
        feature_facts(dataset, self.getFeaturesCol(), "clustering")


class ClusterModel(Model, ReducedParams, MLReadable["ClusterModel"], MLWritable):
    """A fitted clustering: MLlib models inside, and arrays, of which ``centres`` is one row a cluster.

    ``facts`` says what the fit found, as JSON values.
    """

    def __init__(
        self,
        inner: list[Any] | None = None,
        arrays: Mapping[str, Any] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.inner = list(inner or [])
        self.arrays = dict(arrays or {})
        self.facts = dict(facts or {})

    def clusterCenters(self) -> list[Any]:
        """Return the mean of the rows of each cluster, in the features; as MLlib's `KMeansModel` does."""
        return list(np.asarray(self.arrays["centres"]))

    def copy(self, extra: Any = None) -> Any:
        """Copy the model; what was learnt is shared."""
        copied = super().copy(extra)
        copied.inner, copied.arrays, copied.facts = self.inner, self.arrays, self.facts
        return copied

    def write(self) -> MLWriter:
        """Return a writer of the model: JSON beside MLlib's own folders."""
        return WrapperWriter(self, self.inner, {"arrays": pack_all(self.arrays), "facts": self.facts})

    @classmethod
    def read(cls) -> MLReader[Any]:
        """Return a reader of saved models."""
        return WrapperReader(lambda inner, more: cls(inner, unpack_all(more["arrays"]), more["facts"]))
