"""Gaussian mixture and HDBSCAN: shapes that k-means cannot tell, noise, save and load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fusionspark.errors import ConfigError, DataContractError
from fusionspark.mine.cluster import load, train
from fusionspark.mine.density import DensityClusters, dense_groups
from fusionspark.mine.mixture import GaussianMixture
from fusionspark.mine.principal import principal_axes

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def table(spark: SparkSession, rows: Any, width: int = 40) -> DataFrame:
    """Rows of a plane, turned into a space of ``width`` dimensions."""
    from pyspark.ml.functions import array_to_vector

    basis = np.linalg.qr(np.random.default_rng(3).normal(size=(width, 2)))[0]
    made = [(f"r{i:04}", row) for i, row in enumerate((np.asarray(rows) @ basis.T).tolist())]
    df = spark.createDataFrame(made, "row_id string, features array<double>")
    return df.withColumn("features", array_to_vector("features"))


def groups(model: Any, df: DataFrame) -> list[int]:
    column = model.getPredictionCol()
    return [row[column] for row in model.transform(df).orderBy("row_id").select(column).collect()]


def ring() -> Any:
    """120 rows on a ring around a heap of 60, and at the end one row that belongs to neither."""
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    heap = np.random.default_rng(6).normal(0, 0.4, (60, 2))
    return np.concatenate([np.c_[np.cos(angle), np.sin(angle)] * 8, heap, [[0.0, 30.0]]])


@pytest.mark.smoke
def test_hdbscan_finds_a_ring_around_a_heap_and_gives_noise_the_nearest(
    spark: SparkSession, tmp_path: Path
) -> None:
    df = table(spark, ring()).cache()
    fitted = train(df, "hdbscan", k=2, seed=1, max_iter=5, partitions=2, min_share=0.05)
    found = groups(fitted.model, df)
    assert found == [0] * 120 + [1] * 60 + [0], "the largest first, and the odd row with the ring"
    assert (fitted.engine, fitted.found) == (
        "scikit-learn",
        {"dimensions": 2, "found": 2, "sample": 181, "noise": round(1 / 181, 6)},
    )
    rows = np.array([row["features"].toArray() for row in df.orderBy("row_id").collect()])
    centres = fitted.model.clusterCenters()
    assert centres[0] == pytest.approx(rows[:120].mean(axis=0), abs=1e-5)
    assert centres[1] == pytest.approx(rows[120:180].mean(axis=0), abs=1e-5)
    fitted.model.write().overwrite().save(str(tmp_path / "model"))
    again = load("hdbscan", str(tmp_path / "model"))
    assert groups(again, df.repartition(3)) == found
    assert (again.facts, again.getMinShare()) == (fitted.found, 0.05)
    assert np.array_equal(again.clusterCenters(), centres)


def test_a_mixture_tells_clouds_that_cross(spark: SparkSession, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    long, thin = rng.normal(0, 5, 120), rng.normal(0, 0.05, 120)
    df = table(spark, np.concatenate([np.c_[long, thin], np.c_[thin, long + 9]])).cache()
    fitted = train(df, "gaussian_mixture", k=2, seed=1, max_iter=50, partitions=2)
    found = groups(fitted.model, df)
    # A few rows lie where both clouds are.
    assert [max(part.count(i) for i in (0, 1)) >= 115 for part in (found[:120], found[120:])] == [True, True]
    assert found[0] != found[120]
    rows = np.array([row["features"].toArray() for row in df.orderBy("row_id").collect()])
    for i, centre in enumerate(fitted.model.clusterCenters()):
        assert centre == pytest.approx(rows[np.array(found) == i].mean(axis=0))
    assert fitted.found == {"dimensions": 2}
    fitted.model.write().overwrite().save(str(tmp_path / "model"))
    again = load("gaussian_mixture", str(tmp_path / "model"))
    assert groups(again, df) == found
    elsewhere = train(df.repartition(5), "gaussian_mixture", k=2, seed=1, max_iter=50, partitions=2)
    assert groups(elsewhere.model, df) == found, "the same for every partitioning"


def test_dense_groups_of_few_and_of_equal_rows() -> None:
    points = np.array([[0.0], [0.1], [9.0], [9.1], [9.2]], dtype=np.float32)
    assert dense_groups(points[:0], 0.5).tolist() == []
    assert dense_groups(points[:1], 0.5).tolist() == [-1]
    assert dense_groups(points, 0.3).tolist() == [1, 1, 0, 0, 0]
    # No density is above another: there is no cluster to find.
    assert set(dense_groups(np.zeros((30, 2), np.float32), 0.1).tolist()) <= {-1, 0}


def test_axes_of_a_plane_and_of_rows_that_are_alike() -> None:
    rows = np.random.default_rng(1).normal(size=(50, 2)) @ np.array([[3.0, 0, 0, 4], [0, 1, 0, 0]])
    axes = principal_axes(rows.astype(np.float32), 16, seed=1)
    assert axes.shape == (4, 2), "float32's rounding is no third component"
    assert np.abs(axes[:, 0]) == pytest.approx([0.6, 0, 0, 0.8], abs=0.05)
    assert principal_axes(np.ones((5, 3), np.float32), 16, seed=1).tolist() == [[1.0], [0.0], [0.0]]
    assert principal_axes(np.ones((1, 3), np.float32), 16, seed=1).shape == (3, 1)


def test_rows_that_are_alike_make_one_cluster_and_wrong_input_an_error(spark: SparkSession) -> None:
    alike = table(spark, np.ones((6, 2)))
    assert groups(DensityClusters().fit(alike), alike) == [0] * 6
    with pytest.raises(DataContractError, match="2 clusters of 6 rows, of which 1 are distinct"):
        train(alike, "gaussian_mixture", k=2, seed=1, max_iter=5, partitions=2)
    for estimator, wrong in (
        (DensityClusters(minShare=0.6), "minShare"),
        (DensityClusters(dimensions=0), "dimensions"),
        (GaussianMixture(k=1), "k: is 1"),
        (GaussianMixture(featuresCol="other"), "'other'"),
    ):
        with pytest.raises(ConfigError, match=wrong):
            estimator.fit(alike)
    with pytest.raises(DataContractError, match="there are none"):
        DensityClusters().fit(alike.limit(0))
    with pytest.raises(DataContractError, match="1 of 7 rows"):
        missing = spark.createDataFrame([("x", None)], alike.schema)
        GaussianMixture().fit(alike.unionByName(missing))
