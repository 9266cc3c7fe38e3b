"""Clusters where rows lie dense: HDBSCAN on a sample, as a pyspark.ml Estimator and Model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pyspark import keyword_only
from pyspark.ml import Estimator
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable

from fusionspark.errors import ConfigError
from fusionspark.mine.cluster_model import REDUCED, ClusterModel, ReducedParams
from fusionspark.mine.exact_rows import ExactRows
from fusionspark.mine.principal import principal_axes, projection
from fusionspark.mine.samples import feature_sample

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from fusionspark.mine.arrow_columns import Matrix

#: Rows of a cluster, at least, however small the share.
LEAST_ROWS = 2


class _DensityParams(ReducedParams):
    minShare: Param[float] = Param(
        Params._dummy(), "minShare", "least share of the sample in a cluster", TypeConverters.toFloat
    )

    def getMinShare(self) -> float:
        """Return the least share of the sample in a cluster."""
        return self.getOrDefault(self.minShare)


class DensityClusters(
    Estimator["DensityClustersModel"], _DensityParams, DefaultParamsReadable, DefaultParamsWritable
):
    """HDBSCAN (Campello, Moulavi and Sander 2013) on a sample; every row then joins the nearest cluster.

    It finds the number of clusters itself, and clusters of any shape. A row belongs to the cluster of the
    nearest row of the sample that is in one, which keeps the shapes. What HDBSCAN calls noise gets the
    nearest cluster in this way, too: no row is without one, and ``facts`` of the model says how much of the
    sample it was. Where it finds no cluster, all rows make one.

    Parameters
    ----------
    featuresCol : str
        Vectors, sparse or dense, finite and of one width.
    dimensions : int
        Principal components of the sample that distances are taken in, at most: in many dimensions all rows
        are about as far from each other.
    minShare : float
        Least share of the sample that makes a cluster, above 0 and at most .5.
    seed : int
        Of the sample (`fusionspark.mine.samples`), which depends on nothing else but the rows.

    Raises
    ------
    ConfigError
        A Param that cannot be used; no such column.
    DataContractError
        No rows; null, NaN or infinite features; rows of unlike width.
    """

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        featuresCol: str = "features",
        predictionCol: str = "prediction",
        dimensions: int = 16,
        minShare: float = 0.01,
        seed: int = 42,
    ) -> None:
        super().__init__()
        self._setDefault(dimensions=16, minShare=0.01, seed=42)
        self._set(**self._input_kwargs)

    @keyword_only
    def setParams(
        self,
        *,
        featuresCol: str | None = None,
        predictionCol: str | None = None,
        dimensions: int | None = None,
        minShare: float | None = None,
        seed: int | None = None,
    ) -> DensityClusters:
        """Set several Params at once; what is left out stays as it is."""
        return self._set(**self._input_kwargs)

    def _fit(self, dataset: DataFrame) -> DensityClustersModel:
        self._check(dataset, {})
        if not 0 < self.getMinShare() <= 0.5:
            raise ConfigError("minShare", f"is {self.getMinShare()}", allowed="above 0 and at most 0.5")
        features, seed = self.getFeaturesCol(), self.getSeed() % 2**31
        sample = feature_sample(dataset, features, seed=seed, purpose="density")
        axes = principal_axes(sample, self.getDimensions(), seed=seed)
        points = (sample @ axes).astype(np.float32)
        labels = dense_groups(points, self.getMinShare())
        found, noise = int(labels.max()) + 1, float((labels < 0).mean())
        if not found:
            labels = np.zeros_like(labels)
        inside = labels >= 0
        arrays = {
            "centres": np.array([sample[labels == i].mean(axis=0) for i in range(labels.max() + 1)]),
            "points": points[inside],
            "labels": labels[inside],
        }
        facts = {
            "dimensions": axes.shape[1],
            "found": found,
            "sample": len(sample),
            "noise": round(noise, 6),
        }
        project = projection(dataset.sparkSession, axes, features, REDUCED)
        model = DensityClustersModel([project], arrays, facts)
        return self._copyValues(model._resetUid(self.uid))


def dense_groups(points: Matrix, share: float) -> Any:
    """HDBSCAN's cluster of each row, by size and the largest first; -1 where it lies in none.

    >>> dense_groups(np.array([[0.0], [0.1], [9.0], [9.1], [9.2]]), 0.3).tolist()
    [1, 1, 0, 0, 0]
    """
    from sklearn.cluster import HDBSCAN

    least = max(LEAST_ROWS, round(share * len(points)))
    if len(points) <= least:
        return np.full(len(points), -1)
    labels = HDBSCAN(min_cluster_size=least, copy=True).fit_predict(points.astype(np.float64))
    # Numbers in an order of their own: scikit-learn's is that of the tree.
    sizes = np.bincount(labels[labels >= 0])
    first = [int(np.flatnonzero(labels == i)[0]) for i in range(len(sizes))]
    order = sorted(range(len(sizes)), key=lambda i: (-sizes[i], first[i]))
    return np.array([*np.argsort(order), -1])[labels]


class DensityClustersModel(ClusterModel, _DensityParams):
    """Fitted groups: adds the cluster of the nearest row of the sample that is in one."""

    def _transform(self, dataset: DataFrame) -> DataFrame:
        from pyspark.ml.functions import vector_to_array
        from pyspark.sql import functions as F
        from pyspark.sql.functions import pandas_udf  # type: ignore[attr-defined]

        points, labels = self.arrays["points"], self.arrays["labels"]

        def nearest(vectors: Iterator[pd.Series]) -> Iterator[pd.Series]:
            for series in vectors:
                rows = np.stack(list(series)) if len(series) else np.zeros((0, points.shape[1]))
                data = ExactRows(rows.astype(np.float32), np.ones(len(rows)))
                found = labels[data.nearest(points.astype(np.float64))]
                yield pd.Series(found.astype(np.int32), index=series.index)

        (project,) = self.inner
        reduced: DataFrame = project.transform(dataset, {project.inputCol: self.getFeaturesCol()})
        udf: Any = pandas_udf(nearest, "int")
        array = vector_to_array(F.col(REDUCED), "float32")
        return reduced.withColumn(self.getPredictionCol(), udf(array)).drop(REDUCED)
