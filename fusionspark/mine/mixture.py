"""Gaussian mixture over the first principal components, as a pyspark.ml Estimator and Model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark import keyword_only
from pyspark.ml import Estimator
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasMaxIter, HasProbabilityCol, HasTol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable

from fusionspark.mine.cluster_model import REDUCED, ClusterModel, ReducedParams
from fusionspark.mine.principal import principal_axes, projection
from fusionspark.mine.samples import feature_sample

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class _MixtureParams(ReducedParams, HasProbabilityCol, HasMaxIter, HasTol):
    k: Param[int] = Param(Params._dummy(), "k", "number of Gaussians", TypeConverters.toInt)

    def getK(self) -> int:
        """Return the number of Gaussians."""
        return self.getOrDefault(self.k)


class GaussianMixture(
    Estimator["GaussianMixtureModel"], _MixtureParams, DefaultParamsReadable, DefaultParamsWritable
):
    """MLlib's Gaussian mixture for wide features: fitted on their first principal components.

    A Gaussian of d dimensions has a covariance of d x d numbers, so that MLlib's own mixture is of no use on
    hundreds of features. The components are those of a sample (`fusionspark.mine.samples`), the fit sees all
    rows.

    Parameters
    ----------
    featuresCol : str
        Vectors, sparse or dense, finite and of one width.
    k : int
        Gaussians. One to which no row belongs most stays as a cluster without rows.
    dimensions : int
        Principal components, at most.
    probabilityCol : str
        Receives the probability of each cluster; see MLlib.

    Raises
    ------
    ConfigError
        A Param that cannot be used; no such column.
    DataContractError
        No rows; null, NaN or infinite features; rows of unlike width.

    Notes
    -----
    MLlib draws its first Gaussians by partition: the same result whatever the partitioning takes rows laid
    out by `fusionspark.tables.ordered_for_fit`.
    """

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        featuresCol: str = "features",
        predictionCol: str = "prediction",
        probabilityCol: str = "probability",
        k: int = 2,
        dimensions: int = 16,
        maxIter: int = 100,
        tol: float = 0.01,
        seed: int = 42,
    ) -> None:
        super().__init__()
        self._setDefault(k=2, dimensions=16, maxIter=100, tol=0.01, seed=42)
        self._set(**self._input_kwargs)

    @keyword_only
    def setParams(
        self,
        *,
        featuresCol: str | None = None,
        predictionCol: str | None = None,
        probabilityCol: str | None = None,
        k: int | None = None,
        dimensions: int | None = None,
        maxIter: int | None = None,
        tol: float | None = None,
        seed: int | None = None,
    ) -> GaussianMixture:
        """Set several Params at once; what is left out stays as it is."""
        return self._set(**self._input_kwargs)

    def _fit(self, dataset: DataFrame) -> GaussianMixtureModel:
        from pyspark.ml.clustering import GaussianMixture as MLlibMixture

        self._check(dataset, {"k": 2, "maxIter": 1})
        features, seed = self.getFeaturesCol(), self.getSeed() % 2**31
        sample = feature_sample(dataset, features, seed=seed, purpose="principal components")
        axes = principal_axes(sample, self.getDimensions(), seed=seed)
        project = projection(dataset.sparkSession, axes, features, REDUCED)
        reduced = project.transform(dataset.select(features)).persist()
        try:
            mixture = MLlibMixture(
                k=self.getK(), maxIter=self.getMaxIter(), tol=self.getTol(), seed=seed, featuresCol=REDUCED,
                predictionCol=self.getPredictionCol(), probabilityCol=self.getProbabilityCol(),
            ).fit(reduced)  # fmt: skip
            centres = self._centres(mixture, reduced, axes, sample.mean(axis=0))
        finally:
            reduced.unpersist()
        facts = {"dimensions": axes.shape[1]}
        model = GaussianMixtureModel([project, mixture], {"centres": centres}, facts)
        return self._copyValues(model._resetUid(self.uid))

    def _centres(self, mixture: Any, reduced: DataFrame, axes: Any, mean: Any) -> Any:
        """Mean features of the rows of each Gaussian; of one without rows its own mean, led back to them."""
        from pyspark.ml.stat import Summarizer
        from pyspark.sql import functions as F

        cluster = self.getPredictionCol()
        middles = np.array([one.mean.toArray() for one in mixture.gaussians])
        centres = mean + (middles - mean @ axes) @ axes.T
        rows = mixture.transform(reduced).groupBy(cluster)
        for row in rows.agg(Summarizer.mean(F.col(f"`{self.getFeaturesCol()}`")).alias("mean")).collect():
            centres[row[cluster]] = row["mean"].toArray()
        return centres


class GaussianMixtureModel(ClusterModel, _MixtureParams):
    """Fitted mixture: adds the most probable cluster of a row, and the probabilities of all."""

    def _transform(self, dataset: DataFrame) -> DataFrame:
        project, mixture = self.inner
        columns = {
            mixture.predictionCol: self.getPredictionCol(),
            mixture.probabilityCol: self.getProbabilityCol(),
        }
        reduced: DataFrame = project.transform(dataset, {project.inputCol: self.getFeaturesCol()})
        assigned: DataFrame = mixture.transform(reduced, columns)
        return assigned.drop(REDUCED)
