"""The Estimator: MLlib's Params and model, whatever the partitioning."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fusionspark.errors import ConfigError, DataContractError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@pytest.fixture(scope="module")
def blobs(spark: SparkSession) -> DataFrame:
    """Three clouds of 20 rows, dense and sparse vectors mixed."""
    from pyspark.ml.linalg import Vectors

    rng = np.random.default_rng(4)
    rows = []
    for i in range(60):
        values = (rng.normal([(0.0, 0.0), (9.0, 0.0), (0.0, 9.0)][i % 3], 0.3)).tolist()
        vector = Vectors.dense(values) if i % 2 else Vectors.sparse(2, dict(enumerate(values)))
        rows.append((f"r{i:02}", vector, float(i % 5)))
    return spark.createDataFrame(rows, ["row_id", "features", "weight"]).cache()


def centres(model: Any) -> list[list[float]]:
    return [centre.tolist() for centre in model.clusterCenters()]


@pytest.mark.smoke
def test_the_model_is_mllibs_own(spark: SparkSession, blobs: DataFrame, tmp_path: Path) -> None:
    from pyspark.ml.clustering import KMeansModel
    from pyspark.ml.linalg import Vectors

    from fusionspark.mine.kmeans import KMeans

    estimator = KMeans(k=3, maxIter=5, predictionCol="cluster", initMode="k-means++")
    model = estimator.fit(blobs)
    assert (type(model), model.uid, estimator.engine) == (KMeansModel, estimator.uid, "executors")
    assert (model.getK(), model.getMaxIter(), model.getPredictionCol()) == (3, 5, "cluster")
    # The mean of the rows of each cloud, in float32.
    rows = [row.features.toArray() for row in blobs.orderBy("row_id").collect()]
    means = [np.mean(rows[i::3], axis=0) for i in range(3)]
    assert np.allclose(sorted(centres(model)), sorted(m.tolist() for m in means), atol=1e-6)
    cost = sum(float(((row - means[i % 3]) ** 2).sum()) for i, row in enumerate(rows))
    assert model.summary.trainingCost == pytest.approx(cost, rel=1e-6)
    assert model.summary.clusterSizes == [20, 20, 20]
    model.write().overwrite().save(str(tmp_path / "model"))
    again = KMeansModel.load(str(tmp_path / "model"))
    assert centres(again) == centres(model)
    first = Vectors.dense(rows[0])
    assert again.predict(first) == model.predict(first)
    estimator.write().overwrite().save(str(tmp_path / "estimator"))
    loaded = KMeans.load(str(tmp_path / "estimator"))
    assert (loaded.uid, loaded.getInitMode(), loaded.getK()) == (estimator.uid, "k-means++", 3)


@pytest.mark.slow
@pytest.mark.smoke
def test_partitioning_and_number_of_tasks_change_nothing(spark: SparkSession, blobs: DataFrame) -> None:
    from fusionspark.mine.kmeans import KMeans

    found = [
        centres(KMeans(k=5, weightCol="weight", numWorkers=tasks).fit(blobs.repartition(parts)))
        for parts, tasks in ((1, 1), (2, 2), (7, 2), (7, 1))
    ]
    assert found[1:] == found[:-1]


@pytest.mark.slow
def test_mini_batches_and_arrays_that_may_hold_nulls(spark: SparkSession, blobs: DataFrame) -> None:
    from pyspark.ml.functions import vector_to_array

    from fusionspark.mine.kmeans import KMeans

    arrays = blobs.select(vector_to_array("features", "float32").alias("features"))
    nullable = spark.createDataFrame(arrays.collect(), "features array<float>")
    model = KMeans(k=3, nInit=3, batchSize=10, numWorkers=2).fit(nullable)
    assert model.summary.clusterSizes == [20, 20, 20]
    whole = KMeans(k=3).fit(blobs)
    assert np.allclose(sorted(centres(model)), sorted(centres(whole)), atol=1e-5)
    # Cosine: the origin's cloud apart, two directions.
    far = arrays.where("abs(features[0]) + abs(features[1]) > 4")
    angles = KMeans(k=2, distanceMeasure="cosine").fit(far)
    assert sorted(angles.summary.clusterSizes) == [20, 20]
    assert [pytest.approx(1.0)] * 2 == [np.linalg.norm(c) for c in angles.clusterCenters()]


@pytest.mark.slow
def test_without_slots_mllib_stands_in_and_it_says_why(spark: SparkSession, blobs: DataFrame) -> None:
    from fusionspark.mine.kmeans import KMeans

    estimator = KMeans(k=3, numWorkers=9, nInit=2, initMode="k-means++")
    model = estimator.fit(blobs)
    assert estimator.engine == "mllib"
    assert estimator.why == "a barrier stage of 9 tasks needs as many slots, and the executors have 2"
    assert sorted(model.summary.clusterSizes) == [20, 20, 20]


def test_with_dynamic_allocation_mllib_stands_in(spark: SparkSession, blobs: DataFrame) -> None:
    from fusionspark.mine.kmeans import KMeans

    live: Any = spark.sparkContext._jsc.sc().conf()  # type: ignore[attr-defined]
    # A local master has no executors that come and go; Spark's own tests ask for it nevertheless.
    names = ("spark.dynamicAllocation.enabled", "spark.dynamicAllocation.testing")
    for name in names:
        live.set(name, "true")
    try:
        estimator = KMeans(k=3, numWorkers=2)
        model = estimator.fit(blobs)
    finally:
        for name in names:
            live.remove(name)
    assert estimator.engine == "mllib"
    assert "spark.dynamicAllocation.enabled is true" in estimator.why
    assert sorted(model.summary.clusterSizes) == [20, 20, 20]


def test_rows_that_cannot_be_used(spark: SparkSession) -> None:
    from fusionspark.mine.kmeans import KMeans

    rows = spark.createDataFrame([([1.0, 2.0],), (None,), ([float("nan"), 1.0],)], "features array<float>")
    with pytest.raises(DataContractError, match="2 of 3 rows for clustering are null or hold NaN"):
        KMeans().fit(rows)
    unlike = spark.createDataFrame([([1.0, 2.0],), ([1.0],)], "features array<double>").coalesce(1)
    with pytest.raises(DataContractError, match="1 to 2 wide"):
        KMeans().fit(unlike)
    with pytest.raises(DataContractError, match="is of type string"):
        KMeans().fit(spark.createDataFrame([("a",)], "features string"))
    with pytest.raises(ConfigError, match="did you mean 'features'"):
        KMeans(featuresCol="feature").fit(rows)
    with pytest.raises(ConfigError, match="did you mean 'k-means"):
        KMeans(initMode="kmeans||").fit(rows)
    with pytest.raises(ConfigError, match="k: is 1"):
        KMeans(k=1).fit(rows)
