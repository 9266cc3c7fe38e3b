"""Clustering of the fused vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyspark.ml.clustering import BisectingKMeans, BisectingKMeansModel, KMeansModel
from pyspark.ml.evaluation import ClusteringEvaluator
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from fusionspark.columns import CLUSTER, DISTANCE, FEATURES, MODEL_DIGEST, ROW_ID
from fusionspark.errors import ConfigError, DataContractError, nearest
from fusionspark.mine.checks import carried, check_columns, feature_facts
from fusionspark.mine.density import DensityClusters, DensityClustersModel
from fusionspark.mine.kmeans import KMeans
from fusionspark.mine.mixture import GaussianMixture, GaussianMixtureModel
from fusionspark.one_model import check_one_model
from fusionspark.tables import ordered_for_fit

#: Rows above which the silhouette is taken on a sample, chosen by a hash of row_id.
SILHOUETTE_ROWS = 20_000

#: Name in the configuration -> model class.
ALGORITHMS: Mapping[str, Any] = {
    "kmeans": KMeansModel,
    "bisecting_kmeans": BisectingKMeansModel,
    "gaussian_mixture": GaussianMixtureModel,
    "hdbscan": DensityClustersModel,
}
#: Those that find the number of clusters themselves.
FIND_K = ("hdbscan",)


@dataclass(frozen=True)
class Trained:
    """A fitted clustering; by whom, where MLlib had to stand in why, and what the fit found.

    ``engine`` is ``executors``, ``mllib`` or ``scikit-learn``; ``found`` holds JSON values.
    """

    model: Any
    engine: str
    why: str = ""
    found: Mapping[str, Any] = field(default_factory=dict)


def train(
    features: DataFrame,
    algorithm: str,
    *,
    k: int,
    seed: int,
    max_iter: int,
    partitions: int,
    n_init: int = 1,
    batch_size: int = 0,
    dimensions: int = 16,
    min_share: float = 0.01,
) -> Trained:
    """Fit a clustering on all rows; k-means with a ``batch_size`` above 0 by mini-batches from disk.

    K-means, the best of ``n_init`` starts, runs on the executors (`fusionspark.mine.kmeans`), where the order
    of rows changes nothing; the model is MLlib's own either way. Bisecting k-means may find fewer than ``k``
    clusters; HDBSCAN, which is fitted on a sample, looks for their number itself. ``dimensions`` are those in
    which a Gaussian mixture and HDBSCAN work, ``min_share`` is the share of the sample that makes a cluster
    of HDBSCAN.

    Raises
    ------
    ConfigError
        Unknown algorithm.
    DataContractError
        Fewer distinct rows than clusters; features that are null, not finite or of unlike width.
    """
    if algorithm not in ALGORITHMS:
        raise ConfigError(
            "mine.cluster.algorithm",
            f"{algorithm!r} is unknown{nearest(algorithm, ALGORITHMS)}",
            allowed=", ".join(ALGORITHMS),
        )
    if k < 2:
        raise ConfigError("mine.cluster.k", str(k), allowed="at least 2")
    check_columns(features, [ROW_ID], FEATURES)
    columns: dict[str, Any] = {"featuresCol": FEATURES, "predictionCol": CLUSTER, "seed": seed}
    if algorithm == "kmeans":
        estimator = KMeans(k=k, maxIter=max_iter, nInit=n_init, batchSize=batch_size, **columns)
        return _kmeans(features, estimator)
    if algorithm == "hdbscan":
        found = DensityClusters(dimensions=dimensions, minShare=min_share, **columns).fit(features)
        return Trained(found, "scikit-learn", found=found.facts)
    rows = ordered_for_fit(features.select(ROW_ID, FEATURES, *carried(features)), partitions).cache()
    try:
        facts = feature_facts(rows, FEATURES, "clustering")
        _check_distinct(rows, k, facts.rows)
        if algorithm == "gaussian_mixture":
            mixture = GaussianMixture(k=k, maxIter=max_iter, dimensions=dimensions, **columns).fit(rows)
            return Trained(mixture, "mllib", found=mixture.facts)
        return Trained(BisectingKMeans(k=k, maxIter=max_iter, **columns).fit(rows), "mllib")
    finally:
        rows.unpersist()


def _kmeans(features: DataFrame, estimator: KMeans) -> Trained:
    if MODEL_DIGEST in features.columns:
        check_one_model(features, "rows for clustering")
    model = estimator.fit(features.select(FEATURES))
    if len(model.clusterCenters()) < estimator.getK():
        _check_distinct(features, estimator.getK(), sum(model.summary.clusterSizes))
    return Trained(model, estimator.engine, estimator.why)


def _check_distinct(features: DataFrame, k: int, rows: int) -> None:
    content = F.xxhash64(F.unwrap_udt(F.col(FEATURES)))
    distinct = features.select(content.alias("content")).distinct().limit(k).count()
    if distinct < k:
        raise _too_few(k, rows, distinct)


def _too_few(k: int, rows: int, distinct: int) -> DataContractError:
    return DataContractError(
        "mine.cluster.k",
        f"{k} clusters of {rows} rows, of which {distinct} are distinct",
        allowed=f"2 to {distinct}" if distinct >= 2 else "needs at least 2 distinct rows",
        remedy=f"--set mine.cluster.k={max(2, distinct // 2)}, or give more rows",
    )


def load(algorithm: str, path: str) -> Any:
    """Read a saved clustering."""
    return ALGORITHMS[algorithm].load(path)


def assign(model: Any, features: DataFrame, ids: Sequence[int] | None = None) -> DataFrame:
    """The cluster of every row and its Euclidean distance to the centre (`columns.CLUSTERS_DDL`); lazy.

    ``ids`` are what the clusters are called, in the order of the model; by default their number in it.
    """
    spark = features.sparkSession
    centres = spark.createDataFrame(
        [
            (i, i if ids is None else ids[i], [float(x) for x in c], float(c @ c))
            for i, c in enumerate(model.clusterCenters())
        ],
        f"{CLUSTER} int, __id int, __centre array<double>, __square double",
    )
    row, centre = F.unwrap_udt(F.col(FEATURES)), F.col("__centre")
    dense = F.zip_with(row["values"], centre, lambda x, c: (x - c) * (x - c))
    # A sparse row costs its non-zeros only: |x - c|^2 = |c|^2 + sum over them of x (x - 2 c).
    sparse = F.zip_with(row["indices"], row["values"], lambda i, x: x * (x - 2.0 * F.get(centre, i)))
    squared = F.when(row["type"] == 1, _total(dense)).otherwise(
        F.greatest(F.lit(0.0), F.col("__square") + _total(sparse))
    )
    assigned: DataFrame = model.transform(features.select(ROW_ID, FEATURES))
    return assigned.join(F.broadcast(centres), CLUSTER).select(
        ROW_ID, F.col("__id").alias(CLUSTER), F.sqrt(squared).alias(DISTANCE)
    )


def _total(numbers: Column) -> Column:
    return F.aggregate(numbers, F.lit(0.0), lambda total, x: total + x)


def silhouette(clusters: DataFrame, features: DataFrame, rows: int) -> tuple[float | None, int]:
    """Mean silhouette (squared Euclidean, Rousseeuw 1987 in MLlib's linear-time form) and the rows it is of.

    None where fewer than two clusters have rows: the measure compares with the nearest other cluster.
    """
    joined = features.select(ROW_ID, FEATURES).join(clusters.select(ROW_ID, CLUSTER), ROW_ID)
    if rows > SILHOUETTE_ROWS:
        share = int(1_000_000 * SILHOUETTE_ROWS / rows)
        joined = joined.where(F.pmod(F.xxhash64(F.lit("silhouette"), ROW_ID), F.lit(1_000_000)) < share)
    # One partition in a fixed order: the mean is then the same to the last digit in every run.
    held = joined = ordered_for_fit(joined, 1).cache()
    try:
        kind = F.unwrap_udt(F.col(FEATURES))["type"]
        seen = joined.agg(
            F.count("*").alias("rows"),
            F.min(CLUSTER).alias("first"),
            F.max(CLUSTER).alias("last"),
            F.count_distinct(kind).alias("kinds"),
        ).collect()[0]
        used = seen["rows"]
        if seen["first"] == seen["last"]:
            return None, used
        if seen["kinds"] > 1:
            # The evaluator refuses sparse and dense vectors in one column.
            joined = joined.withColumn(FEATURES, array_to_vector(vector_to_array(F.col(FEATURES))))
        evaluator = ClusteringEvaluator(featuresCol=FEATURES, predictionCol=CLUSTER)
        return float(evaluator.evaluate(joined)), used
    finally:
        held.unpersist()
