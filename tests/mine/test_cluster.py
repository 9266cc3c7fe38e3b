from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fusionspark import columns as c
from fusionspark.errors import ConfigError, DataContractError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Bisecting runs one k-means after another: several times the jobs.
NAMES = ["kmeans", pytest.param("bisecting_kmeans", marks=pytest.mark.slow)]


def table(spark: SparkSession, vectors: list[Any]) -> DataFrame:
    from pyspark.ml.linalg import Vectors, VectorUDT
    from pyspark.sql.types import StringType, StructField, StructType

    schema = StructType([StructField("row_id", StringType()), StructField("features", VectorUDT())])
    rows = [(f"r{i:03}", Vectors.dense(v) if isinstance(v, list) else v) for i, v in enumerate(vectors)]
    return spark.createDataFrame(rows, schema)


def blobs(spark: SparkSession, rows: int = 15) -> DataFrame:
    rng = np.random.default_rng(4)
    centres = [(0.0, 0.0), (9.0, 0.0), (0.0, 9.0)]
    return table(spark, [rng.normal(centres[i % 3], 0.3).tolist() for i in range(3 * rows)])


def train(df: DataFrame, algorithm: str = "kmeans", k: int = 3, partitions: int = 2) -> Any:
    from fusionspark.mine.cluster import train as fit

    return fit(df, algorithm, k=k, seed=1, max_iter=10, partitions=partitions).model


def assigned(model: Any, df: DataFrame) -> list[tuple[Any, ...]]:
    from fusionspark.mine.cluster import assign

    return [tuple(row) for row in assign(model, df).orderBy("row_id").collect()]


@pytest.mark.smoke
@pytest.mark.parametrize("algorithm", NAMES)
def test_blobs_become_clusters_with_their_distances(spark: SparkSession, algorithm: str) -> None:
    from fusionspark.mine.cluster import assign, silhouette

    df = blobs(spark)
    model = train(df, algorithm)
    out = assign(model, df)
    wanted = spark.createDataFrame([], c.CLUSTERS_DDL).schema
    assert [(f.name, f.dataType) for f in out.schema] == [(f.name, f.dataType) for f in wanted]
    rows = assigned(model, df)
    assert len(rows) == 45
    assert [len({row[1] for row in rows[start::3]}) for start in range(3)] == [1, 1, 1]
    assert len({row[1] for row in rows}) == 3
    centres = model.clusterCenters()
    for (_, cluster, distance), row in zip(rows, df.orderBy("row_id").collect(), strict=True):
        assert distance == pytest.approx(np.linalg.norm(row.features.toArray() - centres[cluster]))
    value, used = silhouette(out, df, 45)
    assert value is not None
    assert 0.98 < value <= 1.0
    assert used == 45


@pytest.mark.slow
@pytest.mark.smoke
@pytest.mark.parametrize("algorithm", NAMES)
def test_clusters_are_equal_for_every_partitioning(spark: SparkSession, algorithm: str) -> None:
    rng = np.random.default_rng(5)
    df = table(spark, rng.normal(size=(60, 3)).tolist()).cache()
    found = [assigned(train(df.repartition(n), algorithm, k=5), df) for n in (1, 2, 5, 7)]
    assert found[1:] == found[:-1]


def test_sparse_rows_have_the_distance_of_dense_ones(spark: SparkSession) -> None:
    from pyspark.ml.linalg import Vectors

    sparse = [{0: 3.0}, {0: 4.0}, {4: 8.0}, {4: 9.0, 1: 2.0}, {}]
    df = table(spark, [Vectors.sparse(5, values) for values in sparse])
    dense = table(spark, [Vectors.sparse(5, values).toArray().tolist() for values in sparse])
    model = train(df, k=2)
    found, wanted = assigned(model, df), assigned(model, dense)
    assert [row[:2] for row in found] == [row[:2] for row in wanted]
    assert [row[2] for row in found] == pytest.approx([row[2] for row in wanted], abs=1e-6)


def test_clusters_have_the_ids_that_they_are_given(spark: SparkSession) -> None:
    from fusionspark.mine.cluster import assign

    df = table(spark, [[0.0], [1.0], [20.0]])
    model = train(df, k=2)
    plain = assigned(model, df)
    called = [tuple(row) for row in assign(model, df, [7, 3]).orderBy("row_id").collect()]
    assert called == [(row, [7, 3][cluster], distance) for row, cluster, distance in plain]


@pytest.mark.parametrize("algorithm", NAMES)
def test_as_many_clusters_as_distinct_rows(spark: SparkSession, algorithm: str) -> None:
    df = table(spark, [[0.0], [5.0], [5.0], [20.0]])
    for partitions in (1, 9):
        rows = assigned(train(df, algorithm, partitions=partitions), df)
        assert len({row[1] for row in rows}) == 3
        assert [row[2] for row in rows] == [0.0, 0.0, 0.0, 0.0]


def test_fewer_distinct_rows_than_clusters(spark: SparkSession) -> None:
    df = table(spark, [[1.0], [1.0], [2.0]])
    with pytest.raises(DataContractError, match="3 clusters of 3 rows, of which 2 are distinct"):
        train(df)
    with pytest.raises(DataContractError, match="2 clusters of 1 rows, of which 1 are distinct"):
        train(df.limit(1), k=2)
    with pytest.raises(DataContractError, match="rows for clustering: there are none"):
        train(df.limit(0))


@pytest.mark.parametrize("bad", [None, [float("nan")], [float("-inf")]])
def test_features_must_be_finite(spark: SparkSession, bad: Any) -> None:
    with pytest.raises(DataContractError, match="1 of 3 rows for clustering are null or hold NaN"):
        train(table(spark, [[1.0], [2.0], bad]), k=2)


def test_wrong_settings(spark: SparkSession) -> None:
    with pytest.raises(ConfigError, match="did you mean 'kmeans'"):
        train(blobs(spark), "k_means")
    with pytest.raises(ConfigError, match="at least 2"):
        train(blobs(spark), k=1)


def test_silhouette_by_hand_and_of_one_cluster(spark: SparkSession) -> None:
    from fusionspark.mine.cluster import silhouette

    df = table(spark, [[0.0], [1.0], [4.0]])
    clusters = spark.createDataFrame([("r000", 0, 0.0), ("r001", 0, 0.0), ("r002", 1, 0.0)], c.CLUSTERS_DDL)
    # Squared distances: r000: a = 1, b = 16; r001: a = 1, b = 9; a cluster of one row counts 0.
    value, used = silhouette(clusters, df, 3)
    assert value == pytest.approx((15 / 16 + 8 / 9 + 0) / 3)
    assert used == 3
    one = clusters.replace(1, 0, subset=["cluster"])
    assert silhouette(one, df, 3) == (None, 3)


def test_silhouette_takes_a_repeatable_sample(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    from fusionspark.mine import cluster

    monkeypatch.setattr(cluster, "SILHOUETTE_ROWS", 20)
    df = blobs(spark, rows=40).cache()
    clusters = cluster.assign(train(df), df).cache()
    found = [cluster.silhouette(clusters.repartition(n), df.repartition(n), 120) for n in (1, 3, 7)]
    assert 5 <= found[0][1] <= 40
    assert found[1:] == found[:-1]


@pytest.mark.slow
@pytest.mark.smoke
@pytest.mark.parametrize("algorithm", NAMES)
def test_save_and_load(spark: SparkSession, tmp_path: Path, algorithm: str) -> None:
    from fusionspark.mine.cluster import load

    df = blobs(spark)
    model = train(df, algorithm)
    model.write().overwrite().save(str(tmp_path / "model"))
    assert assigned(load(algorithm, str(tmp_path / "model")), df) == assigned(model, df)
