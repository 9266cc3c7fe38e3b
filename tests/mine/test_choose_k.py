"""The number of clusters by silhouette and elbow, without Spark but for the sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from fusionspark.mine.choose_k import best_k, choose_k

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def clouds(rows: int = 200, count: int = 4) -> np.ndarray:
    rng = np.random.default_rng(3)
    centres = np.array([(0.0, 0.0), (9.0, 0.0), (0.0, 9.0), (9.0, 9.0)])[:count]
    return (centres[np.arange(rows) % count] + 0.3 * rng.normal(size=(rows, 2))).astype(np.float32)


def test_as_many_as_there_are_clouds() -> None:
    rows = clouds()
    found = best_k(rows, 7, seed=1, max_iter=20)
    assert (found.k, found.elbow, found.rows) == (4, 4, 200)
    assert [one["k"] for one in found.curve] == [2, 3, 4, 5, 6, 7]
    four = found.curve[2]
    # By hand: the rows of one cloud less its mean, squared.
    cost = sum(float(((rows[i::4] - rows[i::4].mean(axis=0)) ** 2).sum()) for i in range(4))
    assert four["cost"] == pytest.approx(cost, rel=1e-4)
    assert four["silhouette"] > 0.9 > max(one["silhouette"] for one in found.curve if one["k"] != 4)
    # The rows are left as they were.
    assert (rows == clouds()).all()


@pytest.mark.parametrize(
    "rows", [np.zeros((0, 2)), np.zeros((1, 2)), np.ones((50, 2)), np.array([[0.0], [1.0]])]
)
def test_where_nothing_can_be_compared_it_is_two(rows: np.ndarray) -> None:
    assert best_k(rows.astype(np.float32), 9, seed=1, max_iter=5).k == 2


def test_no_more_than_distinct_rows() -> None:
    rows = np.array([[0.0], [1.0], [5.0]] * 10, dtype=np.float32)
    found = best_k(rows, 9, seed=1, max_iter=5)
    assert [one["k"] for one in found.curve] == [2, 3]
    assert found.k == 3


def test_the_sample_is_the_same_for_every_partitioning(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyspark.ml.linalg import Vectors

    from fusionspark.mine import samples

    monkeypatch.setattr(samples, "ROWS", 60)
    rows = [(f"r{i:03}", Vectors.dense(row.tolist())) for i, row in enumerate(clouds())]
    df = spark.createDataFrame(rows, ["row_id", "features"])
    found = [choose_k(df.repartition(n), 6, seed=1, max_iter=10) for n in (1, 5)]
    assert found[0] == found[1]
    assert (found[0].k, found[0].rows) == (4, 60)
