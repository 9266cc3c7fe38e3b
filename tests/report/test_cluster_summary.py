"""Clusters in words, on a table whose answer can be worked out by hand."""

import json

import pytest

from fusionspark.columns import CLUSTERS_DDL, PREPARED_DDL
from fusionspark.report.cluster_summary import MOST_LABELS, summarise

ROWS = [
    # row_id, cluster, distance, label, tokens
    ("a", 0, 0.3, "x", ["cat", "cat", "the", "milk"]),
    ("b", 0, 0.1, "x", ["cat", "milk", "7"]),
    ("c", 0, 0.1, "y", ["cat", "dog"]),
    ("d", 2, 0.5, None, ["dog", "bone", "dog", "milk"]),
]


def frames(spark, rows=ROWS, text="short"):
    clusters = spark.createDataFrame([(r, c, d) for r, c, d, *_ in rows], CLUSTERS_DDL)
    prepared = [(r, "train", label, f"{text} {r}", tokens) for r, _, _, label, tokens in rows]
    return clusters, spark.createDataFrame(prepared, PREPARED_DDL)


@pytest.mark.smoke
def test_by_hand(spark):
    first, second = summarise(*frames(spark), top_terms=2, typical=2)
    # Of 7 words in cluster 0 (stop words and numbers apart): cat 4, milk 2, dog 1; of 4 in cluster 2:
    # dog 2, bone 1, milk 1. Weight = share in the cluster * log(1 + 5.5 / occurrences).
    # 0: cat 4/7 * log(1 + 5.5/4) = 0.494, milk 2/7 * log(1 + 5.5/3) = 0.298, dog 1/7 * 1.041 = 0.149
    # 2: dog 2/4 * 1.041 = 0.521, bone 1/4 * log(6.5) = 0.468, milk 1/4 * 1.041 = 0.260
    assert first == {
        "id": 0,
        "rows": 3,
        "share": 0.75,
        "terms": ["cat", "milk"],
        "typical": [{"row_id": "b", "text": "short b"}, {"row_id": "c", "text": "short c"}],
        "labels": {"x": 2, "y": 1},
    }
    assert (second["id"], second["terms"], second["labels"]) == (2, ["dog", "bone"], {})


@pytest.mark.slow
def test_partitioning_changes_nothing(spark):
    clusters, prepared = frames(spark)
    expected = json.dumps(summarise(clusters.coalesce(1), prepared.coalesce(1)))
    assert json.dumps(summarise(clusters.repartition(5), prepared.repartition(3))) == expected


def test_text_and_labels_are_bounded(spark):
    rows = [(f"r{i:02d}", 0, float(i), f"label {i:02d}", []) for i in range(MOST_LABELS + 5)]
    (only,) = summarise(*frames(spark, rows, text="long " * 100), max_chars=10, typical=1)
    assert only["typical"] == [{"row_id": "r00", "text": "long long …"}]
    assert list(only["labels"]) == [f"label {i:02d}" for i in range(MOST_LABELS)]
    assert only["terms"] == []


def test_no_rows(spark):
    assert summarise(*frames(spark, [])) == []
