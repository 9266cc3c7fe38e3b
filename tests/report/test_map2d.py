"""The map of the rows: a fixed sample, a fixed orientation, bounded."""

import sys

import numpy as np
import pytest
from pyspark.ml.linalg import DenseVector, SparseVector

from fusionspark.columns import CLUSTERS_DDL, PREPARED_DDL
from fusionspark.errors import MissingExtraError
from fusionspark.report import map2d
from fusionspark.report.map2d import check, planar, project


def frames(spark, vectors):
    ids = [f"r{i:03d}" for i in range(len(vectors))]
    features = spark.createDataFrame(list(zip(ids, vectors, strict=True)), ["row_id", "features"])
    clusters = spark.createDataFrame([(r, i % 2, 0.1) for i, r in enumerate(ids)], CLUSTERS_DDL)
    prepared = spark.createDataFrame([(r, "train", None, f"text {r}", []) for r in ids], PREPARED_DDL)
    return features, clusters, prepared


def vectors(n, seed=1):
    random = np.random.default_rng(seed)
    # Most of the variance in the first axis, then the third.
    return [DenseVector(row) for row in random.normal(size=(n, 4)) * np.array([9, 0.1, 3, 0.1])]


def test_distances_on_the_two_widest_axes_are_kept(spark):
    given = vectors(30)
    points = project(*frames(spark, given), sample=100, seed=1)
    assert [p["row_id"] for p in points] == [f"r{i:03d}" for i in range(30)]
    assert points[3]["cluster"] == 1 and points[3]["label"] is None and points[3]["text"] == "text r003"
    flat = np.array([[p["x"], p["y"]] for p in points])
    wide = np.array([[v[0], v[2]] for v in given])
    for i, j in ((0, 1), (5, 20), (7, 29)):
        expected = np.linalg.norm(wide[i] - wide[j])
        assert np.linalg.norm(flat[i] - flat[j]) == pytest.approx(expected, rel=0.02)


def test_the_sample_does_not_depend_on_partitions(spark):
    features, clusters, prepared = frames(spark, vectors(60))
    one = project(features.coalesce(1), clusters, prepared, sample=20, seed=4)
    many = project(features.repartition(7), clusters.repartition(3), prepared, sample=20, seed=4)
    assert len(one) == 20 and one == many
    assert [p["row_id"] for p in project(features, clusters, prepared, sample=20, seed=5)] != [
        p["row_id"] for p in one
    ]


def test_wide_vectors_get_a_smaller_sample(spark, monkeypatch):
    monkeypatch.setattr(map2d, "MAX_CELLS", 10_000)
    wide = [SparseVector(1000, {i: 1.0, i + 1: 2.0}) for i in range(40)]
    assert len(project(*frames(spark, wide), sample=40, seed=1)) == 10


def test_too_few_rows_give_no_map(spark):
    assert project(*frames(spark, vectors(2)), sample=10, seed=1) == []
    features, clusters, prepared = frames(spark, vectors(3))
    assert project(features.limit(0), clusters, prepared, sample=10, seed=1) == []


@pytest.mark.slow
def test_umap_keeps_neighbours_together_and_says_the_same_twice():
    pytest.importorskip("umap")
    random = np.random.default_rng(2)
    middle = np.repeat([[6.0] * 10, [-6.0] * 10], 30, axis=0)
    matrix = (middle + random.normal(size=(60, 10))).astype(np.float32)
    points = planar(matrix, "umap", 3)
    assert points.shape == (60, 2)
    apart = np.linalg.norm(points[:, None] - points[None], axis=2) + np.diag([np.inf] * 60)
    assert ((apart.argmin(axis=1) < 30) == (np.arange(60) < 30)).all()
    assert (planar(matrix, "umap", 3) == points).all()
    assert planar(matrix[:3], "umap", 3).shape == (3, 2)


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    check("pca")
    with pytest.raises(MissingExtraError, match=r"report\.map umap.*fusionspark\[umap\]"):
        check("umap")
